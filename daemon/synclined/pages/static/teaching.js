/**
 * What an empty daemon says: how to write a first record, each way to be copied.
 *
 * @module
 */

import { byId, el } from "./shell.js";

const SHOWN_MS = 1500;

/** Return what to type, for a daemon at an address; the README says the same. */
function waysTo(address) {
  return [
    ["In a terminal", `syncline put ${address} todo 1 title=milk`],
    [
      "In Python",
      `from syncline import blocking

with blocking.connect("${address}", models=["todo"]) as replica:
    replica.model("todo").put("2", {"title": "bread"})`,
    ],
    [
      "On a page",
      `<script src="${address}/syncline.js"></script>
<script type="module">
  const replica = await syncline.connect("${address}", { models: ["todo"] });
  await replica.model("todo").put("3", { title: "tea" });
</script>`,
    ],
  ];
}

/** Show how to begin while there is no model, and hide it afterwards. */
export function teach(address, isEmpty) {
  const place = byId("teach");
  place.hidden = !isEmpty;
  if (!isEmpty || place.childElementCount) return;
  place.append(
    el("h2", {}, "Nothing is kept here yet"),
    el("p", { class: "soft" }, "This daemon is at ", el("code", {}, address), ". Write a record in one of these ways, and it shows below at once."),
    ...waysTo(address).map(([name, text]) =>
      el("div", { class: "way" }, el("div", { class: "row" }, el("h3", { class: "grow" }, name), copier(name, text)), el("pre", { tabindex: 0 }, text))),
  );
}

function copier(name, text) {
  const button = el("button", { "aria-label": `copy: ${name}`, onclick: copy }, "Copy");
  async function copy() {
    const done = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    button.textContent = done ? "Copied" : "Select and copy it";
    setTimeout(() => (button.textContent = "Copy"), SHOWN_MS);
  }
  return button;
}
