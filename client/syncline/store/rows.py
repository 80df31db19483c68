"""Entries as the rows of the change list, and back."""

from collections.abc import Sequence
from typing import Any

import msgspec

from syncline.models import NO_BODY, Entry, Pending, Sent, Update
from syncline.revision import Revision
from syncline.store import statements as text


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[Revision, msgspec.Raw]]).decode


def row_of(entry: Entry) -> tuple[int, list[Any]]:
    """Return the shape of an entry and its values, for `statements.write_change`."""
    update = entry.update
    row: list[Any] = [
        update.model,
        update.record_id,
        update.seq,
        update.rev,
        " ".join(update.ancestors) if update.ancestors else "",
        update.origin,
        update.stamp,
    ]
    # Spelled out, since it is a hot line: in the order of `NULLABLE_COLUMNS`.
    shape = 0
    if body := str(update.body, "utf-8"):
        shape = 1
        row.append(body)
    if update.prev is not None:
        shape |= 2
        row.append(update.prev)
    if update.group is not None:
        shape |= 4
        row.append(update.group)
    if update.amended_for is not None:
        shape |= 8
        row.append(update.amended_for)
    if entry.base_seq is not None:
        shape |= 16
        row.append(entry.base_seq)
    pending = entry.pending
    if pending is not None:
        row += (pending.base_body.decode(), pending.hold, pending.reason)
        shape |= text.WITH_PENDING
        if pending.base_rev is not None:
            row.append(pending.base_rev)
            shape |= text.WITH_BASE_REV
        if pending.sent:
            row.append(_sent_text(pending.sent))
            shape |= text.WITH_SENT
    return shape, row


def columns_of(pending: Pending) -> tuple[Any, ...]:
    """Return the values of a pending row, for `statements.WRITE_PENDING`."""
    return (
        pending.base_rev,
        pending.base_body.decode(),
        pending.hold,
        pending.reason,
        _sent_text(pending.sent) if pending.sent else None,
    )


def _sent_text(sent: Sequence[Sent]) -> str:
    # A deletion's empty body would be no JSON.
    return _encode([(one.rev, one.body if bytes(one.body) else None) for one in sent]).decode()


def _sent_of(stored: str | None) -> tuple[Sent, ...]:
    if stored is None:
        return ()
    # Copies, since a raw value holds on to all of the text that it was read from.
    sent = [(rev, bytes(body)) for rev, body in _decode(stored)]
    return tuple([Sent(rev, NO_BODY if b == b"null" else msgspec.Raw(b)) for rev, b in sent])


def update_of(row: Sequence[Any]) -> Update:
    """Return the update of a row of the change list."""
    ancestors = row[5]
    body = row[9]
    return Update(
        model=row[0],
        record_id=row[1],
        seq=row[2],
        rev=row[3],
        prev=row[4],
        ancestors=tuple(ancestors.split()) if ancestors else (),
        origin=row[6],
        group=row[7],
        stamp=row[8],
        body=NO_BODY if body is None else msgspec.Raw(body.encode()),
        amended_for=row[10],
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """Return the entry of a row that was read with all columns."""
    update = update_of(row)
    hold = row[14]
    if hold is None:
        return Entry(update, row[11])
    base_rev = None if row[12] is None else Revision(row[12])
    pending = Pending(
        model=update.model,
        record_id=update.record_id,
        base_rev=base_rev,
        base_body=row[13].encode(),
        hold=hold,
        reason=row[15],
        sent=_sent_of(row[16]),
    )
    return Entry(update, row[11], pending)
