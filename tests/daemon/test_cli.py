"""The command itself: help, version, errors and exit codes, and what needs no data."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib

import click
import pytest

from syncline.errors import (
    ConfigError,
    ConflictError,
    Forbidden,
    LinkClosed,
    RecordNotFound,
    StoreFull,
    Unauthenticated,
    Unreachable,
)
from synclined.auth import hash_token
from synclined.cli import COMMANDS, group
from synclined.cli.errors import EXIT_CODES, exit_code_of, told


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(ConfigError("x"), 2, id="config"),
        pytest.param(click.UsageError("x"), 2, id="usage"),
        pytest.param(ConflictError("x"), 3, id="conflict"),
        pytest.param(Unauthenticated("x"), 5, id="unauthenticated"),
        pytest.param(Forbidden("x"), 5, id="forbidden"),
        pytest.param(Unreachable("x"), 6, id="unreachable"),
        pytest.param(LinkClosed("x"), 6, id="link"),
        pytest.param(RecordNotFound("x"), 1, id="record"),
        pytest.param(StoreFull("x"), 1, id="store"),
        pytest.param(click.Abort(), 130, id="interrupted"),
        pytest.param(ZeroDivisionError("x"), 1, id="bug"),
    ],
)
def test_exit_code_is_that_of_the_error(error, code):
    assert code == exit_code_of(error)


def test_error_is_one_line_and_a_hint():
    error = StoreFull("there is no space left for x.db", hint="free some space")

    expected = "syncline: there is no space left for x.db\n  hint: free some space\n"
    assert expected == told(error)


def test_bug_is_told_in_one_line_that_names_debug():
    text = told(ValueError("two\nlines"))

    assert "syncline: unexpected ValueError: two lines\n" in text
    assert "--debug" in text


@pytest.fixture
def broken(monkeypatch):
    def break_down(*_args):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("synclined.cli.records.run", break_down)
    # The coroutine is made before it is run; here it is not.
    monkeypatch.setattr("synclined.cli.records._count", lambda *_args: None)


def test_bug_shows_no_traceback(cli, broken):
    result = cli("count", "x.db", "todo", code=1)

    assert "unexpected ZeroDivisionError: by zero" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("args", [["--debug", "count"], ["count", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(cli, broken, args):
    result = cli(*args, "x.db", "todo", code=1)

    assert isinstance(result.exception, ZeroDivisionError)


def test_help_lists_every_command_and_exit_code(cli):
    text = cli("--help").stdout

    for name in COMMANDS:
        assert f"\n  {name} " in text
    for code, meaning in EXIT_CODES.items():
        assert f"\n    {code:<4} {meaning}" in text


def test_help_imports_no_command():
    code = "import sys; sys.argv = ['syncline', '--help']\n"
    code += "from synclined.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "names = {'syncline', 'msgspec', 'aiohttp', 'sqlalchemy', 'socketio', 'rich'}\n"
    code += "heavy = names & set(sys.modules)\n"
    code += "assert not heavy, heavy\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stderr


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_command_has_help_that_agrees_with_the_list(cli, name):
    listed = COMMANDS[name]
    command = getattr(importlib.import_module(f"synclined.cli.{listed.module}"), listed.attribute)

    assert command.get_short_help_str(200).startswith(listed.help.rstrip("."))
    assert "Usage: " in cli(name, "--help").stdout


def test_version_is_told_without_importing_anything_heavy(syncline):
    assert syncline("--version").stdout.startswith("syncline, version ")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["nonsense"], "No such command 'nonsense'", id="command"),
        pytest.param(["get"], "Missing argument 'TARGET'", id="argument"),
        pytest.param(["get", "a.db", "todo", "1", "--nope"], "No such option", id="option"),
        pytest.param(["find", "a.db", "todo", "--where", "{"], "this is no JSON", id="json"),
        pytest.param(["find", "a.db", "todo", "--where", "[]"], "JSON object", id="object"),
        pytest.param(["put", "a.db", "todo", "1", "milk"], "neither a JSON object", id="pair"),
        pytest.param(["get", "a.db", "todo", "1"], "there is no database a.db", id="missing"),
        pytest.param(["get", "pg://x/y", "todo", "1"], "pg", id="scheme"),
        pytest.param(["sync", "a.db", "./a.db"], "both ends are the same", id="same"),
        pytest.param(["token", "--right", "todo=own"], "is no right", id="right"),
        pytest.param(["watch", "memory:", "todo"], "memory:", id="watch"),
    ],
)
def test_wrong_usage_is_a_line_and_exit_code_2(cli, args, said):
    result = cli(*args, code=2)

    first, *rest = result.stderr.splitlines()
    assert first.startswith("syncline: ")
    assert said in first
    assert all(line.startswith("  hint: ") for line in rest)
    assert "" == result.stdout


def test_error_of_a_process_is_on_stderr_with_its_exit_code(syncline):
    done = syncline("get", "nowhere.db", "todo", "1", code=2)

    assert done.stderr.startswith("syncline: there is no database nowhere.db\n")
    assert "" == done.stdout


def test_nothing_listens_is_exit_code_6(cli, free_port):
    url = f"http://127.0.0.1:{free_port}"

    for args in (["get", url, "todo", "1"], ["status", url], ["watch", url, "todo"]):
        assert "no syncline daemon answers" in cli(*args, code=6).stderr


def test_a_file_that_is_no_database_is_named(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("not a database at all, but longer than a header" * 10)

    assert "is no database" in cli("count", "notes.txt", "todo", code=1).stderr


def test_reader_that_goes_away_is_no_error(syncline, tmp_path):
    syncline("put", "a.db", "todo", "1", "text=" + "x" * 100_000)
    done = subprocess.run(
        f"{sys.executable} -m synclined find a.db todo --json | head -c 1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )

    assert "" == done.stderr


def test_interrupt_is_quiet_and_exit_code_130(start, tmp_path, syncline):
    syncline("put", "a.db", "todo", "1", "n=1")
    program = start("watch", "a.db", "todo", cwd=tmp_path)
    program.wait_for("watching", program.err)

    assert 130 == program.end(signal.SIGINT)
    assert "" == program.err.get()
    assert program.err.get() is None


# ---- token, config, completion, simulate ------------------------------------------------


def test_token_prints_settings_that_let_its_bearer_in(cli):
    result = cli("token", "my phone", "--right", "*=read", "--right", "todo=write")

    (table,) = tomllib.loads(result.stdout)["tokens"]
    token = next(
        line.removeprefix("SYNCLINE_TOKEN=")
        for line in result.stderr.splitlines()
        if line.startswith("SYNCLINE_TOKEN=")
    )
    assert "my phone" == table["name"]
    assert hash_token(token) == table["sha256"]
    assert {"*": "read", "todo": "write"} == table["rights"]
    assert token not in result.stdout


def test_token_as_json(cli):
    made = json.loads(cli("token", "--json").stdout)

    assert {"name", "token", "sha256", "rights"} == set(made)
    assert hash_token(made["token"]) == made["sha256"]


def test_config_example_passes_its_own_check(cli, tmp_path):
    (tmp_path / "synclined.toml").write_text(cli("config", "example").stdout)

    assert "good" in cli("config", "check", "--config", "synclined.toml").stdout


def test_config_check_names_the_line_of_a_mistake(cli, tmp_path):
    (tmp_path / "synclined.toml").write_text("[listen]\nport = 99999\nhots = 'x'\n")

    error = cli("config", "check", "--config", "synclined.toml", code=2).stderr

    assert "synclined.toml:2" in error
    assert "did you mean listen.host?" in error


def test_config_show_tells_where_a_setting_comes_from(cli, monkeypatch):
    monkeypatch.setenv("SYNCLINE_LISTEN__PORT", "9999")

    shown = cli("config", "show", "--origin").stdout
    told_as_json = json.loads(cli("config", "show", "--json").stdout)

    assert any(
        ["listen.port", "9999", "SYNCLINE_LISTEN__PORT"] == line.split()
        for line in shown.splitlines()
    )
    assert {"value": 9999, "origin": "SYNCLINE_LISTEN__PORT"} == told_as_json["listen.port"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(cli, shell):
    script = cli("completion", shell).stdout

    assert f"_SYNCLINE_COMPLETE={shell}_complete" in script


@pytest.mark.skipif(shutil.which("bash") is None, reason="install bash: apt install bash")
def test_completion_completes_commands():
    env = {"_SYNCLINE_COMPLETE": "bash_complete", "COMP_WORDS": "syncline conf", "COMP_CWORD": "1"}
    code = "from synclined.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )

    assert {"plain,conflicts", "plain,config"} <= set(done.stdout.split())


def test_simulate_makes_the_same_run_of_the_same_seed(cli):
    one, other = (
        json.loads(cli("simulate", "--seed", "7", "--steps", "20", "--json").stdout) for _ in "ab"
    )

    assert one == other
    assert {"seed", "options", "writes", "messages", "conflicts", "virtual_s", "failure"} <= set(
        one
    )


def test_simulate_fails_when_a_promise_is_broken(cli, monkeypatch):
    from syncline import simulation

    real = simulation.simulate

    def broken(seed, **options):
        import msgspec

        return msgspec.structs.replace(real(seed, **options), failure="P1: never level")

    monkeypatch.setattr(simulation, "simulate", broken)

    cli("simulate", "--seed", "7", "--steps", "10", code=1)


# ---- serve ------------------------------------------------------------------------------


def test_serve_says_where_and_what_to_try_next(serve, syncline):
    daemon = serve()

    tried = daemon.wait_for(r"in another terminal: \S*syncline (.+)")[1].split()
    syncline(*tried)
    assert "milk" in syncline("get", daemon.url, "todo", "1").stdout
    assert 0 == daemon.end()


def test_serve_on_a_taken_port_is_one_line_and_exit_code_2(serve, syncline):
    daemon = serve()
    port = daemon.url.rpartition(":")[2]

    done = syncline("serve", "--port", port, "--store", "memory:", code=2)

    (line, hint) = [each for each in done.stderr.splitlines() if not each.startswith("{")]
    assert line.startswith(f"syncline: can't listen on 127.0.0.1:{port}")
    assert "--port" in hint


def test_group_is_what_the_entry_point_runs():
    assert "group" == group.name
