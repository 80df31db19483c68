import signal
import subprocess
import sys

import pytest

from syncline.errors import ConfigError
from synclined import failpoints
from synclined.failpoints import FailpointReached, arm, failpoint


@pytest.fixture(autouse=True)
def disarmed():
    yield
    arm(None)


def test_unarmed_nothing_happens():
    arm(None)

    failpoint("commit")


def test_only_the_nth_passage_of_the_named_place_fails():
    arm("commit:raise:3")

    failpoint("commit")
    failpoint("other")
    failpoint("commit")
    with pytest.raises(FailpointReached):
        failpoint("commit")
    failpoint("commit")


def test_sleep_holds_the_thread(monkeypatch):
    slept = []
    monkeypatch.setattr(failpoints.time, "sleep", slept.append)
    arm("commit:sleep:1")

    failpoint("commit")

    assert [failpoints.SLEEP_S] == slept


def test_kill_ends_the_process_without_a_word():
    program = (
        "from synclined.failpoints import arm, failpoint\n"
        "arm('commit:kill:1')\nfailpoint('commit')\nprint('survived')\n"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, timeout=60
    )

    assert (-signal.SIGKILL, b"") == (ended.returncode, ended.stdout)


@pytest.mark.parametrize("spec", ["commit", "commit:kill", "commit:melt:1", ":kill:1", "c:kill:0"])
def test_spec_that_cannot_be_read_is_refused(spec):
    with pytest.raises(ConfigError, match="must be name:action:nth"):
        arm(spec)

    failpoint("commit")
