"""When a session may push, and what it knows of the pushes that are on their way."""

from syncline.models import Answer, BulkResult, Interval


PUSHES_MAX = 2
"""How many pushes may be on their way: the next is collected while the daemon takes the first."""
_RETRIED = frozenset({Answer.KNOWN, Answer.CONFLICT, Answer.HELD})


class Pushing:
    """
    One session's pushes.

    Attributes:
        has_unsent: whether something may wait to be pushed.
        hold_until: the seq up to which the list must be read before the next push.
        ids: the pushes that are on their way, oldest first.
    """

    def __init__(self, *, has_unsent: bool) -> None:
        self.has_unsent = has_unsent
        self.hold_until = 0
        self.ids: tuple[int, ...] = ()
        self._last_id = 0
        self._has_backlog = False
        self._is_own_news = False

    @property
    def is_own_news_awaited(self) -> bool:
        """Whether the answer to a push is awaited that will say the same as the list."""
        return self._is_own_news and bool(self.ids)

    def forget_connection(self) -> None:
        """The connection is gone, and with it every answer that was awaited."""
        self.ids = ()
        self.hold_until = 0
        self._has_backlog = False
        self._is_own_news = False

    def lost_answer(self) -> None:
        """Whether the pushes arrived is unknown: have all of it pushed again."""
        self.ids = ()
        self._is_own_news = False
        self.has_unsent = True

    def note_news(self, interval: Interval, replica_id: str) -> bool:
        """Take note of news that is likely of our own making; tell whether it is."""
        # A push that is out is answered right behind the news of it, and that answer accounts for
        # all that the news would bring; so does the list, should the answer be lost.
        is_own = bool(self.ids) and all(u.origin == replica_id for u in interval.updates)
        self._is_own_news = self._is_own_news or is_own
        return is_own

    def may_begin(self, seq: int) -> bool:
        """Tell whether to push, where the list was read up to `seq`."""
        # One at a time lets live writes gather behind the push that is out; a backlog need not.
        is_free = not self.ids or (self._has_backlog and len(self.ids) < PUSHES_MAX)
        return is_free and self.has_unsent and seq >= self.hold_until

    def begin(self) -> int:
        """Begin a push, and return its id."""
        self.hold_until = 0
        self._last_id += 1
        self.ids = (*self.ids, self._last_id)
        return self._last_id

    def collected(self, *, has_more: bool) -> None:
        """Take note of what was collected for the last push, and whether it took all."""
        # What was collected behind another push left out what that one carries.
        self.has_unsent = has_more or len(self.ids) > 1
        self._has_backlog = has_more

    def found_nothing(self, push_id: int) -> None:
        """Take note that nothing was found for a push."""
        self.has_unsent = len(self.ids) > 1
        self._has_backlog = False
        self._end(push_id)

    def answered(self, push_id: int) -> None:
        """Take note that a push was answered."""
        self._end(push_id)
        self._is_own_news = False

    def take_answer(self, answer: BulkResult, seq: int) -> None:
        """
        Take from an answer what is to be pushed again, and what must be read before.

        Args:
            seq: how far the list was read.
        """
        for result in answer.others:
            if result.current is not None and result.current.seq > seq:
                self.hold_until = max(self.hold_until, result.current.seq)
            if result.answer in _RETRIED:
                self.has_unsent = True

    def _end(self, push_id: int) -> None:
        self.ids = tuple([one for one in self.ids if one != push_id])
