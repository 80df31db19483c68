/**
 * Epochs: whether a cursor still lies on the history that this list has.
 *
 * Every writable start of a replica that listens opens an epoch.
 * A database that was restored, replaced or wiped does not know the later epochs of its former
 * self, and that is how a cursor of theirs is recognised.
 *
 * @module
 */

export const EPOCHS_MAX = 4096;

/** @typedef {{name: string, firstSeq: number}} Epoch an epoch and the head when it was opened */
/**
 * @typedef {object} Standing what a list says of a peer's cursor
 * @property {boolean} isGood the peer may go on from it
 * @property {number} shared when not good, the seq up to which the peer's history is this list's
 * @property {string} reason why not: `"source"`, `"epoch"`, `"ahead"` or `"horizon"`
 */

/** The epochs of one list, oldest first. */
export class Lineage {
  /**
   * @param {string} source
   * @param {readonly Epoch[]} epochs
   */
  constructor(source, epochs) {
    this.source = source;
    this.epochs = epochs;
  }

  /**
   * Return the lineage with a new epoch that starts after `head`.
   *
   * @param {string} name
   * @param {number} head
   */
  opened(name, head) {
    return new Lineage(this.source, [...this.epochs, { name, firstSeq: head }].slice(-EPOCHS_MAX));
  }

  /** The epoch that is open now. */
  get current() {
    return this.epochs.at(-1)?.name ?? "";
  }

  /**
   * Judge a peer's cursor.
   *
   * It is good while its epoch is on the lineage and neither the cursor nor any base of the peer
   * lies beyond that epoch's end, and the tombstones since then are still here.
   *
   * @param {{source: string, epoch: string, seq: number, reach: number, head: number,
   *   horizon: number}} cursor `source`: empty for a first contact; `reach`: the greatest seq that
   *   the peer knows of this list.
   * @returns {Standing}
   */
  judge({ source, epoch, seq, reach, head, horizon }) {
    if (!source) return standing(true);
    if (source !== this.source) return standing(false, 0, "source");
    const index = this.epochs.findIndex((known) => known.name === epoch);
    if (index < 0) return standing(false, 0, "epoch");
    const end = this.epochs[index + 1]?.firstSeq ?? head;
    if (Math.max(seq, reach) > end) return standing(false, end, "ahead");
    if (seq > 0 && seq < horizon) return standing(false, end, "horizon");
    return standing(true);
  }
}

/**
 * @param {boolean} isGood
 * @returns {Standing}
 */
function standing(isGood, shared = 0, reason = "") {
  return { isGood, shared, reason };
}
