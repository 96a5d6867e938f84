"""The access log: what each row says, as text and as JSON."""

import asyncio
import io
import json
from typing import Any, Literal

import pytest

import h3push
from h3push.server.access_log import AccessLog, Outcome, Row, printable

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
    rows = sorted(line.partition(" ")[2] for line in log_of("text"))
    assert rows == [
        '"GET / HTTP/3" 200 5',
        '"GET /a.css HTTP/3" 200 5 push 0 for /',
        '"GET /broken.css HTTP/3" - 0 push 2 for / (failed)',
        '"GET /slow.css HTTP/3" 200 5 push 1 for / (cancelled by the client)',
    ]


def test_json_rows(caplog: pytest.LogCaptureFixture) -> None:
    """One object a line, with every field of the row, and nothing that breaks a line."""
    rows = {row["path"]: row for row in map(json.loads, log_of("json"))}
    assert set(rows["/"]) == set(Row.__dataclass_fields__)
    pushed = rows["/a.css"]
    assert (pushed["push_id"], pushed["initiator"], pushed["outcome"], pushed["bytes"]) == (0, "/", "complete", 5)
    assert (rows["/"]["push_id"], rows["/"]["initiator"]) == (None, None)
    assert rows["/slow.css"]["outcome"] == Outcome.CANCELLED_BY_CLIENT.value
    assert rows["/broken.css"]["status"] is None
    assert rows["/"]["user_agent"] == 'te"st'
    assert rows["/"]["duration_ms"] >= 0


def test_nothing_a_client_sends_drives_a_terminal() -> None:
    """Control characters are escaped and quotes encoded."""
    assert printable('a"\x1b[2J\n\xe9') == "a%22\\x1b[2J\\n\\xe9"


def test_logging_ends_when_nobody_reads() -> None:
    """A closed pipe stops the log, not the server."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    async def scenario(world: World) -> list[str]:
        await pushed_paths(await world.client.get("/plain"))
        return await pushed_paths(await world.client.get("/plain"))

    assert in_world(app, scenario, access_log=AccessLog(Closed())) == []
