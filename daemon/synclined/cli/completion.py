"""`syncline completion`: print the script that completes the command in a shell."""

import click
from click.shell_completion import get_completion_class

from synclined.cli.examples import examples


@click.command(
    "completion",
    epilog=examples(
        'bash  eval "$(syncline completion bash)"        # in ~/.bashrc',
        'zsh   eval "$(syncline completion zsh)"         # in ~/.zshrc, after compinit',
        "fish  syncline completion fish > ~/.config/fish/completions/syncline.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None, "click completes these three"
    click.echo(kind(ctx.find_root().command, {}, "syncline", "_SYNCLINE_COMPLETE").source())
