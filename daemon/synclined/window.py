"""
Decide whether a subscriber has credit for one more frame.

A subscriber that does not read makes its frames pile up here. It may have a window of them, then
it is told once that it is behind and hears nothing more until it has read; it loses nothing, as
it follows the list by its cursor. One that reads nothing at all is cut::

             over the window            read down to a quarter, or `caught_up`
    SEND ───────────────────▶ BEHIND ─▶ SILENT ──────────────────────────────▶ SEND
      │                                   │
      └── nothing drained for send_timeout_s ──▶ CUT
"""

from enum import StrEnum


RESUME_DIVISOR = 4
"""Live frames are sent again when this part of the window is left unread, not at its very edge."""


class Credit(StrEnum):
    """What to do about a frame for one subscriber."""

    SEND = "send"
    BEHIND = "behind"
    """Do not send it; tell the subscriber, this once, that it is behind."""
    SILENT = "silent"
    """Do not send it; the subscriber knows."""
    CUT = "cut"
    """End the link: its peer reads nothing."""


class Window:
    """
    One subscriber's credit.

    Args:
        bytes_max: how much may wait for the subscriber before it is behind.
        send_timeout_s: for how long something may wait with nothing drained.

    Attributes:
        is_behind: it was told so, and hears nothing until it has read.
        expected: the bytes that would wait for it had it read nothing since it was looked at.
    """

    __slots__ = ("_bytes_max", "_drained_at_s", "_send_timeout_s", "expected", "is_behind")

    def __init__(self, bytes_max: int, send_timeout_s: float) -> None:
        self._bytes_max = bytes_max
        self._send_timeout_s = send_timeout_s
        self.expected = 0
        self._drained_at_s = 0.0
        self.is_behind = False

    def offer(self, frame_bytes: int, buffered: int, now_s: float) -> Credit:
        """
        Decide about a frame; on SEND it is counted as sent.

        Args:
            frame_bytes: the frame's size.
            buffered: the bytes that wait for this subscriber now, in queue and transport.
            now_s: a clock that only grows.
        """
        if self.is_stuck(buffered, now_s):
            return Credit.CUT
        if self.is_behind:
            if buffered * RESUME_DIVISOR > self._bytes_max:
                return Credit.SILENT
            self.is_behind = False
        # An idle subscriber gets any frame: one that is larger than the window would never fit.
        if buffered and buffered + frame_bytes > self._bytes_max:
            self.is_behind = True
            return Credit.BEHIND
        self.expected += frame_bytes
        return Credit.SEND

    def is_stuck(self, buffered: int, now_s: float) -> bool:
        """
        Tell whether nothing was drained for the send timeout.

        To be asked now and then also while there is nothing to send. What others put into the
        same socket between two calls can hide a drain; not one of several in a row.
        """
        if not buffered or buffered < self.expected or not self.expected:
            self._drained_at_s = now_s
        self.expected = buffered
        return now_s - self._drained_at_s >= self._send_timeout_s

    def caught_up(self) -> None:
        """Give the credit back: the subscriber has read the list to its end."""
        self.is_behind = False
