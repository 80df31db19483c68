/**
 * The editor of one record, as JSON.
 *
 * @module
 */

import { byId } from "./shell.js";

const CHANGED = "Somebody changed it meanwhile, as the row behind shows. Once more writes over that.";

/**
 * Edit a record as it is now.
 *
 * @param {object} handle of its model
 * @param {string | null} recordId null: a new one
 */
export async function edit(handle, recordId) {
  const before = recordId === null ? null : await handle.getChange(recordId);
  let rev = before?.rev ?? null;
  const dialog = byId("editor");
  const text = byId("editor-text");
  byId("editor-title").textContent = before ? `${handle.name} ${recordId}` : `A new ${handle.name}`;
  text.value = JSON.stringify(before?.data ?? { id: crypto.randomUUID() }, null, 2);
  byId("editor-error").textContent = "";
  byId("remove").hidden = before === null;
  const act = async (event, write) => {
    event.preventDefault();
    try {
      await write();
      dialog.close();
    } catch (error) {
      if (error.code === "conflict") rev = (await handle.getChange(recordId)).rev;
      byId("editor-error").textContent = error.code === "conflict" ? CHANGED : error.message;
    }
  };
  byId("save").onclick = (event) => act(event, async () => {
    const data = JSON.parse(text.value);
    const isSame = String(data.id) === recordId;
    await handle.put(data.id === undefined ? data : String(data.id), data, { ifRev: isSame ? rev : null });
  });
  byId("remove").onclick = (event) => act(event, () => handle.delete(recordId, { ifRev: rev }));
  dialog.showModal();
  text.focus();
  text.setSelectionRange(0, 0);
  text.scrollTop = 0;
}
