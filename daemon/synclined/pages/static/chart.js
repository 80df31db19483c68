/**
 * Draw a line in an SVG of 100 by 100.
 *
 * @module
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Draw values, oldest first, so that the newest is at the right edge.
 *
 * @param {SVGElement} svg
 * @param {number[]} values
 * @param {{least?: number, width?: number}} [scale] `least`: the value that fills the height, unless
 *   there is a greater one; `width`: how many values fill the width
 */
export function drawChart(svg, values, { least = 1, width = 180 } = {}) {
  const top = Math.max(least, ...values);
  const step = 100 / (width - 1);
  const first = 100 - step * (values.length - 1);
  const points = values.map((value, i) => `${(first + i * step).toFixed(2)},${(98 - (value / top) * 92).toFixed(2)}`);
  const line = points.length ? `M${points.join("L")}` : "";
  const area = path(line && `${line}L100,100L${first.toFixed(2)},100Z`, "area");
  svg.replaceChildren(title(`at most ${Math.max(0, ...values)}`), area, path(line));
}

function path(d, name = "") {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("d", d);
  made.setAttribute("class", name);
  return made;
}

function title(text) {
  const made = document.createElementNS(SVG, "title");
  made.textContent = text;
  return made;
}
