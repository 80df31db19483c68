/**
 * What an upstream takes at once, and what of that which waits is larger.
 *
 * @module
 */

import { RecordTooLarge } from "./errors.js";
import { MESSAGE_BYTES_MAX, PUSH_ITEMS_MAX, RECORD_BYTES_MAX, encodeChange, sizeOf } from "./protocol.js";

/** @typedef {import("./models.js").Update} Update */
/**
 * @typedef {object} PushLimits how much an upstream takes, as its welcome says
 * @property {number} recordBytesMax of one record
 * @property {number} messageBytesMax of one push
 * @property {number} pushItemsMax how many records are in one
 */
/**
 * @typedef {object} TooLarge what can't be pushed, a record or a whole transaction
 * @property {readonly Update[]} updates
 * @property {string} reason
 */

/** What a message holds beside its list: the event, the cursor, the place of the attachment. */
export const MESSAGE_ROOM_BYTES = 1024;
/**
 * `sizeOf` is an estimate; what it puts this far below a limit need not be encoded to be sure.
 * It counts characters, of which one may take three bytes.
 */
const SIZE_SLACK = 16;
const CHAR_BYTES_MAX = 3;

const utf8 = new TextEncoder();

/** @type {PushLimits} What is taken for so before the first welcome. */
export const DEFAULT_LIMITS = Object.freeze({
  recordBytesMax: RECORD_BYTES_MAX,
  messageBytesMax: MESSAGE_BYTES_MAX,
  pushItemsMax: PUSH_ITEMS_MAX,
});

/**
 * Return what a welcome says.
 *
 * @param {import("./protocol.js").Welcome} welcome
 * @returns {PushLimits}
 */
export function limitsOf({ recordBytesMax, messageBytesMax, pushItemsMax }) {
  return { recordBytesMax, messageBytesMax, pushItemsMax };
}

/**
 * Return the size of the largest record that can be pushed.
 *
 * @param {PushLimits} limits
 */
export function writableBytesMax({ recordBytesMax, messageBytesMax }) {
  return Math.min(recordBytesMax, messageBytesMax - MESSAGE_ROOM_BYTES);
}

/**
 * Tell whether all of something is surely not too large, by its estimated size.
 *
 * @param {number} size
 * @param {PushLimits} limits
 */
export function isSurelySmall(size, { recordBytesMax, messageBytesMax }) {
  return size * CHAR_BYTES_MAX <= recordBytesMax && size * SIZE_SLACK <= messageBytesMax;
}

/**
 * Tell whether something was parked, or refused, since it is too large.
 *
 * @param {string} reason
 */
export function isAboutSize(reason) {
  return reason.startsWith(`${RecordTooLarge.code}:`);
}

/**
 * Return why a record or a transaction can't be pushed; an empty text when it can.
 *
 * @param {readonly Update[]} unit
 * @param {PushLimits} limits
 */
export function tooLarge(unit, { recordBytesMax, messageBytesMax, pushItemsMax }) {
  if (unit.length > pushItemsMax) {
    return reasonOf(`a transaction of ${unit.length} records is over the limit of ${pushItemsMax}`);
  }
  let estimate = 0;
  for (const update of unit) {
    const size = sizeOf(update);
    estimate += size;
    if (size * CHAR_BYTES_MAX <= recordBytesMax || update.data === null) continue;
    const bytes = bytesOf(update.data);
    if (bytes > recordBytesMax) {
      const place = `${update.model}/${update.recordId}`;
      return reasonOf(`${place} has ${bytes} bytes, the limit is ${recordBytesMax}`);
    }
  }
  const room = messageBytesMax - MESSAGE_ROOM_BYTES;
  if (estimate * SIZE_SLACK <= room) return "";
  const bytes = bytesOf(unit.map(encodeChange));
  if (bytes <= room) return "";
  const what = unit.length > 1 ? "a transaction" : `${unit[0].model}/${unit[0].recordId}`;
  return reasonOf(`${what} of ${bytes} bytes is over the limit of ${room}`);
}

/**
 * Return what of a push can go, what never can, and whether some has to wait for the next push.
 *
 * @param {readonly Update[]} updates each transaction's together.
 * @param {PushLimits} limits
 * @returns {{updates: Update[], barred: TooLarge[], isCut: boolean}}
 */
export function sortOut(updates, limits) {
  /** @type {Update[][]} */
  const fitting = [];
  /** @type {TooLarge[]} */
  const barred = [];
  for (const unit of unitsOf(updates)) {
    const reason = tooLarge(unit, limits);
    if (reason) barred.push({ updates: unit, reason });
    else fitting.push(unit);
  }
  let count = fitting.length;
  while (count > 1 && tooLarge(fitting.slice(0, count).flat(), limits)) count >>= 1;
  return { updates: fitting.slice(0, count).flat(), barred, isCut: count < fitting.length };
}

/**
 * Return what travels together: each transaction, and each record that is in none.
 *
 * @param {readonly Update[]} updates
 */
export function unitsOf(updates) {
  /** @type {Update[][]} */
  const units = [];
  let before = "";
  for (const update of updates) {
    const name = update.group ?? update.key;
    if (units.length && name === before) units[units.length - 1].push(update);
    else units.push([update]);
    before = name;
  }
  return units;
}

/** @param {unknown} value */
function bytesOf(value) {
  return utf8.encode(JSON.stringify(value)).length;
}

/** @param {string} sentence */
function reasonOf(sentence) {
  return `${RecordTooLarge.code}: ${sentence}`;
}
