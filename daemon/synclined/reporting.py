"""What followers tell of the conflicts that wait there: checked as what is pushed is."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from syncline.errors import MessageInvalid, MessageTooLarge, ModelUnknown, RecordError
from syncline.logs import Logger
from syncline.models import NO_BODY
from syncline.payloads import decode_record, decode_reported
from syncline.protocol import ConflictName, ConflictReport, ReportedConflict, decode, encode
from syncline.replica import Replica
from syncline.revision import is_revision
from syncline.schema import check_encoded
from synclined.access import Right, allows
from synclined.inbox import Inbox
from synclined.peers import Peer


log = Logger("synclined")

CONFLICTS_MAX = 200
"""How many conflicts of one follower are listed."""
CHECKS_A_TURN = 20
"""After checking so many conflicts the loop gets a turn."""


class Reporting:
    """
    Takes followers' reports into the conflict log.

    Attributes:
        on_report: called after a report that was taken.
    """

    def __init__(self, replica: Replica, inbox: Inbox) -> None:
        self._replica = replica
        self._inbox = inbox
        self.on_report: Callable[[], None] = _nothing

    async def report_conflicts(self, peer: Peer, payload: Any, attached: Any = None) -> Any:
        """Take which conflicts wait at a follower; answer which are to be told in full."""
        if not peer.replica_id:
            raise MessageInvalid("report_conflicts: say hello first")
        report = decode(ConflictReport, payload)
        if len(report.open) > CONFLICTS_MAX:
            raise MessageTooLarge(
                f"{len(report.open)} conflicts are over the limit of {CONFLICTS_MAX}"
            )
        barred = {name for name in report.open if not self._may_list(peer, name)}
        given = payload.get("conflicts", []) if attached is None else attached
        told: dict[ConflictName, ReportedConflict] = {}
        for index, conflict in enumerate(decode_reported(given)):
            name = conflict.name
            if name in report.open and name not in barred:
                checked = self._checked(conflict)
                if checked is not None:
                    told[name] = checked
            if index % CHECKS_A_TURN == CHECKS_A_TURN - 1:
                await asyncio.sleep(0)
        answer = await self._replica.core.writer.run(
            lambda tx: self._replica.core.engine.reported.take(
                tx, peer.replica_id, report, told, barred=barred
            )
        )
        peer.conflicts = len(report.open)
        self._inbox.waiting_at[peer.replica_id] = answer.count
        self.on_report()
        log.info(
            "conflicts.reported",
            sid=peer.sid,
            replica_id=peer.replica_id,
            principal=peer.principal.name,
            count=answer.count,
        )
        return encode(answer)

    def _may_list(self, peer: Peer, name: ConflictName) -> bool:
        if not is_revision(name.rev):
            raise MessageInvalid(f"{name.rev!r} is no revision")
        try:
            self._replica.core.schema_of(name.model)
        except ModelUnknown:
            return False
        return allows(peer.principal, Right.WRITE, name.model)

    def _checked(self, conflict: ReportedConflict) -> ReportedConflict | None:
        """Return it in our spelling; without a base that can't be kept, None without an update."""
        update = conflict.update
        try:
            body = self._spelled(update.model, update.record_id, update.body)
        except RecordError:
            return None
        try:
            base = self._spelled(update.model, update.record_id, conflict.base)
        except RecordError:
            base = NO_BODY
        return msgspec.structs.replace(
            conflict, update=msgspec.structs.replace(update, body=body), base=base
        )

    def _spelled(self, model: str, record_id: str, body: msgspec.Raw) -> msgspec.Raw:
        encoded = bytes(body)
        if not encoded:
            return NO_BODY
        core = self._replica.core
        data = decode_record(encoded, model, record_id)
        schema = core.schema_of(model)
        bytes_max = core.record_bytes_max
        return msgspec.Raw(check_encoded(schema, record_id, data, encoded, bytes_max=bytes_max))


def _nothing() -> None:
    """Tell nobody."""
