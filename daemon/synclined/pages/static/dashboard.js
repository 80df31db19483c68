/**
 * The dashboard: the daemon's own state, followed as any other list.
 *
 * @module
 */

import { drawChart } from "./chart.js";
import { openRecords } from "./records.js";
import { ago, badge, byId, brief, el, follow, number, onChange, requireReplica, showRows } from "./shell.js";

const STATE = ["daemon", "models", "replicas", "samples", "errors"];

if (await requireReplica()) {
  const state = await follow("/state", STATE);
  badge(byId("status"), state);
  onChange(state, STATE, () => draw(state));
}

async function draw(state) {
  const [[daemon], models, replicas, samples, errors] = await Promise.all(
    STATE.map((model) => state.model(model).find()),
  );
  const inOrder = samples.sort((one, other) => one.at_ms - other.at_ms);
  if (daemon) drawTiles(daemon, inOrder.at(-1));
  drawSeries("changes", inOrder.map((sample) => sample.changes), 5);
  drawSeries("lag", inOrder.map((sample) => sample.loop_lag_ms), 10);
  showRows(byId("models"), rowsOr(models.map(modelRow), "no model yet: write a record", 3));
  showRows(byId("replicas"), rowsOr(replicas.map(replicaRow), "nobody follows now", 6));
  const newest = errors.sort((one, other) => other.n - one.n).slice(0, 10);
  showRows(byId("errors"), rowsOr(newest.map(errorRow), "none", 4));
}

function drawSeries(name, values, least) {
  drawChart(byId(name), values, { least });
  const words = values.length ? `${number(values.at(-1))} now, ${number(Math.max(...values))} at most` : "";
  byId(`${name}-text`).textContent = words;
}

function drawTiles(daemon, sample) {
  const facts = [
    [number(daemon.connections), "connections"],
    [number(daemon.head), "changes in the list"],
    [sample ? number(sample.changes) : "–", "changes/s"],
    [sample ? `${sample.rss_mib} MiB` : "–", "memory"],
    [sample ? `${Math.round(sample.cpu_share * 100)} %` : "–", "of a processor"],
    [daemon.version, `since ${new Date(daemon.started_ms).toLocaleString()}`],
  ];
  byId("tiles").replaceChildren(
    ...facts.map(([value, name]) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, name))),
  );
}

function modelRow(model) {
  const open = () => openRecords(model.id);
  return el(
    "tr",
    { "data-key": model.id, tabindex: 0, title: "show its records", onclick: open, onkeydown: (event) => event.key === "Enter" && open() },
    el("td", {}, model.id),
    el("td", { class: "number" }, number(model.records)),
    el("td", { class: "number" }, number(model.per_s)),
  );
}

function replicaRow(replica) {
  return el(
    "tr",
    { "data-key": replica.id, title: `follows ${replica.models.join(", ")}` },
    el("td", { class: "mono" }, replica.id.slice(0, 16)),
    el("td", {}, replica.principal),
    el("td", { class: "number" }, number(replica.behind)),
    el("td", { class: "number" }, number(replica.pending)),
    el("td", { class: "number" }, number(replica.conflicts)),
    el("td", {}, ago(replica.since_ms)),
  );
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
