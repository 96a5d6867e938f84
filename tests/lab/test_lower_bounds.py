"""Measured times against what no implementation can beat, in closed form."""

import pytest
from sites import CHAIN, PAGE

from h3push.lab.bounds import bounds
from h3push.lab.scenarios import Cache, Scenario
from h3push.lab.simulation import simulate
from h3push.lab.ways import LabWay

TRIPS = (0.1, 0.3, 0.6)
RATES = (10_000_000, 50_000_000)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("trip", TRIPS)
@pytest.mark.parametrize("rate", RATES)
def test_an_api_chain_takes_what_theory_says_in_every_way(trip, rate, warm):
    """Within 5 % above the bound, and never below it."""
    scenario = Scenario(round_trip=trip, rate=rate, cache=Cache(warm=warm))
    for way, bound in bounds(CHAIN, scenario).items():
        took = simulate(CHAIN, scenario, way).complete
        assert bound <= took <= 1.05 * bound, way


def test_the_bounds_are_those_of_the_formulas():
    scenario = Scenario(round_trip=0.1, rate=8_000_000, cache=Cache(warm=True))
    found = bounds(CHAIN, scenario)
    assert found[LabWay.NONE] == pytest.approx(0.1 + 0.03 + 8_000 / 1e6 + 3 * 0.1)
    assert found[LabWay.PRELOAD] == pytest.approx(0.1 + 0.03 + 0.1 + 6_000 / 1e6)
    assert found[LabWay.EARLY_HINTS] == pytest.approx(0.1 + 0.1 + 6_000 / 1e6)
    assert found[LabWay.PUSH_PLANNED] == pytest.approx(0.1 + 0.03 + 2_000 / 1e6)
    cold = bounds(PAGE, Scenario(round_trip=0.1, rate=1_000_000_000))
    assert cold[LabWay.PUSH_ALL] == pytest.approx(0.2 + 2 * 0.1, rel=0.01)  # 74 kB: three rounds of slow start


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("trip", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("rate", [5_000_000, 50_000_000])
def test_planned_pushes_are_never_slower_than_none(trip, rate, warm):
    """A push never delays what was asked for: shown and complete within 1 % of no push, or before."""
    scenario = Scenario(round_trip=trip, rate=rate, cache=Cache(warm=warm))
    for site in (CHAIN, PAGE):
        without = simulate(site, scenario, LabWay.NONE)
        pushed = simulate(site, scenario, LabWay.PUSH_PLANNED)
        assert pushed.shown <= 1.01 * without.shown
        assert pushed.complete <= 1.01 * without.complete
        assert min(bounds(site, scenario).values()) <= pushed.complete
