/**
 * What a durable store needs of the place that it is kept in: a journal.
 *
 * A journal is a list of texts, each of which says what one transaction changed, upon a base that
 * says the whole.
 * Several tabs may share one; its turns exclude each other, and every turn begins by reading what
 * the others have appended since.
 *
 * @module
 */

/**
 * @typedef {object} Foreign what others did since a version
 * @property {number} version where the journal stands
 * @property {boolean} isReset the texts say the whole, not what was changed
 * @property {boolean} isCleared there was a journal once, and it is gone
 * @property {string[]} texts in order
 */
/**
 * @typedef {{delta?: string, base?: string[]}} Written what a turn appends: what it changed, or
 *   the whole anew
 */
/**
 * @typedef {object} Journal
 * @property {string} kind what the status calls it
 * @property {boolean} isShared whether other tabs or processes can append
 * @property {string} name names it among the journals of its kind
 * @property {string} [place] where it is, for one that can be copied elsewhere
 * @property {() => Promise<void>} open
 * @property {(version: number, work: (foreign: Foreign) => Written | null) => Promise<number>} turn
 *   one exclusive turn: calls `work` once with what was appended since `version`, and resolves
 *   with the version once what it returned is kept; if `work` throws, nothing is.
 * @property {(suffix: string) => Journal} beside another journal of its kind, not opened
 * @property {() => void} [freeze] give back at once what other tabs wait for: the turn that runs is
 *   taken back, and run again after `thaw`
 * @property {() => void} [thaw]
 * @property {() => Promise<void>} close it opens again by itself at the next turn
 */

/** How many rows a text of the base says at most. */
export const BASE_ROWS = 1000;
/** The journal is written anew as a base when it has grown by so many characters, at least. */
export const COMPACT_CHARS_MIN = 1024 * 1024;

export {};
