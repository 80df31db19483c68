/**
 * Draw a line in an SVG of 100 by 100.
 *
 * @module
 */

const SVG = "http://www.w3.org/2000/svg";

/** Draw values, oldest first; the greatest is written in the title. */
export function drawChart(svg, values, { least = 1 } = {}) {
  const top = Math.max(least, ...values);
  const step = 100 / Math.max(values.length - 1, 1);
  const points = values.map((value, i) => `${(i * step).toFixed(2)},${(98 - (value / top) * 92).toFixed(2)}`);
  const line = points.length ? `M${points.join("L")}` : "";
  const area = path(line && `${line}L100,100L0,100Z`, "area");
  svg.replaceChildren(title(`most: ${top}`), area, path(line));
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
