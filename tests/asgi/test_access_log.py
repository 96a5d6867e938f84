"""The access log: what each row says, as text and as JSON."""

import asyncio
import errno
import gc
import io
import json
import logging
import re
from pathlib import Path
from typing import Any, Literal

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.server.access_log import AccessLog, OpenRow
from h3push.server.log_row import ResponseOutcome, Row, printable
from h3push.server.request import Request
from h3push.testing import in_world as run_world

from .harness import World, in_world, pushed_paths, respond


async def app(scope: Any, receive: Any, send: Any) -> None:
    path = scope["path"]
    if path == "/":
        await h3push.push(scope, "/a.css", "/slow.css", "/broken.css")
    if path == "/slow.css":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begin", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
    if path == "/broken.css":
        raise ValueError
    await respond(send, b"12345")


def log_of(log_format: Literal["text", "json"]) -> list[str]:
    stream = io.StringIO()

    async def scenario(world: World) -> None:
        response = await world.client.get("/", headers={"user-agent": 'te"st\n'.strip()})
        await response.read()
        async for push in response.pushes():
            if push.request.path == "/slow.css":
                await push.response()
                push.cancel()
        await asyncio.sleep(1)

    in_world(app, scenario, max_pushes=10, access_log=AccessLog(stream, log_format))
    return stream.getvalue().splitlines()


def test_text_rows(caplog: pytest.LogCaptureFixture) -> None:
    """A pushed response is a row with push ID, initiator, outcome and bytes."""
    lines = log_of("text")
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 198\.51\.100\.1:\d+ ", line) for line in lines)
    rows = sorted(line.split(" ", 2)[2] for line in lines)
    assert rows == [
        '"GET / HTTP/3" 200 5',
        '"GET /a.css HTTP/3" 200 5 push 0 for /',
        '"GET /broken.css HTTP/3" - 0 push 2 for / (failed)',
        '"GET /slow.css HTTP/3" 200 5 push 1 for / (cancelled by the client)',
    ]


def test_json_rows(caplog: pytest.LogCaptureFixture) -> None:
    """One object a line, with every field of the row, and nothing that breaks a line."""
    rows = {row["path"]: row for row in map(json.loads, log_of("json"))}
    assert set(rows["/"]) == set(Row.__dataclass_fields__) - {"headers"}  # which are for formats of one's own
    pushed = rows["/a.css"]
    assert (pushed["push_id"], pushed["initiator"], pushed["outcome"], pushed["bytes"]) == (0, "/", "complete", 5)
    assert (rows["/"]["push_id"], rows["/"]["initiator"]) == (None, None)
    assert rows["/slow.css"]["outcome"] == ResponseOutcome.CANCELLED_BY_CLIENT.value
    assert rows["/broken.css"]["status"] is None
    assert rows["/"]["user_agent"] == 'te"st'
    assert rows["/"]["duration_ms"] >= 0


def test_nothing_a_client_sends_drives_a_terminal() -> None:
    """Control characters are escaped and quotes encoded."""
    assert printable('a"\x1b[2J\n\xe9') == "a%22\\x1b[2J\\n\\xe9"


def rows_of(handler: Any, scenario: Any, *, serve: Any = h3push.serve, **options: Any) -> list[str]:
    """What the log says of `scenario`, without time and client."""
    stream = io.StringIO()
    run_world(handler, scenario, serve=serve, access_log=AccessLog(stream), **options)
    return [line.split(" ", 2)[2] for line in stream.getvalue().splitlines()]


async def get(world: World, path: str) -> None:
    await (await world.client.get(path)).read()


@pytest.mark.parametrize("serve", [h3push.serve, h3push.serve_asgi])
def test_a_failure_is_a_row_with_the_status_that_the_client_got(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    """500, not "no status", whatever kind of handler failed (issue 9, point 36)."""

    def fails(request: h3push.Request) -> h3push.Response:
        raise ValueError

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise ValueError

    handler = fails if serve is h3push.serve else application
    assert rows_of(handler, lambda world: get(world, "/x"), serve=serve) == ['"GET /x HTTP/3" 500 0 (failed)']


def test_what_is_answered_without_the_handler_has_a_row() -> None:
    """A misdirected request, and one whose header section is too large to be read (issue 9, point 36)."""

    async def scenario(world: World) -> None:
        await get(world, "/x")
        connection = world.client._session
        assert connection is not None
        connection.core._sections._size_limit = None  # a client that does not keep to the server's SETTINGS
        await (await world.client.get("/y", headers=[(f"x-{number}", "v" * 100) for number in range(100)])).read()

    settings = h3push.ServerSettings(authorities=("other.example",))
    config = h3push.H3Config(max_field_section_size=4_000)
    rows = rows_of(lambda request: h3push.Response(200), scenario, server_settings=settings, server_config=config)
    assert rows == ['"GET /x HTTP/3" 421 0', '"- - HTTP/3" 431 0']


async def never_ends(request: h3push.Request) -> None:
    await request.start_response(200)
    await request.send(b"begin")
    await asyncio.Event().wait()


def test_a_shutdown_is_the_server_s_doing() -> None:
    """Not "cancelled by the client" (issue 9, point 36)."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await world.server.shutdown(0)
        with pytest.raises(h3push.H3PushError):
            await response.read()

    assert rows_of(never_ends, scenario) == ['"GET / HTTP/3" 200 5 (cancelled by the server)']


def test_a_client_that_vanishes_is_lost() -> None:
    """An idle time-out is nobody's cancellation (issue 9, point 36)."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        world.network.remove(world.client_driver)
        await asyncio.sleep(100)
        await response.close()

    assert rows_of(never_ends, scenario) == ['"GET / HTTP/3" 200 5 (connection lost)']


def test_a_slow_reader_is_cut_off_by_the_server() -> None:
    """The drain time-out is ours (issue 9, point 36)."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await asyncio.sleep(100)
        await response.close()

    client = h3push.ClientSettings(receive_high_water=65_536, stream_receive_window=262_144)
    (row,) = rows_of(lambda request: h3push.Response(200, content=bytes(10_000_000)), scenario, client_settings=client)
    found = re.fullmatch(r'"GET / HTTP/3" 200 (\d+) \(cancelled by the server\)', row)
    assert found is not None
    assert int(found[1]) < 3_000_000  # the send window is 2 MiB, the client's half a mebibyte


def test_the_row_of_a_large_response_waits_until_quic_has_it(tmp_path: Path) -> None:
    """A file is handed over in one go; what became of it shows later (issue 9, point 36)."""
    (tmp_path / "large").write_bytes(bytes(10_000_000))
    stream = io.StringIO()

    async def scenario(world: World) -> None:
        await get(world, "/large")
        response = await world.client.get("/large")
        assert len(stream.getvalue().splitlines()) == 1
        await response.close()
        await asyncio.sleep(1)

    client = h3push.ClientSettings(stream_receive_window=262_144)
    handler = DirectoryHandler(Directory(tmp_path))
    run_world(handler, scenario, client_settings=client, access_log=AccessLog(stream))
    whole, stopped = (line.split(" ", 2)[2] for line in stream.getvalue().splitlines())
    assert whole == '"GET /large HTTP/3" 200 10000000'
    assert stopped.endswith(" (cancelled by the client)")


@pytest.mark.parametrize("how", ["stop", "close", "vanish"])
def test_bytes_are_those_that_went_out(how: str, tmp_path: Path) -> None:
    """Of a download that the client gives up, in whatever way, only what QUIC took counts (issue 9, point 36)."""
    (tmp_path / "large").write_bytes(bytes(50_000_000))

    async def scenario(world: World) -> None:
        response = await world.client.get("/large")
        if how == "stop":
            await response.close()
        elif how == "close":
            await world.client.close()
        else:
            world.network.remove(world.client_driver)
        await asyncio.sleep(100)

    client = h3push.ClientSettings(stream_receive_window=262_144)
    (row,) = rows_of(DirectoryHandler(Directory(tmp_path)), scenario, client_settings=client)
    found = re.fullmatch(r'"GET /large HTTP/3" 200 (\d+) \(([a-z ]+)\)', row)
    assert found is not None
    assert 0 < int(found[1]) < 3_000_000  # the send window is 2 MiB
    assert found[2] == ("connection lost" if how == "vanish" else "cancelled by the client")


def test_a_full_disk_loses_rows_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """Said once; no application ever sees it (issue 9, point 36)."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    async def scenario(world: World) -> None:
        for _ in range(3):
            await get(world, "/")

    run_world(lambda request: h3push.Response(200), scenario, access_log=AccessLog(Full()))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "the access log cannot be written, and rows are lost: No space left on device"
    ]


def test_logging_ends_when_nobody_reads() -> None:
    """A closed pipe stops the log, not the server."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    async def scenario(world: World) -> list[str]:
        await pushed_paths(await world.client.get("/plain"))
        return await pushed_paths(await world.client.get("/plain"))

    assert in_world(app, scenario, access_log=AccessLog(Closed())) == []


def test_a_row_that_is_written_leaves_no_circle() -> None:
    """Row and request lead to each other until the row is written; after that, both are freed without the collector."""

    async def scenario(world: World) -> None:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                response = await world.client.get("/a.css")
                assert await response.read() == b"12345"
            await asyncio.sleep(1)
            assert not [one for one in gc.get_objects() if isinstance(one, Request | OpenRow)]
        finally:
            gc.enable()

    in_world(app, scenario, access_log=AccessLog(io.StringIO(), "json"))
