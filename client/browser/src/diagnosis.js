/**
 * Why a connection could not be made: named, with what to do.
 *
 * A browser does not tell a page why a WebSocket was refused. What answers at the daemon's address
 * over plain HTTP tells a daemon that is not there from one that does not let the page in, and that
 * from a proxy that passes on no WebSocket.
 *
 * @module
 */

import { doorOf } from "./address.js";
import { GatewayRefused, NoDaemon, OriginRefused, Unreachable, WebSocketRefused } from "./errors.js";

const PROBE_TIMEOUT_MS = 5000;
const START = "start one with `syncline serve`, or mend the address";

/** @typedef {import("./errors.js").LinkError} LinkError */

/**
 * Return what kept a connection from being made, as an error to be thrown.
 *
 * @param {import("./address.js").Address} address
 * @returns {Promise<LinkError>}
 */
export async function diagnose(address) {
  const where = doorOf(address, "");
  /** @type {Response} */
  let response;
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    response = await fetch(doorOf(address, "version"), { cache: "no-store", signal });
  } catch {
    return new Unreachable(`no syncline daemon answers at ${where}`, { hint: silenceOf(address) });
  }
  const told = await response.json().catch(() => null);
  if (told !== null && typeof told === "object" && "protocol" in told) {
    if (told.origin_allowed === false) {
      return new OriginRefused(
        `the daemon at ${where} refuses pages of the origin ${told.origin}`,
        { hint: `start it with --origin ${told.origin}` },
      );
    }
    return new WebSocketRefused(
      `the daemon at ${where} answers, but a WebSocket is refused`,
      {
        hint:
          "a proxy between must pass on WebSockets: for nginx, proxy_http_version 1.1, " +
          "proxy_set_header Upgrade $http_upgrade and Connection upgrade",
      },
    );
  }
  const { status } = response;
  if (response.redirected || status === 401 || status === 403) {
    return new GatewayRefused(`what stands before the daemon at ${where} refuses with ${status}`, {
      hint: "a token is only for the daemon: log in there first",
    });
  }
  if (status >= 502 && status <= 504) {
    const why = `a proxy answers at ${where}, but reaches no daemon: ${status}`;
    return new Unreachable(why, { hint: START });
  }
  return new NoDaemon(`what answers at ${where} is no syncline daemon: ${status}`, {
    hint: "is there a path missing, or one too many, in the address?",
  });
}

/**
 * Return what to do where nothing answers, or nothing that the browser lets a page see.
 *
 * @param {import("./address.js").Address} address
 */
function silenceOf(address) {
  const isSecure = globalThis.location?.protocol === "https:";
  const isSecureDaemon = address.origin.startsWith("https:");
  if (isSecure && !isSecureDaemon) {
    return "a page that came by https reaches a daemon by https only";
  }
  if (isSecureDaemon && globalThis.document !== undefined) {
    return `${START}; open ${doorOf(address, "version")} in a tab: it says what is wrong with the certificate, if that is it`;
  }
  return START;
}
