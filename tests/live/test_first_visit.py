"""The README's first five minutes, typed as they stand there; what counts is what another got."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from syncline import blocking


README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
ADDRESS = "http://127.0.0.1:8765"
WAIT_S = 30


def chapter(title):
    """Return what stands below a title."""
    return re.split(r"\n##+ ", README.partition(f"\n### {title}\n")[2])[0]


def blocks(title, language):
    return re.findall(rf"```{language}\n(.*?)```", chapter(title), re.DOTALL)


class Program:
    """A command as it is typed into a terminal of its own."""

    def __init__(self, line, folder):
        self.said = ""
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {line}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._more:
                self.said += line
                self._more.notify_all()

    def wait_for(self, pattern):
        with self._more:
            found = self._more.wait_for(lambda: re.search(pattern, self.said), WAIT_S)
        assert found, self.said
        return found

    def end_well(self):
        code = self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        assert 0 == code, self.said

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        self._process.stdout.close()


@pytest.fixture
def clone(tmp_path):
    """A folder with the environment that the demo makes."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture
def type_in(clone):
    """Type a line of the README; in place of its port, one that is free."""
    running = []
    at = []

    def start(line):
        if " serve" in line:
            line += " --port 0"
        elif at:
            line = line.replace(ADDRESS, at[0])
        running.append(Program(line, clone))
        if " serve" in line:
            at.append(running[-1].wait_for(r"serving at (\S+)")[1])
            running[-1].url = at[0]
        return running[-1]

    yield start
    for program in reversed(running):
        program.close()


@pytest.fixture
def watching(type_in):
    """Type the first two lines; return the one who watches."""
    serve, watch, _put = (block.strip() for block in blocks("Without a line of code", "sh"))
    daemon = type_in(serve)
    watcher = type_in(watch)
    watcher.url = daemon.url
    watcher.wait_for("watching todo")
    return watcher


def test_what_is_put_without_code_is_told_to_the_one_who_watches(watching, type_in):
    type_in(blocks("Without a line of code", "sh")[2].strip()).end_well()

    printed = watching.wait_for(r"(create  todo/1  .*)\n")[1]
    # And the README says so, but for the place in the list before it.
    assert f"`{printed}`" in chapter("Without a line of code")


def test_lines_of_python_deliver_to_the_one_who_watches(watching, type_in, clone):
    program, follow = blocks("In Python", "python")
    (clone / "todos.py").write_text(program.replace(ADDRESS, watching.url))

    type_in(".venv/bin/python todos.py").end_well()

    watching.wait_for(r"create  todo/2  .*bread")
    assert len([line for line in program.splitlines() if line.strip()]) <= 8
    assert ".watch()" in follow


def test_what_python_follows_is_what_another_wrote(watching, type_in, clone):
    follow = blocks("In Python", "python")[1]
    program = (
        "import asyncio, syncline\n"
        + follow
        + (
            "async def main():\n"
            f"    async with syncline.connect({watching.url!r}, models=['todo']) as replica:\n"
            "        following = asyncio.create_task(follow(replica))\n"
            "        await replica.wait_live()\n"
            "        print('follows')\n"
            "        await following\n"
            "asyncio.run(main())\n"
        )
    )
    (clone / "follow.py").write_text(program)
    follower = type_in(".venv/bin/python follow.py")
    follower.wait_for("follows")

    type_in(blocks("Without a line of code", "sh")[2].strip()).end_well()

    follower.wait_for(r"create \{.*'milk'")


@pytest.mark.skipif(shutil.which("curl") is None, reason="install curl: apt install curl")
def test_what_curl_writes_is_told_to_the_one_who_watches(watching, type_in):
    (line,) = blocks("With curl", "sh")

    type_in(line.strip()).end_well()

    watching.wait_for(r"create  todo/3  .*tea")
    with blocking.connect(watching.url, models=["todo"]) as replica:
        replica.wait_live(WAIT_S)
        assert "tea" == replica.model("todo").get("3")["title"]


def test_first_visit_takes_no_more_than_this():
    """Commands and lines to a first live change in a second client; the demo was run before."""
    commands = {
        title: len([line for block in blocks(title, "sh") for line in block.splitlines()])
        for title in ("See it", "Without a line of code", "With curl")
    }
    (page,) = blocks("A page of your own", "html")

    assert {"See it": 1, "Without a line of code": 3, "With curl": 1} == commands
    assert len(page.splitlines()) <= 6
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        program = shlex.split(block)[0]
        assert program in {"python3", ".venv/bin/syncline", "curl"}
