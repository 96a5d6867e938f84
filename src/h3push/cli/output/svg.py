"""The waterfall as a picture (SVG)."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from h3push.cli.output.waterfall import Row, milliseconds, shortened

ROW_HEIGHT = 22
"""Distance from row to row, in pixels like all that follows."""
TOP, LEFT, RIGHT = 64, 430, 200
"""Space above the first row, left of the bars for names, and right of them for numbers."""
BAR_SPACE = 620
"""Width of the whole time."""
BAR_HEIGHT = 13
"""Height of a bar."""
LONGEST_NAME = 52
"""Characters of a path for which there is room."""
TICKS = 5
"""Lines of the time axis, beside the one at 0."""
REQUESTED, PUSHED, FAILED, WAITING_OPACITY = "#3f6fb5", "#2f9e5b", "#c9463d", "0.3"
"""Colours of what was asked for, pushed and not complete, and how pale waiting is."""
FONT = "font-family:system-ui,sans-serif;font-size:12px;fill:#24292f"
"""Of all text."""


def svg(rows: Sequence[Row], title: str) -> str:
    """Draw the rows: pale while a response was waited for, full while it arrived."""
    end = max((row.ended for row in rows), default=0.0) or 1.0
    width, height = LEFT + BAR_SPACE + RIGHT, TOP + ROW_HEIGHT * len(rows) + 16
    root = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", style=FONT)
    root.set("width", str(width))
    root.set("height", str(height))
    SubElement(root, "title").text = title
    SubElement(root, "rect", width="100%", height="100%", fill="#ffffff")
    _text(root, 16, 24, title, style="font-weight:bold;font-size:14px")
    _legend(root)
    _axis(root, end, height)
    for number, row in enumerate(rows):
        _row(root, TOP + ROW_HEIGHT * number, row, end)
    return tostring(root, encoding="unicode") + "\n"


def _row(root: Element, top: float, row: Row, end: float) -> None:
    group = SubElement(root, "g")
    SubElement(group, "title").text = _words(row)
    baseline = top + BAR_HEIGHT - 2
    colour = FAILED if row.note else PUSHED if row.pushed else REQUESTED
    _text(group, 16, baseline, "push" if row.pushed else row.method, fill=colour, style="font-weight:bold")
    _text(group, 62, baseline, shortened(row.path, LONGEST_NAME))
    first = row.ended if row.first_byte is None else row.first_byte
    _bar(group, top, row.started, first, end, colour, WAITING_OPACITY)
    if row.first_byte is not None:
        _bar(group, top, first, row.ended, end, colour, "1")
    mark = f", {row.mark}" if row.mark else ""
    numbers = f"{milliseconds(row.ended)}, {row.note or f'{row.body_bytes:,} B'}{mark}"
    _text(group, LEFT + BAR_SPACE + 10, baseline, numbers)


def _words(row: Row) -> str:
    arrived = "" if row.first_byte is None else f", arriving from {milliseconds(row.first_byte)}"
    how = "promised" if row.pushed else "asked for"
    ended = row.note or (f"complete and {row.mark}" if row.mark else "complete")
    return f"{row.path}: {how} at {milliseconds(row.started)}{arrived}, {ended} at {milliseconds(row.ended)}"


def _bar(parent: Element, top: float, start: float, stop: float, end: float, colour: str, opacity: str) -> None:
    left, right = LEFT + BAR_SPACE * start / end, LEFT + BAR_SPACE * stop / end
    bar = SubElement(parent, "rect", x=f"{left:.1f}", y=f"{top}", height=str(BAR_HEIGHT), fill=colour)
    bar.set("width", f"{max(1.5, right - left):.1f}")
    bar.set("fill-opacity", opacity)


def _axis(root: Element, end: float, height: float) -> None:
    for tick in range(TICKS + 1):
        x = LEFT + BAR_SPACE * tick / TICKS
        line = SubElement(root, "line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=str(TOP - 8), y2=str(height - 10))
        line.set("stroke", "#d0d7de")
        _text(root, x + 3, TOP - 10, milliseconds(end * tick / TICKS), fill="#57606a")


def _legend(root: Element) -> None:
    for number, (colour, word) in enumerate([(REQUESTED, "asked for"), (PUSHED, "pushed"), (FAILED, "not complete")]):
        left = 16 + 110 * number
        SubElement(root, "rect", x=str(left), y=str(TOP - 21), width="12", height="12", fill=colour)
        _text(root, left + 17, TOP - 11, word)


def _text(parent: Element, x: float, y: float, words: str, **attributes: str) -> None:
    SubElement(parent, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", **attributes}).text = words
