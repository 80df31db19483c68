/**
 * What all pages share: elements, the link's badge, the token that a daemon may ask for.
 *
 * @module
 */

const TOKEN = "syncline.token";
/** How long the daemon may be away before a page says so. */
const STALE_MS = 2000;
/** This page's daemon: what lies above the page, which may be below a path. */
export const DAEMON = new URL(".", location.href).href.replace(/\/$/, "");
/** The path of the daemon's own state, which is read only. */
const STATE = "/state";

/** Make an element: `el("p", {class: "soft", onclick}, "text", child)`. */
export function el(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Show a value on one line. */
export function brief(value, max = 80) {
  if (value === undefined) return "–";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

const FORMAT = new Intl.NumberFormat();
export const number = (value) => FORMAT.format(value);

/** Say how long it is since a moment. */
export function age(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** Say how long ago a moment was. */
export const ago = (ms) => `${age(ms)} ago`;

/** Show a replica's status in a badge, for as long as it lives. */
export function badge(place, replica, name = "") {
  const show = (status) => {
    place.dataset.state = status.state;
    const late = status.behindS ? `, ${Math.round(status.behindS)} s behind` : "";
    place.textContent = [name, status.state.replace("_", " ") + late].filter(Boolean).join(": ");
    place.title = [status.reason, status.notice].filter(Boolean).join("\n");
  };
  show(replica.status);
  return replica.onStatus(show);
}

/** Say why there is no replica to make a page with. */
export async function requireReplica() {
  if (globalThis.syncline) return true;
  const answer = await fetch(`${DAEMON}/syncline.js`).catch(() => null);
  tell(answer ? await answer.text() : "The daemon does not answer.");
  return false;
}

/** Show a notice at the top of the page. */
export function tell(text) {
  const main = document.querySelector("main");
  main.prepend(el("p", { class: "notice", role: "alert" }, text));
}

/** Follow models of this page's daemon; ask for a token when it wants one. */
export async function follow(path, models, options = {}) {
  const replica = await globalThis.syncline.connect(DAEMON + path, {
    store: "memory:",
    models,
    token: () => sessionStorage.getItem(TOKEN),
    // A daemon that starts has a new state, and wants nothing of the old one.
    offersBack: path === STATE ? false : null,
    ...options,
  });
  replica.onStatus((status) => {
    if (status.state === "auth_required") askForToken();
    else if (status.state === "blocked") tellOnce(`${path || "/"}: ${status.reason}`);
  });
  sayWhenStale(replica);
  return replica;
}

/** Whether a page says already that what it shows is old: several replicas may follow one daemon. */
let isStale = false;

/** While the daemon is away, say so over what is shown, why, and since when it is as it is. */
function sayWhenStale(replica) {
  let since = null;
  let timer;
  const show = (status) => {
    const isAway = status.state === "offline" || status.state === "connecting";
    if (!isAway || status.reason === "paused") {
      clearTimeout(timer);
      if (since !== null && isStale) showStale("");
      since = null;
      return;
    }
    if (since !== null) return;
    since = new Date();
    timer = setTimeout(() => {
      showStale(`${whyAway(replica.status)} What you see is from ${since.toLocaleTimeString()}; it moves on by itself when the daemon is back.`);
    }, STALE_MS);
  };
  show(replica.status);
  replica.onStatus(show);
}

/** Say in a sentence, or two, why there is no connection, and what to do. */
function whyAway({ reason, hint }) {
  const known = {
    origin_refused: "The daemon does not let in pages of this origin.",
    websocket_refused: "The daemon answers, but no WebSocket comes through to it.",
    gateway_refused: "What stands before the daemon refuses.",
    no_daemon: "What answers here is no syncline daemon.",
  }[reason];
  return known ? `${known} To do: ${hint}.` : "The daemon does not answer.";
}

function showStale(text) {
  isStale = text !== "";
  const place = byId("stale") ?? el("p", { class: "stale", id: "stale", role: "alert" });
  if (!place.isConnected) document.querySelector("main").before(place);
  place.textContent = text;
  place.hidden = !isStale;
  if (isStale) document.body.dataset.stale = "";
  else delete document.body.dataset.stale;
  // What only the daemon can do is not offered while it is away.
  for (const part of document.querySelectorAll("[data-needs-daemon]")) part.inert = isStale;
}

/** Ask this page's daemon without a replica; ask for a token when it wants one. */
export async function openRemote() {
  try {
    return await globalThis.syncline.connectRemote(DAEMON, { token: sessionStorage.getItem(TOKEN) });
  } catch (error) {
    if (error.code === "unauthenticated") askForToken();
    throw error;
  }
}

const told = new Set();
export function tellOnce(text) {
  if (!told.has(text)) tell(text);
  told.add(text);
}

/** Show an error at the top of the page; what the token's dialog asks already is not said twice. */
export function complain(error) {
  if (error.code !== "unauthenticated") tellOnce(error.message);
}

function askForToken() {
  if (document.querySelector("dialog.token")) return;
  const isRefused = sessionStorage.getItem(TOKEN) !== null;
  const reason = isRefused ? "It does not know the one that was given." : "It is kept in this tab until the tab is closed.";
  const input = el("input", { type: "password", class: "grow", autocomplete: "off", "aria-label": "token" });
  const dialog = el(
    "dialog",
    { class: "token" },
    el("h2", {}, "This daemon asks for a token"),
    el("p", { class: isRefused ? "bad" : "soft" }, reason),
    el(
      "form",
      {
        method: "dialog",
        onsubmit: () => {
          sessionStorage.setItem(TOKEN, input.value);
          location.reload();
        },
      },
      el("div", { class: "row" }, input, el("button", { class: "main" }, "Go on")),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * Show rows, or cards, by their `data-key`: one that was there stays where it is with new cells, so
 * that it keeps the focus, and a click that has begun.
 */
export function showRows(place, rows) {
  const here = new Map([...place.children].map((row) => [row.dataset.key, row]));
  const wanted = rows.map((row) => {
    const old = here.get(row.dataset.key);
    if (old === undefined) return row;
    if (old.innerHTML !== row.innerHTML) old.replaceChildren(...row.childNodes);
    return old;
  });
  const kept = new Set(wanted);
  for (const row of [...place.children]) if (!kept.has(row)) row.remove();
  wanted.forEach((row, index) => {
    if (place.children[index] !== row) place.insertBefore(row, place.children[index] ?? null);
  });
}

/** Call `draw` after changes, once a frame at most and never twice at once; return what asks for it. */
export function onChange(replica, models, draw) {
  let isDue = false;
  let drawing = Promise.resolve();
  const look = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      drawing = drawing.then(() => {
        isDue = false;
        return draw();
      }).catch(complain);
    });
  };
  for (const model of models) {
    (async () => {
      for await (const _ of replica.model(model).watch()) look();
    })();
  }
  look();
  return look;
}
