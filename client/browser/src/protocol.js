/**
 * The wire's messages: encode, decode, version.
 *
 * `PROTOCOL.md` is normative; this file is its JavaScript.
 *
 * @module
 */

import { MessageInvalid } from "./errors.js";
import { BulkResult, Change, Interval, Update } from "./models.js";
import { Told } from "./news.js";
import { isRevision } from "./revision.js";

export const PROTOCOL_VERSION = 1;
export const MESSAGE_BYTES_MAX = 8 * 1024 * 1024;
export const PAGE_BYTES_MAX = 512 * 1024;
export const RECORD_BYTES_MAX = 1024 * 1024;
export const GROUP_BYTES_MAX = 4 * 1024 * 1024;
export const PUSH_ITEMS_MAX = 5000;
/** A list of at most so many characters travels within its message; a longer one attached. */
export const INLINE_CHARS_MAX = 16 * 1024;

/** @typedef {Record<string, any>} Json a JSON object */
/**
 * @typedef {object} Welcome the answer to a hello
 * @property {string} source
 * @property {string} epoch
 * @property {number} head
 * @property {string} standing `"good"`: go on from the cursor; `"reset"`: take the list again
 * @property {number} shared at a reset, the seq up to which both histories agree
 * @property {string} reason
 * @property {number} heartbeatS
 * @property {number} recordBytesMax
 * @property {number} messageBytesMax
 * @property {number} pushItemsMax
 * @property {Record<string, string>} models the rights on each model, `"read"` or `"write"`
 * @property {number} conflictsMax how many conflicts that wait at a follower are listed there; 0
 *   when none are
 * @property {number} conflicts how many are listed as waiting at this one
 * @property {string} principal whom the daemon takes the follower for; empty when it does not say
 * @property {boolean} transient the list lasts as long as the daemon runs, and nothing of an earlier
 *   one counts
 */
/**
 * @typedef {object} Hello a replica introduces itself and asks to follow
 * @property {string} replica
 * @property {readonly string[]} models
 * @property {string} source
 * @property {string} epoch
 * @property {number} seq
 * @property {number} reach
 */
/** @typedef {{epoch: string, head: number, source: string}} Head where the list stands */
/** @typedef {{delayMs: number, reason: string}} Bye the server closes the connection */

const utf8Decoder = new TextDecoder("utf-8", { fatal: true });
const utf8Encoder = new TextEncoder();

/**
 * Return the welcome of an answer.
 *
 * @param {unknown} payload
 * @returns {Welcome}
 */
export function decodeWelcome(payload) {
  const one = objectOf(payload, "welcome");
  return {
    source: textOf(one, "source"),
    epoch: textOf(one, "epoch"),
    head: integerOf(one, "head"),
    standing: one.standing ?? "good",
    shared: integerOf(one, "shared", 0),
    reason: one.reason ?? "",
    heartbeatS: numberOf(one, "heartbeat_s", 10),
    recordBytesMax: integerOf(one, "record_bytes_max", RECORD_BYTES_MAX),
    messageBytesMax: integerOf(one, "message_bytes_max", MESSAGE_BYTES_MAX),
    pushItemsMax: integerOf(one, "push_items_max", PUSH_ITEMS_MAX),
    models: one.models ?? {},
    conflictsMax: integerOf(one, "conflicts_max", 0),
    conflicts: integerOf(one, "conflicts", 0),
    principal: one.principal ?? "",
    transient: one.transient === true,
  };
}

/**
 * Return where the list stands.
 *
 * @param {unknown} payload
 * @returns {Head}
 */
export function decodeHead(payload) {
  const one = objectOf(payload, "head");
  return { epoch: textOf(one, "epoch"), head: integerOf(one, "head"), source: one.source ?? "" };
}

/**
 * Return a goodbye.
 *
 * @param {unknown} payload
 * @returns {Bye}
 */
export function decodeBye(payload) {
  const one = objectOf(payload ?? {}, "bye");
  return { delayMs: numberOf(one, "delay_ms", 0), reason: one.reason ?? "" };
}

/**
 * Return the interval of a page: its header, and its attachment.
 *
 * @param {unknown} header
 * @param {unknown} attachment
 */
export function decodePage(header, attachment) {
  const updates = attachment === undefined ? [] : listOf(attachment).map(updateOf);
  return intervalOf(objectOf(header, "page"), updates);
}

/**
 * Return the interval of a `changed` event, and whether it carries its updates.
 *
 * @param {unknown} payload
 * @returns {{interval: Interval, carries: boolean}}
 */
export function decodeLive(payload) {
  const one = objectOf(payload, "changed");
  const carried = one.updates;
  if (carried !== undefined && carried !== null && !Array.isArray(carried)) {
    throw new MessageInvalid("changed: updates is no list");
  }
  const updates = carried ? carried.map(updateOf) : [];
  return { interval: intervalOf(one, updates), carries: carried != null };
}

/**
 * Return the argument of a `news` event: what makes its interval, in the epoch of the welcome and
 * with the only model that is followed.
 *
 * @param {unknown} payload
 * @returns {{intervalIn: (epoch: string, model: string) => Interval}}
 */
export function decodeNews(payload) {
  const one = objectOf(payload, "news");
  const told = listOf(one.updates).map(toldOf);
  const since = integerOf(one, "since");
  const checkpoint = integerOf(one, "checkpoint");
  const named = one.epoch == null ? "" : textOf(one, "epoch");
  return {
    intervalIn: (epoch, model) =>
      new Interval({
        epoch: named || epoch,
        since,
        checkpoint,
        head: checkpoint,
        updates: told.map((update) => update.placedIn(model, checkpoint)),
      }),
  };
}

/**
 * Return the number of a `beat`, which asks for a heartbeat.
 *
 * @param {unknown} payload
 */
export function decodeBeat(payload) {
  return integerOf(objectOf(payload ?? {}, "beat"), "number", 0);
}

/**
 * @param {unknown} item
 * @returns {Told}
 */
function toldOf(item) {
  const one = objectOf(item, "update");
  const { id = one.data?.id, model = "", on = "" } = one;
  return new Told(updateOf({ ...one, id, model }), on);
}

/**
 * @param {Json} one
 * @param {Update[]} updates
 */
function intervalOf(one, updates) {
  return new Interval({
    epoch: textOf(one, "epoch"),
    since: integerOf(one, "since"),
    checkpoint: integerOf(one, "checkpoint"),
    head: integerOf(one, "head"),
    updates,
  });
}

/**
 * Return the answer to a push: its header, and its list of results, attached or not.
 *
 * @param {unknown} header
 * @param {unknown} [attachment]
 */
export function decodeBulkResult(header, attachment) {
  const one = objectOf(header, "push answer");
  const results = listOf(attachment === undefined ? one.results : attachment).map(resultOf);
  return new BulkResult({
    epoch: textOf(one, "epoch"),
    checkpoint: integerOf(one, "checkpoint"),
    results,
  });
}

/**
 * @param {Json} item
 * @returns {import("./models.js").ItemResult}
 */
function resultOf(item) {
  const one = objectOf(item, "result");
  return {
    model: textOf(one, "model"),
    recordId: textOf(one, "id"),
    rev: textOf(one, "rev"),
    answer: textOf(one, "answer"),
    seq: integerOf(one, "seq", 0),
    current: one.current == null ? null : updateOf(one.current),
    reason: one.reason ?? "",
  };
}

/**
 * Return the update of a decoded JSON object.
 *
 * @param {unknown} item
 */
export function updateOf(item) {
  const one = objectOf(item, "update");
  if (typeof one.model !== "string" || typeof one.id !== "string" || !isRevision(one.rev)) {
    const shown = JSON.stringify(item).slice(0, 120);
    throw new MessageInvalid(`an update without model, id or revision: ${shown}`);
  }
  return new Update({
    model: one.model,
    recordId: one.id,
    seq: one.seq,
    rev: one.rev,
    prev: one.prev,
    ancestors: one.ancestors,
    origin: one.origin,
    group: one.group,
    stamp: one.stamp,
    data: one.data,
    amendedFor: one.amended_for,
  });
}

/**
 * Return the change of a decoded JSON object.
 *
 * @param {unknown} item
 */
export function changeOf(item) {
  return new Change(updateOf(item));
}

/**
 * Return a change or an update as it travels; fields that hold their default are left out.
 *
 * @param {Change | Update} change
 * @returns {Json}
 */
export function encodeChange(change) {
  /** @type {Json} */
  const one = { model: change.model, id: change.recordId };
  if (change.seq) one.seq = change.seq;
  one.rev = change.rev;
  if (change.prev !== null) one.prev = change.prev;
  if (change.ancestors.length) one.ancestors = change.ancestors;
  if (change.origin) one.origin = change.origin;
  if (change.group !== null) one.group = change.group;
  if (change.stamp) one.stamp = change.stamp;
  if (change instanceof Update) {
    if (change.data !== null) one.data = change.data;
    if (change.amendedFor !== null) one.amended_for = change.amendedFor;
  }
  return one;
}

/**
 * Return a conflict that waits here as it is told in full.
 *
 * @param {import("./models.js").Conflict} conflict
 * @returns {Json}
 */
export function encodeReported({ ours, base, baseRev, openedMs }) {
  /** @type {Json} */
  const one = { update: encodeChange(ours) };
  if (baseRev !== null) one.base_rev = baseRev;
  if (base !== null) one.base = base;
  if (openedMs) one.opened_ms = openedMs;
  return one;
}

/**
 * Return the answer to a report of conflicts: the places of those that are to be told in full.
 *
 * @param {unknown} payload
 * @returns {{count: number, wanted: number[]}}
 */
export function decodeReportAnswer(payload) {
  const one = objectOf(payload, "report answer");
  return { count: integerOf(one, "count", 0), wanted: listOf(one.wanted ?? []) };
}

/**
 * Return the arguments that carry a list: within the message while it is small, else attached.
 *
 * @param {Json} header
 * @param {string} name what the list is called within the message.
 * @param {readonly Change[]} changes
 * @returns {[Json] | [Json, Uint8Array]}
 */
export function withList(header, name, changes) {
  const items = changes.map(encodeChange);
  const text = JSON.stringify(items);
  if (text.length <= INLINE_CHARS_MAX) return [{ ...header, [name]: items }];
  return [header, utf8Encoder.encode(text)];
}

/**
 * Return about how many bytes an update takes on the wire.
 *
 * @param {Update} update
 */
export function sizeOf(update) {
  const body = update.data === null ? 0 : JSON.stringify(update.data).length;
  return 160 + update.recordId.length + 20 * update.ancestors.length + body;
}

/**
 * Return the list of an attachment, or of a message.
 *
 * @param {unknown} payload
 * @returns {any[]}
 */
export function listOf(payload) {
  let list = payload;
  if (payload instanceof ArrayBuffer || ArrayBuffer.isView(payload)) {
    try {
      list = JSON.parse(utf8Decoder.decode(/** @type {any} */ (payload)));
    } catch (error) {
      throw new MessageInvalid(`the list can't be read: ${String(error)}`);
    }
  }
  if (!Array.isArray(list)) throw new MessageInvalid("a list is expected, or its encoded bytes");
  return list;
}

/**
 * @param {unknown} payload
 * @param {string} what
 * @returns {Json}
 */
function objectOf(payload, what) {
  if (payload === null || typeof payload !== "object" || Array.isArray(payload)) {
    throw new MessageInvalid(`${what}: an object is expected`);
  }
  return payload;
}

/**
 * @param {Json} one
 * @param {string} name
 * @returns {string}
 */
function textOf(one, name) {
  if (typeof one[name] !== "string") throw new MessageInvalid(`${name}: a text is expected`);
  return one[name];
}

/**
 * @param {Json} one
 * @param {string} name
 * @param {number} [otherwise]
 * @returns {number}
 */
function numberOf(one, name, otherwise) {
  const value = one[name] ?? otherwise;
  if (typeof value !== "number") throw new MessageInvalid(`${name}: a number is expected`);
  return value;
}

/**
 * @param {Json} one
 * @param {string} name
 * @param {number} [otherwise]
 */
function integerOf(one, name, otherwise) {
  const value = numberOf(one, name, otherwise);
  if (!Number.isInteger(value)) throw new MessageInvalid(`${name}: an integer is expected`);
  return value;
}
