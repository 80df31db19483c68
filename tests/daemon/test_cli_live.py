"""`syncline sync --live`: linked until told to stop, whatever becomes of the daemon."""

import json
import signal
import socket

import pytest


@pytest.fixture
def live(start, tmp_path):
    """Start `syncline sync --live a.db URL`, and wait until it says that it is live."""

    def start_live(url, *args, env=None):
        program = start(
            "sync", "a.db", url, "--live", "--model", "todo", *args, cwd=tmp_path, env=env
        )
        program.wait_for(_state("live"), program.err)
        return program

    return start_live


def _state(name):
    return rf'"state":"{name}".*"event":"status.changed"|"event":"status.changed".*"state":"{name}"'


def test_writes_travel_both_ways_while_it_runs(cli, serve, live, start, tmp_path):
    url = serve().url
    program = live(url)
    here = start("watch", "a.db", "todo", cwd=tmp_path)
    here.wait_for("watching", here.err)
    there = start("watch", url, "todo", cwd=tmp_path)
    there.wait_for("watching", there.err)

    cli("put", url, "todo", "down", "n=1")
    here.wait_for("create  todo/down")
    cli("put", "a.db", "todo", "up", "n=1")
    there.wait_for("create  todo/up")

    assert 0 == program.end()


def test_it_outlives_its_daemon_and_sends_what_was_written_meanwhile(
    cli, serve, live, start, tmp_path, free_port
):
    daemon = serve(tmp_path / "daemon.db", port=free_port)
    program = live(daemon.url)
    daemon.end(signal.SIGKILL)
    program.wait_for(_state("(offline|connecting)"), program.err)
    cli("put", "a.db", "todo", "1", "title=milk")

    serve(tmp_path / "daemon.db", port=free_port)
    program.wait_for(_state("live"), program.err)

    assert "milk" in cli("get", daemon.url, "todo", "1").stdout
    assert 0 == program.end()
    cli("status", "a.db", "--fail-if-behind")


def test_it_waits_for_a_daemon_that_is_not_there_yet(cli, serve, start, tmp_path, free_port):
    url = f"http://127.0.0.1:{free_port}"
    program = start("sync", "a.db", url, "--live", "--model", "todo", cwd=tmp_path)
    program.wait_for(_state("(offline|connecting)"), program.err)

    serve(port=free_port)

    program.wait_for(_state("live"), program.err)
    assert 0 == program.end(signal.SIGINT)


def test_service_manager_hears_ready_once_and_stopping_at_the_end(serve, live, tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        program = live(serve().url, env={"NOTIFY_SOCKET": address})
        assert 0 == program.end()

        said = []
        while "STOPPING=1" not in said:
            said.append(manager.recv(4096).decode())

    assert 1 == said.count("READY=1")
    assert any(line.startswith("STATUS=live") for line in said)


def test_first_contact_sends_what_was_written_before_there_was_a_daemon(cli, serve, live):
    url = serve().url
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", url, "todo", "2", "from=b")

    assert 0 == live(url).end()

    assert {"1", "2"} == {
        record["id"] for record in json.loads(cli("find", url, "todo", "--json").stdout)
    }
    assert "2\n" == cli("count", "a.db", "todo").stdout


def test_first_contact_overwrites_nothing_that_differs(cli, serve):
    url = serve().url
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", url, "todo", "1", "from=b")

    error = cli("sync", "a.db", url, "--live", code=3).stderr

    assert "--strategy" in error.splitlines()[-1]
    assert "from  a" in cli("get", "a.db", "todo", "1").stdout
    assert "from  b" in cli("get", url, "todo", "1").stdout


def test_first_contact_settles_by_the_strategy(cli, serve, live):
    url = serve().url
    cli("put", "a.db", "todo", "1", "from=a")
    cli("put", url, "todo", "1", "from=b")

    live(url, "--strategy", "ours").end()

    assert "from  a" in cli("get", url, "todo", "1").stdout


def test_unknown_token_ends_it_with_exit_code_5(serve, start, tmp_path):
    (tmp_path / "synclined.toml").write_text(
        'schemaless = ["todo"]\n[[tokens]]\nname = "x"\n'
        f'sha256 = "{"0" * 64}"\nrights = {{ todo = "write" }}\n'
    )
    url = serve("memory:", "--config", str(tmp_path / "synclined.toml")).url

    program = start("sync", "a.db", url, "--live", "--model", "todo", cwd=tmp_path)

    program.wait_for("^syncline: the daemon let us in no more", program.err)
    assert 5 == program.wait()


def test_models_are_those_of_the_daemon_when_none_is_named(cli, serve, start, tmp_path):
    url = serve().url
    cli("put", url, "list", "1", "n=1")
    program = start("sync", "a.db", url, "--live", cwd=tmp_path)
    program.wait_for(_state("live"), program.err)
    program.end()

    assert "1\n" == cli("count", "a.db", "list").stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        pytest.param(["a.db", "b.db"], "one end must be a daemon's URL", id="two databases"),
        pytest.param(["http://127.0.0.1:1", "a.db"], "A must be the database", id="order"),
        pytest.param(["http://127.0.0.1:1", "http://127.0.0.1:2"], "a database", id="two daemons"),
        pytest.param(["a.db", "http://127.0.0.1:1", "--dry-run"], "--live goes without", id="dry"),
        pytest.param(["a.db", "http://127.0.0.1:1"], "no model is known yet", id="no model"),
    ],
)
def test_wrong_use_of_live_is_named(cli, args, said):
    assert said in cli("sync", *args, "--live", code=2).stderr


def test_what_a_daemon_takes_travels_on_by_the_link_that_was_begun_beside_it(
    cli, serve, live, start, tmp_path
):
    upstream, daemon = serve().url, serve(tmp_path / "a.db").url
    cli("put", daemon, "todo", "before", "n=1")
    program = live(upstream)
    there = start("watch", upstream, "todo", cwd=tmp_path)
    there.wait_for("watching", there.err)
    here = start("watch", daemon, "todo", cwd=tmp_path)
    here.wait_for("watching", here.err)

    cli("put", daemon, "todo", "up", "n=1")
    there.wait_for("create  todo/up")
    cli("put", upstream, "todo", "down", "n=1")
    here.wait_for("create  todo/down")

    assert '"n":1' in cli("get", upstream, "todo", "before", "--json").stdout.replace(" ", "")
    assert 0 == program.end()
