/**
 * The records of a model: live rows that flash when they change, a filter, an editor.
 *
 * @module
 */

import { badge, brief, byId, el, follow, number, onChange, showRows } from "./shell.js";

const SHOWN_MAX = 200;
const COLUMNS_MAX = 8;
const CHANGED = "Somebody changed it meanwhile, as the row behind shows. Once more writes over that.";

let replica = null;
let shown = new Map();

/** Show a model's records, in place of those of the model before. */
export async function openRecords(model) {
  const before = replica;
  replica = null;
  await before?.close();
  byId("browser").hidden = false;
  byId("browser-title").textContent = model;
  byId("filter").value = "";
  shown = new Map();
  const opened = await follow("", [model]);
  replica = opened;
  badge(byId("browser-status"), opened);
  const look = onChange(opened, [model], () => replica === opened && drawRecords(opened, model));
  byId("filter").oninput = look;
  byId("new").onclick = () => edit(opened, model, null);
  byId("browser").scrollIntoView({ behavior: "smooth" });
}

async function drawRecords(opened, model) {
  const [where, words] = filterOf(byId("filter").value.trim());
  let found;
  try {
    found = await opened.model(model).find({ where });
  } catch (error) {
    if (replica === opened) byId("browser-count").textContent = error.message;
    return;
  }
  if (replica !== opened) return; // Another model was opened meanwhile.
  if (words) found = found.filter((record) => JSON.stringify(record).toLowerCase().includes(words));
  const records = found.slice(0, SHOWN_MAX);
  const names = columnsOf(records);
  const more = found.length > records.length ? `, ${SHOWN_MAX} of them shown` : "";
  byId("browser-count").textContent = `${number(found.length)} ${found.length === 1 ? "record" : "records"}${more}`;
  byId("columns").replaceChildren(el("tr", {}, ...names.map((name) => el("th", {}, name))));
  showRows(byId("records"), records.map((record) => recordRow(opened, model, record, names)));
  flashChanged(found);
}

function recordRow(opened, model, record, names) {
  const open = () => edit(opened, model, String(record.id));
  return el(
    "tr",
    { "data-key": record.id, tabindex: 0, title: "edit it", onclick: open, onkeydown: (event) => event.key === "Enter" && open() },
    ...names.map((name) => el("td", {}, brief(record[name], 60))),
  );
}

/** Flash the rows whose records are others than when they were last found. */
function flashChanged(found) {
  const isFirst = shown.size === 0;
  const rows = new Map([...byId("records").children].map((row) => [row.dataset.key, row]));
  for (const record of found) {
    const id = String(record.id);
    const text = JSON.stringify(record);
    const row = rows.get(id);
    if (row && !isFirst && shown.get(id) !== text) {
      row.classList.remove("flash");
      void row.offsetWidth; // Reading it lets the animation begin anew.
      row.classList.add("flash");
    }
    shown.set(id, text);
  }
}

function filterOf(text) {
  if (!text.startsWith("{")) return [null, text.toLowerCase()];
  try {
    return [JSON.parse(text), ""];
  } catch {
    return [null, ""]; // Still being typed.
  }
}

function columnsOf(records) {
  const names = new Set(["id"]);
  for (const record of records) for (const name of Object.keys(record)) names.add(name);
  return [...names].slice(0, COLUMNS_MAX);
}

/** Edit a record as it is now, or with null a new one. */

async function edit(opened, model, recordId) {
  const before = recordId === null ? null : await opened.model(model).getChange(recordId);
  let rev = before?.rev ?? null;
  const dialog = byId("editor");
  const text = byId("editor-text");
  byId("editor-title").textContent = before ? `${model} ${recordId}` : `A new ${model}`;
  text.value = JSON.stringify(before?.data ?? { id: crypto.randomUUID() }, null, 2);
  byId("editor-error").textContent = "";
  byId("remove").hidden = before === null;
  const act = async (event, write) => {
    event.preventDefault();
    try {
      await write();
      dialog.close();
    } catch (error) {
      if (error.code === "conflict") rev = (await opened.model(model).getChange(recordId)).rev;
      byId("editor-error").textContent = error.code === "conflict" ? CHANGED : error.message;
    }
  };
  byId("save").onclick = (event) => act(event, async () => {
    const data = JSON.parse(text.value);
    const isSame = String(data.id) === recordId;
    await opened.model(model).put(data.id === undefined ? data : String(data.id), data, { ifRev: isSame ? rev : null });
  });
  byId("remove").onclick = (event) => act(event, () => opened.model(model).delete(recordId, { ifRev: rev }));
  dialog.showModal();
  text.focus();
}
