"""What crosses the LoopBack door: bodies in, arguments in, answers and errors out."""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from syncline.doubles import loads
from syncline.errors import (
    AuthError,
    ConflictError,
    MessageInvalid,
    RecordNotFound,
    SynclineError,
    WriteRefused,
)
from syncline.schema import RECORD_ID_CHARS_MAX
from synclined.http_log import OF_PEERS


SINCE_MAX = 2**53
_JSON = "application/json; charset=utf-8"


class RecordMissing(RecordNotFound):
    """There is no record of that id; LoopBack's word for it is `MODEL_NOT_FOUND`."""

    def __init__(self, model: str, record_id: str) -> None:
        super().__init__(f'Unknown "{model}" id "{record_id}".')


class DuplicateRecord(ConflictError):
    """A record of that id exists."""


class BulkConflict(ConflictError):
    """
    Some of a bulk update's entries collided; the others were applied.

    Attributes:
        conflicts: the changes that collided, as they were sent.
        refused: reasons by record id, of what the daemon's own rules refused.
    """

    def __init__(self, conflicts: list[Any], refused: Mapping[str, str]) -> None:
        super().__init__("Conflict")
        self.conflicts = conflicts
        self.refused = refused


class BulkRefused(WriteRefused):
    """
    The daemon's own rules refused some of a bulk update's entries; the others were applied.

    Attributes:
        refused: reasons by record id.
    """

    def __init__(self, refused: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {why}" for name, why in list(refused.items())[:10]))
        self.refused = refused


async def read_json(request: web.Request, *, bytes_max: int) -> Any:
    """
    Return a request's JSON body, integers to the last digit; None without one.

    Args:
        bytes_max: our limit; where we are mounted in another application, the request has that
            application's.

    Raises:
        MessageInvalid: it is no JSON, or isn't declared as such.
    """
    try:
        raw = await request.clone(client_max_size=bytes_max).read()
    except OF_PEERS as error:
        raise MessageInvalid(f"the body can't be read: {error}") from None
    if not raw:
        return None
    if request.content_type not in ("application/json", "application/octet-stream"):
        raise MessageInvalid(
            f"the body is {request.content_type}", hint="send Content-Type: application/json"
        )
    return parse_json(raw, "the body")


def parse_json(raw: bytes | str, where: str) -> Any:
    """Return decoded JSON, strictly; raise `MessageInvalid`."""
    try:
        return loads(raw)
    except ValueError as error:
        raise MessageInvalid(f"{where} is no JSON: {error}") from None
    except RecursionError:
        raise MessageInvalid(f"{where} is nested too deep") from None


def read_object(value: Any, what: str) -> dict[str, Any]:
    """Return a value that must be an object; raise `MessageInvalid`."""
    if not isinstance(value, dict):
        raise MessageInvalid(f"{what} must be an object")
    return value


def read_list(value: Any, what: str) -> list[Any]:
    """Return a value that must be a list; raise `MessageInvalid`."""
    if not isinstance(value, list):
        raise MessageInvalid(f"{what} must be a list")
    return value


def read_since(request: web.Request) -> int | None:
    """Return the query's inclusive `since`; None without one; raise `MessageInvalid`."""
    text = request.query.get("since")
    if text is None or text == "":
        return None
    try:
        number = float(text)
        if not -SINCE_MAX <= number <= SINCE_MAX:
            raise ValueError(text)  # noqa: TRY301 - one place says it
    except ValueError:
        raise MessageInvalid(f"since is {text[:40]!r}, a number is expected") from None
    return int(-(-number // 1))


class SentChange(msgspec.Struct, frozen=True, kw_only=True):
    """
    A change as a LoopBack client sends it.

    Attributes:
        rev: the digest, or an empty text for a record that is gone.
        prev: likewise; None when the client named none.
        checkpoint: the client's own, at which it made the change.
        fields: the change itself, to be sent back.
    """

    record_id: str
    rev: str
    prev: str | None
    checkpoint: int | None
    fields: dict[str, Any]

    @property
    def is_too_long(self) -> bool:
        """No record can have that id."""
        return len(self.record_id) > RECORD_ID_CHARS_MAX


def read_change(value: Any, what: str) -> SentChange:
    """Return a change that a client sent; raise `MessageInvalid`."""
    fields = read_object(value, what)
    record_id = fields.get("modelId")
    if isinstance(record_id, int) and not isinstance(record_id, bool):
        record_id = str(record_id)
    if not isinstance(record_id, str) or not record_id:
        raise MessageInvalid(f"{what}.modelId must be a text of 1 to 255 characters")
    rev, prev = fields.get("rev"), fields.get("prev", "absent")
    if rev is not None and not _is_short_text(rev):
        raise MessageInvalid(f"{what}.rev must be a text or null")
    if prev is not None and not _is_short_text(prev):
        raise MessageInvalid(f"{what}.prev must be a text or null")
    told = None if "prev" not in fields or prev == "unknown" else prev or ""
    made_at = fields.get("checkpoint")
    return SentChange(
        record_id=record_id,
        rev=rev or "",
        prev=told,
        checkpoint=made_at if isinstance(made_at, int) else None,
        fields=fields,
    )


def _is_short_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 128


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer with an entity tag, as LoopBack's server does."""
    body = msgspec.json.encode(value)
    return answer_raw(body, status)


def answer_raw(body: bytes, status: int = 200) -> web.Response:
    """Return an answer whose JSON is encoded."""
    tag = hashlib.blake2b(body, digest_size=12).hexdigest()
    return web.Response(
        body=body,
        status=status,
        headers={"Content-Type": _JSON, "ETag": f'W/"{len(body):x}-{tag}"'},
    )


def answer_error(error: Exception) -> web.Response:
    """Return an error as LoopBack's server does; of our own faults only the status."""
    status, fields = _error_fields(error)
    return web.Response(
        body=msgspec.json.encode({"error": {"statusCode": status, **fields}}),
        status=status,
        headers={"Content-Type": _JSON},
    )


def _error_fields(error: Exception) -> tuple[int, dict[str, Any]]:
    match error:
        case AuthError():
            # LoopBack answers so whether nobody is known, or somebody who may not.
            fields = {"message": "Authorization Required", "code": "AUTHORIZATION_REQUIRED"}
            return 401, {"name": "Error", **fields}
        case RecordMissing():
            return 404, {"name": "Error", "message": str(error), "code": "MODEL_NOT_FOUND"}
        case BulkConflict():
            details: dict[str, Any] = {"conflicts": error.conflicts}
            if error.refused:
                details["refused"] = dict(error.refused)
            return 409, {"name": "Error", "message": "Conflict", "details": details}
        case BulkRefused():
            refusals = {"refused": dict(error.refused)}
            return 422, {
                "name": "ValidationError",
                "message": str(error),
                "code": error.code,
                "details": refusals,
            }
        case web.HTTPException():
            return error.status, {"name": "Error", "message": error.reason}
        case SynclineError() if error.status < 500:
            name = "ValidationError" if error.status == 422 else "Error"
            message = f"{error} ({error.hint})" if error.hint else str(error)
            return error.status, {"name": name, "message": message, "code": error.code}
        case SynclineError():
            return error.status, {"message": "Service Unavailable", "code": error.code}
        case _:
            return 500, {"message": "Internal Server Error"}
