"""The controller on the real stack, in virtual time: what it learns from what its clients do, and what it then does."""

import asyncio
import logging
import statistics
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import h3push
from h3push.control.controller import Controller
from h3push.control.kinds import Arm, EvidenceClass
from h3push.control.model import Fate, Model, Seen, ViewSeen
from h3push.control.saving import RATE, rate_of
from h3push.delivery.state import DeliveryState
from h3push.h3.push.rules import PushRefusal
from h3push.plans.links import planned
from h3push.plans.plan import PlanSource, PushPlan
from h3push.runtime.settings import ServerSettings
from h3push.testing import World, in_world
from h3push.testing.link import LinkSettings

from .site import Site, Visit, visit

NEEDS = ["/a.css", "/b.js"]
NEW = EvidenceClass.NEW


def taught(views: int = 60, route: str = "/", size: float = 2_000, **shares: float) -> Controller:
    """A controller that knows a route whose candidates were used in these shares of its views."""
    model = Model()
    for number in range(views):
        members = tuple(
            Seen("/" + name.replace("_", "."), Fate.USED, size, position, 100.0)
            for position, (name, share) in enumerate(shares.items(), 1)
            if (number * 7 % 10) < share * 10
        )
        model.learn(ViewSeen(route=route, kind=NEW, page_bytes=1_000, members=members, bytes=5_000))
    return Controller(model)


def run(scenario: Callable[[World], Any], controller: Controller, site: Site | None = None, **more: Any) -> Any:
    options = {"serve": h3push.serve_asgi, "lifespan": False, "connected": False, "controller": controller} | more
    return in_world(site or Site(), scenario, **options)


def visits(count: int, controller: Controller, site: Site | None = None, **how: Any) -> list[Visit]:
    needs = how.pop("needs", NEEDS)

    async def scenario(world: World) -> list[Visit]:
        return [await visit(world, needs, **how) for _ in range(count)]

    result: list[Visit] = run(scenario, controller, site)
    return result


def test_it_learns_from_requests_what_to_push() -> None:
    """Nobody tells it anything: after a handful of views what clients ask for is pushed, in the order in which they asked."""
    seen = visits(12, Controller(Model()))
    assert seen[0] == Visit([], NEEDS, [])
    assert seen[-1] == Visit(NEEDS, [], [])


def test_what_is_pushed_and_reported_as_used_goes_on() -> None:
    """Pushed things are never asked for; their clients' reports keep them known."""
    controller = Controller(Model())
    visits(40, controller)
    tally = controller.model.routes["/"].candidates["/a.css"].tally(NEW)
    assert tally.trials > 35
    assert controller.counters.used > 50


def test_a_push_of_which_nobody_says_anything_is_no_trial() -> None:
    controller = taught(a_css=1.0, b_js=1.0)
    before = controller.model.routes["/"].candidates["/a.css"].tally(NEW).trials
    visits(5, controller, report=False)
    assert controller.model.routes["/"].candidates["/a.css"].tally(NEW).trials == before


def test_what_its_clients_report_as_unused_is_pushed_no_more() -> None:
    """A page that has changed: three views that did without end it."""
    controller = taught(a_css=1.0, never_png=1.0)
    seen = visits(6, controller, needs=["/a.css"])
    assert seen[0].pushed == ["/a.css", "/never.png"]
    assert seen[-1].pushed == ["/a.css"]


def test_what_is_there_no_longer_is_pushed_once() -> None:
    """A deployment renames a file: the first push of the old name is answered with 404, and there is no second."""
    seen = visits(3, taught(old_css=1.0, a_css=1.0), report=False)
    assert seen[0].pushed == ["/old.css", "/a.css"]
    assert seen[1].pushed == seen[2].pushed == ["/a.css"]


async def ask(world: World, method: str, headers: list[tuple[str, str]]) -> None:
    async with world.connect(max_pushes=None) as client:
        await (await client.get("/")).read()
        await (await client.request(method, "/a.css", headers=headers)).read()
        await (await client.get("/b.js")).read()
    await asyncio.sleep(4)


@pytest.mark.parametrize(
    ("method", "headers", "fields"),
    [
        ("POST", [], []),
        ("GET", [("authorization", "Bearer x")], []),
        ("GET", [("range", "bytes=0-9")], []),
        ("GET", [("cookie", "a=b")], [(b"cache-control", b"private")]),
        ("GET", [("cookie", "a=b")], [(b"vary", b"Accept, Cookie")]),
        ("GET", [], [(b"set-cookie", b"a=b")]),
    ],
)
def test_what_is_for_one_client_alone_is_not_learned(method: str, headers: Any, fields: Any) -> None:
    """A promise repeats neither credentials nor cookies: its answer would be somebody else's, or another one."""
    controller = Controller(Model())
    run(lambda world: ask(world, method, headers), controller, Site(fields=fields if fields else ()))
    learned = set(controller.model.routes["/"].candidates)
    assert "/a.css" not in learned
    assert ("/b.js" in learned) == (not fields)


def test_other_authorities_are_left_alone() -> None:
    """A client can make up names; what it asks for under a second one is neither learned nor judged."""
    controller = Controller(Model())

    async def scenario(world: World) -> None:
        async with world.connect(max_pushes=None) as client:
            await (await client.get("/")).read()
            await (await client.request("GET", "https://made-up.example/a.css")).read()
        await asyncio.sleep(4)

    with suppress(h3push.H3PushError):
        run(scenario, controller)
    assert not any(route.candidates for route in controller.model.routes.values())


def test_the_seldom_used_is_left() -> None:
    """What one view in ten uses is neither pushed nor hinted at; what one in two uses is hinted at where a push is too dear."""
    controller = taught(a_css=1.0, never_png=0.1, b_js=0.5)
    controller.model.price = 1_000.0
    seen = visits(1, controller)[0]
    assert seen.pushed == ["/a.css"] or seen.pushed == []
    assert not any("never" in hint for hint in seen.hints)
    assert any("/b.js" in hint for hint in seen.hints)


def test_what_a_page_names_is_hinted_at_however_seldom_it_is_fetched() -> None:
    """Clients that have it do not fetch it for a hint, and those that have not need it: the page says so."""
    controller = taught(a_css=1.0, never_png=0.1)
    controller.model.price = 1_000.0
    seen = visits(1, controller, Site(links=["/never.png"]))[0]
    assert "/never.png" not in seen.pushed
    assert any("/never.png" in hint for hint in seen.hints)


def test_sources_are_candidates_until_something_was_seen() -> None:
    """What a Link field names is hinted at while nobody knows whether clients use it, and pushed when they do."""
    site = Site(links=["/b.js"])
    seen = visits(12, Controller(Model()), site)
    assert seen[0].pushed == []
    assert any("/b.js" in hint for hint in seen[0].hints)
    assert "/b.js" in seen[-1].pushed


@pytest.mark.parametrize("field", [("save-data", "on"), ("accept-push-policy", "none")])
def test_a_client_that_wants_no_pushes_gets_none(field: tuple[str, str]) -> None:
    seen = visits(1, taught(a_css=1.0), fields=[field])[0]
    assert seen.pushed == []
    assert any("/a.css" in hint for hint in seen.hints)


def test_three_unclaimed_in_a_row_end_the_pushes_of_a_connection() -> None:
    """A client that calls off every promise gets hints from the next page on; other connections go on."""
    controller = taught(a_css=1.0, b_js=1.0, c_js=1.0)

    async def scenario(world: World) -> tuple[list[str], list[str]]:
        names: list[str] = []

        def promised(push: Any) -> bool:
            names.append(push.request.path)
            return False

        async with world.connect(max_pushes=50, on_push=promised) as client:
            await (await client.get("/")).read()
            await asyncio.sleep(3)
            first = list(names)
            for name in ("/a.css", "/b.js", "/c.js"):
                controller.model.routes["/"].candidates[name].tallies[EvidenceClass.WARM] = (
                    controller.model.routes["/"].candidates[name].tallies[NEW]
                )
            await (await client.get("/?again")).read()
            await asyncio.sleep(3)
        return first, names[len(first) :]

    first, second = run(scenario, controller, Site(sizes={"/a.css": 10, "/b.js": 10, "/c.js": 10}))
    assert first == ["/a.css", "/b.js", "/c.js"]
    assert second == []


def test_what_finds_no_room_is_deferred() -> None:
    """The page fills the window of a new connection: what pays is promised at once, and sent a round trip later."""
    controller = taught(a_css=1.0)
    route = controller.model.routes["/"]
    route.page_bytes = 11_500.0
    route.think_times = [80.0]

    async def scenario(world: World) -> tuple[float, float]:
        times: list[float] = []
        tasks = []

        async def read(push: Any) -> None:
            await (await push.response()).read()
            times.append(world.now)

        def promised(push: Any) -> bool:
            times.append(world.now)
            tasks.append(asyncio.create_task(read(push)))
            return True

        async with world.connect(max_pushes=5, on_push=promised) as client:
            await (await client.get("/")).read()
            await asyncio.gather(*tasks)
        return times[0], times[1]

    promised, complete = run(scenario, controller, Site(page_bytes=11_500, thinking=0.08))
    assert 0.05 < complete - promised < 0.25
    immediate = run(scenario, taught(a_css=1.0), Site())
    assert immediate[1] - immediate[0] < 0.03


def planner(*paths: str) -> Callable[[Any], PushPlan]:
    """A manifest's: names these with each page."""
    return lambda request: PushPlan(
        request.path, PlanSource.MANIFEST, tuple(planned(path, None, request.path) for path in paths)
    )


def test_nothing_is_deferred_beside_a_hint() -> None:
    """The client would ask for what is hinted at, and get it before a deferred push that the page needs earlier."""
    found = []
    for named in (["/a.css"], ["/a.css", "/unseen.png"]):
        controller = taught(a_css=1.0)
        route = controller.model.routes["/"]
        route.page_bytes, route.think_times = 11_500.0, [80.0]

        async def scenario(world: World) -> Visit:
            return await visit(world, ["/a.css"])

        site = Site(page_bytes=11_500, thinking=0.08)
        found.append(run(scenario, controller, site, planners=[planner(*named)]))
    assert found[0].pushed == ["/a.css"]
    assert found[1].pushed == []
    assert ["/a.css" in hint for hint in found[1].hints[:2]] == [True, False]


def test_what_is_named_and_what_is_learned_go_out_as_one_103() -> None:
    """A browser acts on the first one alone; what a manifest names stands first, in its author's order."""
    controller = taught(b_js=1.0)
    controller.model.price = 1e6  # nothing is pushed

    async def scenario(world: World) -> list[list[str]]:
        async with world.connect(max_pushes=5) as client:
            response = await client.get("/")
            await response.read()
        return [list(fields.get_all("link")) for status, fields in response.informational if status == 103]

    ((first, second),) = run(scenario, controller, Site(), planners=[planner("/named.css")])
    assert "/named.css" in first
    assert "/b.js" in second


@pytest.mark.parametrize(
    ("window", "round_trip", "shortest", "rate"),
    [(30_000, 53.0, 20.0, 30_000 / 53), (30_000, 20.0, 20.0, 1_500), (12_000, 300.0, 300.0, RATE / 8000)],
)
def test_a_queue_tells_the_rate_of_a_link(window: float, round_trip: float, shortest: float, rate: float) -> None:
    """A window that waits in a queue fills the link: its bytes in a round trip are the rate, however slow that is."""
    assert rate_of(window, round_trip, shortest) == rate


def test_a_deferred_push_that_is_called_off_costs_nothing() -> None:
    """Its client has a round trip to say so, and not a byte of it is sent."""
    controller = taught(a_css=1.0)
    controller.model.routes["/"].page_bytes = 11_500.0
    controller.model.routes["/"].think_times = [80.0]

    async def scenario(world: World) -> Any:
        await visit(world, [], refuse=True)
        return world.server.counters

    counters = run(scenario, controller, Site(page_bytes=11_500, thinking=0.08))
    assert (counters.promised, counters.cancelled, counters.pushed_bytes) == (1, 1, 0)


@pytest.mark.parametrize(("drawn", "arm"), [(0.01, Arm.NONE), (0.12, Arm.HINT), (0.6, Arm.PUSH)])
def test_some_connections_are_held_out_and_measured(drawn: float, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    """A view in which something would be pushed counts for its arm, with the time until its client had everything."""
    defaults = DeliveryState.__init__.__defaults__ or ()
    monkeypatch.setattr(DeliveryState.__init__, "__defaults__", (*defaults[:-1], lambda: drawn))
    controller = taught(a_css=1.0)
    told: list[ViewSeen] = []
    controller.on_view = told.append

    async def scenario(world: World) -> Visit:
        return await visit(world, ["/a.css"])

    seen = run(scenario, controller, server_settings=ServerSettings(push_hold_out=0.2))
    assert (seen.pushed, bool(seen.hints)) == (["/a.css"] if arm is Arm.PUSH else [], arm is Arm.HINT)
    page = next(view for view in told if view.route == "/")
    assert (page.arm, page.share) == (arm, 0.2)
    round_trips = 1 if arm is Arm.PUSH else 2
    assert page.complete_ms == pytest.approx(100 * round_trips, rel=0.1)


def test_a_demoted_route_gets_hints() -> None:
    """Its pushes were measured, and save nothing: they are hints from then on."""
    controller = taught(a_css=1.0)
    controller.model.routes["/"].effect.since_demoted = 1
    seen = visits(1, controller)[0]
    assert seen.pushed == []
    assert any("/a.css" in hint for hint in seen.hints)


def test_one_client_has_little_say() -> None:
    """However many pages one connection asks for, fifty of them count."""
    controller = Controller(Model())

    async def scenario(world: World) -> None:
        async with world.connect(max_pushes=None) as client:
            for number in range(70):
                for path in (f"/?{number}", "/a.css"):
                    await (await client.get(path, headers=[("accept", "text/html")] if "?" in path else [])).read()
            await asyncio.sleep(4)

    run(scenario, controller)
    assert controller.counters.views == 50


def test_what_a_connection_was_given_is_no_trial() -> None:
    """A further page of a connection does not ask for what it has; that says nothing of who has not."""
    controller = taught(a_css=1.0)
    candidate = controller.model.routes["/"].candidates["/a.css"]
    candidate.tallies[EvidenceClass.WARM] = candidate.tallies[NEW]
    before = candidate.tallies[NEW].share
    visits(3, controller, needs=["/a.css"], views=3)
    assert candidate.tallies[NEW].share == pytest.approx(before)


def test_it_recovers_from_a_deployment_within_two_hundred_views() -> None:
    """Half of the files get other names, and the old ones stay there: within 200 views the new ones are pushed, and only they."""
    controller = Controller(Model())
    site = Site(sizes={"/a.css": 2_000, "/b.js": 3_000, "/b2.js": 3_000})
    visits(40, controller, site)
    seen = visits(200, controller, site, needs=["/a.css", "/b2.js"])
    assert seen[0].pushed == ["/a.css", "/b.js"]
    assert seen[-1].pushed == ["/a.css", "/b2.js"]
    assert next(n for n, one in enumerate(seen) if one.pushed == ["/a.css", "/b2.js"]) < 60


def test_the_reason_of_each_decision_can_be_read(caplog: pytest.LogCaptureFixture) -> None:
    """At the level of debugging, a line for each candidate of a page: what becomes of it, and why."""
    controller = taught(a_css=1.0, b_js=0.4)
    controller.model.price = 1_000.0
    with caplog.at_level(logging.DEBUG, "h3push.control"):
        visits(1, controller)
    lines = [record.getMessage() for record in caplog.records if record.name == "h3push.control"]
    assert any("/a.css: used in 58 of 58 views" in line for line in lines)
    assert any(line.startswith("/: hint /b.js: used in") and "pays only from" in line for line in lines)


def test_a_refusal_is_counted() -> None:
    controller = taught(b_js=0.4)
    controller.model.price = 1_000.0

    async def scenario(world: World) -> Any:
        await visit(world, [])
        return world.server.counters.delivery.refusals

    assert run(scenario, controller)[PushRefusal.NOT_WORTH] == 1


def test_a_long_link_is_measured() -> None:
    """The round trip that counts is QUIC's."""
    controller = taught(a_css=1.0)
    told: list[ViewSeen] = []
    controller.on_view = told.append
    visits_over = LinkSettings(delay=0.3)

    async def scenario(world: World) -> Visit:
        return await visit(world, ["/a.css"])

    run(scenario, controller, link=visits_over)
    assert told[0].stratum == f"new {(600).bit_length()}"


def test_a_decision_takes_a_tenth_of_a_millisecond() -> None:
    """Of the processor, in the median, for a page with twenty candidates; a busy one is slower, so the bound here is a half."""
    names = {f"f{number}_js": 1.0 for number in range(20)}
    controller = taught(size=200, **names)
    controller.measure = True
    sizes = {f"/f{number}.js": 200 for number in range(20)}
    visits(30, controller, Site(sizes=sizes), needs=list(sizes))
    assert controller.counters.decisions >= 30
    assert statistics.median(controller.counters.cpu_seconds) < 0.0005
