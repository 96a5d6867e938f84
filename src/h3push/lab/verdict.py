"""The verdict in words: whether push pays for a site, where, and by how much over the hints that browsers know."""

from collections.abc import Callable, Sequence
from enum import Enum
from statistics import median

from h3push.lab.findings import MARGIN, Cell, Findings, Goal
from h3push.lab.ways import LabWay


class SiteVerdict(Enum):
    """The answer to the question if push pays."""

    PAYS = "Push pays"
    """In most scenarios, over every way without it."""
    SOMETIMES = "Push pays in part"
    """In some scenarios."""
    HINTS = "Hints are enough"
    """Naming the resources helps, and pushing them adds nothing."""
    NOTHING = "Nothing helps"
    """No way is faster than none."""
    UNKNOWN = "Not enough was measured"
    """No scenario was measured in every way."""


def verdict_of(findings: Findings) -> SiteVerdict:
    """Decide."""
    cells = findings.cells
    if not cells:
        return SiteVerdict.UNKNOWN
    pays = sum(cell.best.pushes for cell in cells)
    if pays > len(cells) / 2:
        return SiteVerdict.PAYS
    if pays:
        return SiteVerdict.SOMETIMES
    return SiteVerdict.HINTS if any(cell.gain > MARGIN for cell in cells) else SiteVerdict.NOTHING


def verdict_sentence(findings: Findings) -> str:
    """Say it in a sentence or two."""
    verdict = verdict_of(findings)
    cells = findings.cells
    when = "shown" if findings.goal is Goal.SHOWN else "complete"
    if verdict is SiteVerdict.UNKNOWN:
        return f"{verdict.value}: no scenario was measured in every way."
    if verdict is SiteVerdict.NOTHING:
        return f"{verdict.value}: no way has the page {when} more than 1 % sooner than a client alone, in any scenario."
    if verdict is SiteVerdict.HINTS:
        sooner = median(cell.saved(cell.best_hint, LabWay.NONE) for cell in cells)
        return (
            f"{verdict.value}: naming the resources has the page {when} {sooner:.0%} sooner (median), and pushing them adds no"
            " more than 1 % in any scenario."
        )
    return _where_push_pays(verdict, cells, when)


def _where_push_pays(verdict: SiteVerdict, cells: Sequence[Cell], when: str) -> str:
    paying = [cell for cell in cells if cell.best.pushes]
    alone = median(cell.saved(cell.best, LabWay.NONE) for cell in paying)
    hinted = median(cell.saved(cell.best, cell.best_hint) for cell in paying)
    most = max(paying, key=lambda cell: cell.saved(cell.best, cell.best_hint))
    common = _common(paying, cells)
    where = f"{len(paying)} of {len(cells)} scenarios" + (f", {common}" if common else "")
    harm = sum(cell.is_faster(LabWay.NONE, cell.best_push) for cell in cells)
    warning = f" In {harm} of {len(cells)} it is slower than no push." if harm else ""
    return (
        f"{verdict.value}: in {where}, the page is {when} {alone:.0%} sooner than without it and {hinted:.0%} sooner than with"
        f" hints (medians); most at {most.scenario}: {most.saved(most.best, most.best_hint):.0%} over hints.{warning}"
    )


def _common(paying: Sequence[Cell], cells: Sequence[Cell]) -> str:
    """Say what the paying scenarios have in common, and the others have not."""
    others = [cell for cell in cells if not cell.best.pushes]
    if not others:
        return ""
    for words, holds in _TRAITS:
        if all(map(holds, paying)) and not any(map(holds, others)):
            return f"exactly those {words}"
    for words, holds in _TRAITS:
        if all(map(holds, paying)) and any(not holds(cell) for cell in others):
            return f"all {words}"
    return ""


_TRAITS: tuple[tuple[str, Callable[[Cell], bool]], ...] = (
    ("on warm connections", lambda cell: cell.scenario.cache.warm),
    ("on new connections", lambda cell: not cell.scenario.cache.warm),
    ("with nothing cached", lambda cell: cell.scenario.cache.share == 0),
    ("at round trips of 100 ms or more", lambda cell: cell.scenario.round_trip >= 0.1),
    ("at 10 Mbit/s or more", lambda cell: cell.scenario.rate >= 10_000_000),
)
"""Traits that scenarios may share, in words."""
