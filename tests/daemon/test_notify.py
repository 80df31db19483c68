import os
import socket

import pytest

from synclined.notify import STATUS_CHARS_MAX, Notifier


@pytest.fixture
def manager(tmp_path):
    """A service manager's socket, and the address that it hands out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = str(tmp_path / "notify")
        listener.bind(address)
        listener.settimeout(5)
        yield listener, address


def test_every_word_is_one_datagram(manager):
    listener, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})

    said = [
        notifier.ready(),
        notifier.status("3 links"),
        notifier.watchdog(),
        notifier.stopping(),
    ]

    assert [True] * 4 == said
    assert [b"READY=1", b"STATUS=3 links", b"WATCHDOG=1", b"STOPPING=1"] == [
        listener.recv(4096) for _ in range(4)
    ]


def test_status_is_one_short_line(manager):
    """A line break would begin another assignment."""
    listener, address = manager

    Notifier({"NOTIFY_SOCKET": address}).status("live\nSTOPPING=1 " + "x" * 1000)

    status = listener.recv(4096)
    assert b"\n" not in status
    assert len("STATUS=") + STATUS_CHARS_MAX == len(status)


def test_abstract_address():
    name = f"syncline-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(5)

        assert Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert b"READY=1" == listener.recv(4096)


def test_without_a_manager_nothing_is_said():
    notifier = Notifier({"WATCHDOG_USEC": "20000000"})

    assert not notifier.ready()
    assert notifier.watchdog_interval_s is None


def test_manager_that_is_gone_disturbs_nobody(tmp_path):
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "nowhere")}).ready()


def test_manager_that_does_not_read_blocks_nobody(manager):
    _, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})

    assert not all(notifier.watchdog() for _ in range(100_000))


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param({"WATCHDOG_USEC": "20000000"}, 20.0, id="asked for"),
        pytest.param({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5, id="me"),
        pytest.param({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None, id="another process"),
        pytest.param({"WATCHDOG_USEC": "0"}, None, id="zero"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="nonsense"),
        pytest.param({}, None, id="not asked for"),
    ],
)
def test_watchdog_interval(env, expected):
    assert expected == Notifier({"NOTIFY_SOCKET": "/run/notify", **env}).watchdog_interval_s
