/**
 * Revisions: names for the states of a record.
 *
 * A revision is `"<generation>-<nonce>"`, and `"<generation>-<nonce>-deleted"` for the state of
 * being deleted.
 * The nonce is 64 random bits in hex, passed in, so that a run is reproducible.
 *
 * @module
 */

/** @typedef {string} Revision */

export const NONCE_DIGITS = 16;
const DELETED = "-deleted";
const FORM = new RegExp(`^[1-9][0-9]{0,9}-[0-9a-f]{${NONCE_DIGITS}}(?:${DELETED})?$`);

/**
 * Return the revision of that generation and nonce.
 *
 * @param {number} generation
 * @param {string} nonce
 * @param {{deleted?: boolean}} [more]
 * @returns {Revision}
 */
export function newRevision(generation, nonce, { deleted = false } = {}) {
  return deleted ? `${generation}-${nonce}${DELETED}` : `${generation}-${nonce}`;
}

/**
 * Return the generation: one more than the greatest that its maker knew of the record.
 *
 * @param {string} rev
 */
export function generationOf(rev) {
  return Number.parseInt(rev, 10);
}

/**
 * Return the short form in which ancestors are kept: generation and nonce.
 *
 * The generation stays, because a refused revision lives on as an ancestor of a lower one, and
 * the next edit must rise above it.
 *
 * @param {string} rev
 */
export function shortOf(rev) {
  return isDeletion(rev) ? rev.slice(0, -DELETED.length) : rev;
}

/**
 * Return the nonce.
 *
 * @param {string} rev
 */
export function nonceOf(rev) {
  const short = shortOf(rev);
  return short.slice(short.indexOf("-") + 1);
}

/**
 * Return one more than the greatest generation among revisions and ancestors.
 *
 * @param {(string | null | undefined)[]} revs
 * @param {readonly string[]} [ancestors]
 */
export function nextGeneration(revs, ancestors = []) {
  let greatest = 0;
  for (const rev of revs) if (rev != null) greatest = Math.max(greatest, generationOf(rev));
  for (const short of ancestors) greatest = Math.max(greatest, generationOf(short));
  return 1 + greatest;
}

/**
 * Tell whether this is the revision of a deleted record.
 *
 * @param {string} rev
 */
export function isDeletion(rev) {
  return rev.endsWith(DELETED);
}

/**
 * Compare as equal data are ordered: the greater (generation, nonce) is kept.
 *
 * @param {string} one
 * @param {string} other
 * @returns {number} below, at or above 0, as `Array.sort` takes it.
 */
export function compareRevisions(one, other) {
  const byGeneration = generationOf(one) - generationOf(other);
  if (byGeneration) return byGeneration;
  const [a, b] = [nonceOf(one), nonceOf(other)];
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * Tell whether a peer's text is a well-formed revision.
 *
 * @param {unknown} text
 */
export function isRevision(text) {
  return typeof text === "string" && FORM.test(text);
}
