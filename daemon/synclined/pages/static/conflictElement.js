/**
 * `<syncline-conflict>`: base, ours and theirs side by side, a choice by field, and one word to settle.
 *
 * ```html
 * <link rel="stylesheet" href="/pages/conflictElement.css">
 * <script type="module" src="/pages/conflictElement.js"></script>
 * ```
 * ```js
 * const element = document.createElement("syncline-conflict");
 * element.conflict = { model, recordId, base, ours, theirs };   // records, or null when deleted
 *                                                               // isSettled: true only shows it
 * element.addEventListener("resolve", ({ detail }) => detail);  // { data: record | null, whole }
 * element.isBusy = true;                                        // while that is being done
 * element.fail("why it could not be");
 * ```
 * Its colours are the page's.
 *
 * @module
 */

import { brief, el } from "./shell.js";

const SIDES = ["base", "ours", "theirs"];
const SHOWN_CHARS_MAX = 400;
let made = 0;

/**
 * @typedef {object} ShownConflict
 * @property {string} model
 * @property {string} recordId
 * @property {object | null} base what both sides started from
 * @property {object | null} ours
 * @property {object | null} theirs
 * @property {boolean} [isBaseKnown] false: it isn't known what they started from
 * @property {boolean} [isSettled] it is only shown
 * @property {string | Node} [note] what is said beside the name
 * @property {{base?: string | Node, ours?: string | Node, theirs?: string | Node}} [who] who made a
 *   side, and when
 */

export class ConflictElement extends HTMLElement {
  /** @param {ShownConflict} conflict */
  set conflict(conflict) {
    this._conflict = { isBaseKnown: conflict.base !== null, isSettled: false, note: "", who: {}, ...conflict };
    this._picks = new Map();
    this._name = `conflict-${(made += 1)}`;
    this._draw();
  }

  get conflict() {
    return this._conflict;
  }

  /** The record that the choices make; null deletes it. */
  get data() {
    const { ours, theirs } = this._conflict;
    if (ours === null || theirs === null) return theirs ?? ours;
    const data = {};
    for (const name of this._fields()) {
      const { side, text } = this._pickOf(name);
      const value = side === "edit" ? this._parsed(name, text) : this._conflict[side]?.[name];
      if (value !== undefined) data[name] = value;
    }
    return data;
  }

  /** @param {boolean} isBusy */
  set isBusy(isBusy) {
    this.setAttribute("aria-busy", String(isBusy));
    // A button that is disabled loses the focus to nobody.
    if (isBusy && this.contains(document.activeElement)) this.focus();
    for (const button of this.querySelectorAll("button")) button.disabled = isBusy;
  }

  /**
   * Say why it could not be settled.
   *
   * @param {string} text
   */
  fail(text) {
    this.isBusy = false;
    this.querySelector(".conflict-error").textContent = text;
  }

  /** Put the focus here. */
  focus() {
    this.querySelector("h2").focus();
  }

  /**
   * Settle it.
   *
   * @param {"ours" | "theirs" | null} [whole] a side to keep as it is, whatever was chosen by field
   */
  settle(whole = null) {
    if (this._conflict.isSettled || this.getAttribute("aria-busy") === "true") return;
    const data = whole === null ? this.data : this._conflict[whole];
    this.dispatchEvent(new CustomEvent("resolve", { detail: { data, whole }, bubbles: true }));
  }

  // ---- fields and choices -----------------------------------------------------------------

  _fields() {
    const names = SIDES.flatMap((side) => Object.keys(this._conflict[side] ?? {}));
    return [...new Set(["id", ...names])];
  }

  _textOf(side, name) {
    return JSON.stringify(this._conflict[side]?.[name]);
  }

  _isEqual(name) {
    return this._textOf("ours", name) === this._textOf("theirs", name);
  }

  /** Which sides changed a field: `"ours"`, `"theirs"`, `"both"`, or `""` when that isn't known. */
  _changedBy(name) {
    if (!this._conflict.isBaseKnown) return "";
    const [base, ours, theirs] = SIDES.map((side) => this._textOf(side, name));
    if (ours !== base && theirs !== base) return "both";
    return ours === base ? "theirs" : "ours";
  }

  /** Whoever changed a field alone is right about it; else ours, until somebody chooses. */
  _pickOf(name) {
    const side = this._changedBy(name) === "theirs" ? "theirs" : "ours";
    return this._picks.get(name) ?? { side };
  }

  /** Take an edited text for text where every side has text, else JSON where it is JSON. */
  _parsed(name, text) {
    const values = SIDES.map((side) => this._conflict[side]?.[name]).filter((value) => value !== undefined);
    return values.every((value) => typeof value === "string") ? text : parsed(text);
  }

  // ---- drawing ----------------------------------------------------------------------------

  _draw() {
    const { ours, theirs, isSettled } = this._conflict;
    const isDeletion = ours === null || theirs === null;
    const parts = [
      this._heading(),
      isDeletion ? this._deletion() : this._choices(),
      isSettled ? null : this._buttons(isDeletion),
      el("p", { class: "conflict-error bad", role: "alert" }),
    ];
    this.replaceChildren(...parts.filter((part) => part !== null));
    this._preview();
  }

  _heading() {
    const { model, recordId, note } = this._conflict;
    const name = el("h2", { tabindex: -1 }, model, " ", el("span", { class: "mono" }, recordId));
    return el("header", { class: "row" }, el("div", { class: "grow" }, name), el("span", { class: "soft" }, note));
  }

  /** The columns' names, each with who made that side. */
  _columns() {
    const { who, isBaseKnown } = this._conflict;
    const base = isBaseKnown ? "what both started from" : "not told by who pushed theirs";
    const captions = { base, ...who };
    return el(
      "div",
      { class: "conflict-columns" },
      ...SIDES.map((side) => el("p", {}, el("b", {}, side), " ", el("small", {}, captions[side] ?? ""))),
    );
  }

  _choices() {
    const [equal, differing] = [this._fields().filter((n) => this._isEqual(n)), this._fields().filter((n) => !this._isEqual(n))];
    return el(
      "div",
      { class: "fields" },
      this._columns(),
      ...differing.map((name) => this._field(name)),
      equal.length ? el("p", { class: "soft" }, `Equal on both sides: ${equal.join(", ")}.`) : null,
      this._conflict.isSettled ? null : el("p", { class: "conflict-preview", "aria-live": "polite" }),
    );
  }

  _deletion() {
    const { ours, theirs, base } = this._conflict;
    const [kept, who, other] = ours === null ? [theirs, "theirs", "ours"] : [ours, "ours", "theirs"];
    const shown = kept ?? base ?? {};
    return el(
      "div",
      { class: "fields" },
      this._columns(),
      el("p", {}, kept === null ? "Both sides deleted it." : `${capital(other)} deleted it, ${who} edited it:`),
      el(
        "dl",
        { class: "conflict-record" },
        ...Object.keys(shown).flatMap((name) => [el("dt", {}, name), el("dd", { class: "mono" }, brief(shown[name], SHOWN_CHARS_MAX))]),
      ),
    );
  }

  _field(name) {
    const { isSettled } = this._conflict;
    const by = this._changedBy(name);
    const said = { both: "changed on both sides", ours: "changed in ours", theirs: "changed in theirs", "": "" }[by];
    const choices = el("div", { class: "sides" }, ...SIDES.map((side) => this._side(name, side)));
    const legend = el("legend", {}, el("span", {}, name), said && el("span", { class: "conflict-by", "data-by": by }, said));
    return el("fieldset", {}, legend, el("div", { class: "conflict-field" }, choices, isSettled ? null : this._edit(name)));
  }

  _side(name, side) {
    const { isBaseKnown } = this._conflict;
    const text = side === "base" && !isBaseKnown ? "not known here" : brief(this._conflict[side]?.[name], SHOWN_CHARS_MAX);
    const value = el("span", { class: "mono", title: text.length > 60 ? text : null }, text);
    if (side === "base") return el("div", { class: "side base" }, el("small", {}, side), value);
    return el("label", { class: "side" }, el("small", {}, this._radio(name, side), side), value);
  }

  _radio(name, side) {
    return el("input", {
      type: "radio",
      name: `${this._name}-${name}`,
      "aria-label": `${name}: ${side}`,
      checked: this._pickOf(name).side === side,
      disabled: this._conflict.isSettled,
      onchange: () => this._pick(name, { side }),
    });
  }

  /** A third choice: another value, which begins as ours. */
  _edit(name) {
    const text = el("input", {
      value: brief(this._conflict.ours?.[name] ?? "", Infinity),
      class: "grow",
      "aria-label": `${name}, edited`,
      oninput: () => {
        radio.checked = true;
        this._pick(name, { side: "edit", text: text.value });
      },
    });
    const radio = this._radio(name, "edit");
    radio.onchange = () => this._pick(name, { side: "edit", text: text.value });
    return el("label", { class: "side" }, el("small", {}, radio, "another"), text);
  }

  _pick(name, pick) {
    this._picks.set(name, pick);
    this._preview();
  }

  /** Show what the choices make, before they are kept. */
  _preview() {
    const place = this.querySelector(".conflict-preview");
    place?.replaceChildren("These choices make ", el("code", {}, brief(this.data, SHOWN_CHARS_MAX)));
  }

  _buttons(isDeletion) {
    const { ours, theirs } = this._conflict;
    const button = (side, record) => {
      const text = record === null ? `Keep ${side}: deleted` : `Keep all of ${side}`;
      return el("button", { type: "button", onclick: () => this.settle(side) }, text);
    };
    const main = el("button", { type: "button", class: "main", onclick: () => this.settle() }, "Keep these choices");
    return el("div", { class: "row" }, isDeletion ? null : main, button("ours", ours), button("theirs", theirs));
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Take JSON where it is JSON, and text for text. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

customElements.define("syncline-conflict", ConflictElement);
