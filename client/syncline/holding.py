"""What a link writes into the store for its upstream, and whose data it follows there."""

import asyncio

from syncline.core import Core
from syncline.effects import ApplyUpdates, BeginReset, DropStage, SaveCursor
from syncline.logs import Logger
from syncline.outcome import Outcome
from syncline.store.contract import Lease, Transaction


log = Logger("syncline")

LARGE_WEIGHT = 10_000
URL = "upstream_url"

StoreEffect = ApplyUpdates | BeginReset | SaveCursor | DropStage


class Holding:
    """
    One link's hold on its replica's store.

    Args:
        url: the daemon that is followed.
        offers_back: see `Link`.
    """

    def __init__(self, core: Core, url: str, offers_back: bool | None) -> None:  # noqa: FBT001 - as it is handed on
        self._core = core
        self._url = url
        self._offers_back = offers_back
        self._url_before = ""
        self._is_transient = False

    async def begin(self) -> None:
        """Empty the stage of a former life; see whom the replica followed then."""

        def job(tx: Transaction) -> str:
            tx.clear_stage()
            return (tx.meta(URL) or b"").decode()

        self._url_before = await self._core.writer.run(job)

    def take(self) -> bool:
        """Take the link of this database, unless another process has it."""
        if not self._core.engine.store.take_lease(Lease.LINK):
            return False
        # Whoever holds the link knows what was handed out, and so what may still be squashed.
        self._core.engine.outbox.may_squash = not self._core.engine.author.listens
        return True

    def release(self) -> None:
        """Let another process have the link."""
        self._core.engine.store.release_lease(Lease.LINK)

    async def carry_out(self, effect: StoreEffect, *, reason: str) -> Outcome:
        """
        Carry out what the session asked of the store.

        Args:
            reason: why the upstream has the list taken anew, if it does.
        """
        is_new_place = self._url != self._url_before and isinstance(effect, BeginReset | SaveCursor)

        def job(tx: Transaction) -> Outcome:
            if is_new_place:
                tx.set_meta(URL, self._url.encode())
            return self._core.engine.carry_out(tx, effect)

        if isinstance(effect, BeginReset):
            await self._note_reset(effect, reason)
        outcome = await self._core.carry_out(job, weight=_weight_of(effect))
        if is_new_place:
            self._url_before = self._url
        return outcome

    def apply_now(self, effect: ApplyUpdates) -> Outcome | None:
        """Apply a small interval before anything else happens; None when it would have to wait."""
        return self._core.carry_out_now(
            lambda tx: self._core.engine.carry_out(tx, effect), weight=_weight_of(effect)
        )

    async def _note_reset(self, effect: BeginReset, reason: str) -> None:
        """Say why the list is taken anew; keep a copy of what the upstream's word may end."""
        copy = None
        if not effect.offers_back and not self._is_transient:
            copy = await asyncio.get_running_loop().run_in_executor(
                None, self._core.engine.store.copy_aside, "replaced"
            )
        log.warning(
            "reset.began",
            url=self._url,
            reason=reason,
            shared=effect.shared,
            offers_back=effect.offers_back,
            copy=copy,
        )

    def does_offer_back(self, reason: str, *, transient: bool = False) -> bool:
        """
        Tell whether what the upstream lost is offered to it again.

        Args:
            transient: its list is of what is now, and wants nothing of an earlier one.
        """
        self._is_transient = transient
        if self._offers_back is not None:
            return self._offers_back
        return not transient and self._is_of_the_same(reason)

    def _is_of_the_same(self, reason: str) -> bool:
        return reason != "source" or self._url_before in ("", self._url)


def _weight_of(effect: StoreEffect) -> int:
    if isinstance(effect, SaveCursor):
        return 1
    if isinstance(effect, ApplyUpdates) and not effect.with_stage:
        return max(len(effect.interval.updates), 1)
    return LARGE_WEIGHT
