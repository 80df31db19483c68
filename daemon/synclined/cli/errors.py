"""What the command line says of an error, and the exit codes."""

from typing import Final

import click


OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
DIFFERENT: Final = 3
REFUSED_FOR_SAFETY: Final = 4
AUTH: Final = 5
UNREACHABLE: Final = 6
INTERRUPTED: Final = 130

EXIT_CODES = {
    OK: "done",
    FAILED: "failed",
    USAGE: "wrong usage or a wrong setting",
    DIFFERENT: "conflicts, differences or unsent writes are left",
    REFUSED_FOR_SAFETY: "refused, to be safe",
    AUTH: "a token is missing, unknown, or without the right",
    UNREACHABLE: "the daemon is not reached",
    INTERRUPTED: "interrupted",
}


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of an error."""
    # Only a failure pays for the import of the library, never `--version` or `--help`.
    from syncline.errors import (
        AuthError,
        ConfigError,
        ConflictError,
        FilterInvalid,
        LinkError,
        MassDeletion,
    )

    match error:
        case click.exceptions.Abort():
            return INTERRUPTED
        case click.UsageError() | ConfigError() | FilterInvalid():
            return USAGE
        case AuthError():
            return AUTH
        case LinkError():
            return UNREACHABLE
        case ConflictError():
            return DIFFERENT
        case MassDeletion():
            return REFUSED_FOR_SAFETY
        case _:
            return FAILED


def told(error: BaseException) -> str:
    """Return what stderr shows of an error: a line, and a hint on another where there is one."""
    from syncline.errors import SynclineError, Unauthenticated

    match error:
        case click.exceptions.Abort():
            return ""
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "syncline"
            return _lines(error.format_message(), f"{command} --help")
        case click.ClickException():
            return _lines(error.format_message())
        case Unauthenticated():
            return _lines(str(error), "give it by --token, or in SYNCLINE_TOKEN")
        case SynclineError():
            return _lines(str(error), error.hint)
        case _:
            said = " ".join(str(error).split())[:200]
            kind = type(error).__name__
            return _lines(
                f"unexpected {kind}: {said}" if said else f"unexpected {kind}",
                "this is a bug: run with --debug for the traceback",
            )


def _lines(message: str, hint: str = "") -> str:
    return f"syncline: {message}\n" + (f"  hint: {hint}\n" if hint else "")
