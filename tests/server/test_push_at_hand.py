"""Pushes whose responses are at hand: nobody can tell them from those that a handler answers, but by what they cost."""

import asyncio
import gc
import io
import json
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.plans.plan import PlanSource, PushPlan
from h3push.server.access_log import AccessLog
from h3push.server.promised import PromisedPush
from h3push.testing import World, in_world
from h3push.testing.link import LinkSettings

BODY = b"pushed" * 100
HEADERS = {"content-type": "text/plain", "x-mine": "yes"}
TIMES = ("time", "duration_ms", "since_page_ms", "think_ms", "connection", "rtt_ms", "window")


class Pushing:
    """A page that pushes one resource, whose response it gives or leaves to the handler."""

    def __init__(self, *, at_hand: bool, response: h3push.Response | None = None) -> None:
        self.pushes: list[h3push.Push] = []
        self.asked: list[str] = []
        self.response = response or h3push.Response(200, HEADERS, BODY)
        self._given = self.response if at_hand else None

    def __call__(self, request: h3push.Request) -> h3push.Response:
        self.asked.append(request.path)
        if request.push_id is None:
            self.pushes.append(request.push_nowait("/resource", response=self._given))
            return h3push.Response(200, HEADERS, b"page")
        return self.response


def seen(handler: Pushing, **options: Any) -> tuple[Any, ...]:
    """What the client gets, the row of the push, and the counts."""
    stream = io.StringIO()

    async def scenario(world: World) -> tuple[Any, ...]:
        response = await world.client.get("/")
        await response.read()
        (pushed,) = [push async for push in response.pushes()]
        answer = await pushed.response()
        content = await answer.read()
        assert await handler.pushes[0].done() is h3push.PushState.FULFILLED
        (connection,) = world.server._connections
        assert (connection.pushes.live, connection.guard.responses) == ({}, {})
        fields = {name: value for name, value in answer.headers.items() if name != "date"}
        counters = world.server.counters.push
        return answer.status, fields, content, answer.trailers, counters, handler.pushes[0].bytes_sent

    got = in_world(handler, scenario, max_pushes=3, access_log=AccessLog(stream, "json"), **options)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    (row,) = [{name: row[name] for name in row if name not in TIMES} for row in rows if row["push_id"] is not None]
    return *got, row


@pytest.mark.parametrize(
    "response",
    [
        h3push.Response(200, HEADERS, BODY),
        h3push.Response(404, HEADERS, BODY),
        h3push.Response(200, HEADERS, b""),
        h3push.Response(204, HEADERS),
        h3push.Response(205, HEADERS, b"not sent"),
        h3push.Response(200, HEADERS, b"x" * 300_000),
        h3push.Response(200, HEADERS, BODY, trailers={"x-trailer": "1"}),
    ],
    ids=["small", "not found", "empty", "no content", "reset content", "large", "trailers"],
)
def test_a_response_at_hand_is_as_good_as_the_handler_s(response: h3push.Response) -> None:
    """Fields, content, row and counts are the same, whether it goes out in one write or takes the way of any response."""
    given, called = Pushing(at_hand=True, response=response), Pushing(at_hand=False, response=response)
    assert seen(given) == seen(called)
    assert (given.asked, called.asked) == (["/"], ["/", "/resource"])


def test_no_request_is_made_for_what_is_at_hand() -> None:
    """Neither a request nor a writer nor a task: one object, which is the push."""
    handler = Pushing(at_hand=True)
    seen(handler)
    (push,) = handler.pushes
    assert push.made is None  # type: ignore[attr-defined]
    assert push.request is not None
    assert (push.request.method, push.request.path) == ("GET", "/resource")
    assert push.request is push.request
    assert push.request.initiator is not None


def requests_and_pushes() -> int:
    """How many there are that the garbage collector could look at."""
    return sum(isinstance(thing, h3push.Request | PromisedPush) for thing in gc.get_objects())


@pytest.mark.parametrize("at_hand", [True, False])
def test_pushes_that_are_over_leave_nothing_to_the_garbage_collector(at_hand: bool) -> None:
    """A push and its request do not hold each other once it is over, so that they are freed then and there."""
    handler = Pushing(at_hand=at_hand)

    async def scenario(world: World) -> int:
        gc.collect()
        before = requests_and_pushes()
        gc.disable()
        try:
            for _ in range(10):
                await (await world.client.get("/")).read()
                handler.pushes.clear()
                await asyncio.sleep(1)
            return requests_and_pushes() - before
        finally:
            gc.enable()

    assert in_world(handler, scenario, max_pushes=30) == 0


def test_what_is_at_hand_goes_out_behind_what_was_asked_for() -> None:
    """The page is written before the push, whose response was known earlier: a push never delays what was asked for."""
    ends: list[str] = []

    def handler(request: h3push.Request) -> h3push.Response:
        push = request.push_nowait("/resource", response=h3push.Response(200, HEADERS, BODY))
        assert push.state is h3push.PushState.PROMISED
        ends.append(f"promised with {push.bytes_sent} bytes")
        return h3push.Response(200, HEADERS, b"page")

    async def scenario(world: World) -> None:
        await world.visit("/")

    in_world(handler, scenario, max_pushes=1)
    assert ends == ["promised with 0 bytes"]


def test_what_is_at_hand_can_be_called_off_before_and_after_it_was_sent() -> None:
    """Before, nothing of it goes out; after, its stream is reset as long as it is not acknowledged. Both have a row."""
    pushes: list[h3push.Push] = []
    stream = io.StringIO()

    def handler(request: h3push.Request) -> h3push.Response:
        for path in ("/before", "/after"):
            pushes.append(request.push_nowait(path, response=h3push.Response(200, HEADERS, BODY)))
        pushes[0].cancel()
        return h3push.Response(200, HEADERS, b"page")

    async def scenario(world: World) -> None:
        await world.client.get("/")
        assert [push.state.name for push in pushes] == ["CANCELLED", "SENT"]
        assert [push.bytes_sent for push in pushes] == [0, len(BODY)]
        pushes[1].cancel()
        assert await pushes[1].done() is h3push.PushState.CANCELLED
        (connection,) = world.server._connections
        assert (connection.pushes.live, list(connection.guard.responses)) == ({}, [0]), "the page is not acknowledged"
        assert world.server.counters.pushes_cancelled == 2

    log = AccessLog(stream, "json")
    in_world(handler, scenario, max_pushes=2, link=LinkSettings(delay=0.5), access_log=log)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row["path"] for row in rows if row["push_id"] is not None] == ["/after"]


def test_the_budget_pays_for_what_is_at_hand() -> None:
    """What is more than the request may cause by pushes is called off, as when a handler answers."""
    for at_hand in (True, False):
        handler = Pushing(at_hand=at_hand)

        async def scenario(world: World, handler: Pushing = handler) -> None:
            await world.client.get("/")
            assert await handler.pushes[0].done() is h3push.PushState.CANCELLED
            assert handler.pushes[0].cancelled_by is h3push.CancelledBy.LOCAL

        settings = h3push.ServerSettings(max_push_bytes=len(BODY) - 1)
        in_world(handler, scenario, max_pushes=3, server_settings=settings)


def test_a_refused_push_leaves_its_response_alone() -> None:
    """Nothing was promised, so nothing is sent, and the refusal says why."""
    handler = Pushing(at_hand=True)

    async def scenario(world: World) -> None:
        await (await world.client.get("/")).read()

    in_world(handler, scenario)
    assert handler.pushes[0].refusal is h3push.PushRefusal.NOT_ALLOWED_BY_CLIENT
    assert (handler.pushes[0].request, handler.pushes[0].bytes_sent) == (None, 0)


def test_a_response_with_a_bad_field_is_the_server_s_failure() -> None:
    """What is wrong with a response that was given is logged and counted like a handler's."""
    handler = Pushing(at_hand=True, response=h3push.Response(200, {"bad name": "x"}, BODY))

    async def scenario(world: World) -> None:
        await world.client.get("/")
        assert await handler.pushes[0].done() is h3push.PushState.CANCELLED
        assert handler.pushes[0].cancelled_by is h3push.CancelledBy.FAILED
        assert world.server.counters.failed == 1

    in_world(handler, scenario, max_pushes=3)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<!doctype html><script src=/a.js></script><link rel=stylesheet href=/b.css>")
    (tmp_path / "a.js").write_bytes(BODY)
    (tmp_path / "b.css").write_bytes(BODY)
    return tmp_path


class NotingDirectory(DirectoryHandler):
    """A directory that notes the paths that it is called for."""

    asked: list[str]

    def __call__(self, request: h3push.Request) -> Any:
        self.asked.append(request.path)
        return super().__call__(request)


def called_for(handler: NotingDirectory) -> list[str]:
    """The paths that the handler is called for while a page is fetched, with its two files."""
    handler.asked = []

    async def scenario(world: World) -> list[tuple[str, bytes]]:
        return [(push.path, push.content) for push in (await world.visit("/")).pushes]

    assert in_world(handler, scenario, max_pushes=9) == [("/a.js", BODY), ("/b.css", BODY)]
    return handler.asked


def test_the_files_of_a_page_are_at_hand(site: Path) -> None:
    """A directory answers what it pushes without a call of its handler."""
    assert called_for(NotingDirectory(Directory(site))) == ["/"]


def test_a_file_with_a_plan_of_its_own_is_not_at_hand(site: Path) -> None:
    """Another planner may know what goes with a file that is pushed; then the handler answers, and delivers that too."""

    def planner(request: h3push.Request) -> PushPlan | None:
        return PushPlan("/a.js", PlanSource.MANIFEST) if request.path == "/a.js" else None

    handler = NotingDirectory(Directory(site), planners=(planner,))
    assert called_for(handler) == ["/", "/a.js"]


def test_a_page_that_is_pushed_is_not_at_hand(site: Path) -> None:
    """What goes with it is told by the handler; a file that is not there is its business too."""
    handler = PushingDirectory(Directory(site))

    async def scenario(world: World) -> list[int]:
        return [push.status for push in (await world.visit("/")).pushes]

    assert in_world(handler, scenario, max_pushes=9)[:3] == [200, 200, 404]
    assert handler.ways[:3] == [False, True, False]


class PushingDirectory(DirectoryHandler):
    """A directory whose requests push a page, a file and something that is not there; it notes what was at hand."""

    ways: list[bool]

    def __call__(self, request: h3push.Request) -> Any:
        if request.push_id is None:
            self.ways = []
            for path in ("/index.html", "/a.js", "/missing.js"):
                request.push_nowait(path)
        return super().__call__(request)

    def at_hand(self, push: PromisedPush) -> h3push.Response | None:
        response = super().at_hand(push)
        self.ways.append(response is not None)
        return response
