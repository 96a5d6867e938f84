"""The API chain: selectors, and a walk that takes one round trip instead of four."""

import importlib
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

app = importlib.import_module("api_chain.app")
compare = importlib.import_module("api_chain.compare")


def test_a_selector_leads_through_resources() -> None:
    """`*` is each element of a list; where a path stands, the rest of the selector is about what is there."""
    found = list(app.selected("/shop", [["orders", "*", "items", "*", "product"]]))
    assert found[:3] == ["/orders/0", "/orders/1", "/orders/2"]
    assert found[3:15] == [f"/items/{number}" for number in range(12)]
    assert sorted(found[15:]) == sorted(f"/products/{number}" for number in range(10))
    assert list(app.selected("/shop", [["orders", "*"]])) == ["/orders/0", "/orders/1", "/orders/2"]


@pytest.mark.parametrize("selector", [["nothing"], ["orders", "name"], [""], ["name"], ["*"]])
def test_a_selector_that_leads_nowhere_names_nothing(selector: list[str]) -> None:
    """What a client makes up is no path."""
    assert not app.selected("/shop", [selector])


def test_three_levels_take_one_round_trip() -> None:
    """The program is the same; with the field, one request goes out instead of 26."""
    without, with_preload = compare.measure(None), compare.measure(compare.PRELOAD)
    assert (without.resources, without.requests) == (26, 26)
    assert (with_preload.resources, with_preload.requests) == (26, 1)
    assert without.seconds > 4 * 0.3
    assert with_preload.seconds < 1.1 * 0.3
