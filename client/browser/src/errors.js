/**
 * The errors a caller of syncline can meet.
 *
 * The tree is the Python replica's (`client/syncline/errors.py`), with the same codes.
 * Expected outcomes (conflicts, gaps, repeats, nothing to do) are values, not errors.
 *
 * @module
 */

/** Base of all errors raised on purpose by syncline. */
export class SynclineError extends Error {
  static code = "error";
  static status = 500;
  static retryable = false;
  static sentence = "Something went wrong.";

  /**
   * @param {string} [message] what was wrong; the class's own sentence by default.
   * @param {{hint?: string, cause?: unknown}} [more] `hint`: what to do next.
   */
  constructor(message = "", { hint = "", cause } = {}) {
    super(message || new.target.sentence, cause === undefined ? undefined : { cause });
    // Not the class's name, which the bundle shortens.
    this.name = `SynclineError [${new.target.code}]`;
    /** The name on the wire and in logs. */
    this.code = new.target.code;
    /** The HTTP status a door answers with. */
    this.status = new.target.status;
    /** Whether the same call may succeed later, unchanged. */
    this.retryable = new.target.retryable;
    this.hint = hint;
  }
}

export class ConfigError extends SynclineError {
  static code = "config_invalid";
  static sentence = "A setting is wrong.";
}

export class RecordError extends SynclineError {
  static code = "record_error";
  static status = 422;
  static sentence = "A record can't be kept as it is.";
}

export class RecordInvalid extends RecordError {
  static code = "record_invalid";
  static sentence = "The record has the wrong shape.";
}

export class RecordTooLarge extends RecordError {
  static code = "record_too_large";
  static status = 413;
  static sentence = "The record has more bytes than a record may have.";
}

export class NumberNotAllowed extends RecordError {
  static code = "number_not_allowed";
  static sentence = "The record holds a number that JSON can't carry exactly.";
}

export class KeyInvalid extends RecordError {
  static code = "key_invalid";
  static sentence = "A record id must be a non-empty text of at most 255 characters, or an integer.";
}

export class RecordNotFound extends RecordError {
  static code = "record_not_found";
  static status = 404;
  static sentence = "There is no such record.";
}

export class ModelUnknown extends SynclineError {
  static code = "model_unknown";
  static status = 404;
  static sentence = "There is no model of that name here.";
}

export class FilterInvalid extends SynclineError {
  static code = "filter_invalid";
  static status = 400;
  static sentence = "The filter can't be read.";
}

export class WriteRefused extends SynclineError {
  static code = "write_refused";
  static status = 422;
  static sentence = "A validation hook refused the write.";
}

export class ProtocolError extends SynclineError {
  static code = "protocol_error";
  static status = 400;
  static sentence = "The peer said something that is not part of the protocol.";
}

export class VersionNotSupported extends ProtocolError {
  static code = "version_not_supported";
  static sentence = "The peer speaks another version of the protocol.";
}

export class MessageInvalid extends ProtocolError {
  static code = "message_invalid";
  static sentence = "The message does not have the shape that the protocol gives it.";
}

export class MessageTooLarge extends ProtocolError {
  static code = "message_too_large";
  static status = 413;
  static sentence = "The message is larger than the peer accepts.";
}

export class EventUnknown extends ProtocolError {
  static code = "event_unknown";
  static status = 404;
  static sentence = "The protocol has no event of that name.";
}

export class CursorStale extends ProtocolError {
  static code = "cursor_stale";
  static status = 409;
  static retryable = true;
  static sentence = "The pusher's cursor is no longer good: say hello again.";
}

export class AuthError extends SynclineError {
  static code = "auth_error";
  static status = 401;
  static sentence = "The peer may not do that.";
}

export class Unauthenticated extends AuthError {
  static code = "unauthenticated";
  static sentence = "A token is needed, and none or an unknown one was given.";
}

export class Forbidden extends AuthError {
  static code = "forbidden";
  static status = 403;
  static sentence = "The principal has no right to do that.";
}

export class StoreError extends SynclineError {
  static code = "store_error";
  static status = 503;
  static sentence = "The store could not do its work.";
}

export class StoreUnavailable extends StoreError {
  static code = "store_unavailable";
  static retryable = true;
  static sentence = "The database is locked, gone or not answering; the write was not made.";
}

export class StoreReadOnly extends StoreError {
  static code = "store_read_only";
  static retryable = true;
  static sentence = "The database can't be written; reads go on.";
}

export class StoreFull extends StoreError {
  static code = "store_full";
  static retryable = true;
  static sentence = "There is no space left for the write; reads go on.";
}

export class StoreCorrupt extends StoreError {
  static code = "store_corrupt";
  static sentence = "The database is damaged.";
}

export class StoreForeign extends StoreError {
  static code = "store_foreign";
  static sentence = "The file is another program's, or no database; it was left as it was.";
}

export class SchemaMismatch extends StoreError {
  static code = "schema_mismatch";
  static sentence = "The database was written by a newer syncline.";
}

export class LinkError extends SynclineError {
  static code = "link_error";
  static status = 502;
  static retryable = true;
  static sentence = "The link to the upstream failed.";
}

export class AckTimeout extends LinkError {
  static code = "ack_timeout";
  static status = 504;
  static sentence = "The upstream did not answer in time.";
}

export class LinkClosed extends LinkError {
  static code = "link_closed";
  static sentence = "The link was closed before the answer came.";
}

export class Unreachable extends LinkError {
  static code = "unreachable";
  static sentence = "Nothing answers at that address.";
}

export class NoDaemon extends LinkError {
  static code = "no_daemon";
  static sentence = "What answers at that address is no syncline daemon.";
}

export class OriginRefused extends LinkError {
  static code = "origin_refused";
  static sentence = "The daemon lets in no pages of this origin.";
}

export class GatewayRefused extends LinkError {
  static code = "gateway_refused";
  static sentence = "What stands before the daemon refuses.";
}

export class WebSocketRefused extends LinkError {
  static code = "websocket_refused";
  static sentence = "The daemon answers, but no WebSocket comes through to it.";
}

/** The daemon takes nobody in at the moment, and said when to come back. */
export class Busy extends LinkError {
  static code = "busy";
  static status = 503;
  static sentence = "The daemon takes nobody in at the moment, and said when to come back.";
  /** After how long. */
  delayMs = 0;
  /** What to show then, so as to be let in; may be empty. */
  ticket = "";
}

export class ConflictError extends SynclineError {
  static code = "conflict";
  static status = 409;
  static sentence = "The write conflicts with another one.";
}

/** A replication would delete more records than is let through unasked; nothing was deleted. */
export class MassDeletion extends SynclineError {
  static code = "mass_deletion";
  static status = 409;
  static sentence = "A replication would delete more records than is let through unasked.";
}

/** A replica was closed before all its writes were sent, and they are lost with its memory. */
export class UnsentWrites extends SynclineError {
  static code = "unsent_writes";
  static sentence = "A replica in memory was closed before all its writes were sent.";
  /** How many. */
  count = 0;
}

/** A replica is used where a call would wait for ever. */
export class WrongPlace extends SynclineError {
  static code = "wrong_place";
  static sentence = "A replica is used where a call would wait for ever.";
}

export class ReplicaClosed extends WrongPlace {
  static code = "replica_closed";
  static status = 503;
  static sentence = "The replica is closed.";
}

export class HookFailed extends SynclineError {
  static code = "hook_failed";
  static sentence = "A user's function raised, took too long or returned something that is no answer.";
}

/** Raised when a wait took longer than its caller allowed. */
export class WaitTimeout extends SynclineError {
  static code = "wait_timeout";
  static retryable = true;
  static sentence = "It took longer than the caller allowed.";
}

const KINDS = [
  SynclineError, ConfigError, RecordError, RecordInvalid, RecordTooLarge, NumberNotAllowed,
  KeyInvalid, RecordNotFound, ModelUnknown, FilterInvalid, WriteRefused, ProtocolError,
  VersionNotSupported, MessageInvalid, MessageTooLarge, EventUnknown, CursorStale, AuthError,
  Unauthenticated, Forbidden, StoreError, StoreUnavailable, StoreReadOnly, StoreFull,
  StoreCorrupt, StoreForeign, SchemaMismatch, LinkError, AckTimeout, LinkClosed, Unreachable,
  NoDaemon, OriginRefused, GatewayRefused, WebSocketRefused, Busy, ConflictError, MassDeletion,
  UnsentWrites, WrongPlace, ReplicaClosed, HookFailed, WaitTimeout,
];

const BY_CODE = new Map(KINDS.map((kind) => [kind.code, kind]));

/**
 * Return the error that a peer named, as the class of that code.
 *
 * @param {{code: string, message?: string, hint?: string, retryable?: boolean, delay_ms?: number,
 *   ticket?: string}} wire
 * @returns {SynclineError}
 */
export function errorOfCode({ code, message = "", hint = "", retryable = false, ...more }) {
  const kind = BY_CODE.get(code) ?? SynclineError;
  const error = new kind(message, { hint });
  error.retryable = retryable;
  if (error instanceof Busy) {
    error.delayMs = Math.max(more.delay_ms ?? 0, 0);
    error.ticket = more.ticket ?? "";
  }
  return error;
}
