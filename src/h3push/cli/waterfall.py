"""Responses over time, as lines of text: numbers first, then a bar, pushed rows marked.

response                            bytes    begin      end GET  /                              6,575   0.0 ms  104.2 ms
▒▒▒▒▒███ push /styles/guide.css              2,702   0.1 ms  105.0 ms  ░░░░░▒▒███
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import rich_click as click

WAITING, ARRIVING = "░", "█"
"""From the request or promise to the first byte, and from there to the last."""
PLAIN = str.maketrans({WAITING: ".", ARRIVING: "#"})
"""For terminals without these characters."""
BAR_WIDTH = 32
"""Characters that the whole time takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One response."""

    path: str
    """Path and query."""
    pushed: bool
    """True when it was pushed."""
    body_bytes: int
    """Content, in bytes."""
    started: float
    """When it was asked for or promised; seconds."""
    first_byte: float
    """When its header section arrived; seconds."""
    ended: float
    """When it was complete; seconds."""


def waterfall(rows: Sequence[Row], begin: float = 0.0) -> list[str]:
    """One line for each row, under a heading; times count from `begin` (seconds)."""
    end = max((row.ended for row in rows), default=begin)
    width = max([len("response"), *(len(row.path) + 5 for row in rows)])
    lines = [f"{'response':<{width}}  {'bytes':>9}  {'begin':>10}  {'end':>10}  "]
    for row in rows:
        name = f"{'push' if row.pushed else 'GET ':<4} {row.path}"
        times = f"{milliseconds(row.started - begin):>10}  {milliseconds(row.ended - begin):>10}"
        lines.append(f"{name:<{width}}  {row.body_bytes:>9,}  {times}  {bar(row, begin, end)}")
    return lines


def print_waterfall(rows: Sequence[Row], begin: float = 0.0) -> None:
    """Print the lines to stdout: pushed rows green on a terminal (unless NO_COLOR), plain text elsewhere."""
    lines = waterfall(rows, begin)
    if not can_encode(sys.stdout.encoding):
        lines = [line.translate(PLAIN) for line in lines]
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line, row in zip(lines, [None, *rows], strict=True):
        click.echo(click.style(line, fg="green") if coloured and row is not None and row.pushed else line)


def can_encode(encoding: str | None) -> bool:
    """Tell whether a terminal's encoding has the characters of the bars."""
    try:
        (WAITING + ARRIVING).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def bar(row: Row, begin: float, end: float) -> str:
    """Draw when a response was waited for and when it arrived; every response shows at least one mark."""
    scale = BAR_WIDTH / (end - begin) if end > begin else 0.0
    start, first, last = (round((instant - begin) * scale) for instant in (row.started, row.first_byte, row.ended))
    start = min(start, BAR_WIDTH - 1)
    first = min(max(first, start), BAR_WIDTH - 1)
    return " " * start + WAITING * (first - start) + ARRIVING * max(1, last - first)


def milliseconds(seconds: float) -> str:
    """Seconds as a reader wants them."""
    return f"{seconds * 1000:.1f} ms"
