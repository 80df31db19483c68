/**
 * Conflict strategies: what a named strategy makes of two sides.
 *
 * | name | what it does |
 * |---|---|
 * | manual | ours stays, the conflict waits in the conflict log (the default) |
 * | ours | ours, set upon theirs |
 * | theirs | theirs, as it is |
 * | latest | the side with the later stamp; equal stamps: the greater revision |
 * | merge | field by field; a field that collided waits (`merge`), or falls to a side
 *   (`merge:ours`, `merge:theirs`, `merge:latest`) |
 *
 * A strategy may also be a function; it is not called here, but outside the transaction.
 *
 * @module
 */

import { ConfigError } from "./errors.js";
import { merge } from "./merge.js";
import { Resolution } from "./models.js";
import { compareRevisions } from "./revision.js";
import { equalValues } from "./verdicts.js";

/** @typedef {import("./models.js").Update} Update */
/** @typedef {import("./models.js").RecordData} RecordData */
/**
 * @typedef {(conflict: import("./models.js").Conflict) => unknown} Resolver takes a conflict;
 *   returns `"ours"`, `"theirs"`, `"latest"`, a record to stand, or null to leave it open
 */
/** @typedef {string | Resolver} Strategy */
/**
 * @typedef {{resolution: string, data?: RecordData | null, loser: "" | "ours" | "theirs"}}
 *   Settlement how a conflict is settled; `loser`: the side of which something is lost; empty where
 *   all that both wrote stands. A transaction is given up whole with a record of it that loses.
 */

export const STRATEGIES = Object.freeze([
  "manual",
  "ours",
  "theirs",
  "latest",
  "merge",
  "merge:ours",
  "merge:theirs",
  "merge:latest",
]);

/**
 * Return the strategy.
 *
 * @param {Strategy} strategy
 * @throws {ConfigError} there is none of that name.
 */
export function checkStrategy(strategy) {
  if (typeof strategy === "function" || STRATEGIES.includes(strategy)) return strategy;
  throw new ConfigError(`no conflict strategy '${strategy}'`, {
    hint: `one of ${STRATEGIES.join(", ")}, or a function`,
  });
}

/**
 * Return how the strategy settles a conflict; null when it stays open.
 *
 * @param {Strategy} strategy
 * @param {{base: RecordData | null, ours: Update, theirs: Update}} sides `base`: the record that
 *   both started from; null when it isn't known.
 * @returns {Settlement | null}
 */
export function settle(strategy, { base, ours, theirs }) {
  switch (strategy) {
    case "ours":
      return whole("ours");
    case "theirs":
      return whole("theirs");
    case "latest":
      return whole(latest(ours, theirs));
    case "merge":
    case "merge:ours":
    case "merge:theirs":
    case "merge:latest":
      return settleByMerge(strategy.slice("merge:".length), base, ours, theirs);
    default:
      return null;
  }
}

/**
 * Return the side with the later stamp; of equal stamps, that of the greater revision.
 *
 * Every replica says the same of the same two, whichever of them it calls ours.
 *
 * @param {Update} ours
 * @param {Update} theirs
 * @returns {"ours" | "theirs"}
 */
export function latest(ours, theirs) {
  const byStamp = ours.stamp - theirs.stamp;
  return (byStamp || compareRevisions(ours.rev, theirs.rev)) > 0 ? "ours" : "theirs";
}

/**
 * @param {"ours" | "theirs"} side
 * @returns {Settlement}
 */
function whole(side) {
  return { resolution: side, loser: otherThan(side) };
}

/**
 * @param {string} side
 * @returns {"ours" | "theirs"}
 */
function otherThan(side) {
  return side === "ours" ? "theirs" : "ours";
}

/**
 * @param {string} fallback
 * @param {RecordData | null} base
 * @param {Update} ours
 * @param {Update} theirs
 * @returns {Settlement | null}
 */
function settleByMerge(fallback, base, ours, theirs) {
  const side = fallback === "latest" ? latest(ours, theirs) : fallback;
  if (ours.data === null || theirs.data === null) return side ? whole(side === "ours" ? "ours" : "theirs") : null;
  const prefer = side === "theirs" ? "theirs" : "ours";
  const merged = merge(base, ours.data, theirs.data, { prefer });
  if (merged.collisions.length && !side) return null;
  const loser = merged.collisions.length ? otherThan(side) : "";
  if (equalValues(merged.data, theirs.data)) return { resolution: Resolution.THEIRS, loser };
  return { resolution: Resolution.MERGE, data: merged.data, loser };
}
