/**
 * How what a store holds is written in the texts of a journal.
 *
 * @module
 */

import { StoreCorrupt } from "../errors.js";
import { Conflict, Update } from "../models.js";
import { encodeChange } from "../protocol.js";

/** @typedef {import("../models.js").Entry} Entry */
/** @typedef {import("../models.js").Pending} Pending */

export const FORMAT = 1;

/**
 * @param {string} text
 * @returns {{format: number, head: number, entries?: [any, number | null][],
 *   removed?: [string, string][], pending?: Pending[], cleared?: [string, string][],
 *   conflicts?: any[], forgotten?: string[], meta?: Record<string, any>,
 *   stage?: {isAnew: boolean, pages: any[][]}}}
 */
export function readDelta(text) {
  let delta;
  try {
    delta = JSON.parse(text);
  } catch (error) {
    throw new StoreCorrupt(`a text of the journal can't be read: ${String(error)}`);
  }
  if (delta?.format !== FORMAT) {
    throw new StoreCorrupt(`the journal has the format ${delta?.format}, ${FORMAT} is known here`, {
      hint: "it was written by another version of syncline",
    });
  }
  return delta;
}

/** @param {Entry} entry */
export function rowOf({ update, baseSeq }) {
  return [encodeChange(update), baseSeq];
}

/** @param {Conflict} conflict */
export function rowOfConflict(conflict) {
  const { ours, theirs } = conflict;
  return { ...conflict, ours: encodeChange(ours), theirs: encodeChange(theirs) };
}

/** @param {any} item */
export function conflictOf(item) {
  return new Conflict({ ...item, ours: updateFrom(item.ours), theirs: updateFrom(item.theirs) });
}

/** @param {any} item */
export function updateFrom(item) {
  return new Update({ ...item, recordId: item.id, amendedFor: item.amended_for });
}
