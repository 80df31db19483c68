/**
 * Settle a conflict of the inbox: a revision upon what stands, with both sides among its ancestors.
 *
 * Whoever holds the losing side takes it without asking again, and closes the conflict there.
 *
 * @module
 */

import { openRemote } from "./shell.js";

const MOVED_ON = "what stands has changed meanwhile; look at it again";
const STAMPS_A_MS = 2048;

/** One after the other, however many are settled at once: each asks the daemon on its own. */
let last = Promise.resolve();

/**
 * Settle one; the promise is kept once the daemon has the resolution.
 *
 * @param {Record<string, any>} conflict as the daemon's state tells it.
 * @param {object | null} data the record that is to stand; null deletes it.
 */
export function settle(conflict, data) {
  const settled = last.then(() => push(conflict, data));
  last = settled.catch(() => {});
  return settled;
}

async function push(conflict, data) {
  const remote = await openRemote();
  try {
    const model = remote.model(conflict.model);
    const now = await model.getChange(conflict.record_id);
    // A push upon what is no longer there would only be one more conflict.
    if ((now?.rev ?? null) !== conflict.ours_rev) throw new Error(MOVED_ON);
    const { results } = await model.bulkUpdate([resolutionOf(conflict, data)]);
    const [{ answer, reason }] = results;
    if (answer !== "applied") throw new Error(answer === "conflict" ? MOVED_ON : `${answer}: ${reason}`);
  } finally {
    await remote.close();
  }
}

function resolutionOf(conflict, data) {
  const { Update, newRevision, rebase } = globalThis.syncline;
  const { model, record_id: recordId, ours_rev: rev, theirs_rev: theirsRev } = conflict;
  const nonce = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const more = { data, nonce, origin: "inbox", stamp: Date.now() * STAMPS_A_MS };
  const theirs = new Update({ model, recordId, rev: theirsRev, ancestors: conflict.theirs_ancestors });
  if (rev !== null) return rebase(theirs, new Update({ model, recordId, rev, ancestors: conflict.ours_ancestors }), more);
  // Nothing is held here, so there is nothing to build upon but their side.
  const alone = rebase(theirs, theirs, more);
  return new Update({ ...alone, prev: null });
}
