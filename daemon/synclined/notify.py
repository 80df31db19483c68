"""
Tell the service manager how the daemon is: the datagrams of ``sd_notify(3)``, without libsystemd.

Nothing is sent unless the manager asked for it by ``NOTIFY_SOCKET``, and a manager that does not
listen never disturbs the daemon.
"""

import os
import socket
import time
from collections.abc import Mapping


STATUS_CHARS_MAX = 200


class Notifier:
    """
    The service manager's socket.

    Args:
        env: the environment that the daemon was started with.

    Attributes:
        watchdog_interval_s: within which the manager wants `watchdog` called: call it twice as
            often. None when it does not watch this process.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        # A name of the abstract namespace starts with a zero byte, which "@" stands for.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval_s = _watchdog_interval_s(env) if address else None

    def ready(self) -> bool:
        """Say that the daemon serves."""
        return self._send("READY=1")

    def reloading(self) -> bool:
        """Say that the daemon reads its settings again; `ready` says that it did."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}")

    def stopping(self) -> bool:
        """Say that the daemon drains and will end."""
        return self._send("STOPPING=1")

    def status(self, text: str) -> bool:
        """Say in a few words what the daemon is doing, for ``systemctl status``."""
        return self._send("STATUS=" + " ".join(text.split())[:STATUS_CHARS_MAX])

    def watchdog(self) -> bool:
        """Say that the daemon is alive; only to be said when loop and store have answered."""
        return self._send("WATCHDOG=1")

    def _send(self, message: str) -> bool:
        """Send one datagram; False when nobody asked or nobody took it."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True


def _watchdog_interval_s(env: Mapping[str, str]) -> float | None:
    allowed_us = env.get("WATCHDOG_USEC", "")
    if not allowed_us.isdecimal() or not int(allowed_us):
        return None
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(allowed_us) / 1_000_000
