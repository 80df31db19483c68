"""What a memory store holds: the dictionaries themselves."""

from syncline.models import Conflict, Entry, Key, Pending


class Content:
    """
    All of a memory store.

    Attributes:
        head: the seq of the last change.
        entries: without their pending rows, which `pending` has.
        key_of: the key at each seq. seqs: in order, with some that nothing stands at any more.
        conflicts: by their ids, oldest first. stage: encoded pages. digests: encoded.
    """

    def __init__(self) -> None:
        self.head = 0
        self.entries: dict[Key, Entry] = {}
        self.key_of: dict[int, Key] = {}
        self.seqs: list[int] = []
        self.pending: dict[Key, Pending] = {}
        self.conflicts: dict[str, Conflict] = {}
        self.meta: dict[str, bytes] = {}
        self.stage: list[bytes] = []
        self.digests: dict[Key, bytes] = {}

    def copy(self) -> "Content":
        """Return a copy; what is held is immutable."""
        made = Content()
        for name, value in vars(self).items():
            setattr(made, name, value if isinstance(value, int) else value.copy())
        return made
