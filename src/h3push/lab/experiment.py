"""A whole experiment: every scenario in every way, with as many seeds as are wanted, on as many processes as there are.

Each visit is independent, so the order in which they end does not change a figure. What has come before Ctrl-C can be used.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from h3push.errors import H3PushError
from h3push.lab.scenarios import Grid, Scenario
from h3push.lab.simulation import Run, simulate
from h3push.lab.site import Site
from h3push.lab.ways import LabWay
from h3push.plans.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """The task: what to measure."""

    site: Site
    """The page and what it needs."""
    grid: Grid = field(default_factory=Grid)
    """The scenarios."""
    seeds: int = 3
    """Visits of each scenario in which chance has a part; the others are visited once."""
    manifest: Manifest | None = None
    """The plan of `LabWay.PUSH_PLANNED`."""

    def visits(self) -> list["PlannedVisit"]:
        """List every visit, the plain ones first: whoever stops early has seen all of the grid that needs no seeds."""
        planned = [
            PlannedVisit(scenario, way, seed)
            for scenario in self.grid
            for seed in range(self.seeds if scenario.has_chance else 1)
            for way in LabWay
        ]
        return sorted(planned, key=lambda visit: visit.seed)


class PlannedVisit(NamedTuple):
    """One visit that is to be measured."""

    scenario: Scenario
    """The circumstances."""
    way: LabWay
    """The way of delivery."""
    seed: int
    """Decides everything random."""


class FailedVisit(NamedTuple):
    """A visit that came to no end."""

    visit: PlannedVisit
    """Which one."""
    reason: str
    """Why, in a sentence."""


Outcome = Run | FailedVisit


def run_experiment(experiment: Experiment, jobs: int) -> Iterator[Outcome]:
    """Give the outcome of each visit as it comes.

    Args:
        experiment: what to measure.
        jobs: processes; with 1 everything is done in this one.
    """
    visits = experiment.visits()
    if min(jobs, len(visits)) <= 1:
        yield from map(_measure(experiment), visits)
        return
    spawned = multiprocessing.get_context("spawn")  # a fork would inherit threads and event loops
    pool = ProcessPoolExecutor(jobs, mp_context=spawned, initializer=_begin, initargs=(experiment,))
    try:
        pieces = [visits[at : at + _PIECE] for at in range(0, len(visits), _PIECE)]
        for done in as_completed([pool.submit(_visit_all, piece) for piece in pieces]):
            yield from done.result()
    except BaseException:  # Ctrl-C: nobody waits for what the processes are at
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def default_jobs() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_PIECE = len(LabWay)
"""Visits that a process takes at once."""


def _measure(experiment: Experiment) -> Callable[[PlannedVisit], Outcome]:
    def measure(visit: PlannedVisit) -> Outcome:
        try:
            run = simulate(experiment.site, *visit, experiment.manifest)
        except H3PushError as error:
            return FailedVisit(visit, str(error))
        return replace(run, resources=()) if visit.seed else run  # of many visits, one waterfall is shown

    return measure


class _Process:
    """The state of a process of the pool."""

    measure: Callable[[PlannedVisit], Outcome]


def _begin(experiment: Experiment) -> None:
    """Begin a process of the pool. Ctrl-C is for the process that has the terminal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Process.measure = staticmethod(_measure(experiment))


def _visit_all(visits: Sequence[PlannedVisit]) -> list[Outcome]:
    return [_Process.measure(visit) for visit in visits]
