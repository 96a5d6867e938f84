"""What a model makes of page views, and that it can be written down and read again."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.control.kinds import Arm, EvidenceClass
from h3push.control.model import (
    CHEAPEST,
    FORGET_AFTER,
    MAX_CANDIDATES,
    MAX_ROUTES,
    Fate,
    Model,
    Seen,
    ViewSeen,
)
from h3push.control.routes import Match, Router
from h3push.control.seed import PlanError, model_of_plan
from h3push.control.snapshot import SnapshotError, model_of_text, model_to_text, view_of_text, view_to_text
from h3push.control.tally import Tally

NEW = EvidenceClass.NEW


def view(*used: str, route: str = "/", wasted: float = 0.0, size: float = 10_000.0, **fates: Fate) -> ViewSeen:
    members = [Seen(path, Fate.USED, 1_000, position, 10.0 * position) for position, path in enumerate(used, 1)]
    members += [Seen("/" + name.replace("_", "."), fate, 1_000) for name, fate in fates.items()]
    return ViewSeen(route=route, kind=NEW, page_bytes=500, members=tuple(members), bytes=size, wasted=wasted)


def taught(*views: ViewSeen) -> Model:
    model = Model()
    for one in views:
        model.learn(one)
    return model


def test_what_clients_ask_for_becomes_a_candidate() -> None:
    model = taught(*[view("/a.css", "/b.js")] * 3, view("/a.css"))
    a, b = model.routes["/"].ordered
    assert (a.path, b.path) == ("/a.css", "/b.js")
    assert (a.tally(NEW).uses, b.tally(NEW).trials) == (pytest.approx(4, abs=0.1), pytest.approx(4, abs=0.1))
    assert b.tally(NEW).share == pytest.approx(0.75, abs=0.01)
    assert (a.size, a.position, a.destination) == (1_000, 1, "style")


def test_candidates_stand_in_the_order_of_need() -> None:
    """Where the client has the script, its data come first; the script is needed first all the same."""
    model = taught(view("/app.js", "/data.json"), *[view("/data.json")] * 9)
    assert [one.path for one in model.routes["/"].ordered] == ["/app.js", "/data.json"]


def test_a_view_that_does_not_tell_is_no_trial() -> None:
    model = taught(view("/a.css"), view(a_css=Fate.UNKNOWN))
    assert model.routes["/"].candidates["/a.css"].tally(NEW).trials == 1


def test_what_is_gone_is_forgotten_at_once() -> None:
    assert not taught(view("/a.css"), view(a_css=Fate.GONE)).routes["/"].candidates


def test_what_is_unused_for_long_is_forgotten() -> None:
    model = taught(view("/a.css"), *[view("/b.css")] * (FORGET_AFTER + 1))
    assert set(model.routes["/"].candidates) == {"/b.css"}


def test_a_run_of_misses_ends_a_memory() -> None:
    """A thousand uses count no more when three views in a row did without: chance does that once in five hundred times."""
    tally = Tally()
    for _ in range(1_000):
        tally.add(True)
    for _ in range(2):
        tally.add(False)
    assert tally.share > 0.99
    tally.add(False)
    assert (tally.uses, tally.trials) == (0, 3)


def test_a_rare_use_survives_its_usual_runs() -> None:
    tally = Tally()
    for number in range(400):
        tally.add(number % 5 == 0)
    assert tally.share == pytest.approx(0.2, abs=0.02)


def test_a_new_candidate_begins_with_what_is_known_of_its_kind() -> None:
    """Where all style sheets are used, a new one is more probable than where few are, with the same three views."""
    often = taught(*[view("/a.css", route="/x")] * 50, *[view("/new.css")] * 3)
    seldom = taught(
        *[view("/a.css", route="/x") if number % 5 == 0 else view(route="/x") for number in range(50)],
        *[view("/new.css")] * 3,
    )
    bounds = [model.bound(model.routes["/"].candidates["/new.css"], NEW) for model in (often, seldom)]
    assert bounds[0] > bounds[1] + 0.2


def test_the_price_follows_the_budget() -> None:
    """Above the budget it rises with each view, below it falls, within its bounds."""
    model = taught(*[view("/a.css", wasted=1_000.0)] * 20)
    dear = model.price
    assert dear > 2
    for _ in range(300):
        model.learn(view("/a.css"))
    assert model.price < dear
    for _ in range(600):
        model.learn(view("/a.css"))
    assert model.price == CHEAPEST


def test_a_budget_of_nothing_buys_nothing() -> None:
    model = Model(waste=0.0)
    model.learn(view("/a.css"))
    assert model.price >= 1_000


def test_a_model_is_bounded() -> None:
    """Clients can make up paths; routes and candidates have a limit, and the least used go first."""
    model = taught(*[view("/often.css")] * 5)
    for number in range(MAX_CANDIDATES + 50):
        model.learn(view("/often.css", f"/made-up-{number}.css"))
    candidates = model.routes["/"].candidates
    assert len(candidates) == MAX_CANDIDATES
    assert "/often.css" in candidates
    for number in range(MAX_ROUTES + 10):
        model.learn(view(route=f"/{number}"))
    assert len(model.routes) == MAX_ROUTES


def test_what_is_written_is_read_again() -> None:
    """A model that was written and read decides and learns as before, and a view as well."""
    model = taught(*[view("/a.css", "/b.js", wasted=10.0)] * 40, view("/c.css", route="/x"))
    seen = ViewSeen(route="/", kind=NEW, page_bytes=1.0, arm=Arm.HINT, share=0.03, complete_ms=12.5, stratum="new 7",
                    members=(Seen("/a.css", Fate.UNUSED, 3.0),), bytes=5.0, wasted=3.0)  # fmt: skip
    model.learn(seen)
    again = model_of_text(model_to_text(model), model.waste)
    assert model_to_text(again) == model_to_text(model)
    assert view_of_text(view_to_text(seen)) == seen
    for one in (model, again):
        one.learn(view("/a.css"))
    assert model_to_text(again) == model_to_text(model)


SCALARS = st.none() | st.integers() | st.text(max_size=5)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)))
def test_what_is_no_model_is_refused(made_up: Any) -> None:
    text = json.dumps(made_up)
    for read in (view_of_text, lambda text: model_of_text(text, 0.02)):
        with pytest.raises(SnapshotError):
            read(text)


def test_a_plan_is_a_beginning(tmp_path: Path) -> None:
    """What the logs taught counts for as many views as a memory holds."""
    entry = {"bytes": 900, "position": 1, "since_page_ms": 20, "classes": {"new": {"uses": 9_000, "trials": 10_000}}}
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"$learned": {"version": 1}, "/": {"$route": {"views": 9}, "/a.css": entry}}))
    candidate = model_of_plan(plan, 0.02).routes["/"].candidates["/a.css"]
    tally = candidate.tally(NEW)
    assert (tally.uses, tally.trials, candidate.size) == (pytest.approx(900), pytest.approx(1_000), 900)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("{}", "no plan that h3push learn wrote"),
        ('{"$learned": 1, "/": {"/a": {}}}', "route /: KeyError"),
        ('{"$learned": 1, "/": 3}', "route /"),
    ],
)
def test_what_is_no_plan_is_refused_in_one_sentence(text: str, says: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(text)
    with pytest.raises(PlanError, match=says):
        model_of_plan(plan, 0.02)


def test_pages_that_differ_in_a_number_are_one_route() -> None:
    match = Router().match("/orders/17")
    assert match == Match("/orders/{1}", ("17",))
    assert match.generalized("/orders/17/items") == "/orders/{1}/items"
    assert Router().match("/orders/18").filled("/orders/{1}/items") == "/orders/18/items"
    assert Router(["/blog/{1}"]).match("/blog/hello") == Match("/blog/{1}", ("hello",))


def test_the_toll_keeps_the_share_of_pushes_in_vain() -> None:
    """Many unused pushes, however small, make further ones dear; without any pushes the toll comes down by itself."""
    model = Model()
    in_vain = ViewSeen(route="/", kind=NEW, page_bytes=1, bytes=1e9, wasted=1, pushes=4, unused=2)
    for _ in range(40):
        model.learn(in_vain)
    dear = model.toll
    assert dear > 20
    for _ in range(2_000):
        model.learn(view("/a.css"))
    assert model.toll < 1


def test_what_other_routes_have_too_needs_fewer_views() -> None:
    """A page that is new has style sheets that are not: one view of it is enough where twenty of others tell."""
    model = taught(*[view("/site.css", route="/x")] * 30, view("/site.css", "/own.css"))
    site, own = (model.routes["/"].candidates[path] for path in ("/site.css", "/own.css"))
    assert model.known(site, NEW) + site.tally(NEW).trials >= 5
    assert model.known(own, NEW) == 0
