/**
 * syncline: a replica in the browser, or in Node, that follows a syncline daemon.
 *
 * @module
 */

export { backoffDelay } from "./backoff.js";
export { Brake } from "./brake.js";
export { RulingKind, planBulkUpdate } from "./bulk.js";
export { STRATEGIES, settle } from "./conflicts.js";
export { connect, storeOf } from "./connecting.js";
export { diff } from "./diff.js";
export { canonicalJson, normalise } from "./digest.js";
export { Mode } from "./effects.js";
export { RemoteModel, RemoteReplica, connectRemote } from "./ends.js";
export * from "./errors.js";
export { matches, parseWhere } from "./filters.js";
export { Refuse } from "./hooks.js";
export { Link } from "./link.js";
export { setLogger } from "./logs.js";
export { merge } from "./merge.js";
export { Model } from "./model.js";
export {
  Answer, BulkResult, Change, ChangeKind, Conflict, Interval, Resolution, Update, Verdict,
} from "./models.js";
export { Watch } from "./observers.js";
export { parseOrder } from "./ordering.js";
export { PROTOCOL_VERSION } from "./protocol.js";
export { rebase } from "./rebase.js";
export { OpenConflict, Replica } from "./replica.js";
export { ReplicationConflict, replicate } from "./replicate.js";
export { newRevision } from "./revision.js";
export { Session } from "./session.js";
export { SessionState } from "./status.js";
export { IndexedDbJournal } from "./store/indexeddb.js";
export { LocalStorageJournal } from "./store/localStorage.js";
export { Store } from "./store/store.js";
export { offer, take } from "./verdicts.js";
