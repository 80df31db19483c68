"""Which sockets are open and connected to nothing, and since when."""

CONNECT_WITHIN_S = 20.0
"""How long a socket may be open without a CONNECT, or after all that it had ended."""


class Waiting:
    """The sockets from which a CONNECT is awaited, by their names, the oldest first."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def begin(self, name: str, now: float) -> None:
        """Await a CONNECT from now on."""
        self._since.setdefault(name, now)

    def end(self, name: str) -> None:
        """Await it no more: it came, or the socket is gone."""
        self._since.pop(name, None)

    def overdue(self, now: float) -> list[str]:
        """Return those that were given their time."""
        found = []
        for name, since in self._since.items():
            if now - since < CONNECT_WITHIN_S:
                break
            found.append(name)
        return found
