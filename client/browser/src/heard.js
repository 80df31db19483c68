/**
 * What the daemon's messages are to a session.
 *
 * @module
 */

import { checked } from "./connection.js";
import { MessageTooLarge, SynclineError } from "./errors.js";
import { log } from "./logs.js";
import {
  decodeBeat,
  decodeBulkResult,
  decodeBye,
  decodeHead,
  decodeLive,
  decodeNews,
  decodePage,
} from "./protocol.js";

/** @typedef {import("./effects.js").Effect} Effect */
/** @typedef {import("./session.js").Session} Session */
/** @typedef {(session: Session, now: number) => Effect[]} Input what a session is told */

/**
 * Return what an event tells the session, once it is its turn.
 *
 * @param {string} event
 * @param {unknown} payload
 * @returns {Input}
 * @throws {SynclineError} it is none of the protocol's.
 */
export function eventHeard(event, payload) {
  if (event === "changed") {
    const { interval, carries } = decodeLive(payload);
    return (session, now) => session.changed(now, interval, { carries });
  }
  if (event === "news") {
    const news = decodeNews(payload);
    return (session, now) => {
      const { cursor, models } = session;
      const model = models.length === 1 ? models[0] : "";
      return session.changed(now, news.intervalIn(cursor.epoch, model));
    };
  }
  if (event === "beat") {
    const number = decodeBeat(payload);
    return (session, now) => session.beatAsked(now, number);
  }
  if (event === "bye") {
    const { delayMs, reason } = decodeBye(payload);
    return (session, now) => session.bye(now, delayMs / 1000, reason);
  }
  return (session, now) => session.behindTold(now);
}

/**
 * Tell the session the answer to a request for changes.
 *
 * @param {Session} session
 * @param {number} now
 * @param {any[]} got
 */
export function pageHeard(session, now, got) {
  try {
    const [header, attachment] = checked(got);
    return session.page(now, decodePage(header, attachment));
  } catch (error) {
    if (!(error instanceof SynclineError)) throw error;
    log("warning", "link.page_refused", { error: error.code, reason: error.message });
    return session.lostPage(now, error.code);
  }
}

/**
 * Tell the session the answer to a heartbeat.
 *
 * @param {Session} session
 * @param {number} now
 * @param {any[]} got
 */
export function headHeard(session, now, got) {
  const { epoch, head } = decodeHead(checked(got)[0]);
  return session.beatAnswered(now, epoch, head);
}

/**
 * Return what the daemon said of a push that is too large as a whole; else an empty text.
 *
 * @param {any[]} got
 */
export function tooLargeSaid(got) {
  try {
    checked(got);
    return "";
  } catch (error) {
    return error instanceof MessageTooLarge ? error.message : "";
  }
}

/**
 * Tell the session the answer to a push.
 *
 * @param {Session} session
 * @param {number} now
 * @param {any[]} got
 * @param {number} pushId
 */
export function answerHeard(session, now, got, pushId) {
  try {
    const [header, attachment] = checked(got);
    return session.answered(now, pushId, decodeBulkResult(header, attachment));
  } catch (error) {
    if (!(error instanceof SynclineError)) throw error;
    log("warning", "link.push_refused", { error: error.code, reason: error.message });
    return session.pushFailed(now, pushId, error.code);
  }
}
