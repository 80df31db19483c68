"""Load many records at a daemon, a part at a time."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from syncline.ends import is_forbidden, next_update
from syncline.errors import Forbidden, RecordError
from syncline.models import Answer, Record, Update
from syncline.replicate import bare
from syncline.schema import check_record, record_id_of, under_its_id
from syncline.verdicts import equal_bodies


if TYPE_CHECKING:
    from syncline.ends import RemoteModel


PART_RECORDS = 500
PART_BYTES = 512 * 1024
"""A part is as many records as this holds, one at least."""
ASKED_AT_ONCE = 50
NEW, CHANGED, SAME = "new", "changed", "same"
BYTES_MAX = 2**40
"""How large a record may be is the daemon's to say."""


class Loading(Protocol):
    """A record to load."""

    @property
    def place(self) -> str:
        """Where it came from."""

    @property
    def record_id(self) -> Any:
        """Its id, as it is given there."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What it holds."""


async def load_there(
    model: "RemoteModel",
    loaded: Sequence[Loading],
    show: Callable[[str, int, int], None],
    *,
    is_dry: bool,
) -> tuple[list[str], list[str]]:
    """
    Store records at a daemon, and return what became of each, and what was refused.

    What the daemon holds is asked for first, and only what is other is pushed.
    """
    records: list[_Record] = []
    problems: list[str] = []
    for each in loaded:
        try:
            data, body = check_record(None, each.record_id, each.data, bytes_max=BYTES_MAX)
            records.append(_Record(each, record_id_of(each.record_id), data, len(body)))
        except RecordError as error:
            problems.append(f"{each.place}: {error}")
    if problems:
        return [], problems
    answers: list[str] = []
    done = 0
    for part in _parts(records):
        here, refused = await _load_part(model, part, is_dry=is_dry)
        answers += here
        problems += refused
        done += len(part)
        show(f"load {model.name}", done, len(records))
    return answers, problems


class _Record(NamedTuple):
    loading: Loading
    record_id: str
    data: Record
    size: int


def _parts(records: Sequence[_Record]) -> Iterator[list[_Record]]:
    part: list[_Record] = []
    size = 0
    for record in records:
        if part and (len(part) == PART_RECORDS or size + record.size > PART_BYTES):
            yield part
            part, size = [], 0
        part.append(record)
        size += record.size
    if part:
        yield part


async def _load_part(
    model: "RemoteModel", part: Sequence[_Record], *, is_dry: bool
) -> tuple[list[str], list[str]]:
    answers: list[str] = []
    pushed: list[tuple[_Record, Update, str]] = []
    held = await _held(model, part)
    for record in part:
        current = held.get(record.record_id)
        update = _update_of(model, record, current)
        if current is None or current.is_deletion:
            pushed.append((record, update, NEW))
        elif equal_bodies(bytes(current.body), bytes(update.body)):
            answers.append(SAME)
        else:
            pushed.append((record, update, CHANGED))
    if is_dry or not pushed:
        return answers + [word for _, _, word in pushed], []
    problems: list[str] = []
    results = (await model.bulk_update([update for _, update, _ in pushed])).results
    for (record, _, word), result in zip(pushed, results, strict=True):
        if is_forbidden(result):
            raise Forbidden(f"{model.name}: {result.reason.partition(': ')[2]}")
        if result.answer in (Answer.APPLIED, Answer.KNOWN):
            answers.append(word)
        else:
            reason = result.reason or "it was written by somebody else meanwhile"
            problems.append(f"{record.loading.place}: {reason}")
    return answers, problems


async def _held(model: "RemoteModel", part: Sequence[_Record]) -> dict[str, Update]:
    """Return what the daemon holds of records; of new ones it need not be asked one by one."""
    shown = [bare(_update_of(model, record, None)) for record in part]
    found = await model.diff(0, shown)
    ids = [
        *(change.record_id for change in found.conflicts),
        *(change.record_id for change in found.deltas if change.prev is not None),
    ]
    held: dict[str, Update] = {}
    for start in range(0, len(ids), ASKED_AT_ONCE):
        asked = (model.get_change(each) for each in ids[start : start + ASKED_AT_ONCE])
        for update in await asyncio.gather(*asked):
            if update is not None:
                held[update.record_id] = update
    return held


def _update_of(model: "RemoteModel", record: _Record, current: Update | None) -> Update:
    data = record.data
    if current is not None:
        named = under_its_id(None, record.loading.data, current.data)
        data, _ = check_record(None, record.loading.record_id, named, bytes_max=BYTES_MAX)
    return next_update(model.name, record.record_id, current, data)
