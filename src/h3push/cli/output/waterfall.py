"""Responses over time, as lines of text: numbers first, then a bar, pushed rows marked.

response                    bytes       begin         end
GET  /                      6,575      0.0 ms    104.2 ms  ░░░░░░░░░░░░░░░░░░░░░░░░████████
push /styles/guide.css      2,702      0.1 ms    105.0 ms  ░░░░░░░░░░░░░░░░░░░░░░░░████████  claimed
push /unwanted.png              0      0.1 ms      0.2 ms  ✗  cancelled
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

import rich_click as click

from h3push.cli.outcome import Exchange, FetchOutcome, PushRecord
from h3push.http.url import target_of

WAITING, ARRIVING, ENDED_EARLY = "░", "█", "✗"
"""From the request or promise to the first byte, from there to the last, and where it broke off."""
PLAIN = str.maketrans({WAITING: ".", ARRIVING: "#", ENDED_EARLY: "x"})
"""For terminals without these characters."""
BAR_WIDTH = 32
"""Characters that the whole time takes."""
LONGEST_NAME = 60
"""Characters that a path may take; longer ones lose their middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One response; times in seconds."""

    path: str
    """Path and query."""
    pushed: bool
    """True when it was pushed."""
    body_bytes: int
    """Content, in bytes."""
    started: float
    """When it was asked for or promised."""
    first_byte: float | None
    """When its header section arrived; `None` when it never did."""
    ended: float
    """When it was complete, or ended early."""
    method: str = "GET"
    """How it was asked for."""
    note: str = ""
    """Empty when it is whole; else the end that it had: cancelled, refused, failed."""
    mark: str = ""
    """Of a push that is whole: `claimed` when it answered a request, `unclaimed` when none came."""


def rows_of(outcome: FetchOutcome) -> list[Row]:
    """Give a row for every request and every push but those that were refused, in the order in which they began.

    What a push answered has the row of the push alone: nothing was sent for it.
    """
    exchanges = [exchange for exchange in outcome.exchanges() if exchange.push is None]
    rows = [_requested(exchange, outcome.time_total) for exchange in exchanges]
    rows += [_pushed(push, push.promised, outcome.time_total) for push in outcome.pushes if push.promised is not None]
    return sorted(rows, key=lambda row: row.started)


def _requested(exchange: Exchange, end: float) -> Row:
    return Row(
        path=target_of(exchange.request.url),
        pushed=False,
        body_bytes=exchange.body_bytes,
        started=exchange.started,
        first_byte=exchange.first_byte,
        ended=end if exchange.done is None else exchange.done,
        method=exchange.request.method,
        note="failed" if exchange.done is None else "",
    )


def _pushed(push: PushRecord, promised: float, end: float) -> Row:
    is_whole = push.state == "fulfilled"
    return Row(
        path=target_of(push.url),
        pushed=True,
        body_bytes=push.body_bytes,
        started=promised,
        first_byte=push.first_byte,
        ended=end if push.done is None else push.done,
        method=push.method,
        note="" if is_whole else push.state,
        mark=push.mark if is_whole else "",
    )


def waterfall(rows: Sequence[Row], begin: float = 0.0) -> list[str]:
    """Give one line for each row, under a heading; times count from `begin` (seconds)."""
    end = max((row.ended for row in rows), default=begin)
    names = [f"{'push' if row.pushed else row.method:<4} {shortened(row.path)}" for row in rows]
    width = max(len("response"), *map(len, names)) if names else len("response")
    lines = [f"{'response':<{width}}  {'bytes':>9}  {'begin':>10}  {'end':>10}  "]
    for name, row in zip(names, rows, strict=True):
        times = f"{milliseconds(row.started - begin):>10}  {milliseconds(row.ended - begin):>10}"
        word = row.note or row.mark
        note = f"  {word}" if word else ""
        lines.append(f"{name:<{width}}  {row.body_bytes:>9,}  {times}  {bar(row, begin, end)}{note}")
    return lines


def print_waterfall(rows: Sequence[Row], begin: float = 0.0, file: TextIO | None = None) -> None:
    """Print the lines to `file` (standard output): in colour on a terminal (unless NO_COLOR)."""
    file = file or sys.stdout
    lines: Iterable[str] = waterfall(rows, begin)
    if not can_encode(file.encoding):
        lines = [line.translate(PLAIN) for line in lines]
    coloured = file.isatty() and not os.environ.get("NO_COLOR")
    for line, row in zip(lines, [None, *rows], strict=True):
        click.echo(click.style(line, fg=_colour(row)) if coloured and row is not None else line, file=file)


def _colour(row: Row) -> str | None:
    if row.note:
        return "red"
    if row.mark == "unclaimed":
        return "yellow"
    return "green" if row.pushed else None


def can_encode(encoding: str | None) -> bool:
    """Tell whether a terminal's encoding has the characters of the bars."""
    try:
        (WAITING + ARRIVING + ENDED_EARLY).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def bar(row: Row, begin: float, end: float) -> str:
    """Draw when a response was waited for and when it arrived; every response shows at least one mark."""
    scale = BAR_WIDTH / (end - begin) if end > begin else 0.0
    arrived = row.ended if row.first_byte is None else row.first_byte
    start, first, last = (round((instant - begin) * scale) for instant in (row.started, arrived, row.ended))
    start = min(start, BAR_WIDTH - 1)
    first = min(max(first, start), BAR_WIDTH - 1)
    length = max(1, last - first)
    arriving = ARRIVING * (length - 1) + ENDED_EARLY if row.note else ARRIVING * length
    return " " * start + WAITING * (first - start) + arriving


def shortened(path: str, longest: int = LONGEST_NAME) -> str:
    """Take out the middle of a path that is too long for a line."""
    if len(path) <= longest:
        return path
    half = (longest - 1) // 2
    return f"{path[:half]}…{path[-half:]}"


def milliseconds(seconds: float) -> str:
    """Give seconds as a reader wants them."""
    return f"{seconds * 1000:.1f} ms"
