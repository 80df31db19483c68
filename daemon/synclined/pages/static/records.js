/**
 * The record browser: a model's records, live, through a filter.
 *
 * @module
 */

import { edit } from "./editor.js";
import { RecordList } from "./recordList.js";
import { badge, byId, complain, el, follow, number, tellOnce } from "./shell.js";
import { WindowedRows } from "./windowedRows.js";

const COLUMNS_MAX = 8;
const COLUMN_REM = 9;
/** More often nobody sees. */
const DRAW_MS = 100;
/** How long a record that an address names is waited for. */
const LEVEL_MS = 30_000;
const NO_JSON = "the filter is no JSON yet: the rows are those of the filter before";

let shown = null;
const rows = new WindowedRows(byId("window"), byId("records"), (id) => {
  edit(shown.handle, id).catch(complain);
});

/** Show a record of the model that is open. */
export async function editRecord(id) {
  if (!shown?.handle) return;
  const { handle, replica } = shown;
  // Before that a record that is there may not have been fetched.
  await replica.barrier(LEVEL_MS);
  if (await handle.get(id)) await edit(handle, id);
  else tellOnce(`There is no record ${handle.name}/${id}.`);
}

/** Show a model's records, in place of those of the model before. */
export async function openRecords(model) {
  const before = shown;
  const mine = {
    handle: null,
    replica: null,
    list: new RecordList(),
    /** What is to be drawn next: records by id, null for one that is deleted. */
    changes: new Map(),
    error: "",
    isFilled: false,
    isSeen: false,
    isDue: false,
    drawnAt: 0,
  };
  shown = mine;
  rows.clear();
  byId("browser").hidden = false;
  byId("browser-title").textContent = model;
  byId("browser-count").textContent = "fetching the records";
  byId("filter").value = "";
  byId("columns").replaceChildren();
  await before?.replica?.close();
  const replica = await follow("", [model]);
  if (shown !== mine) {
    await replica.close(); // Another model was opened meanwhile.
    return;
  }
  mine.replica = replica;
  mine.handle = replica.model(model);
  badge(byId("browser-status"), replica);
  byId("filter").oninput = () => refilter(mine);
  byId("new").onclick = () => edit(mine.handle, null).catch(complain);
  void watch(mine);
  for (const record of await mine.handle.find()) {
    const id = String(record.id);
    if (!mine.changes.has(id)) mine.changes.set(id, record);
  }
  soon(mine);
}

async function watch(mine) {
  for await (const { recordId, data } of mine.handle.watch()) {
    mine.changes.set(recordId, data);
    soon(mine);
  }
}

/** Draw what has changed until then: at the next frame, or a while after the last drawing. */
function soon(mine) {
  if (mine.isDue) return;
  mine.isDue = true;
  setTimeout(() => requestAnimationFrame(() => {
    mine.isDue = false;
    mine.drawnAt = performance.now();
    if (shown === mine) draw(mine);
  }), Math.max(0, mine.drawnAt + DRAW_MS - performance.now()));
}

function draw(mine) {
  const { changes, list } = mine;
  mine.changes = new Map();
  list.take(changes);
  const names = [...list.names].slice(0, COLUMNS_MAX);
  drawColumns(list, names);
  // What comes with the first sync is not news.
  rows.show(list, names, mine.isFilled ? changes.keys() : []);
  mine.isFilled ||= mine.replica.status.state === "live";
  drawCount(mine);
  if (!mine.isSeen && list.total) {
    // Only now is there enough of it to be scrolled to.
    mine.isSeen = true;
    byId("browser").scrollIntoView();
  }
}

function drawColumns(list, names) {
  const more = list.names.size - names.length;
  const head = byId("columns");
  if (head.dataset.names === names.join("\0") && head.dataset.more === String(more)) return;
  head.dataset.names = names.join("\0");
  head.dataset.more = String(more);
  const first = list.get(list.ids[0]) ?? {};
  const cells = names.map((name) => el("th", { title: name, class: typeof first[name] === "number" ? "number" : null }, name));
  if (more) cells.at(-1).append(el("span", { class: "soft" }, ` and ${more} more`));
  head.replaceChildren(el("tr", {}, ...cells));
  byId("window").firstElementChild.style.minWidth = `${names.length * COLUMN_REM}rem`;
}

function drawCount({ list, error }) {
  const { ids, total } = list;
  const of = ids.length === total ? "" : ` of ${number(total)}`;
  byId("browser-count").textContent = error || `${number(ids.length)} ${ids.length === 1 ? "record" : "records"}${of}`;
  byId("browser-empty").hidden = ids.length > 0;
  byId("browser-empty").textContent = total ? "No record matches the filter." : "No record yet.";
  byId("window").firstElementChild.ariaRowCount = String(ids.length + 1);
}

function refilter(mine) {
  try {
    mine.list.filter(filterOf(byId("filter").value.trim()));
    mine.error = "";
  } catch (error) {
    mine.error = error instanceof SyntaxError ? NO_JSON : error.message;
  }
  byId("filter").ariaInvalid = String(mine.error !== "");
  soon(mine);
}

/** Return what a record must be: a condition as `find` takes it, or hold a text anywhere. */
function filterOf(text) {
  const { matches, parseWhere } = globalThis.syncline;
  if (text.startsWith("{")) {
    const condition = parseWhere(JSON.parse(text));
    return (record) => matches(condition, record);
  }
  const words = text.toLowerCase();
  return words ? (record) => JSON.stringify(record).toLowerCase().includes(words) : () => true;
}
