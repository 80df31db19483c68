"""Judge who arrives at a socket door, by its auth and by how many others come."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from syncline.errors import Busy, MessageInvalid
from syncline.protocol import check_version
from synclined.access import Principal
from synclined.admission import Admission


Authenticate = Callable[[str | None], Principal]


class Newcomer(NamedTuple):
    """
    Who has come in.

    Attributes:
        is_bare: it named no protocol.
    """

    principal: Principal
    is_bare: bool


def is_bare(auth: Any) -> bool:
    """Tell whether an auth names no protocol, so that its client knows none of ours."""
    return not isinstance(auth, Mapping) or auth.get("protocol") is None


class Arriving:
    """
    Lets newcomers in.

    Args:
        authenticate: turns a token into a principal, or raises `Unauthenticated`.
        connects_per_s: how many come in a second.
        is_crowded: whether newcomers are counted here. Whoever is at a door beside another has
            come in at that one.

    Attributes:
        return_delay_s: when to come back, once the door is shut; None while it is open.
    """

    def __init__(
        self, authenticate: Authenticate, connects_per_s: float, *, is_crowded: bool
    ) -> None:
        self._authenticate = authenticate
        self._is_crowded = is_crowded
        self._admission = Admission(connects_per_s, lambda: secrets.token_urlsafe(9))
        self.return_delay_s: float | None = None

    async def admit(self, auth: Any) -> Newcomer:
        """
        Return who it is, once it may come in.

        Raises:
            SynclineError: it may not, or not now. One that is `is_bare` is never told to come back
                with a ticket, for which it has no ears: it waits here.
        """
        self.require_open()
        if auth is not None and not isinstance(auth, Mapping):
            raise MessageInvalid("auth: an object is expected")
        fields = auth or {}
        version = check_version(fields.get("protocol"))
        principal = self._authenticate(text_of(fields, "token"))
        if self._is_crowded:
            await self._wait_for_a_place(text_of(fields, "ticket"), is_patient=version is None)
            self.require_open()
        return Newcomer(principal, version is None)

    def require_open(self) -> None:
        """Raise `Busy` when the door is shut."""
        if self.return_delay_s is not None:
            raise Busy("the daemon is stopping", hint="come back then", delay_s=self.return_delay_s)

    def window_s(self, count: int) -> float:
        """Return over how long so many who come back together are to be spread, seconds."""
        return self._admission.window_s(count)

    async def _wait_for_a_place(self, ticket: str | None, *, is_patient: bool) -> None:
        place = self._admission.ask(time.monotonic(), ticket or "", is_patient=is_patient)
        if place.ticket:
            raise Busy(
                "more clients come than the daemon takes in at once",
                hint="come back then",
                delay_s=place.wait_s,
                ticket=place.ticket,
            )
        if place.wait_s:
            # The socket's own end is read after this, and so heard after the connection's begin.
            await asyncio.sleep(place.wait_s)


def text_of(fields: Mapping[str, Any], name: str, place: str = "auth") -> str | None:
    """Return a text of an auth, or None; raise `MessageInvalid` where it is something else."""
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise MessageInvalid(f"{place}.{name}: a text is expected")
    return value
