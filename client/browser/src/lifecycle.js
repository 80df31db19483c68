/**
 * The life of a page: put away and shown again, frozen and resumed, offline and online.
 *
 * An open connection, a lock and an open database keep a page out of the back/forward cache, and
 * a frozen page must not hold the link, so all three are let go of and taken again.
 * A page that is frozen runs nothing after its event, not even to the end of a transaction, which is
 * therefore taken back at once.
 *
 * @module
 */

import { log } from "./logs.js";
import { SharedLink } from "./sharedLink.js";

/**
 * Let a replica live with its page, until its link is closed; nothing to do outside of pages.
 *
 * @param {import("./replica.js").Replica} replica
 * @param {import("./link.js").Link | SharedLink} link
 */
export function keepWithPage(replica, link) {
  if (typeof document === "undefined" || typeof window === "undefined") return;
  const ears = new AbortController();
  const { signal } = ears;
  const suspend = () => attempt("page.suspended", () => suspendLink(replica, link));
  const restore = () => attempt("page.restored", () => restoreLink(link));
  const hurry = () => link.hurry();
  window.addEventListener("pagehide", suspend, { signal });
  window.addEventListener("pageshow", (event) => event.persisted && restore(), { signal });
  const { store } = replica.core.engine;
  const freeze = () => {
    store.freeze();
    suspend();
  };
  const thaw = () => {
    store.thaw();
    restore();
  };
  document.addEventListener("freeze", freeze, { signal });
  document.addEventListener("resume", thaw, { signal });
  window.addEventListener("online", hurry, { signal });
  document.addEventListener(
    "visibilitychange",
    () => document.visibilityState === "visible" && hurry(),
    { signal },
  );
  const close = link.close.bind(link);
  link.close = async () => {
    ears.abort();
    await close();
  };
}

/**
 * @param {import("./replica.js").Replica} replica
 * @param {import("./link.js").Link | SharedLink} link
 */
async function suspendLink(replica, link) {
  if (link instanceof SharedLink) await link.suspend();
  else {
    await link.pause();
    await replica.core.engine.store.suspend();
  }
}

/** @param {import("./link.js").Link | SharedLink} link */
async function restoreLink(link) {
  if (link instanceof SharedLink) await link.restore();
  else await link.resume();
}

/**
 * @param {string} event
 * @param {() => Promise<void>} work
 */
function attempt(event, work) {
  log("info", event, {});
  work().catch((error) => log("error", event, { reason: String(error) }));
}
