"""
Draw lines over time as a picture: an SVG, and a PNG of it by the browser that the tests use.

Colours are of the Okabe-Ito set, which stays apart for colour-blind eyes.
"""

import math
from html import escape


WIDTH, HEIGHT = 1200, 560
LEFT, RIGHT, TOP, BOTTOM = 72, 28, 92, 52
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
POINTS_MAX = 1500
"""A line of more is thinned: the picture has no more columns."""

STYLE = """
text { font-family: "DejaVu Sans", sans-serif; font-size: 14px; fill: #333 }
.title { font-size: 20px; font-weight: bold; fill: #111 }
.grid { stroke: #e4e4e4 } .axis { stroke: #888 }
.span { fill: #f4f1ea } .span-name { fill: #8a7f66; font-size: 13px }
.line { fill: none; stroke-width: 2; stroke-linejoin: round }
"""


def svg(title, lines, *, x_name, y_name, spans=()):
    """
    Return an SVG, its y axis from 0.

    Args:
        lines: (name, note, points) each; points are (x, y). The note stands in the legend.
        spans: (name, from x, to x): parts of the time that are shaded and named.
    """
    points = [point for _, _, line in lines for point in line]
    x_max = max((x for x, _ in points), default=0) or 1
    y_step = _step(max((y for _, y in points), default=0) or 1)
    y_max = y_step * math.ceil(max((y for _, y in points), default=0) * 1.05 / y_step) or y_step

    def at_x(x):
        return round(LEFT + x / x_max * (WIDTH - LEFT - RIGHT), 1)

    def at_y(y):
        return round(HEIGHT - BOTTOM - y / y_max * (HEIGHT - TOP - BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 32, title, "title"),
    ]
    for name, begin, end in spans:
        x, width = at_x(begin), at_x(min(end, x_max)) - at_x(begin)
        parts.append(
            f'<rect class="span" x="{x}" y="{TOP}" width="{width:.1f}" '
            f'height="{HEIGHT - TOP - BOTTOM}"/>'
        )
        parts.append(_text(x + 8, TOP + 18, name, "span-name"))
    for y in _ticks(y_max, y_step):
        parts.append(_line("grid", LEFT, at_y(y), WIDTH - RIGHT, at_y(y)))
        parts.append(_text(LEFT - 10, at_y(y) + 5, f"{y:g}", anchor="end"))
    for x in _ticks(x_max, _step(x_max)):
        parts.append(_line("axis", at_x(x), HEIGHT - BOTTOM, at_x(x), HEIGHT - BOTTOM + 5))
        parts.append(_text(at_x(x), HEIGHT - BOTTOM + 22, f"{x:g}", anchor="middle"))
    parts.append(_line("axis", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM))
    parts.append(_text(WIDTH - RIGHT, HEIGHT - 8, x_name, anchor="end"))
    parts.append(_text(14, TOP - 12, y_name))
    share = (WIDTH - LEFT - RIGHT) / max(len(lines), 1)
    for index, (name, note, line) in enumerate(lines):
        colour = COLOURS[index % len(COLOURS)]
        where = " ".join(f"{at_x(x)},{at_y(y)}" for x, y in _thinned(line))
        parts.append(f'<polyline class="line" stroke="{colour}" points="{where}"/>')
        x = LEFT + index * share
        parts.append(f'<rect x="{x:.1f}" y="47" width="18" height="6" fill="{colour}"/>')
        parts.append(_text(x + 26, 55, f"{name}  {note}"))
    return "\n".join([*parts, "</svg>"])


def png(picture):
    """Return an SVG as a PNG."""
    from chromium import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.set_content(f'<body style="margin: 0">{picture}</body>')
        found = page.screenshot()
        browser.close()
    return found


def _step(most):
    """Return a round step that makes four to ten of the whole."""
    rough = most / 8
    scale = 10 ** math.floor(math.log10(rough))
    return next(scale * n for n in (1, 2, 5, 10) if scale * n >= rough)


def _ticks(most, step):
    return [index * step for index in range(int(most / step + 1e-9) + 1)]


def _thinned(line):
    every = max(1, len(line) // POINTS_MAX)
    return [*line[::every], *line[-1:]]


def _line(kind, x1, y1, x2, y2):
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _text(x, y, text, kind="", anchor="start"):
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
