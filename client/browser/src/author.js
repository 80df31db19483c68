/**
 * Who writes here: the replica's id, its nonces and its clock.
 *
 * @module
 */

import { nextStamp, observe } from "./clock.js";
import { ANCESTORS_MAX } from "./models.js";

/** The maker of this replica's revisions. */
export class Author {
  /**
   * @param {{replicaId: string, newNonce: () => string, nowMs: () => number, follows: boolean,
   *   ancestorsMax?: number}} options `newNonce`: gives 64 random bits in hex; `nowMs`: the wall
   *   clock, milliseconds since 1970; `follows`: it has an upstream, so its writes are pending
   *   until acknowledged.
   */
  constructor({ replicaId, newNonce, nowMs, follows, ancestorsMax = ANCESTORS_MAX }) {
    this.replicaId = replicaId;
    this.newNonce = newNonce;
    this.nowMs = nowMs;
    this.follows = follows;
    this.ancestorsMax = ancestorsMax;
    this._clock = 0;
  }

  /** Return a stamp later than all that were made or seen here. */
  stamp() {
    this._clock = nextStamp(this._clock, this.nowMs());
    return this._clock;
  }

  /**
   * Take note of a peer's stamp.
   *
   * @param {number} stamp
   */
  observe(stamp) {
    this._clock = observe(this._clock, stamp, this.nowMs());
  }
}
