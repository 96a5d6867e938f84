"""The outcome of an experiment: in each scenario what every way took and cost, which way is the best, and by how much.

One way is *faster* than another if its median is more than 1 % lower and the two differ by more than chance: the interval of
the differences, seed by seed, lies below zero. The best way is the plainest that none is faster than: what gains nothing is not
worth having. *Shown* decides for pages that wait for style sheets or scripts, *complete* for everything else, such as a chain of
API calls.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from h3push.lab.experiment import FailedVisit, Outcome
from h3push.lab.intervals import Interval, interval_of
from h3push.lab.scenarios import Scenario
from h3push.lab.simulation import Run
from h3push.lab.site import Site
from h3push.lab.ways import ORDER, LabWay

MARGIN = 0.01
"""Part of a time that is no difference: two ways that are closer than this are equally fast."""


class Goal(Enum):
    """The time that decides which way is the best."""

    SHOWN = "shown"
    """When page, style sheets and blocking scripts are there."""
    COMPLETE = "complete"
    """When everything is there."""

    @classmethod
    def of(cls, site: Site) -> "Goal":
        """Choose what matters for a site."""
        return cls.SHOWN if site.blocks else cls.COMPLETE


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way in one scenario."""

    shown: Interval
    """Seconds until shown."""
    complete: Interval
    """Seconds until complete."""
    wire_bytes: int
    """Bytes that reached the client, in the median."""
    wasted_bytes: int
    """How many more these are than without push or hints: promises, and what was pushed and not used."""
    runs: tuple[Run, ...]
    """The visits, by seed."""

    @property
    def sample(self) -> Run:
        """The first of the visits."""
        return self.runs[0]

    def interval(self, goal: Goal) -> Interval:
        """Seconds until one of the two."""
        return self.shown if goal is Goal.SHOWN else self.complete


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One scenario, measured in every way."""

    scenario: Scenario
    """The circumstances."""
    measured: Mapping[LabWay, Measured]
    """Every way."""
    goal: Goal
    """The time that decides."""

    def time(self, way: LabWay) -> float:
        """Seconds that decide, in the median."""
        return self.measured[way].interval(self.goal).median

    @property
    def best(self) -> LabWay:
        """The plainest way that none is faster than."""
        return next(way for way in ORDER if not any(self.is_faster(other, way) for other in ORDER))

    def is_faster(self, way: LabWay, other: LabWay) -> bool:
        """True when `way` takes less time than `other`, by more than `MARGIN` and more than chance."""
        if self.time(way) >= self.time(other) * (1 - MARGIN):
            return False
        others = {run.seed: _time(run, self.goal) for run in self.measured[other].runs}
        differences = [
            _time(run, self.goal) - others[run.seed] for run in self.measured[way].runs if run.seed in others
        ]
        return bool(differences) and interval_of(differences).high < 0

    @property
    def gain(self) -> float:
        """The part of the time without push and hints that the best way saves."""
        return self.saved(self.best, LabWay.NONE)

    def saved(self, way: LabWay, other: LabWay) -> float:
        """The part of `other`'s time that `way` saves; negative when it takes longer."""
        return 1 - self.time(way) / self.time(other)

    @property
    def best_push(self) -> LabWay:
        """The faster of the ways that push."""
        return min((way for way in ORDER if way.pushes), key=self.time)

    @property
    def best_hint(self) -> LabWay:
        """The faster of the ways that only name resources."""
        return min((LabWay.PRELOAD, LabWay.EARLY_HINTS), key=self.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All that an experiment found."""

    site: Site
    """The page that was measured."""
    goal: Goal
    """The time that decides."""
    cells: tuple[Cell, ...]
    """The scenarios that were measured in every way, in the order of the grid."""
    failed: tuple[FailedVisit, ...] = ()
    """Visits that came to no end."""
    missing: int = 0
    """Visits that were planned and not made."""


def findings_of(site: Site, outcomes: Iterable[Outcome], *, order: Iterable[Scenario], planned: int) -> Findings:
    """Put outcomes together. A scenario counts when every way has been measured in it.

    Args:
        site: what was measured.
        outcomes: in any order.
        order: the scenarios, in the order that is wanted.
        planned: how many outcomes there would be, had nobody stopped the experiment.
    """
    runs: dict[Scenario, dict[LabWay, list[Run]]] = defaultdict(lambda: defaultdict(list))
    failed, count = [], 0
    for outcome in outcomes:
        count += 1
        if isinstance(outcome, Run):
            runs[outcome.scenario][outcome.way].append(outcome)
        else:
            failed.append(outcome)
    goal = Goal.of(site)
    cells = tuple(_cell(one, runs[one], goal) for one in order if len(runs[one]) == len(ORDER))
    return Findings(site=site, goal=goal, cells=cells, failed=tuple(failed), missing=planned - count)


def _cell(scenario: Scenario, runs: Mapping[LabWay, list[Run]], goal: Goal) -> Cell:
    plain = {run.seed: run.wire_bytes for run in runs[LabWay.NONE]}
    measured = {way: _measured(sorted(runs[way], key=lambda run: run.seed), plain) for way in ORDER}
    return Cell(scenario=scenario, measured=measured, goal=goal)


def _measured(runs: list[Run], plain: Mapping[int, int]) -> Measured:
    wasted = [max(0, run.wire_bytes - plain[run.seed]) for run in runs if run.seed in plain]
    return Measured(
        shown=interval_of([run.shown for run in runs]),
        complete=interval_of([run.complete for run in runs]),
        wire_bytes=round(interval_of([run.wire_bytes for run in runs]).median),
        wasted_bytes=round(interval_of(wasted).median) if wasted else 0,
        runs=tuple(runs),
    )


def _time(run: Run, goal: Goal) -> float:
    return run.shown if goal is Goal.SHOWN else run.complete
