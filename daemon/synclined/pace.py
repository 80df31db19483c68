"""
Decide whether a follower's link keeps up, and so whether it is sent a live event now.

What kernels and networks hold of what was sent is seen by nobody here, and on a slow link that is
most of it: its follower would be told each state of a record, seconds after it was made. So behind
what was sent a follower is asked for a heartbeat, now and then, and no more may be on its way than
such an answer showed to be read in good time. Beyond that it is held back, and then told one
interval with the latest state of each record::

              more on its way than the window, or no answer for LATE_S
    flowing ───────────────────────────────────────────────────────────▶ held
       ▲                                                                  │
       └───── answered: one interval; the window is twice as wide, ◀──────┘
              or begins anew where that took longer than PROMPT_S

A slow link is so told as often as it can take, each time of how things stand. One that answered
promptly a few times is open: it is asked once a second, and sent all as it comes.
"""

ASK_BYTES = 4096
"""Of an open link it is considered so often whether to ask: what costs less keeps no link busy."""
ASK_EVERY_S = 1.0
LATE_S = 1.0
"""How long an answer may take before nothing more is sent."""
AGAIN_S = 5.0
"""A question may be lost with a follower that was not yet ready for it: it is put again."""
PROMPT_S = 0.5
"""A window that is read within this may be wider."""
UNSENT_BYTES_MAX = 16 * 1024
"""With more than this unsent in the socket nothing more is put there."""
FIRST_BYTES = 4096
"""The window of a new link."""
LEAST_BYTES = 1024
"""The window of a slow link, once it has read one interval in good time."""
OPEN_BYTES = 64 * 1024
"""From here on the window has no end."""


class Pace:
    """
    One follower's pace.

    Attributes:
        window: how many bytes may be on their way to it; 0 for one frame.
    """

    __slots__ = (
        "_asked",
        "_asked_at_s",
        "_asked_last_s",
        "_credit",
        "_heard",
        "_read",
        "_sent",
        "_sent_when_asked",
        "window",
    )

    def __init__(self) -> None:
        self.window = FIRST_BYTES
        self._sent = 0
        self._read = 0
        self._sent_when_asked = 0
        self._asked = 0
        self._heard = 0
        self._asked_at_s = self._asked_last_s = float("-inf")
        self._credit = 0

    @property
    def is_open(self) -> bool:
        """Whether it is sent all as it comes."""
        return self.window >= OPEN_BYTES

    @property
    def is_awaited(self) -> bool:
        """Whether it was asked, and has not answered."""
        return self._asked > self._heard

    def new_credit(self, *, is_held: bool = False) -> int:
        """Return how many bytes may be sent before this is asked again; `spend` tells what was."""
        self._credit = ASK_BYTES if self.is_open and not is_held else 0
        return self._credit

    def spend(self, left: int) -> None:
        """Count what was sent of the credit, all but what is left of it."""
        self._sent += self._credit - left
        self._credit = left

    def may_send(self, *, unsent: int, now_s: float) -> bool:
        """
        Tell whether it may be sent an event now.

        Args:
            unsent: the bytes that wait for it here.
            now_s: a clock that only grows.
        """
        if unsent > UNSENT_BYTES_MAX or (self.is_awaited and now_s - self._asked_at_s >= LATE_S):
            return False
        return self.is_open or self._sent - self._read <= self.window

    def ask(self, *, now_s: float, is_held: bool) -> int | None:
        """Return the number to ask it by, where that is due; None where not."""
        on_its_way = self._sent - self._read
        if self.is_open:
            is_due = on_its_way >= ASK_BYTES and now_s - self._asked_at_s >= ASK_EVERY_S
        else:
            # The first event too: from the answer it is known how far it has read.
            is_due = on_its_way * 2 > self.window or (on_its_way > 0 and not self._asked)
        if self.is_awaited:
            # Since it was to answer nothing was sent, so whichever answer comes is to all.
            is_due = is_held = is_held and now_s - self._asked_last_s >= AGAIN_S
        else:
            self._asked_at_s = now_s if is_due or is_held else self._asked_at_s
        if not (is_due or is_held):
            return None
        self._asked += 1
        self._asked_last_s, self._sent_when_asked = now_s, self._sent
        return self._asked

    def answered(self, number: int, *, now_s: float) -> None:
        """Take the answer to what it was asked by that number."""
        if not self._heard < number <= self._asked:
            return
        self._heard, self._read = self._asked, self._sent_when_asked
        is_prompt = now_s - self._asked_at_s < PROMPT_S
        self.window = min(max(2 * self.window, LEAST_BYTES), OPEN_BYTES) if is_prompt else 0
