/**
 * The dashboard: the daemon's own state, followed as any other list.
 *
 * @module
 */

import { drawChart } from "./chart.js";
import { editRecord, openRecords } from "./records.js";
import { DAEMON, age, ago, badge, byId, brief, complain, el, follow, number, onChange, requireReplica, showRows } from "./shell.js";
import { teach } from "./teaching.js";

const STATE = ["daemon", "models", "replicas", "samples", "errors"];
const CHARTS = {
  changes: { of: (sample) => sample.changes, unit: "/s", least: 5 },
  lag: { of: (sample) => sample.loop_lag_ms, unit: " ms", least: 10 },
};
const SPAN = "3 min";

if (await requireReplica()) {
  const state = await follow("/state", STATE);
  badge(byId("status"), state);
  onChange(state, STATE, () => draw(state));
  addEventListener("hashchange", () => openNamed().catch(complain));
  openNamed().catch(complain);
}

/** Open what the address names behind its hash, so that it can be kept and sent: `#model/id`. */
async function openNamed() {
  const [model, id] = location.hash.slice(1).split("/").map(decodeURIComponent);
  if (!model) return;
  await openRecords(model);
  if (id) await editRecord(id);
}

async function draw(state) {
  const [[daemon], models, replicas, samples, errors] = await Promise.all(
    STATE.map((model) => state.model(model).find()),
  );
  const inOrder = samples.sort((one, other) => one.at_ms - other.at_ms);
  teach(DAEMON, daemon !== undefined && models.length === 0);
  if (daemon) drawTiles(daemon, inOrder.at(-1));
  for (const name of Object.keys(CHARTS)) drawSeries(name, inOrder);
  showRows(byId("models"), rowsOr(models.map(modelRow), "no model yet: write a record", 3));
  showRows(byId("replicas"), rowsOr(replicas.map(replicaRow), "nobody follows now", 7));
  const newest = errors.sort((one, other) => other.n - one.n).slice(0, 10);
  showRows(byId("errors"), rowsOr(newest.map(errorRow), "none", 4));
}

function drawSeries(name, samples) {
  const { of, unit, least } = CHARTS[name];
  const values = samples.map(of);
  drawChart(byId(name), values, { unit, least, span: SPAN });
  const words = values.length ? `${number(values.at(-1))}${unit} now, ${number(Math.max(...values))}${unit} at most` : "";
  byId(`${name}-text`).textContent = words;
}

function drawTiles(daemon, sample) {
  const facts = [
    [number(daemon.connections), daemon.connections === 1 ? "connection" : "connections"],
    [number(daemon.head), "changes in the list"],
    [sample ? number(sample.changes) : "–", "changes/s"],
    [sample ? `${sample.rss_mib.toFixed(1)} MiB` : "–", "memory"],
    [sample ? `${Math.round(sample.cpu_share * 100)} %` : "–", "of a processor"],
    [age(daemon.started_ms), `up, syncline ${daemon.version}`, `since ${new Date(daemon.started_ms).toLocaleString()}`],
  ];
  const tiles = facts.map(([value, name, title], n) =>
    el("div", { class: "tile", "data-key": n, title }, el("b", {}, value), el("span", {}, name)));
  showRows(byId("tiles"), tiles);
}

function modelRow(model) {
  const named = `#${encodeURIComponent(model.id)}`;
  // A model that is open already is shown from its beginning.
  const open = () => (location.hash === named ? openRecords(model.id) : (location.hash = named));
  return el(
    "tr",
    { "data-key": model.id, tabindex: 0, title: "show its records", onclick: open, onkeydown: (event) => event.key === "Enter" && open() },
    el("td", {}, el("a", { href: named, tabindex: -1, onclick: (event) => event.preventDefault() }, model.id)),
    el("td", { class: "number" }, number(model.records)),
    el("td", { class: "number" }, number(model.per_s)),
  );
}

function replicaRow(replica) {
  const state = stateOf(replica);
  return el(
    "tr",
    { "data-key": replica.id, title: `${replica.id} follows ${replica.models.join(", ")}` },
    el("td", { class: "mono" }, replica.id.slice(0, 8)),
    el("td", { class: "wide" }, replica.principal),
    el("td", {}, el("span", { class: "badge plain", "data-state": state }, state.replace("_", " "))),
    el("td", { class: "number" }, number(replica.behind)),
    el("td", { class: "number" }, number(replica.pending)),
    el("td", { class: replica.conflicts ? "number bad" : "number" }, number(replica.conflicts)),
    el("td", { class: "wide number" }, ago(replica.away_ms || replica.since_ms)),
  );
}

/** Return how a replica stood when it was last heard of, in the words of its own status. */
function stateOf({ stalled, behind, pending, away_ms: awayMs }) {
  if (awayMs) return "offline";
  if (stalled) return "stalled";
  return behind || pending ? "catching_up" : "live";
}

function errorRow(error) {
  return el(
    "tr",
    { "data-key": error.n },
    el("td", { class: "soft" }, ago(error.at_ms)),
    el("td", { class: "mono" }, brief(error.who, 16)),
    el("td", { class: "bad" }, error.error),
    el("td", { class: "text" }, error.reason),
  );
}

function rowsOr(rows, text, width) {
  return rows.length ? rows : [el("tr", { "data-key": "" }, el("td", { class: "soft", colspan: width }, text))];
}
