/**
 * What came of taking an upstream's word, for whoever tells of it after the commit.
 *
 * @module
 */

/** @typedef {import("./models.js").Conflict} Conflict */
/** @typedef {import("./models.js").Update} Update */

/** What came of taking updates. */
export class Outcome {
  constructor() {
    /** @type {Update[]} The records that changed, as they are now. */
    this.visible = [];
    /** @type {Conflict[]} Those that were opened or moved on, and wait. */
    this.conflicts = [];
    /** @type {[Update, string][]} Own writes that the upstream refused, with the reason. */
    this.refusals = [];
    /** @type {[Update, string][]} Own writes that the upstream can't take now; they are kept. */
    this.parked = [];
    /** Something became ready to be pushed. */
    this.mustPush = false;
    /**
     * What was left out of live updates is not held here, so nothing was done: the list is to be
     * read.
     */
    this.lacksAnchor = false;
    /** At a reset, how many records that the upstream did not list were offered to it again. */
    this.offered = 0;
    /** At a reset, how many were let go. */
    this.dropped = 0;
    /** @type {Map<string, number>} How many records went, by model. */
    this.deleted = new Map();
  }

  /**
   * Count a record that went.
   *
   * @param {string} model
   */
  noteDeleted(model) {
    this.deleted.set(model, (this.deleted.get(model) ?? 0) + 1);
  }
}
