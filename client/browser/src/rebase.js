/**
 * Set a record upon the revision that it collided with.
 *
 * @module
 */

import { ANCESTORS_MAX, Update, joinAncestors, replaced } from "./models.js";
import { compareRevisions, newRevision, nextGeneration, shortOf } from "./revision.js";

/**
 * Return a new revision on top of both sides.
 *
 * Its generation is above both, its ancestors are both sides and theirs, its `prev` is `theirs`.
 *
 * @param {Update} ours
 * @param {Update} theirs
 * @param {{data: import("./models.js").RecordData | null, nonce: string, origin: string,
 *   stamp: number, ancestorsMax?: number}} more `data`: the record that is to stand; null to
 *   delete it.
 */
export function rebase(ours, theirs, { data, nonce, origin, stamp, ancestorsMax = ANCESTORS_MAX }) {
  const ancestors = joinAncestors(
    [theirs.ancestors, [shortOf(theirs.rev)], ours.ancestors, [shortOf(ours.rev)]],
    ancestorsMax,
  );
  const generation = nextGeneration([ours.rev, theirs.rev], ancestors);
  return new Update({
    model: ours.model,
    recordId: ours.recordId,
    rev: newRevision(generation, nonce, { deleted: data === null }),
    prev: theirs.rev,
    ancestors,
    origin,
    group: ours.group,
    stamp,
    data,
  });
}

/**
 * Return what stands when both hold equal data: the greater revision, ancestors of both.
 *
 * @param {Update} ours
 * @param {Update} theirs
 * @param {number} [ancestorsMax]
 */
export function keepGreater(ours, theirs, ancestorsMax = ANCESTORS_MAX) {
  const isOurs = compareRevisions(ours.rev, theirs.rev) > 0;
  const [kept, lesser] = isOurs ? [ours, theirs] : [theirs, ours];
  const ancestors = joinAncestors(
    [lesser.ancestors, kept.ancestors, [shortOf(lesser.rev)]],
    ancestorsMax,
  );
  return replaced(kept, { ancestors });
}

/**
 * Return theirs as it is, with ours and its ancestors added: what a listening replica keeps.
 *
 * Also when theirs was made over ours: ours may have joined ancestors since its maker saw it.
 *
 * @param {Update} theirs
 * @param {Update} ours
 * @param {number} [ancestorsMax]
 */
export function adopt(theirs, ours, ancestorsMax = ANCESTORS_MAX) {
  const ancestors = joinAncestors(
    [ours.ancestors, [shortOf(ours.rev)], theirs.ancestors],
    ancestorsMax,
  );
  const before = new Set(theirs.ancestors);
  const isSame = before.size === ancestors.length && ancestors.every((one) => before.has(one));
  return isSame ? theirs : replaced(theirs, { ancestors });
}

/**
 * Return the record as its upstream holds it, after the upstream refused the local revision.
 *
 * The refused revision stays among the ancestors.
 *
 * @param {import("./models.js").Entry} entry
 * @param {import("./models.js").Pending} pending
 * @param {number} [ancestorsMax]
 * @returns {Update | null} null when the upstream holds nothing: a refused create.
 */
export function restoreBase(entry, pending, ancestorsMax = ANCESTORS_MAX) {
  const { baseRev } = pending;
  if (baseRev === null) return null;
  const refused = entry.update;
  const ancestors = refused.ancestors.filter((one) => one !== shortOf(baseRev));
  return replaced(refused, {
    rev: baseRev,
    prev: null,
    ancestors: joinAncestors([ancestors, [shortOf(refused.rev)]], ancestorsMax),
    group: null,
    data: pending.baseData,
  });
}
