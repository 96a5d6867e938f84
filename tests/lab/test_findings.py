"""The best way of a scenario, and the verdict."""

import pytest
from sites import CHAIN, PAGE

from h3push.lab.experiment import Experiment, FailedVisit, PlannedVisit, run_experiment
from h3push.lab.findings import Goal, findings_of
from h3push.lab.scenarios import Cache, Grid, Scenario
from h3push.lab.simulation import Run
from h3push.lab.verdict import SiteVerdict, verdict_of, verdict_sentence
from h3push.lab.ways import LabWay

SCENARIO = Scenario(round_trip=0.1, rate=10_000_000)


def run(way, seconds, scenario=SCENARIO, seed=0, wire_bytes=1000):
    return Run(scenario=scenario, way=way, seed=seed, shown=seconds, complete=seconds, wire_bytes=wire_bytes, pushes=0,
               refused=0, unused=0, resources=())  # fmt: skip


def findings(times, site=CHAIN):
    """Findings of one scenario for each list of times, which are in the order of the ways."""
    scenarios = [Scenario(round_trip=0.1 + index, rate=10_000_000) for index in range(len(times))]
    rows = zip(scenarios, times, strict=True)
    runs = [run(way, seconds, one) for one, row in rows for way, seconds in zip(LabWay, row, strict=True)]
    return findings_of(site, runs, order=scenarios, planned=len(runs))


def test_of_ways_that_are_equally_fast_the_plainest_is_the_best():
    """Within 1 % nothing is gained, so nothing is pushed for it."""
    (cell,) = findings([[2.0, 1.0, 1.0, 0.995, 0.992]]).cells
    assert (cell.best, cell.gain) == (LabWay.PRELOAD, 0.5)
    (cell,) = findings([[2.0, 1.0, 1.0, 0.98, 0.985]]).cells
    assert cell.best is LabWay.PUSH_PLANNED


def test_a_way_that_is_faster_by_chance_alone_is_not_the_best():
    """The visits of one seed are compared: a lower median is not enough when the seeds disagree."""
    times = {way: [2.0, 2.2, 2.4] for way in LabWay} | {LabWay.PUSH_ALL: [2.1, 1.8, 1.9]}
    runs = [run(way, seconds, seed=seed) for way in LabWay for seed, seconds in enumerate(times[way])]
    (cell,) = findings_of(CHAIN, runs, order=[SCENARIO], planned=15).cells
    assert cell.best is LabWay.NONE
    runs = [one if one.way is not LabWay.PUSH_ALL or one.seed else run(LabWay.PUSH_ALL, 1.9) for one in runs]
    (cell,) = findings_of(CHAIN, runs, order=[SCENARIO], planned=15).cells
    assert cell.best is LabWay.PUSH_ALL


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([[4, 3, 3, 2, 2], [4, 3, 3, 2, 2]], SiteVerdict.PAYS),
        ([[4, 3, 3, 2, 2], [4, 3, 3, 3, 3]], SiteVerdict.SOMETIMES),
        ([[4, 3, 3, 3, 3]], SiteVerdict.HINTS),
        ([[4, 4, 4, 4, 4]], SiteVerdict.NOTHING),
        ([], SiteVerdict.UNKNOWN),
    ],
)
def test_the_verdict(times, verdict):
    found = findings(times)
    assert verdict_of(found) is verdict
    assert verdict_sentence(found).startswith(verdict.value)


def test_the_sentence_has_the_medians_and_warns_of_harm():
    sentence = verdict_sentence(findings([[4, 3, 3, 2, 2], [4, 3, 3, 5, 5], [4, 3, 3, 4, 4]]))
    assert "in 1 of 3 scenarios" in sentence
    assert "50% sooner than without it and 33% sooner than with hints" in sentence
    assert "In 1 of 3 it is slower than no push" in sentence


def test_waste_is_beyond_the_same_visit_without_push():
    runs = [
        run(way, 1.0, seed=seed, wire_bytes=1000 + seed + (50 if way.pushes else 0))
        for way in LabWay
        for seed in (0, 1)
    ]
    found = findings_of(CHAIN, runs, order=[SCENARIO], planned=10).cells[0].measured
    assert [found[way].wasted_bytes for way in LabWay] == [0, 0, 0, 50, 50]


def test_what_was_stopped_or_failed_is_said_and_half_a_scenario_is_not_judged():
    failed = FailedVisit(PlannedVisit(SCENARIO, LabWay.NONE, 0), "the connection was lost")
    found = findings_of(CHAIN, [failed, run(LabWay.PUSH_ALL, 1.0)], order=[SCENARIO], planned=5)
    assert (found.cells, found.missing, found.failed) == ((), 3, (failed,))


def test_a_page_with_style_sheets_is_judged_by_when_it_is_shown_and_a_chain_by_when_it_is_complete():
    assert (Goal.of(PAGE), Goal.of(CHAIN)) == (Goal.SHOWN, Goal.COMPLETE)


def test_on_several_processes_the_figures_are_the_same():
    grid = Grid(round_trips=(0.1,), rates=(10_000_000,), losses=(0.0, 0.02), caches=(Cache(),))
    experiment = Experiment(site=CHAIN, grid=grid, seeds=2)
    alone, together = (list(run_experiment(experiment, jobs)) for jobs in (1, 2))
    assert len(alone) == len(experiment.visits()) == 5 + 2 * 5
    key = lambda one: (one.scenario, one.way.value, one.seed)  # noqa: E731
    assert sorted(alone, key=key) == sorted(together, key=key)
