/**
 * What a Node service has beside the rest: a journal in a file, and LoopBack's digest of a record.
 *
 * @module
 */

export { digestOf } from "./recordDigest.js";
export { FileJournal, fileJournal } from "./store/file.js";
