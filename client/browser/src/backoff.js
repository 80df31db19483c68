/**
 * Reconnect delays: full jitter under a growing cap.
 *
 * Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 *
 * @module
 */

export const FIRST_S = 0.25;
export const CAP_S = 30;
export const EXPONENT_MAX = 32;

/**
 * Return how long to wait before the next attempt, in seconds.
 *
 * @param {number} attempt failed attempts so far, 1 or more.
 * @param {number} chance a random number in [0, 1), passed in.
 * @param {{firstS?: number, capS?: number}} [limits]
 */
export function backoffDelay(attempt, chance, { firstS = FIRST_S, capS = CAP_S } = {}) {
  return chance * Math.min(capS, firstS * 2 ** Math.min(attempt, EXPONENT_MAX));
}
