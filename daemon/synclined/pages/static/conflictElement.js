/**
 * `<syncline-conflict>`: base, ours and theirs side by side, a choice by field, and one word to settle.
 *
 * ```html
 * <script type="module" src="/pages/conflictElement.js"></script>
 * ```
 * ```js
 * const element = document.createElement("syncline-conflict");
 * element.conflict = { model, recordId, base, ours, theirs };   // records, or null when deleted
 * element.addEventListener("resolve", ({ detail }) => detail);  // { data: record | null }
 * ```
 * It takes the look of the page that it is in.
 *
 * @module
 */

import { brief, el } from "./shell.js";

const SIDES = ["base", "ours", "theirs"];

export class ConflictElement extends HTMLElement {
  /** @param {{model: string, recordId: string, base: object | null, ours: object | null, theirs: object | null, note?: string}} conflict */
  set conflict(conflict) {
    this._conflict = conflict;
    this._picks = new Map();
    this._draw();
  }

  get conflict() {
    return this._conflict;
  }

  /** The record that the choices make; null deletes it. */
  get data() {
    const { ours, theirs } = this._conflict;
    if (this._whole) return this._whole === "ours" ? ours : theirs;
    if (ours === null || theirs === null) return theirs ?? ours;
    const data = {};
    for (const name of this._fields()) {
      const { side, text } = this._picks.get(name) ?? { side: this._sideOf(name) };
      const value = side === "edit" ? parsed(text) : this._conflict[side]?.[name];
      if (value !== undefined) data[name] = value;
    }
    return data;
  }

  _fields() {
    const names = SIDES.flatMap((side) => Object.keys(this._conflict[side] ?? {}));
    return [...new Set(["id", ...names])];
  }

  /** Whoever changed a field alone is right about it; else ours, until somebody chooses. */
  _sideOf(name) {
    const [base, ours, theirs] = SIDES.map((side) => JSON.stringify(this._conflict[side]?.[name]));
    return ours === base && theirs !== base ? "theirs" : "ours";
  }

  _draw() {
    const { model, recordId, ours, theirs, note = "" } = this._conflict;
    const isDeleted = ours === null || theirs === null;
    const differing = isDeleted ? [] : this._fields().filter((name) => !same(ours[name], theirs[name]));
    this.replaceChildren(
      el("div", { class: "row" }, el("h2", { class: "grow" }, `${model} ${recordId}`), el("span", { class: "soft" }, note)),
      isDeleted ? this._deletion() : null,
      ...differing.map((name) => this._field(name)),
      el(
        "div",
        { class: "row" },
        isDeleted ? null : el("button", { class: "main", onclick: () => this._settle(null) }, "Keep these choices"),
        el("button", { onclick: () => this._settle("ours") }, ours === null ? "Keep ours: deleted" : "Keep all of ours"),
        el("button", { onclick: () => this._settle("theirs") }, theirs === null ? "Keep theirs: deleted" : "Keep all of theirs"),
      ),
    );
  }

  _deletion() {
    const { ours, theirs } = this._conflict;
    const [kept, who] = ours === null ? [theirs, "theirs"] : [ours, "ours"];
    return el("p", {}, `One side deleted it; ${who} is `, el("code", {}, brief(kept, 300)));
  }

  _field(name) {
    const group = `${this._conflict.recordId}-${name}-${Math.random()}`;
    const chosen = this._picks.get(name)?.side ?? this._sideOf(name);
    const text = el("input", {
      value: brief(this._conflict.ours?.[name] ?? "", 2000),
      "aria-label": `${name}, edited`,
      oninput: () => {
        this._picks.set(name, { side: "edit", text: text.value });
        edit.checked = true;
      },
    });
    const radio = (side) => el("input", { type: "radio", name: group, checked: side === chosen, onchange: () => this._picks.set(name, { side, text: text.value }) });
    const edit = radio("edit");
    const side = (which) =>
      el("label", { class: "side" }, el("small", {}, which === "base" ? "base" : [radio(which), " ", which].reduce((made, part) => (made.append(part), made), document.createDocumentFragment())), el("span", { class: "mono" }, brief(this._conflict[which]?.[name], 400)));
    return el(
      "fieldset",
      { class: "card" },
      el("legend", {}, name),
      el("div", { class: "sides" }, ...SIDES.map(side)),
      el("label", { class: "row side" }, edit, " edit ", text),
    );
  }

  _settle(whole) {
    this._whole = whole;
    this.dispatchEvent(new CustomEvent("resolve", { detail: { data: this.data, whole }, bubbles: true }));
  }
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

/** Take JSON where it is JSON, and text for text. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

customElements.define("syncline-conflict", ConflictElement);
