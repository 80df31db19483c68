/**
 * Plan a bulk update: one verdict an item, and what is to be written.
 *
 * @module
 */

import { settle } from "./conflicts.js";
import { ANCESTORS_MAX, Answer, Resolution, Update, Verdict, joinAncestors, replaced } from "./models.js";
import { adopt, keepGreater, rebase } from "./rebase.js";
import { newRevision, shortOf } from "./revision.js";
import { offer } from "./verdicts.js";

/** @typedef {import("./models.js").ItemResult} ItemResult */
/** @typedef {import("./models.js").RecordData} RecordData */

/** What a validation hook made of an update. */
export const RulingKind = Object.freeze({
  PASSED: "passed",
  AMENDED: "amended",
  REFUSED: "refused",
  PARKED: "parked",
});

/**
 * @typedef {object} Ruling a validation hook's word on an update
 * @property {string} kind see `RulingKind`
 * @property {string | null} seen the revision that the hook was shown as `before`; the ruling
 *   holds for no other
 * @property {string} [reason]
 * @property {RecordData | null} [data] the amended record
 */

/**
 * @typedef {object} BulkRules what a plan depends on beside the records
 * @property {(model: string) => boolean} needsRuling whether a model has a validation hook
 * @property {(model: string) => import("./conflicts.js").Strategy} strategyOf a model's strategy
 *   on this side; `manual` answers the conflict
 * @property {() => string} newNonce
 * @property {number} stamp for revisions made here
 * @property {string} replicaId their origin
 * @property {string} [pusher] the replica that pushes, for `amendedFor`
 * @property {number} [ancestorsMax]
 */

/** @typedef {[Update, Update, string]} Loss held, item, and how a strategy settled them */
/**
 * @typedef {object} BulkPlan what a bulk update comes to
 * @property {ItemResult[]} results one an item, in order; `seq` is filled in later
 * @property {Update[]} writes what to store, in order, without a seq
 * @property {number[]} unruled the items that a hook has yet to rule on; when there are any,
 *   write nothing
 * @property {[Update, Update | null, string][]} clashes the conflicts and refusals
 * @property {Loss[]} settled the conflicts that a strategy of this side settled
 */
/**
 * @typedef {{result: ItemResult, write: Update | null, settled: Loss | null, givesWay?: boolean}}
 *   Planned `givesWay`: a strategy drops something of what was pushed
 */

/** Why a transaction is refused of which this side's strategy would keep only a part. */
export const GAVE_WAY = "it collided with what stands here, and its transaction gives way as a whole";
/** Why a revision is refused that was rolled back here, and whose maker was not told. */
export const GIVEN_UP = "it was given up here before";

/**
 * Plan what a push does to this replica.
 *
 * Every item gets its own verdict and a bad one never blocks the others, unless they share a
 * group: a group is applied whole or not at all.
 *
 * @param {ReadonlyMap<string, Update>} current what is held, tombstones included.
 * @param {readonly Update[]} updates the pushed updates.
 * @param {ReadonlyMap<number, Ruling>} rulings the hooks' words so far, by item.
 * @param {BulkRules} rules
 * @returns {BulkPlan}
 */
export function planBulkUpdate(current, updates, rulings, rules) {
  const held = new Map(current);
  /** @type {ItemResult[]} */
  const results = [];
  /** @type {BulkPlan} */
  const plan = { results, writes: [], unruled: [], clashes: [], settled: [] };
  for (const group of groupedIndexes(updates)) {
    for (const [index, planned] of planGroup(group, held, updates, rulings, rules, plan)) {
      const { result, write, settled } = planned;
      results[index] = result;
      if (settled !== null) plan.settled.push(settled);
      if (CLASHES.has(result.answer)) {
        plan.clashes.push([updates[index], result.current, result.reason]);
      }
      if (write !== null) {
        plan.writes.push(write);
        held.set(write.key, write);
      }
    }
  }
  plan.results = results.filter(Boolean);
  return plan;
}

/** @type {ReadonlySet<string>} */
const BARS = new Set([Answer.CONFLICT, Answer.REFUSED, Answer.PARKED]);
/** @type {ReadonlySet<string>} */
const CLASHES = new Set([Answer.CONFLICT, Answer.REFUSED]);

/**
 * @param {number[]} group
 * @param {ReadonlyMap<string, Update>} held
 * @param {readonly Update[]} updates
 * @param {ReadonlyMap<number, Ruling>} rulings
 * @param {BulkRules} rules
 * @param {BulkPlan} plan
 * @returns {[number, Planned][]}
 */
function planGroup(group, held, updates, rulings, rules, plan) {
  /** @type {Map<string, Update>} */
  const staged = new Map();
  /** @type {[number, Planned][]} */
  const planned = [];
  for (const index of group) {
    const update = updates[index];
    const mine = staged.get(update.key) ?? held.get(update.key) ?? null;
    const outcome = planItem(mine, update, rulings.get(index), rules);
    if (outcome === null) {
      plan.unruled.push(index);
      continue;
    }
    planned.push([index, outcome]);
    if (outcome.write !== null) staged.set(update.key, outcome.write);
  }
  if (updates[group[0]].group === null) return planned;
  if (hasBar(planned)) return planned.map(([index, one]) => [index, holdBack(one)]);
  if (group.length < 2 || !planned.some(([, one]) => one.givesWay)) return planned;
  return planned.map(([index, one]) => [index, holdBack(one.givesWay ? givenWay(one) : one)]);
}

/** @param {[number, Planned][]} planned */
function hasBar(planned) {
  return planned.some(([, { result }]) => BARS.has(result.answer));
}

/**
 * Return what becomes of an item of a transaction of which a strategy would drop a part.
 *
 * @param {Planned} planned
 * @returns {Planned}
 */
function givenWay({ settled }) {
  const [mine, pushed] = /** @type {Loss} */ (settled);
  return ruled(resultOf(pushed, Answer.REFUSED, { current: mine, reason: GAVE_WAY }));
}

/** @param {readonly Update[]} updates */
function groupedIndexes(updates) {
  /** @type {Map<string, number[]>} */
  const groups = new Map();
  updates.forEach(({ group }, index) => {
    const name = group || `\0${index}`;
    const indexes = groups.get(name);
    if (indexes) indexes.push(index);
    else groups.set(name, [index]);
  });
  return groups.values();
}

/**
 * Return what becomes of an item whose group is held back: nothing of it is written.
 *
 * @param {Planned} planned
 * @returns {Planned}
 */
function holdBack(planned) {
  const { result, write } = planned;
  // A conflict with nothing mints a tombstone, which must be listed all the same.
  if (result.answer === Answer.CONFLICT) return planned;
  if (result.answer === Answer.APPLIED || write !== null) {
    return ruled({ ...result, answer: Answer.HELD, current: null });
  }
  return planned;
}

/**
 * Return the result and what to write; null when a hook has yet to rule.
 *
 * @param {Update | null} mine
 * @param {Update} update
 * @param {Ruling | undefined} ruling
 * @param {BulkRules} rules
 * @returns {Planned | null}
 */
function planItem(mine, update, ruling, rules) {
  switch (offer(mine, update)) {
    case Verdict.SAME:
      return ruled(resultOf(update, Answer.APPLIED, { seq: mine?.seq }));
    case Verdict.KNOWN:
      return ruled(resultOf(update, Answer.KNOWN, { current: mine }));
    case Verdict.EQUAL:
      return planEqual(/** @type {Update} */ (mine), update, rules);
    case Verdict.FORWARD:
      return planForward(mine, update, ruling, rules);
    default:
      return planConflict(mine, update, ruling, rules);
  }
}

/**
 * @param {Update} mine
 * @param {Update} update
 * @param {BulkRules} rules
 */
function planEqual(mine, update, rules) {
  const kept = keepGreater(mine, update, rules.ancestorsMax);
  if (kept.rev === mine.rev) return ruled(resultOf(update, Answer.KNOWN, { current: kept }), kept);
  return ruled(resultOf(update, Answer.APPLIED), kept);
}

/**
 * @param {Update | null} mine
 * @param {Update} update
 * @param {Ruling | undefined} ruling
 * @param {BulkRules} rules
 * @returns {Planned | null}
 */
function planForward(mine, update, ruling, rules) {
  if (mine?.ancestors.includes(shortOf(update.rev))) {
    // What it was made over stands here again: it was rolled back, by a refusal further up or with
    // its transaction. Taken once more, it would come back by itself.
    return ruled(resultOf(update, Answer.REFUSED, { current: mine, reason: GIVEN_UP }));
  }
  const kept = mine?.ancestors.length ? adopt(update, mine, rules.ancestorsMax) : update;
  // A deletion of what is not here, offered back to one that lost it, changes nothing to rule on.
  const changesNothing = kept.isDeletion && (mine === null || mine.isDeletion);
  if (changesNothing || !rules.needsRuling(kept.model)) return ruled(resultOf(kept, Answer.APPLIED), kept);
  if (ruling === undefined || ruling.seen !== (mine?.rev ?? null)) return null;
  switch (ruling.kind) {
    case RulingKind.REFUSED:
      return ruled(resultOf(kept, Answer.REFUSED, { current: mine, reason: ruling.reason }));
    case RulingKind.PARKED:
      return ruled(resultOf(kept, Answer.PARKED, { reason: ruling.reason }));
    case RulingKind.AMENDED: {
      const amended = amend(kept, ruling.data ?? null, rules);
      return ruled(resultOf(kept, Answer.APPLIED, { current: amended }), amended);
    }
    default:
      return ruled(resultOf(kept, Answer.APPLIED), kept);
  }
}

/**
 * @param {Update} update
 * @param {RecordData | null} data
 * @param {BulkRules} rules
 */
function amend(update, data, rules) {
  return replaced(update, {
    rev: newRevision(update.generation + 1, rules.newNonce(), { deleted: data === null }),
    prev: update.rev,
    ancestors: joinAncestors([update.ancestors, [shortOf(update.rev)]], rules.ancestorsMax),
    origin: rules.replicaId,
    stamp: rules.stamp,
    data,
    amendedFor: rules.pusher || update.origin,
  });
}

/**
 * @param {Update | null} mine
 * @param {Update} update
 * @param {Ruling | undefined} ruling
 * @param {BulkRules} rules
 * @returns {Planned | null}
 */
function planConflict(mine, update, ruling, rules) {
  if (mine === null) {
    // The pusher names a live revision that was purged here: it meets a deletion.
    const tombstone = replaced(update, {
      rev: newRevision(update.generation + 1, rules.newNonce(), { deleted: true }),
      origin: rules.replicaId,
      group: null,
      stamp: rules.stamp,
      data: null,
    });
    return ruled(resultOf(update, Answer.CONFLICT, { current: tombstone }), tombstone);
  }
  const sides = { base: null, ours: mine, theirs: update };
  const settlement = settle(rules.strategyOf(update.model), sides);
  if (settlement === null) return ruled(resultOf(update, Answer.CONFLICT, { current: mine }));
  /** @type {Loss} */
  const loss = [mine, update, settlement.resolution];
  if (settlement.resolution === Resolution.THEIRS) {
    const planned = planForward(mine, adopt(update, mine, rules.ancestorsMax), ruling, rules);
    return planned?.write ? { ...planned, settled: loss } : planned;
  }
  const stood = rebase(mine, update, {
    data: settlement.data ?? mine.data,
    nonce: rules.newNonce(),
    origin: rules.replicaId,
    stamp: rules.stamp,
    ancestorsMax: rules.ancestorsMax ?? ANCESTORS_MAX,
  });
  const givesWay = settlement.loser === "theirs";
  return { ...ruled(resultOf(update, Answer.KNOWN, { current: stood }), stood, loss), givesWay };
}

/**
 * @param {ItemResult} result
 * @param {Update | null} [write]
 * @param {Loss | null} [settled]
 * @returns {Planned}
 */
function ruled(result, write = null, settled = null) {
  return { result, write, settled };
}

/**
 * @param {Update} update
 * @param {string} answer
 * @param {{seq?: number, current?: Update | null, reason?: string}} [more]
 * @returns {ItemResult}
 */
function resultOf(update, answer, { seq = 0, current = null, reason = "" } = {}) {
  const { model, recordId, rev } = update;
  return { model, recordId, rev, answer, seq, current, reason };
}
