"""Check what is pushed, before anything of it is stored: the rights, the form, the data."""

from collections.abc import Sequence

import msgspec

from syncline.core import Core
from syncline.digest import normalise
from syncline.doubles import loads
from syncline.errors import Forbidden, ModelUnknown, RecordError
from syncline.models import NO_BODY, Answer, ItemResult, Update, encode_body, result_of
from syncline.payloads import decode_record
from syncline.revision import Revision
from syncline.schema import ModelSchema, are_kept_forms, check_encoded
from syncline.verdicts import equal_bodies
from synclined.access import Right
from synclined.peers import Peer, require


class Checking:
    """
    Checks one push.

    Args:
        peer: who pushes. core: of the replica that is pushed to.

    Attributes:
        good: what may be offered to the replica, in our spelling, in order.
        amended: what is kept otherwise than it came, by revision.
    """

    def __init__(self, peer: Peer, core: Core) -> None:
        self._peer = peer
        self._core = core
        self._schemas: dict[str, ModelSchema | None] = {}
        self._updates: list[Update] = []
        self._places: list[int] = []
        self._refused: dict[int, ItemResult] = {}
        self.good: list[Update] = []
        self.amended: dict[Revision, bytes] = {}

    def take(self, batch: Sequence[Update]) -> None:
        """Check the next of the updates."""
        start = len(self._updates)
        self._updates += batch
        if self._are_kept(batch):
            self.good += batch
            self._places += range(start, start + len(batch))
            return
        for place, update in enumerate(batch, start):
            try:
                self.good.append(self._checked(update))
                self._places.append(place)
            except (RecordError, Forbidden, ModelUnknown) as error:
                reason = f"{error.code}: {error}"
                self._refused[place] = result_of(update, Answer.REFUSED, reason=reason)

    def hold_groups(self) -> None:
        """Hold back the good members of groups that have a bad one."""
        barred = {self._updates[place].group for place in self._refused} - {None}
        if not barred:
            return
        for index in reversed(range(len(self.good))):
            if self.good[index].group in barred:
                held = result_of(self.good[index], Answer.HELD)
                self._refused[self._places[index]] = held
                del self.good[index], self._places[index]

    def in_order(self, results: Sequence[ItemResult]) -> Sequence[ItemResult]:
        """Return the results of what was good, and of what was not, in the order of the push."""
        if not self._refused:
            return results
        by_place = {**self._refused, **dict(zip(self._places, results, strict=True))}
        return [by_place[place] for place in range(len(self._updates))]

    def _are_kept(self, batch: Sequence[Update]) -> bool:
        """Tell at one look whether all are kept as they came; False where that takes a closer."""
        model = batch[0].model
        if len(batch) == 1 or [u for u in batch if u.model != model or u.body is NO_BODY]:
            return False
        try:
            schema = self._schema_of(model)
        except (Forbidden, ModelUnknown):
            return False
        ids = [update.record_id for update in batch]
        bodies = [bytes(update.body) for update in batch]
        return are_kept_forms(schema, ids, bodies, bytes_max=self._core.record_bytes_max)

    def _checked(self, update: Update) -> Update:
        """Return the update in our spelling; note in `amended` what is kept otherwise."""
        model, record_id = update.model, update.record_id
        schema = self._schema_of(model)
        if update.body is NO_BODY:  # A deletion, as the push's form was checked for.
            return update
        encoded = bytes(update.body)
        data = decode_record(encoded, model, record_id)
        bytes_max = self._core.record_bytes_max
        body = check_encoded(schema, record_id, data, encoded, bytes_max=bytes_max)
        if body is encoded:
            return update
        if not _is_as_it_came(body, encoded):
            self.amended[update.rev] = body
            return update
        return msgspec.structs.replace(update, body=msgspec.Raw(body))

    def _schema_of(self, model: str) -> ModelSchema | None:
        """Return the declaration of a model that the peer may write; looked up once a push."""
        if model not in self._schemas:
            require(self._peer, Right.WRITE, model)
            self._schemas[model] = self._core.schema_of(model)
        return self._schemas[model]


def _is_as_it_came(body: bytes, encoded: bytes) -> bool:
    """Tell whether what is kept differs from what was pushed in nothing but its spelling."""
    # Also of numbers: 1.0 is 1, and a double beyond 2^53 has other digits in JavaScript.
    return equal_bodies(body, encoded) or equal_bodies(
        body, bytes(encode_body(normalise(loads(encoded))))
    )
