"""One visit: what it discovers, what it takes and refuses, and that it is the same each time."""

from dataclasses import replace

from sites import CHAIN, PAGE, resource

from h3push.lab.scenarios import Cache, Scenario, cached_paths
from h3push.lab.simulation import simulate
from h3push.lab.visit import Arrival
from h3push.lab.ways import LabWay
from h3push.plans.manifest import parse_manifest

LINK = Scenario(round_trip=0.1, rate=1_000_000_000, cache=Cache(warm=True))


def arrivals(run):
    return {one.path: one.arrival for one in run.resources}


def test_the_same_seed_gives_the_same_visit_and_another_one_another():
    lossy = Scenario(round_trip=0.1, rate=5_000_000, loss=0.05)
    first, second = (simulate(PAGE, lossy, LabWay.PUSH_ALL, seed=7) for _ in range(2))
    assert first == second
    assert simulate(PAGE, lossy, LabWay.PUSH_ALL, seed=8).complete != first.complete


def test_each_way_brings_the_resources_as_it_says():
    expected = {
        LabWay.NONE: Arrival.REQUESTED,
        LabWay.PRELOAD: Arrival.HINTED,
        LabWay.EARLY_HINTS: Arrival.HINTED,
        LabWay.PUSH_PLANNED: Arrival.PUSHED,
        LabWay.PUSH_ALL: Arrival.PUSHED,
    }
    for way, arrival in expected.items():
        found = arrivals(simulate(CHAIN, LINK, way))
        assert found.pop("/orders") is Arrival.REQUESTED
        assert set(found.values()) == {arrival}, way


def test_a_resource_that_is_cached_is_not_asked_for_and_its_push_is_refused():
    run = simulate(PAGE, replace(LINK, cache=Cache(share=1.0)), LabWay.PUSH_ALL)
    assert (run.pushes, run.refused, run.unused) == (0, 5, 0)
    assert {one.arrival for one in run.resources[1:]} == {Arrival.CACHED}


def test_a_larger_share_of_the_cache_has_all_that_a_smaller_one_has():
    assert cached_paths(PAGE, 0.4, 3) < cached_paths(PAGE, 0.8, 3)
    assert len(cached_paths(PAGE, 0.4, 3)) == 2
    assert cached_paths(PAGE, 0.0, 3) == frozenset()


def test_refused_pushes_on_a_warm_connection_cost_the_bytes_that_were_on_their_way():
    """Waste is what reaches the client beyond a visit without push; the promise of what is small arrives with all of it."""
    scenario = Scenario(round_trip=0.3, rate=50_000_000, cache=Cache(warm=True, share=1.0))
    without = simulate(PAGE, scenario, LabWay.NONE).wire_bytes
    pushed = simulate(PAGE, scenario, LabWay.PUSH_ALL).wire_bytes
    assert 66_000 < pushed - without < 80_000


def test_a_push_that_the_page_does_not_need_is_unused():
    manifest = parse_manifest(b'{"/orders": {"/orders/1": {"type": "fetch"}, "/customers/7": {"type": "fetch"}}}')
    site = replace(CHAIN, resources=(resource("/orders/1", "/orders"),))
    run = simulate(site, LINK, LabWay.PUSH_PLANNED, manifest=manifest)
    assert (run.pushes, run.unused) == (1, 1)
    run = simulate(CHAIN, LINK, LabWay.PUSH_PLANNED, manifest=manifest)
    assert (run.pushes, run.unused) == (2, 0)
    assert arrivals(run)["/addresses/3"] is Arrival.REQUESTED


def test_what_the_client_and_the_server_work_is_added_once():
    plain = replace(CHAIN, thinking=0.0, resources=(resource("/orders/1", "/orders"),))
    busy = replace(plain, resources=(resource("/orders/1", "/orders", delay=0.25, thinking=0.5),))
    difference = simulate(busy, LINK, LabWay.NONE).complete - simulate(plain, LINK, LabWay.NONE).complete
    assert abs(difference - 0.75) < 0.001
    pushed = simulate(busy, LINK, LabWay.PUSH_ALL).complete - simulate(plain, LINK, LabWay.PUSH_ALL).complete
    assert abs(pushed - 0.5) < 0.001


def test_the_page_is_shown_when_what_blocks_it_is_there():
    run = simulate(PAGE, LINK, LabWay.NONE)
    ready = {one.path: one.ready for one in run.resources}
    assert run.shown == max(ready[path] for path in ("/", "/base.css", "/theme.css"))
    assert run.complete == max(ready.values())
