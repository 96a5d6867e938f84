"""The benchmark of the judgement: its crowd is the same in every run and for every way, and its sites are what they say."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[tuple[ModuleType, ModuleType, ModuleType]]:
    sys.path.insert(0, str(BENCH))
    try:
        names = ("judgement_sites", "judgement_traffic", "judgement")
        sites, traffic, judgement = (importlib.import_module(name) for name in names)
        yield sites, traffic, judgement
    finally:
        sys.path.remove(str(BENCH))


def test_the_same_seed_gives_the_same_figures(bench: Any) -> None:
    """In virtual time, to the nanosecond; and what an API chain's clients need is pushed and used."""
    sites, _, judgement = bench
    one, two = (judgement.run_traffic(sites.chain(), "learned", 60, 5, 0.03, None) for _ in range(2))
    assert one.seen == two.seen
    assert one.model == two.model
    part = one.part(30)
    assert part.promised == part.used > 30


def test_all_ways_serve_the_same_crowd(bench: Any) -> None:
    """The pages are the same, and what a view needs beyond its cache; only how it comes differs."""
    sites, traffic, judgement = bench
    shop = sites.shop()
    runs = [judgement.run_traffic(shop, way, 40, 3, 0.0, None).seen for way in traffic.WAYS]
    for seen in runs:
        assert [(one.path, one.content) for one in seen] == [(one.path, one.content) for one in runs[0]]


def test_a_deployment_renames_half_of_the_files(bench: Any) -> None:
    """Old names are gone, and no page names one."""
    sites, _, _ = bench
    for before in (sites.shop(), sites.chain(), sites.bundled()):
        after = before.renamed()
        old = {one.path for page in before.pages for one in page.resources}
        new = {one.path for page in after.pages for one in page.resources}
        assert abs(len(old - new) - len(old) / 2) <= 0.5
        named = {name for page in after.pages for one in page.resources for name in one.named_in}
        assert named <= new | {page.path for page in after.pages}


def test_an_interval_that_is_too_narrow_is_found(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The coverage is near 90 % for intervals that say so, and not for narrower ones."""
    sites, _, judgement = bench
    monkeypatch.setattr(judgement, "EXPERIMENTS", 100)
    views = judgement.run_traffic(sites.chain(), "learned", 500, 2, 0.5, None).views
    held, always = judgement.coverage(views)
    assert 0.8 <= held <= 0.98
    assert always >= 0.9
    difference = judgement.difference
    monkeypatch.setattr(judgement, "difference", lambda a, b: difference(a, b, 0.5))
    assert judgement.coverage(views)[0] < 0.7
