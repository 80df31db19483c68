/**
 * The inbox: what collided at this daemon, settled by a person; the resolution replicates.
 *
 * A resolution is a revision upon what stands now, with both sides among its ancestors, so whoever
 * pushed the losing side takes it without asking again.
 *
 * @module
 */

import "./conflictElement.js";
import { ago, badge, byId, el, follow, onChange, requireReplica, tell } from "./shell.js";

const done = new Set();

if (await requireReplica()) {
  const state = await follow("/state", ["conflicts"]);
  badge(byId("status"), state);
  const draw = () => drawList(state);
  byId("settled").onchange = draw;
  byId("all-ours").onclick = () => settleAll("ours");
  byId("all-theirs").onclick = () => settleAll("theirs");
  onChange(state, ["conflicts"], draw);
}

async function drawList(state) {
  const all = await state.model("conflicts").find();
  const waiting = await stillWaiting(all);
  const isAll = byId("settled").checked;
  const shown = (isAll ? all : waiting).sort((one, other) => other.opened_ms - one.opened_ms);
  byId("count").textContent = waiting.length === 1 ? "1 conflict waits" : `${waiting.length} conflicts wait`;
  const known = new Map([...byId("list").children].map((card) => [card.dataset.id, card]));
  byId("list").replaceChildren(
    ...shown.map((conflict) => known.get(conflict.id) ?? cardOf(conflict)),
    ...(shown.length ? [] : [el("p", { class: "soft" }, "Nothing waits: every edit found its place.")]),
  );
}

/** Of what was pushed here and returned: that which is not settled by what stands now. */
async function stillWaiting(conflicts) {
  const remote = await globalThis.syncline.connectRemote(location.origin);
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

function cardOf(conflict) {
  const element = el("syncline-conflict", { class: "card fields", "data-id": conflict.id });
  element.conflict = {
    model: conflict.model,
    recordId: conflict.record_id,
    base: conflict.base,
    ours: conflict.ours,
    theirs: conflict.theirs,
    note: `${ago(conflict.opened_ms)}, from ${conflict.origin.slice(0, 8) || "somebody"}${conflict.resolution ? `, ${conflict.resolution}` : ""}`,
  };
  element.addEventListener("resolve", ({ detail }) => settle(conflict, element, detail.data));
  return element;
}

async function settle(conflict, element, data) {
  const { Update, connectRemote, newRevision } = globalThis.syncline;
  const remote = await connectRemote(location.origin);
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
    element.remove();
    const left = [...byId("list").children].filter((card) => card.dataset.id).length;
    byId("count").textContent = `${left} conflicts wait`;
  } catch (error) {
    tell(`${conflict.model} ${conflict.record_id}: ${error.message}`);
  } finally {
    await remote.close();
  }
}

async function settleAll(side) {
  for (const card of [...byId("list").querySelectorAll("syncline-conflict")]) {
    card._settle(side);
  }
}
