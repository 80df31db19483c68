/**
 * Hybrid logical clock: stamps that order writes for last-write-wins, and for nothing else.
 *
 * A stamp is one integer, `milliseconds since 1970 * 2048 + counter`, below 2^53 until the year
 * 2109.
 * Source: Kulkarni et al., "Logical Physical Clocks", 2014.
 * Now is passed in; correctness never depends on it.
 *
 * @module
 */

export const COUNTER_MAX = 2048;
export const MAX_SKEW_MS = 60_000;

/**
 * Return a stamp later than `last` and not earlier than now.
 *
 * @param {number} last
 * @param {number} nowMs
 */
export function nextStamp(last, nowMs) {
  return Math.max(last + 1, nowMs * COUNTER_MAX);
}

/**
 * Return the clock after seeing a peer's stamp; one beyond `MAX_SKEW_MS` ahead is ignored.
 *
 * @param {number} last
 * @param {number} seen
 * @param {number} nowMs
 */
export function observe(last, seen, nowMs) {
  return seen > (nowMs + MAX_SKEW_MS) * COUNTER_MAX ? last : Math.max(last, seen);
}

/**
 * Return the stamp, or now when it claims a future beyond `MAX_SKEW_MS`.
 *
 * @param {number} stamp
 * @param {number} nowMs
 */
export function bounded(stamp, nowMs) {
  return stamp <= (nowMs + MAX_SKEW_MS) * COUNTER_MAX ? stamp : nowMs * COUNTER_MAX;
}
