"""What the access log says of page views, and what clients report of their pushes."""

import asyncio
import io
import json
from typing import Any

import pytest

import h3push
from h3push.http.push_report import MAX_IDS, PushReport, encode_push_report, parse_push_report
from h3push.server.access_log import AccessLog
from h3push.server.views import MAX_PATH
from h3push.testing import World, in_world


def handler(request: h3push.Request) -> h3push.Response:
    if request.path == "/":
        request.push_nowait("/pushed.css")
        request.push_nowait("/other.css")
    return h3push.Response(200, {"content-type": "text/plain"}, request.path)


def rows_of(scenario: Any, answers: Any = handler) -> dict[str, dict[str, Any]]:
    """The rows by path, of one client that takes pushes."""
    stream = io.StringIO()
    in_world(answers, scenario, max_pushes=10, access_log=AccessLog(stream, "json"))
    return {row["path"]: row for row in map(json.loads, stream.getvalue().splitlines())}


async def get(world: World, path: str, **headers: str) -> None:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await world.client.get(path, headers=fields)
    await response.read()
    async for push in response.pushes():
        await (await push.response()).read()


def places(rows: dict[str, dict[str, Any]]) -> dict[str, tuple[str, int, int]]:
    return {path: (row["page"], row["view"], row["position"]) for path, row in rows.items()}


def test_a_view_is_a_page_and_what_follows() -> None:
    """Pushes belong to their page, a Referer names page or style sheet, and without one the latest page is meant."""

    async def scenario(world: World) -> None:
        await get(world, "/")
        await get(world, "/second", accept="text/html,*/*")
        await get(world, "/font", referer="https://origin.example/pushed.css")
        await get(world, "/data")
        await get(world, "/foreign", referer="https://elsewhere.test/")

    assert places(rows_of(scenario)) == {
        "/": ("/", 1, 0),
        "/pushed.css": ("/", 1, 1),
        "/other.css": ("/", 1, 2),
        "/second": ("/second", 2, 0),
        "/font": ("/", 1, 3),
        "/data": ("/second", 2, 1),
        "/foreign": ("/second", 2, 2),
    }


def test_a_pause_ends_a_view() -> None:
    """Calls of an API name no page: what comes after two quiet seconds is another view."""

    async def scenario(world: World) -> None:
        await get(world, "/orders")
        await asyncio.sleep(1.9)
        await get(world, "/orders/1")
        await asyncio.sleep(2.1)
        await get(world, "/customers")

    found = rows_of(scenario)
    assert places(found) == {
        "/orders": ("/orders", 1, 0),
        "/orders/1": ("/orders", 1, 1),
        "/customers": ("/customers", 2, 0),
    }
    assert 1_900 < found["/orders/1"]["since_page_ms"] < 2_500
    assert (found["/orders"]["warm"], found["/customers"]["warm"]) == (False, True)


def test_a_page_has_what_the_path_measured() -> None:
    """Round trip, window, think time and validators are in the row; a row has no field that learning does not name."""

    async def thinks(request: h3push.Request) -> h3push.Response:
        await asyncio.sleep(0.25)
        return h3push.Response(200)

    row = rows_of(lambda world: get(world, "/page", if_none_match='"1"'), thinks)["/page"]
    assert row["rtt_ms"] > 0
    assert row["window"] >= 12_000
    assert row["think_ms"] == pytest.approx(250, abs=10)
    assert row["conditional"] is True
    assert row["arm"] is None


def test_a_report_is_believed_once_and_of_our_pushes_alone() -> None:
    """A client can say of the pushes that it got what became of them, once; what else it says is not written."""

    async def scenario(world: World) -> None:
        await get(world, "/")
        await get(world, "/first", push_report="used=(0 7), unused=(1 9)")
        await get(world, "/again", push_report="used=(1), unused=(0)")

    rows = rows_of(scenario)
    assert (rows["/first"]["pushes_used"], rows["/first"]["pushes_unused"]) == ([0], [1])
    assert (rows["/again"]["pushes_used"], rows["/again"]["pushes_unused"]) == ([], [])
    assert rows["/"]["pushes_used"] is None


@pytest.mark.parametrize(
    "value",
    ["", "used", "used=3", "used=(", 'used=("a")', "used=(-1)", "used=(1.5)", "é", "used=(" + "1 " * MAX_IDS + "1)"],
)
def test_what_is_no_report_says_nothing(value: str) -> None:
    """Bytes of a client become a report or nothing."""
    assert parse_push_report(value) == PushReport()


def test_a_report_is_read_as_it_was_written() -> None:
    """Encoding and parsing are inverses, up to the bound; of a push that is called both, the worse is believed."""
    report = PushReport((0, 2), (1,))
    assert encode_push_report(report) == "used=(0 2), unused=(1)"
    assert parse_push_report(encode_push_report(report)) == report
    assert parse_push_report("used=(0;x 2);y=1") == PushReport((0, 2))
    many = parse_push_report(encode_push_report(PushReport(tuple(range(200)), (300,))))
    assert many == PushReport(tuple(range(MAX_IDS)))
    assert PushReport((1, 1, 2), (2,)).among({1, 2}) == PushReport((1,), (2,))


def test_long_paths_are_not_remembered() -> None:
    """A client makes its paths up: 512 of them with 64 KiB each would be 32 MiB a connection."""
    referer = "https://origin.example/" + "x" * MAX_PATH

    async def scenario(world: World) -> None:
        await get(world, "/" + "x" * MAX_PATH)
        await get(world, "/second", accept="text/html")
        await get(world, "/font", referer=referer)

    assert places(rows_of(scenario))["/font"] == ("/second", 2, 1)
