/**
 * SHA-1 of bytes, at once: the browser's own answers later, and only on a page that is secure.
 *
 * LoopBack names a record's state by it; nothing here relies on it to be safe.
 *
 * @module
 */

const BLOCK_BYTES = 64;
const LENGTH_BYTES = 8;
const schedule = new Int32Array(80);

/**
 * Return the SHA-1 in lower-case hex (RFC 3174).
 *
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function sha1(bytes) {
  const size = bytes.length;
  const padded = new Uint8Array(
    Math.ceil((size + 1 + LENGTH_BYTES) / BLOCK_BYTES) * BLOCK_BYTES,
  );
  padded.set(bytes);
  padded[size] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, size / 2 ** 29);
  view.setUint32(padded.length - 4, size << 3);
  const state = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) addBlock(state, view, at);
  return [...state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/**
 * @param {Int32Array} state five words, which are changed
 * @param {DataView} view
 * @param {number} at where the block begins
 */
function addBlock(state, view, at) {
  const w = schedule;
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 80; i++) w[i] = turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  let [a, b, c, d, e] = state;
  for (let i = 0; i < 80; i++) {
    let mixed = (b ^ c ^ d) + (i < 60 ? 0x6ed9eba1 : 0xca62c1d6);
    if (i < 20) mixed = ((b & c) | (~b & d)) + 0x5a827999;
    else if (i >= 40 && i < 60) mixed = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    const next = (turned(a, 5) + mixed + e + w[i]) | 0;
    // One by one: a swap of all in one assignment makes an array, a million times.
    e = d;
    d = c;
    c = turned(b, 30);
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

/**
 * @param {number} word
 * @param {number} by bits
 */
function turned(word, by) {
  return (word << by) | (word >>> (32 - by));
}
