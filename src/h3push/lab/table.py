"""The findings as text: a table of times, one of bytes, and the verdict."""

from collections.abc import Sequence
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from h3push.lab.findings import Cell, Findings, Goal, Measured
from h3push.lab.intervals import CONFIDENCE, Interval, coverage
from h3push.lab.scenarios import Scenario
from h3push.lab.verdict import verdict_sentence
from h3push.lab.ways import ORDER, LabWay


def print_findings(findings: Findings, console: Console) -> None:
    """Print everything that was found."""
    site = findings.site
    left_out = f" ({site.left_out} left out)" if site.left_out else ""
    console.print(
        f"{site.name}{site.path if site.name.endswith('/') else ' ' + site.path}: {len(site.resources)} resources{left_out},"
        f" {site.content_bytes:,} bytes, depth {site.depth}",
        highlight=False,
        markup=False,
    )
    if findings.cells:
        goals = list(Goal)
        wide = console.width >= _WIDE
        for shown in [goals] if wide else [[goal] for goal in goals]:
            console.print(times(findings, shown, spread=wide))
        console.print(octets(findings))
    for failed in findings.failed[:_SHOWN_FAILURES]:
        console.print(f"failed: {failed.visit.scenario}, {failed.visit.way.value}: {failed.reason}", markup=False)
    if findings.missing:
        console.print(f"stopped: {findings.missing} visits were not made", highlight=False)
    console.print(verdict_sentence(findings), highlight=False, markup=False, soft_wrap=True)


_SHOWN_FAILURES = 5
_WIDE = 160
"""Columns of a terminal on which both times fit beside each other."""


def times(findings: Findings, goals: Sequence[Goal], *, spread: bool) -> Table:
    """Times in milliseconds for each way, and the best of them."""
    title = " / ".join(goal.value for goal in goals)
    visits = max(measured.shown.count for cell in findings.cells for measured in cell.measured.values())
    confidence = min(max(0.0, coverage(visits, 1)), CONFIDENCE)
    about = f"; ± covers the median {confidence:.0%} of the time ({visits} visits)" if visits > 1 and spread else ""
    table = _table(f"{title}, ms{about}; best and gain: {findings.goal.value}", ("RTT", "Mbit/s", "loss", "cache"))
    for name in (*(way.value for way in ORDER), "best", "gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in findings.cells:
        best = cell.best
        columns = [_times(cell.measured[way], goals, bold=way is best, spread=spread) for way in ORDER]
        table.add_row(*_scenario(cell.scenario), *columns, best.value, f"{cell.gain:.0%}")
    return table


def octets(findings: Findings) -> Table:
    """Kilobytes that reached the client, and the waste among them, for each cache: the link hardly changes them."""
    table = _table("bytes at the client, kB (more than without push and hints); medians over all links", ("cache",))
    for way in ORDER:
        table.add_column(way.value, justify="right", no_wrap=True)
    for cache in dict.fromkeys(cell.scenario.cache for cell in findings.cells):
        cells = [cell for cell in findings.cells if cell.scenario.cache == cache]
        table.add_row(str(cache), *(_octets(cells, way) for way in ORDER))
    return table


def _table(title: str, keys: tuple[str, ...]) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", pad_edge=False, collapse_padding=True)
    for name in keys:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _scenario(scenario: Scenario) -> list[str]:
    return [
        f"{scenario.round_trip * 1000:g}",
        f"{scenario.rate / 1e6:g}",
        f"{scenario.loss * 100:g} %",
        str(scenario.cache),
    ]


def _times(measured: Measured, goals: Sequence[Goal], *, bold: bool, spread: bool) -> Text:
    text = " / ".join(_milliseconds(measured.interval(goal), spread) for goal in goals)
    return Text(text, style="bold" if bold else "")


def _milliseconds(interval: Interval, spread: bool) -> str:
    """A median, with how far the interval reaches to its farther side."""
    reach = max(interval.high - interval.median, interval.median - interval.low) * 1000
    return f"{interval.median * 1000:,.0f}" + (f"±{reach:,.0f}" if spread and reach >= 1 else "")


def _octets(cells: list[Cell], way: LabWay) -> str:
    there = median(cell.measured[way].wire_bytes for cell in cells) / 1000
    wasted = median(cell.measured[way].wasted_bytes for cell in cells) / 1000
    return f"{there:,.0f}" if way is LabWay.NONE else f"{there:,.0f} (+{wasted:,.1f})"
