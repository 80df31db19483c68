"""
The errors a caller of syncline can meet.

::

    SynclineError
    ├── ConfigError                  a setting is wrong: nothing was started
    ├── RecordError                  a record can't be kept: nothing was written
    │   ├── RecordInvalid            wrong shape, or against the model's declaration
    │   ├── RecordTooLarge           more bytes than a record may have
    │   ├── NumberNotAllowed         a number that JSON or a double can't carry
    │   ├── KeyInvalid               an id that is no id
    │   └── RecordNotFound           patch or delete of what is not there
    ├── ModelUnknown                 no model of that name here
    ├── FilterInvalid                a where filter or an order that can't be read
    ├── WriteRefused                 a validation hook said no
    ├── ProtocolError                the peer said something that is not our wire
    │   ├── VersionNotSupported
    │   ├── MessageInvalid
    │   ├── MessageTooLarge
    │   ├── EventUnknown
    │   └── CursorStale              a push from before the list began anew
    ├── AuthError
    │   ├── Unauthenticated          no token, or one that is not known
    │   └── Forbidden                a known principal without the right
    ├── StoreError
    │   ├── StoreUnavailable         locked, gone, or not answering: try again
    │   ├── StoreReadOnly
    │   ├── StoreFull
    │   ├── StoreCorrupt
    │   ├── StoreForeign             another program's file: it was left as it was
    │   └── SchemaMismatch           written by a newer syncline
    ├── LinkError
    │   ├── AckTimeout
    │   ├── LinkClosed
    │   ├── Unreachable              nothing answers there
    │   ├── NoDaemon                 something else answers there
    │   ├── CertificateInvalid       its certificate is not trusted
    │   ├── OriginRefused            pages of this origin are not let in
    │   ├── GatewayRefused           what stands before it asks for something else
    │   ├── ProxyFailed              the HTTP proxy on the way there
    │   ├── WebSocketRefused         it answers, but no WebSocket comes through
    │   └── Busy                     the daemon said when to come back
    ├── ConflictError                only for callers who asked to raise
    ├── UnsentWrites                 a replica in memory was closed before all was sent
    ├── WrongPlace                   a replica is used where a call would wait for ever
    │   ├── ReplicaClosed
    │   ├── WrongLoop                another event loop or thread than it was opened on
    │   └── WrongProcess             a forked one
    ├── MassDeletion                 a replication would delete more than is let through unasked
    └── HookFailed                   a user's function raised, hung or returned nonsense

Expected outcomes (conflicts, gaps, repeats, nothing to do) are values, not errors.
"""


class SynclineError(Exception):
    """
    Base of all errors raised on purpose by syncline.

    Attributes:
        code: the name on the wire and in logs.
        status: the HTTP status a door answers with.
        retryable: whether the same call may succeed later, unchanged.
        hint: what to do next, or empty.
    """

    code = "error"
    status = 500
    retryable = False

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or self.code).strip().splitlines()[0])
        self.hint = hint

    def told(self) -> str:
        """Return what somebody on another machine is told: nothing of where it happened."""
        return str(self)


class ConfigError(SynclineError):
    """A setting is wrong."""

    code = "config_invalid"
    status = 500


class RecordError(SynclineError):
    """A record can't be kept as it is."""

    code = "record_error"
    status = 422


class RecordInvalid(RecordError):
    """The record has the wrong shape."""

    code = "record_invalid"


class RecordTooLarge(RecordError):
    """The record has more bytes than a record may have."""

    code = "record_too_large"
    status = 413


class NumberNotAllowed(RecordError):
    """The record holds a number that JSON can't carry exactly."""

    code = "number_not_allowed"


class KeyInvalid(RecordError):
    """A record id must be a non-empty text of at most 255 characters, or an integer."""

    code = "key_invalid"


class RecordNotFound(RecordError):
    """There is no such record."""

    code = "record_not_found"
    status = 404


class ModelUnknown(SynclineError):
    """There is no model of that name here."""

    code = "model_unknown"
    status = 404


class FilterInvalid(SynclineError):
    """The filter can't be read."""

    code = "filter_invalid"
    status = 400


class WriteRefused(SynclineError):
    """A validation hook refused the write."""

    code = "write_refused"
    status = 422


class ProtocolError(SynclineError):
    """The peer said something that is not part of the protocol."""

    code = "protocol_error"
    status = 400


class VersionNotSupported(ProtocolError):
    """The peer speaks another version of the protocol."""

    code = "version_not_supported"


class MessageInvalid(ProtocolError):
    """The message does not have the shape that the protocol gives it."""

    code = "message_invalid"


class MessageTooLarge(ProtocolError):
    """The message is larger than the peer accepts."""

    code = "message_too_large"
    status = 413


class EventUnknown(ProtocolError):
    """The protocol has no event of that name."""

    code = "event_unknown"
    status = 404


class CursorStale(ProtocolError):
    """The pusher's cursor is no longer good: say hello again."""

    code = "cursor_stale"
    status = 409
    retryable = True


class AuthError(SynclineError):
    """The peer may not do that."""

    code = "auth_error"
    status = 401


class Unauthenticated(AuthError):
    """A token is needed, and none or an unknown one was given."""

    code = "unauthenticated"


class Forbidden(AuthError):
    """The principal has no right to do that."""

    code = "forbidden"
    status = 403


class StoreError(SynclineError):
    """
    The store could not do its work.

    Attributes:
        place: the file that it happened to; nobody's business but this machine's.
    """

    code = "store_error"
    status = 503

    def __init__(self, message: str = "", *, hint: str = "", place: str = "") -> None:
        super().__init__(message, hint=hint)
        self.place = place

    def told(self) -> str:
        """Return what somebody on another machine is told."""
        return str(self).replace(self.place, "the store") if self.place else str(self)


class StoreUnavailable(StoreError):
    """The database is locked, gone or not answering; the write was not made."""

    code = "store_unavailable"
    retryable = True


class StoreReadOnly(StoreError):
    """The database can't be written; reads go on."""

    code = "store_read_only"
    retryable = True


class StoreFull(StoreError):
    """There is no space left for the write; reads go on."""

    code = "store_full"
    retryable = True


class StoreCorrupt(StoreError):
    """The database file is damaged."""

    code = "store_corrupt"


class StoreForeign(StoreError):
    """The file is another program's, or no database; it was left as it was."""

    code = "store_foreign"


class SchemaMismatch(StoreError):
    """The database was written by a newer syncline."""

    code = "schema_mismatch"


class LinkError(SynclineError):
    """The link to the upstream failed."""

    code = "link_error"
    status = 502
    retryable = True


class AckTimeout(LinkError):
    """The upstream did not answer in time."""

    code = "ack_timeout"
    status = 504


class LinkClosed(LinkError):
    """The link was closed before the answer came."""

    code = "link_closed"


class Unreachable(LinkError):
    """Nothing answers at that address."""

    code = "unreachable"


class NoDaemon(LinkError):
    """What answers at that address is no syncline daemon."""

    code = "no_daemon"


class CertificateInvalid(LinkError):
    """The certificate at that address is not trusted."""

    code = "certificate_invalid"


class OriginRefused(LinkError):
    """The daemon lets in no pages of this origin."""

    code = "origin_refused"


class GatewayRefused(LinkError):
    """What stands before the daemon refuses."""

    code = "gateway_refused"


class ProxyFailed(LinkError):
    """The HTTP proxy on the way to the daemon fails."""

    code = "proxy_failed"


class WebSocketRefused(LinkError):
    """The daemon answers, but no WebSocket comes through to it."""

    code = "websocket_refused"


class Busy(LinkError):
    """
    The daemon takes nobody in at the moment, and said when to come back.

    Attributes:
        delay_s: after how long. ticket: what to show then, so as to be let in; may be empty.
    """

    code = "busy"
    status = 503

    def __init__(
        self, message: str = "", *, hint: str = "", delay_s: float = 0.0, ticket: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.delay_s = delay_s
        self.ticket = ticket


class ConflictError(SynclineError):
    """The write conflicts with another one."""

    code = "conflict"
    status = 409


class MassDeletion(SynclineError):
    """
    A replication would delete more records than is let through unasked; nothing was deleted.

    Attributes:
        model: whose records. deletions: how many would go. held: how many there are.
    """

    code = "mass_deletion"
    status = 409

    def __init__(self, model: str, *, deletions: int, held: int, here: bool = True) -> None:
        where = "here" if here else "upstream"
        super().__init__(
            f"{deletions} of {held} records of {model!r} would be deleted {where}",
            hint="if that is meant: `syncline sync … --allow-deletions`, or "
            "`replica.allow_deletions()`",
        )
        self.model = model
        self.deletions = deletions
        self.held = held


class UnsentWrites(SynclineError):
    """
    A replica was closed before all its writes were sent, and they are lost with its memory.

    Attributes:
        count: how many.
    """

    code = "unsent_writes"

    def __init__(self, message: str = "", *, hint: str = "", count: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.count = count


class WrongPlace(SynclineError):
    """A replica is used where a call would wait for ever."""

    code = "wrong_place"


class ReplicaClosed(WrongPlace):
    """The replica is closed."""

    code = "replica_closed"
    status = 503


class WrongLoop(WrongPlace):
    """The replica was opened on another event loop, or on another thread."""

    code = "wrong_loop"


class WrongProcess(WrongPlace):
    """The replica was opened before this process was forked."""

    code = "wrong_process"


class HookFailed(SynclineError):
    """A user's function raised, took too long or returned something that is no answer."""

    code = "hook_failed"
