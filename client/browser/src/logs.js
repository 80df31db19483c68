/**
 * What the library says of itself: events with constant names, and fields.
 *
 * Nothing is written anywhere unless the program asks for it with `setLogger`.
 *
 * @module
 */

/**
 * @callback LogSink
 * @param {"debug" | "info" | "warning" | "error"} level
 * @param {string} event such as `link.connected`
 * @param {Record<string, unknown>} fields never a record's data, never a token
 * @returns {void}
 */

/** @type {LogSink} */
let sink = toConsole;

/**
 * Send all events to a function of the program's own; warnings and errors go to the console
 * without one.
 *
 * @param {LogSink | null} logger null for the console again.
 */
export function setLogger(logger) {
  sink = logger ?? toConsole;
}

/** @type {LogSink} */
export function log(level, event, fields) {
  sink(level, event, fields);
}

/** @type {LogSink} */
function toConsole(level, event, fields) {
  if (level === "error") console.error(`syncline: ${event}`, fields);
  else if (level === "warning") console.warn(`syncline: ${event}`, fields);
}
