/**
 * The records of a model: live rows that flash when they change, a filter, an editor.
 *
 * @module
 */

import { badge, brief, byId, el, follow, number, onChange, tell } from "./shell.js";

const SHOWN_MAX = 200;
const COLUMNS_MAX = 8;

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
  const draw = () => replica === opened && drawRecords(opened, model);
  onChange(opened, [model], draw);
  byId("filter").oninput = draw;
  byId("new").onclick = () => edit(opened, model, null);
  byId("browser").scrollIntoView({ behavior: "smooth" });
}

async function drawRecords(opened, model) {
  const [where, words] = filterOf(byId("filter").value.trim());
  let found;
  try {
    found = await opened.model(model).find({ where });
  } catch (error) {
    byId("browser-count").textContent = error.message;
    return;
  }
  if (words) found = found.filter((record) => JSON.stringify(record).toLowerCase().includes(words));
  const records = found.slice(0, SHOWN_MAX);
  const names = columnsOf(records);
  const more = found.length > records.length ? `, ${SHOWN_MAX} of them shown` : "";
  byId("browser-count").textContent = `${number(found.length)} records${more}`;
  byId("columns").replaceChildren(el("tr", {}, ...names.map((name) => el("th", {}, name))));
  const now = new Map(records.map((record) => [record.id, JSON.stringify(record)]));
  byId("records").replaceChildren(
    ...records.map((record) => {
      const isNew = shown.size > 0 && shown.get(record.id) !== now.get(record.id);
      const open = () => edit(opened, model, record);
      return el(
        "tr",
        { tabindex: 0, class: isNew ? "flash" : null, onclick: open, onkeydown: (event) => event.key === "Enter" && open() },
        ...names.map((name) => el("td", {}, brief(record[name], 60))),
      );
    }),
  );
  shown = now;
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

function edit(opened, model, record) {
  const dialog = byId("editor");
  const text = byId("editor-text");
  byId("editor-title").textContent = record ? `${model} ${record.id}` : `a new ${model}`;
  text.value = JSON.stringify(record ?? { id: crypto.randomUUID() }, null, 2);
  byId("editor-error").textContent = "";
  byId("remove").hidden = record === null;
  byId("save").onclick = async (event) => {
    event.preventDefault();
    try {
      const data = JSON.parse(text.value);
      await opened.model(model).put(String(data.id), data);
      dialog.close();
    } catch (error) {
      byId("editor-error").textContent = error.message;
    }
  };
  byId("remove").onclick = async () => {
    await opened.model(model).delete(record.id).catch((error) => tell(error.message));
  };
  dialog.showModal();
}
