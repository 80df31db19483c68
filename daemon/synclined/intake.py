"""Judge what comes in over one socket, before anything is made of it: its size, its attachments."""

import re
from typing import NamedTuple

from synclined.packets import ATTACHMENTS_MAX


_HEADER = re.compile(r"4([256])(?:(\d{1,10})-)?(/[^,\[]*,)?(\d{1,15}(?!\d))?")
"""An event, binary event or binary acknowledgement: attachments, namespace, acknowledgement id."""
_CONTROL = re.compile(r"[12356][a-z]{0,16}")
_PACKETS = frozenset({"40", "41", "42", "43", "45", "46"})
_HEADER_CHARS_MAX = 256


class Refusal(NamedTuple):
    """
    Why an incoming message is not delivered.

    Attributes:
        size: its bytes when it is too large; 0 when it is dropped without a word, as part of an
            event that was refused before or of none.
        answer_to: the start of the acknowledgement that it asked for, or empty.
        is_begun: whether the event's text was delivered before, so that it must be taken back.
    """

    size: int = 0
    answer_to: str = ""
    is_begun: bool = False


DROPPED = Refusal()


class Intake:
    """
    Judges a socket's incoming messages by size, and counts attachments.

    An event is its text and the attachments that the text announces; it is refused as a whole,
    for an attachment without its text is an error to socketio, and one too few ends all talk.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._due = 0
        self._size = 0
        self._answer_to = ""
        self._is_refused = False

    def judge(self, message: str | bytes) -> Refusal | None:
        """
        Return why the message must not be delivered; None when it may be.

        Raises:
            OSError: no Engine.IO message. engineio ends the link without a traceback.
        """
        if isinstance(message, str):
            if _CONTROL.fullmatch(message):
                return None
            if message[:2] not in _PACKETS:
                raise OSError("not an Engine.IO message that a client sends")
        if self._due:
            return self._judge_attachment(message)
        return DROPPED if isinstance(message, bytes) else self._judge_text(message)

    def _judge_text(self, message: str) -> Refusal | None:
        # A character has at most four bytes; nearly all messages need no closer look.
        is_small = len(message) * 4 <= self._bytes_max
        self._size = len(message) if is_small else len(message.encode())
        self._answer_to = ""
        header = _HEADER.match(message[:_HEADER_CHARS_MAX])
        if header is not None:
            kind, attachments, namespace, ack_id = header.groups(default="")
            self._due = int(attachments or 0) if kind != "2" else 0
            if kind != "2" and not self._due:
                raise OSError("a binary packet without attachments")
            if ack_id and kind != "6":
                answer_kind = "3"  # An acknowledgement; this one without attachments.
                self._answer_to = answer_kind + namespace + ack_id
        self._is_refused = self._size > self._bytes_max or self._due > ATTACHMENTS_MAX
        return Refusal(self._size, self._answer_to) if self._is_refused else None

    def _judge_attachment(self, message: str | bytes) -> Refusal | None:
        self._due -= 1
        if self._is_refused:
            return DROPPED
        self._size += len(message)
        self._is_refused = self._size > self._bytes_max
        return Refusal(self._size, self._answer_to, is_begun=True) if self._is_refused else None
