/**
 * Draw a line over time, with its scale.
 *
 * @module
 */

import { el, number } from "./shell.js";

const SVG = "http://www.w3.org/2000/svg";
const LINES = [2, 51, 100];
const drawn = new WeakMap();

/**
 * Draw values, oldest first, so that the newest is at the right edge.
 *
 * @param {HTMLElement} place
 * @param {number[]} values
 * @param {{unit: string, span: string, least?: number, width?: number}} scale `span`: how long the
 *   width is, in words; `least`: the value that fills the height, unless there is a greater one;
 *   `width`: how many values fill the width
 */
export function drawChart(place, values, { unit, span, least = 1, width = 180 }) {
  const parts = drawn.get(place) ?? begin(place, span);
  const top = roundUp(Math.max(least, ...values));
  const step = 100 / (width - 1);
  const first = 100 - step * (values.length - 1);
  const points = values.map((value, i) => `${(first + i * step).toFixed(2)},${(100 - (value / top) * 98).toFixed(2)}`);
  const line = points.length ? `M${points.join("L")}` : "";
  parts.line.setAttribute("d", line);
  parts.area.setAttribute("d", line && `${line}L100,100L${first.toFixed(2)},100Z`);
  parts.top.textContent = `${number(top)}${unit}`;
  parts.half.textContent = number(top / 2);
}

function begin(place, span) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.ariaHidden = "true";
  const grid = path(LINES.map((y) => `M0,${y}H100`).join(""), "grid");
  const [area, line] = [path("", "area"), path("", "line")];
  svg.append(grid, area, line);
  const [top, half] = [el("span", {}), el("span", {})];
  const scale = el("div", { class: "scale" }, top, half, el("span", {}, "0"));
  const time = el("div", { class: "time" }, el("span", {}, `${span} ago`), el("span", {}, "now"));
  place.replaceChildren(scale, svg, time);
  const parts = { area, line, top, half };
  drawn.set(place, parts);
  return parts;
}

/** Return the next of 1, 2, 5, 10, 20 and so on: a scale that seldom moves, and is read at once. */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

function path(d, name) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("d", d);
  made.setAttribute("class", name);
  return made;
}
