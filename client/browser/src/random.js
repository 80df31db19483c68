/**
 * Randomness: nonces, ids, and chance.
 *
 * @module
 */

/** Return 64 random bits in hex. */
export function newNonce() {
  return hexOf(crypto.getRandomValues(new Uint8Array(8)));
}

/**
 * Return a time-ordered id, a UUID of version 7 (RFC 9562, section 5.7).
 *
 * @returns {string}
 */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let millis = Date.now();
  for (let index = 5; index >= 0; index -= 1) {
    bytes[index] = millis % 256;
    millis = Math.floor(millis / 256);
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const text = hexOf(bytes);
  return text.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

/** @param {Uint8Array} bytes */
function hexOf(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
