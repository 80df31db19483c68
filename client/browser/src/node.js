/**
 * What a Node service has beside the rest: a journal in a file.
 *
 * @module
 */

export { FileJournal, fileJournal } from "./store/file.js";
