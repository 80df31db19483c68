/**
 * What a live update leaves out, since whoever hears it holds what it was made upon.
 *
 * A follower that has read the list up to where an interval begins holds each record as the list
 * had it there, ancestors and all. So of the ancestors of an update only those are told that came
 * after that state, its anchor, which is named. Where the anchor is not found in what is held
 * nothing is guessed: the interval is read as a page, which leaves nothing out.
 *
 * @module
 */

import { Update, replaced } from "./models.js";
import { nonceOf, shortOf } from "./revision.js";

/** @typedef {import("./models.js").Entry} Entry */

/** A live update, as it is told to who holds what it was made upon. */
export class Told extends Update {
  /**
   * @param {import("./models.js").UpdateFields} fields
   * @param {string} anchor the nonce of what the list held where the interval begins; empty when
   *   nothing is left out.
   */
  constructor(fields, anchor) {
    super(fields);
    this.anchor = anchor;
  }

  /**
   * Return it with its model and its seq, where it left them out.
   *
   * @param {string} model
   * @param {number} checkpoint
   */
  placedIn(model, checkpoint) {
    const fields = { ...this, model: this.model || model, seq: this.seq || checkpoint };
    return new Told(fields, this.anchor);
  }
}

/**
 * Return an update with what was left out of it; null when that is not held here.
 *
 * @param {Told} told
 * @param {Entry | undefined} entry what is held of the record.
 * @param {Update | null} theirs what it collided with and waits for, if it does.
 * @param {number} ancestorsMax
 * @returns {Update | null}
 */
export function completed(told, entry, theirs, ancestorsMax) {
  if (!told.anchor) return replaced(told, {});
  const line = entry === undefined ? null : lineTo(told.anchor, entry, theirs);
  if (line === null) return null;
  const all = [...line, ...told.ancestors];
  const ancestors = all.slice(Math.max(all.length - ancestorsMax, 0));
  return replaced(told, { prev: told.prev ?? line[line.length - 1], ancestors });
}

/**
 * Return a revision's ancestors and itself, as far as they are held; null when it is not.
 *
 * @param {string} nonce
 * @param {Entry} entry
 * @param {Update | null} theirs
 * @returns {readonly string[] | null}
 */
function lineTo(nonce, { update, pending }, theirs) {
  for (const holder of theirs === null ? [update] : [update, theirs]) {
    if (nonceOf(holder.rev) === nonce) return [...holder.ancestors, shortOf(holder.rev)];
    const place = holder.ancestors.findLastIndex((short) => nonceOf(short) === nonce);
    if (place >= 0) return holder.ancestors.slice(0, place + 1);
  }
  const baseRev = pending?.baseRev ?? null;
  // So much was edited here since then that the base is no longer among the ancestors.
  return baseRev !== null && nonceOf(baseRev) === nonce ? [shortOf(baseRev)] : null;
}
