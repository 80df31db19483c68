/**
 * The inbox: what waits to be settled at this daemon and at its replicas, settled by a person.
 *
 * @module
 */

import "./conflictElement.js";
import { settle } from "./settling.js";
import { ago, badge, byId, el, follow, onChange, requireReplica, showRows } from "./shell.js";

const AGO_EVERY_MS = 30_000;

/** What was settled here, and is yet to be told so by the daemon. */
const done = new Set();
let redraw = () => {};

if (await requireReplica()) {
  const state = await follow("/state", ["conflicts", "replicas"]);
  badge(byId("status"), state);
  redraw = onChange(state, ["conflicts", "replicas"], () => draw(state));
  byId("settled").onchange = redraw;
  for (const [id, whole] of [["all-choices", null], ["all-ours", "ours"], ["all-theirs", "theirs"]]) {
    byId(id).onclick = () => settleAll(whole);
  }
  byId("list").addEventListener("change", ({ target }) => target.name === "chosen" && showChosen());
  setInterval(showAgo, AGO_EVERY_MS);
}

async function draw(state) {
  const [all, replicas] = await Promise.all([state.model("conflicts").find(), state.model("replicas").find()]);
  const here = new Set(replicas.map(({ id }) => id));
  const waits = (conflict) => conflict.is_waiting && !done.has(placeOf(conflict));
  const waiting = all.filter(waits);
  const shown = byId("settled").checked ? all : waiting;
  byId("count").textContent = waiting.length === 1 ? "1 conflict waits" : `${waiting.length} conflicts wait`;
  document.title = waiting.length ? `(${waiting.length}) syncline conflicts` : "syncline conflicts";
  const known = new Map([...byId("list").children].map((card) => [card.dataset.key, card]));
  const cards = shown
    .sort((one, other) => Number(waits(other)) - Number(waits(one)) || other.opened_ms - one.opened_ms)
    .map((conflict) => known.get(keyOf(conflict, waits(conflict))) ?? cardOf(conflict, waits(conflict)));
  for (const card of cards) showHolder(card, here);
  const nothing = el("p", { class: "card soft", "data-key": "" }, "Nothing waits: every edit found its place.");
  keepFocus(() => showRows(byId("list"), cards.length ? cards : [nothing]));
  showChosen();
}

/** A conflict's place in the log, and what it is shown upon: it is another once that has moved on. */
const placeOf = (conflict) => `${conflict.id} ${conflict.ours_rev}`;
const keyOf = (conflict, isWaiting) => `${placeOf(conflict)} ${conflict.is_base_known} ${isWaiting}`;

// ---- one conflict -----------------------------------------------------------------------------

function cardOf(conflict, isWaiting) {
  const { model, record_id: recordId, base, ours, theirs, is_base_known: isBaseKnown } = conflict;
  const element = el("syncline-conflict", { "data-key": keyOf(conflict, isWaiting), "data-holder": conflict.holder });
  element.conflict = {
    ...{ model, recordId, base, ours, theirs, isBaseKnown },
    isSettled: !isWaiting,
    note: el("span", {}, isWaiting ? "met " : `${howItEnded(conflict)}, `, timeOf(isWaiting ? conflict.opened_ms : conflict.settled_ms)),
    who: {
      ours: el("span", {}, "stands at this daemon", madeBy(conflict.ours_origin, conflict.ours_ms)),
      theirs: el("span", {}, conflict.holder ? el("span", { class: "holder" }) : "was pushed here", madeBy(conflict.holder === conflict.theirs_origin ? "" : conflict.theirs_origin, conflict.theirs_ms)),
    },
  };
  if (isWaiting) {
    const label = `choose ${model} ${recordId}`;
    element.querySelector("header").prepend(el("input", { type: "checkbox", name: "chosen", "aria-label": label, title: "choose it for the buttons above" }));
  }
  element.addEventListener("resolve", ({ detail }) => void resolve(element, conflict, detail.data));
  return element;
}

async function resolve(element, conflict, data) {
  element.isBusy = true;
  try {
    await settle(conflict, data);
    done.add(placeOf(conflict));
  } catch (error) {
    element.fail(error.message);
  }
  redraw();
}

const howItEnded = ({ resolution, reason }) => (resolution === "refused" ? `refused: ${reason}` : "settled");
const short = (id) => (id.length > 12 ? `${id.slice(0, 8)}…` : id);

function madeBy(origin, ms) {
  const by = origin ? el("span", { title: origin }, `, by ${origin === "inbox" ? "this inbox" : `replica ${short(origin)}`}`) : "";
  return el("span", {}, by, ms ? ", " : "", ms ? timeOf(ms) : "");
}

function timeOf(ms) {
  const at = new Date(ms);
  return el("time", { datetime: at.toISOString(), title: at.toLocaleString(), "data-ms": ms }, ago(ms));
}

function showAgo() {
  for (const time of document.querySelectorAll("time[data-ms]")) time.textContent = ago(Number(time.dataset.ms));
}

/** Say where it waits, and whether that replica is here to hear of a resolution at once. */
function showHolder(card, here) {
  const place = card.querySelector?.(".holder");
  if (!place) return;
  const { holder } = card.dataset;
  const text = `waits at replica ${short(holder)} (${here.has(holder) ? "connected" : "away"})`;
  if (place.textContent !== text) place.textContent = text;
  place.title = holder;
}

// ---- many -------------------------------------------------------------------------------------

const waitingCards = () => [...byId("list").querySelectorAll("syncline-conflict")].filter((card) => !card.conflict.isSettled);

function chosenCards() {
  const cards = waitingCards();
  const chosen = cards.filter((card) => card.querySelector("[name=chosen]").checked);
  return chosen.length ? chosen : cards;
}

function showChosen() {
  const [count, all] = [chosenCards().length, waitingCards().length];
  const which = count < all ? `${count} chosen` : "All";
  byId("all-choices").textContent = `${which}: keep the choices`;
  byId("all-ours").textContent = `${which}: keep ours`;
  byId("all-theirs").textContent = `${which}: keep theirs`;
  byId("many").hidden = all < 2;
}

function settleAll(whole) {
  for (const card of chosenCards()) card.settle(whole);
}

/** Redraw; where the card with the focus goes, the next one has it, for who works by keyboard. */
function keepFocus(change) {
  const cards = [...byId("list").children];
  const at = cards.findIndex((card) => card.contains(document.activeElement));
  change();
  if (at < 0 || cards[at].isConnected) return;
  const next = byId("list").children[Math.min(at, byId("list").children.length - 1)];
  if (next.conflict) next.focus();
  else byId("count").focus();
}
