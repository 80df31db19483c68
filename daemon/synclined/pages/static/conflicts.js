/**
 * The inbox: what collided at this daemon, settled by a person; the resolution replicates.
 *
 * A resolution is a revision upon what stands now, with both sides among its ancestors, so whoever
 * pushed the losing side takes it without asking again.
 *
 * @module
 */

import "./conflictElement.js";
import { ago, badge, byId, el, follow, onChange, openRemote, requireReplica, showRows, tell } from "./shell.js";

const done = new Set();
let redraw = () => {};
/** One after the other, however many are settled at once: each asks the daemon on its own. */
let settling = Promise.resolve();

if (await requireReplica()) {
  const state = await follow("/state", ["conflicts"]);
  badge(byId("status"), state);
  redraw = onChange(state, ["conflicts"], () => drawList(state));
  byId("settled").onchange = redraw;
  byId("all-ours").onclick = () => settleAll("ours");
  byId("all-theirs").onclick = () => settleAll("theirs");
}

async function drawList(state) {
  const all = await state.model("conflicts").find();
  const waiting = await stillWaiting(all);
  const isAll = byId("settled").checked;
  const shown = (isAll ? all : waiting).sort((one, other) => other.opened_ms - one.opened_ms);
  byId("count").textContent = waiting.length === 1 ? "1 conflict waits" : `${waiting.length} conflicts wait`;
  byId("all-ours").disabled = byId("all-theirs").disabled = waiting.length === 0;
  const known = new Map([...byId("list").children].map((card) => [card.dataset.key, card]));
  const cards = shown.map((conflict) => {
    const waits = waiting.includes(conflict);
    return known.get(keyOf(conflict, waits)) ?? cardOf(conflict, waits);
  });
  const nothing = el("p", { class: "soft", "data-key": "" }, "Nothing waits: every edit found its place.");
  showRows(byId("list"), cards.length ? cards : [nothing]);
}

/** Of what was pushed here and returned: that which is not settled by what stands now. */
async function stillWaiting(conflicts) {
  const remote = await openRemote();
  const waiting = [];
  for (const conflict of conflicts) {
    if (done.has(conflict.id) || conflict.resolution === "refused") continue;
    if (conflict.side === "ours" && conflict.resolution) continue;
    const now = await remote.model(conflict.model).getChange(conflict.record_id).catch(() => null);
    const short = conflict.theirs_rev.replace(/-deleted$/, "");
    const isSettled = now === null || now.rev === conflict.theirs_rev || now.ancestors.includes(short);
    if (!isSettled) waiting.push(conflict);
  }
  await remote.close();
  return waiting;
}

const howItEnded = ({ resolution, reason }) => (resolution === "refused" ? `refused: ${reason}` : "settled");
const keyOf = (conflict, waits) => `${conflict.id} ${waits}`;

function cardOf(conflict, waits) {
  const element = el("syncline-conflict", { class: "card fields", "data-key": keyOf(conflict, waits) });
  element.conflict = {
    model: conflict.model,
    recordId: conflict.record_id,
    base: conflict.base,
    ours: conflict.ours,
    theirs: conflict.theirs,
    isSettled: !waits,
    note: `${ago(conflict.opened_ms)}, from ${conflict.origin.slice(0, 8) || "somebody"}${waits ? "" : `, ${howItEnded(conflict)}`}`,
  };
  element.addEventListener("resolve", ({ detail }) => {
    settling = settling.then(() => settle(conflict, detail.data));
  });
  return element;
}

async function settle(conflict, data) {
  const { Update, newRevision } = globalThis.syncline;
  const remote = await openRemote();
  try {
    const now = await remote.model(conflict.model).getChange(conflict.record_id);
    const both = [...(now?.ancestors ?? []), now?.rev, ...conflict.theirs_ancestors, conflict.theirs_rev];
    const ancestors = [...new Set(both.filter(Boolean).map((rev) => rev.replace(/-deleted$/, "")))];
    const generation = 1 + Math.max(...ancestors.map((rev) => Number.parseInt(rev, 10)));
    const nonce = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const update = new Update({
      model: conflict.model,
      recordId: conflict.record_id,
      rev: newRevision(generation, nonce, { deleted: data === null }),
      prev: now?.rev ?? null,
      ancestors: ancestors.slice(-64),
      origin: "inbox",
      stamp: Date.now() * 2048,
      data,
    });
    const { results } = await remote.model(conflict.model).bulkUpdate([update]);
    if (results[0].answer !== "applied") throw new Error(`${results[0].answer} ${results[0].reason}`);
    done.add(conflict.id);
    redraw();
  } catch (error) {
    tell(`${conflict.model} ${conflict.record_id}: ${error.message}`);
  } finally {
    await remote.close();
  }
}

function settleAll(side) {
  for (const card of byId("list").querySelectorAll("syncline-conflict")) card.settle(side);
}
