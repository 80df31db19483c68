/**
 * A daemon's address, taken apart.
 *
 * `https://host/sync` is a daemon that lies below a path, as behind a proxy;
 * `https://host/sync/state` is another data source of that daemon, its own state, which is a
 * Socket.IO namespace.
 *
 * @module
 */

import { ConfigError } from "./errors.js";

const EXAMPLE = "http://127.0.0.1:8765";
const IN_A_PAGE = "or location.origin in a page that the daemon serves";
/** A host and a port, without a scheme. */
const BARE = /^[\w.-]+:\d{1,5}(\/|$)/;
/** The data sources that a daemon serves beside the application's. */
const NAMESPACES = ["/state"];

/**
 * @typedef {object} Address
 * @property {string} origin `http://host:port`
 * @property {string} base the path that the daemon lies below, as `/sync`; empty for none
 * @property {string} namespace of Socket.IO: `/`, or that of another data source
 */

/**
 * Take a daemon's address apart.
 *
 * @param {string} url
 * @returns {Address}
 * @throws {ConfigError} it is none.
 */
export function readAddress(url) {
  const scheme = typeof url === "string" ? /^(https?|wss?):\/\/[^/?#\s]/.exec(url)?.[1] : undefined;
  if (scheme === undefined || /\s/.test(url) || !URL.canParse(url)) {
    const meant = typeof url === "string" && BARE.test(url) ? `http://${url}` : EXAMPLE;
    throw new ConfigError(`'${String(url)}' is no daemon's address`, {
      hint: `${meant}, ${IN_A_PAGE}`,
    });
  }
  const { host, hostname, pathname, username, password, search, hash } = new URL(url);
  if (username || password) {
    throw new ConfigError(`the address of ${hostname} holds a password`, {
      hint: "a daemon asks for a token",
    });
  }
  if (search || hash) {
    throw new ConfigError(`'${url}' has more than a path behind the host`, { hint: EXAMPLE });
  }
  let base = trimmed(pathname);
  let namespace = "/";
  const known = NAMESPACES.find((name) => base.endsWith(name));
  if (known !== undefined) {
    base = trimmed(base.slice(0, -known.length));
    namespace = known;
  }
  const http = scheme.replace("ws", "http");
  return Object.freeze({ origin: `${http}://${host}`, base, namespace });
}

/**
 * Return the address of one of the daemon's HTTP doors, as `version`.
 *
 * @param {Address} address
 * @param {string} name
 */
export function doorOf({ origin, base }, name) {
  return `${origin}${base}/${name}`;
}

/** @param {string} path */
function trimmed(path) {
  return path.replace(/\/+$/, "");
}
