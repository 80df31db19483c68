"""The examples run as their README says."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from syncline import blocking
from synclined.pages import serving


ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "client" / "examples"
README = (EXAMPLES / "README.md").read_text()
WAIT_S = 60
TODO_PORT = "8767"


@pytest.fixture(scope="session")
def served_bundle(bundle):
    """Put a bundle of now where a daemon of this checkout looks for it."""
    place = serving.PLACES[0]
    place.parent.mkdir(exist_ok=True)
    fresh = place.with_name(f".{os.getpid()}.js")
    shutil.copy(bundle, fresh)
    fresh.replace(place)


@pytest.fixture
def start(tmp_path):
    """Start programs; end those that are left."""
    running = []

    def run(*args, stdin=None):
        log = (tmp_path / f"program{len(running)}.log").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-u", *map(str, args)],
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        running.append((process, log))
        return process, Path(log.name)

    yield run
    for process, log in running:
        if process.poll() is None:
            process.terminate()
            process.wait(WAIT_S)
        if process.stdin:
            process.stdin.close()
        log.close()


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def url_of(port):
    return f"http://127.0.0.1:{port}"


def watch_until(replica, model, condition):
    """Wait until a model's records are so; return them by id."""
    handle = replica.model(model)
    with handle.watch() as watch:
        while True:
            found = {record["id"]: record for record in handle.find()}
            if condition(found):
                return found
            watch.next(WAIT_S)


@pytest.fixture
def served_todo(start, port, tmp_path, served_bundle):
    """Serve the page with the README's own program."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert TODO_PORT in code
    code = code.replace(TODO_PORT, str(port)).replace(
        "sqlite:///todo.db", f"sqlite:///{tmp_path}/d.db"
    )
    program = tmp_path / "serve_todo.py"
    program.write_text(code)

    def serve():
        process, _log = start(program)
        with blocking.connect(url_of(port), models=["todo"]) as replica:
            replica.wait_live(WAIT_S)
        return process

    return serve


def add(page, title):
    page.get_by_label("title").fill(title)
    page.get_by_role("button", name="Add").click()
    page.locator("li", has_text=title).wait_for()


def test_todo_page_is_small_and_has_one_script_from_elsewhere():
    text = (EXAMPLES / "todo.html").read_text()

    assert len(text.splitlines()) <= 60
    assert ['src="/syncline.js"'] == re.findall(r'src="[^"]*"', text)


def test_todo_page_writes_while_the_daemon_is_away_and_comes_level(served_todo, port, new_browser):
    daemon = served_todo()
    complaints = []
    page = new_browser().new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{url_of(port)}/todo")
    status = page.get_by_role("status")
    status.get_by_text("live", exact=True).wait_for()
    add(page, "milk")

    daemon.terminate()
    daemon.wait(WAIT_S)
    add(page, "bread")
    page.get_by_label("milk", exact=True).check()
    page.wait_for_function(
        "document.querySelector('[role=status]').textContent.endsWith('2 to be sent')"
    )

    served_todo()
    with blocking.connect(url_of(port), models=["todo"]) as phone:
        found = watch_until(
            phone,
            "todo",
            lambda found: (
                {("milk", True), ("bread", False)}
                == {(record["title"], record["done"]) for record in found.values()}
            ),
        )
        (milk,) = [name for name, record in found.items() if record["title"] == "milk"]
        phone.model("todo").patch(milk, {"title": "oat milk"})
        page.locator("li.done", has_text="oat milk").wait_for()
        page.get_by_label("delete bread").click()
        watch_until(phone, "todo", lambda found: {milk} == set(found))
    assert complaints == []


def test_two_bots_play_connect_four_to_its_end(start, port):
    game = EXAMPLES / "connect_four.py"
    start(game, "serve", "--port", port)
    players = [start(game, side, "--bot", "--port", port) for side in ("red", "yellow")]

    ends = []
    for process, log in players:
        assert 0 == process.wait(WAIT_S), log.read_text()
        ends.append(log.read_text().splitlines()[-1])

    assert ends[0] == ends[1]
    assert ends[0] in {"red wins", "yellow wins", "a draw"}


def test_connect_four_refuses_what_the_rules_do_not_allow(start, port):
    game = EXAMPLES / "connect_four.py"
    start(game, "serve", "--port", port)
    red, log = start(game, "red", "--port", port, stdin=subprocess.PIPE)
    with blocking.connect(url_of(port), models=["game"], token="yellow") as yellow:
        yellow.wait_live(WAIT_S)
        # A column that is not there, a typing error, and one that is.
        red.stdin.write("9\nx\n4\n")
        red.stdin.flush()
        found = watch_until(yellow, "game", lambda found: "1" in found)
        assert [3] == found["1"]["moves"]
        assert 2 == log.read_text().count("refused: nothing falls into column")

        yellow.model("game").put("1", {"moves": [3, 3, 3]})
        watch_until(yellow, "game", lambda found: [3] == found["1"]["moves"])


def test_dashboard_feeds_metrics_that_a_replica_sees(start, new_daemon):
    daemon = new_daemon()
    feeder, log = start(EXAMPLES / "dashboard.py", daemon.url, "--interval", "0.05", "--count", "5")

    assert 0 == feeder.wait(WAIT_S), log.read_text()
    with blocking.connect(daemon.url, models=["host"]) as replica:
        found = watch_until(replica, "host", lambda found: len(found) == 4)
    assert {"cpu", "memory", "disk", "load"} == set(found)
    assert 0 <= found["memory"]["percent"] <= 100


def test_each_example_is_named_in_the_readme():
    for path in EXAMPLES.iterdir():
        if path.is_file() and path.name != "README.md":
            assert f"`{path.name}`" in README
