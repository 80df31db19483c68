/**
 * `<syncline-conflict>`: base, ours and theirs side by side, a choice by field, and one word to settle.
 *
 * ```html
 * <script type="module" src="/pages/conflictElement.js"></script>
 * ```
 * ```js
 * const element = document.createElement("syncline-conflict");
 * element.conflict = { model, recordId, base, ours, theirs };   // records, or null when deleted
 *                                                               // isSettled: true only shows it
 * element.addEventListener("resolve", ({ detail }) => detail);  // { data: record | null }
 * ```
 * It takes the look of the page that it is in.
 *
 * @module
 */

import { brief, el } from "./shell.js";

const SIDES = ["base", "ours", "theirs"];

export class ConflictElement extends HTMLElement {
  /** @param {{model: string, recordId: string, base: object | null, ours: object | null, theirs: object | null, note?: string, isSettled?: boolean}} conflict */
  set conflict(conflict) {
    this._whole = null;
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
      const value = side === "edit" ? this._parsed(name, text) : this._conflict[side]?.[name];
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
    const { model, recordId, ours, theirs, note = "", isSettled = false } = this._conflict;
    const isDeleted = ours === null || theirs === null;
    const differing = isDeleted ? [] : this._fields().filter((name) => !same(ours[name], theirs[name]));
    const parts = [
      el("div", { class: "row" }, el("h2", { class: "grow" }, `${model} ${recordId}`), el("span", { class: "soft" }, note)),
      isDeleted ? this._deletion() : null,
      ...differing.map((name) => this._field(name)),
      el(
        "div",
        { class: "row" },
        isDeleted ? null : el("button", { class: "main", onclick: () => this.settle() }, "Keep these choices"),
        el("button", { onclick: () => this.settle("ours") }, ours === null ? "Keep ours: deleted" : "Keep all of ours"),
        el("button", { onclick: () => this.settle("theirs") }, theirs === null ? "Keep theirs: deleted" : "Keep all of theirs"),
      ),
    ];
    this.replaceChildren(...(isSettled ? parts.slice(0, -1) : parts).filter((part) => part !== null));
  }

  _deletion() {
    const { ours, theirs } = this._conflict;
    const [kept, who] = ours === null ? [theirs, "theirs"] : [ours, "ours"];
    return el("p", {}, `One side deleted it; ${who} is `, el("code", {}, brief(kept, 300)));
  }

  _field(name) {
    const { base, isSettled = false } = this._conflict;
    const group = `${this._conflict.recordId}-${name}-${Math.random()}`;
    const chosen = this._picks.get(name)?.side ?? this._sideOf(name);
    const text = el("input", {
      value: brief(this._conflict.ours?.[name] ?? "", Infinity),
      class: "grow",
      "aria-label": `${name}, edited`,
      oninput: () => {
        this._picks.set(name, { side: "edit", text: text.value });
        edit.checked = true;
      },
    });
    const radio = (side) => el("input", { type: "radio", name: group, disabled: isSettled, "aria-label": `${name}: ${side}`, checked: side === chosen, onchange: () => this._picks.set(name, { side, text: text.value }) });
    const edit = radio("edit");
    const side = (which) => {
      const heading = el("small", {}, which === "base" ? null : radio(which), ` ${which}`);
      const value = el("span", { class: "mono" }, which === "base" && base === null ? "not known here" : brief(this._conflict[which]?.[name], 400));
      return el(which === "base" ? "div" : "label", { class: "side" }, heading, value);
    };
    return el(
      "fieldset",
      { class: "card" },
      el("legend", {}, name),
      el("div", { class: "sides" }, ...SIDES.map(side)),
      isSettled ? "" : el("label", { class: "row side" }, edit, " edit ", text),
    );
  }

  /**
   * Settle it.
   *
   * @param {"ours" | "theirs" | null} [whole] a side to keep as it is, whatever was chosen by field
   */
  settle(whole = null) {
    if (this._conflict.isSettled) return;
    this._whole = whole;
    this.dispatchEvent(new CustomEvent("resolve", { detail: { data: this.data, whole }, bubbles: true }));
  }

  /** Take an edited text for text where every side has text, else JSON where it is JSON. */
  _parsed(name, text) {
    const values = SIDES.map((side) => this._conflict[side]?.[name]).filter((value) => value !== undefined);
    return values.every((value) => typeof value === "string") ? text : parsed(text);
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
