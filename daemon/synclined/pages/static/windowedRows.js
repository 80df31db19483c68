/**
 * A long table of which only the rows in view exist.
 *
 * All rows have the same height, and two empty ones stand for those above and below. One row at a
 * time can be reached with Tab; the arrow keys, Home and End lead to the others.
 *
 * @module
 */

import { brief, el } from "./shell.js";

const SPARE_ROWS = 10;
/** Until one was drawn and can be measured. */
const ROW_PX = 34;
const CELL_CHARS_MAX = 80;
/** A longer one is cut by its column, and told whole where the pointer rests. */
const CELL_CHARS_WIDE = 14;

/** Draws the rows of a `RecordList` into a table inside an element that scrolls. */
export class WindowedRows {
  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} body the table's, empty
   * @param {(id: string) => void} open called with the id of a row that is clicked, or on Enter
   */
  constructor(scroller, body, open) {
    this._scroller = scroller;
    this._body = body;
    this._open = open;
    this._above = el("tr", { class: "space", "aria-hidden": "true" });
    this._below = el("tr", { class: "space", "aria-hidden": "true" });
    this._rowPx = ROW_PX;
    this._isMeasured = false;
    /** Of the scroller; asked for seldom, since the browser lays the page out to answer. */
    this._view = { top: 0, height: 0, head: 0 };
    this._list = null;
    this._names = [];
    this._active = "";
    this._rows = new Map();
    /** What each row shows, so that only what is another record is drawn again. */
    this._drawn = new WeakMap();
    scroller.onscroll = () => requestAnimationFrame(() => this._look());
    scroller.onclick = (event) => this._clicked(event);
    scroller.onkeydown = (event) => this._typed(event);
    new ResizeObserver(() => this._look()).observe(scroller);
  }

  /** Show another list, from its top. */
  clear() {
    this._list = null;
    this._active = "";
    this._rows.clear();
    this._body.replaceChildren();
    this._isMeasured = false;
    this._scroller.scrollTop = 0;
    this._view.top = 0;
  }

  /**
   * Show the list as it is now.
   *
   * @param {import("./recordList.js").RecordList} list
   * @param {string[]} names of the columns
   * @param {Iterable<string>} changed the ids of the rows that are to flash
   */
  show(list, names, changed = []) {
    if (names.join("\0") !== this._names.join("\0")) this._drawn = new WeakMap();
    this._list = list;
    this._names = names;
    this._draw();
    for (const id of changed) this._flash(id);
  }

  /** Look where the scroller stands, and draw what is in view there. */
  _look() {
    const { scrollTop: top, clientHeight: height } = this._scroller;
    this._view = { top, height, head: this._scroller.querySelector("thead").offsetHeight };
    if (this._list) this._draw();
  }

  _draw() {
    const { ids } = this._list;
    const { top, height } = this._view;
    const first = Math.max(0, Math.floor(top / this._rowPx) - SPARE_ROWS);
    const end = Math.min(ids.length, Math.ceil((top + height) / this._rowPx) + SPARE_ROWS);
    const wanted = ids.slice(first, Math.max(first, end));
    const kept = new Set(wanted);
    for (const [id, row] of this._rows) if (!kept.has(id)) this._drop(id, row);
    this._above.style.height = `${first * this._rowPx}px`;
    this._below.style.height = `${Math.max(ids.length - end, 0) * this._rowPx}px`;
    const stop = kept.has(this._active) ? this._active : wanted[0];
    const rows = wanted.map((id, index) => this._row(id, first + index, id === stop));
    this._place([this._above, ...rows, this._below]);
    if (!this._isMeasured && rows.length > 1) this._measure(rows);
  }

  /** Of all rows together: borders that rows share make the first one another height. */
  _measure(rows) {
    const px = (rows.at(-1).offsetTop - rows[0].offsetTop) / (rows.length - 1);
    if (px <= 0) return;
    this._rowPx = px;
    this._isMeasured = true;
  }

  _row(id, index, isStop) {
    const row = this._rows.get(id) ?? el("tr", { "data-key": id });
    this._rows.set(id, row);
    row.tabIndex = isStop ? 0 : -1;
    row.ariaRowIndex = String(index + 2); // The first one is the head.
    const record = this._list.get(id);
    if (this._drawn.get(row) !== record) {
      row.replaceChildren(...this._names.map((name) => cell(record[name])));
      this._drawn.set(row, record);
    }
    return row;
  }

  _drop(id, row) {
    // The keys go on from where they were.
    if (row === document.activeElement) this._scroller.focus({ preventScroll: true });
    this._rows.delete(id);
    row.remove();
  }

  _place(rows) {
    const { children } = this._body;
    rows.forEach((row, index) => {
      if (children[index] !== row) this._body.insertBefore(row, children[index] ?? null);
    });
  }

  _flash(id) {
    const row = this._rows.get(id);
    // Of two animations that are alike the other one, which so begins anew.
    if (row) row.dataset.flash = row.dataset.flash === "a" ? "b" : "a";
  }

  _clicked(event) {
    const row = event.target.closest("tr[data-key]");
    if (row === null || this._body !== row.parentNode) return;
    this._active = row.dataset.key;
    row.focus();
    this._open(this._active);
  }

  _typed(event) {
    if (this._list === null || event.altKey || event.ctrlKey || event.metaKey) return;
    const focused = event.target.closest("tr[data-key]")?.dataset.key;
    if (focused !== undefined) this._active = focused;
    const place = this._list.indexOf(this._active);
    if (event.key === "Enter" && place >= 0) this._open(this._active);
    else if (event.key in STEPS) this._go(STEPS[event.key](place, this._list.ids.length, this._page()));
    else return;
    event.preventDefault();
  }

  _page() {
    return Math.max(1, Math.floor(this._view.height / this._rowPx) - 2);
  }

  _go(place) {
    const { ids } = this._list;
    if (!ids.length) return;
    const index = Math.min(Math.max(place, 0), ids.length - 1);
    this._active = ids[index];
    const { top, height, head } = this._view;
    const [most, least] = [index * this._rowPx, (index + 1) * this._rowPx + head - height];
    if (top > most) this._scroller.scrollTop = most;
    else if (top < least) this._scroller.scrollTop = least;
    this._look();
    this._rows.get(this._active)?.focus({ preventScroll: true });
  }
}

const STEPS = {
  ArrowDown: (place) => place + 1,
  ArrowUp: (place) => place - 1,
  PageDown: (place, _count, page) => place + page,
  PageUp: (place, _count, page) => place - page,
  Home: () => 0,
  End: (_place, count) => count - 1,
};

function cell(value) {
  const text = brief(value, CELL_CHARS_MAX);
  return el("td", { class: typeof value === "number" ? "number" : null, title: text.length > CELL_CHARS_WIDE ? text : null }, text);
}
