"""A start that is known to be good waits for its content, and nobody but the wire can tell."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import h3push
from h3push.delivery.decision import Way
from h3push.h3.server import H3ServerConnection

from .harness import HOST, IDENTITY, World, hints, in_world, now, pushed_paths, respond

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
ROUNDS = 4
"""The first two starts of a kind go out at once, the others wait for their content."""


def each_time(app: Any, ask: Callable[[World], Awaitable[Any]], **options: Any) -> list[Any]:
    """What `ask` returns for one request after the other, all answered alike."""

    async def scenario(world: World) -> list[Any]:
        return [await ask(world) for _ in range(ROUNDS)]

    return in_world(app, scenario, **options)


async def whole(world: World) -> Any:
    """Ask for a page; its status and content, `None` when the stream was reset."""
    try:
        response = await world.client.get("/")
        return response.status, await response.read()
    except h3push.StreamFailed:
        return None


@pytest.mark.skipif(h3push.compiled, reason="a function of a compiled class cannot be replaced")
@pytest.mark.parametrize("pushed", [False, True])
def test_start_and_content_go_out_in_one_write(pushed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a start of the kind went out twice; pushed responses too."""
    writes = []
    respond_at_hand, push_at_hand = H3ServerConnection.send_response_at_hand, H3ServerConnection.send_push_at_hand

    def count_response(self: Any, stream_id: int, status: int, known: Any, content: bytes) -> Any:
        writes.append(content)
        return respond_at_hand(self, stream_id, status, known, content)

    def count_push(self: Any, record: Any, status: int, known: Any, content: bytes, priority: Any) -> Any:
        writes.append(content)
        return push_at_hand(self, record, status, known, content, priority)

    monkeypatch.setattr(H3ServerConnection, "send_response_at_hand", count_response)
    monkeypatch.setattr(H3ServerConnection, "send_push_at_hand", count_push)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if pushed and scope["path"] == "/":
            await h3push.push(scope, "/a.css")
        await respond(send, scope["path"].encode(), headers=[(b"cache-control", b"no-store")])

    async def ask(world: World) -> list[str]:
        return await pushed_paths(await world.client.get("/"))

    assert each_time(app, ask, max_pushes=10) == [["/a.css"] if pushed else []] * ROUNDS
    assert writes.count(b"/") >= ROUNDS - 2
    assert writes.count(b"/a.css") >= (ROUNDS - 2 if pushed else 0)


def test_a_start_waits_for_no_more_than_the_turn() -> None:
    """An application that thinks before its content: the client has the header section meanwhile."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.sleep(1)
        await send({"type": "http.response.body", "body": b"page"})

    async def ask(world: World) -> tuple[float, float, bytes]:
        asked = now()
        response = await world.client.get("/")
        answered = now()
        body = await response.read()
        return answered - asked, now() - answered, body

    for until_start, until_content, body in each_time(app, ask):
        assert until_start < 0.2
        assert 0.9 < until_content < 1.1
        assert body == b"page"


@pytest.mark.parametrize("ending", ["raises", "returns"])
def test_a_start_without_content_is_reset(ending: str, caplog: pytest.LogCaptureFixture) -> None:
    """After the start there is no 500: half a response never looks whole, whether its start waited or not."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        if scope["path"] == "/":
            if ending == "raises":
                raise ValueError
            return
        await send({"type": "http.response.body"})

    async def ask(world: World) -> Any:
        await (await world.client.get("/good")).read()
        return await whole(world)

    with caplog.at_level(logging.ERROR):
        assert each_time(app, ask) == [None] * ROUNDS
    assert len(caplog.records) == ROUNDS


def test_content_that_is_not_as_long_as_declared_raises_in_the_application() -> None:
    """The sentence is the same kind of error, at the event that is wrong."""
    raised = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = b"12345" if scope["path"] == "/good" else b"123"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        try:
            await send({"type": "http.response.body", "body": body})
        except h3push.StreamStateError as error:
            raised.append(error)
            raise

    async def ask(world: World) -> Any:
        assert await (await world.client.get("/good")).read() == b"12345"
        return await whole(world)

    assert each_time(app, ask) == [None] * ROUNDS
    assert len(raised) == ROUNDS


def test_content_in_pieces_and_head_are_as_ever() -> None:
    """Only the last content joins its start; what has none by definition sends none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"three"})

    async def ask(world: World) -> Any:
        head = await world.client.request("HEAD", "/")
        assert (head.headers["content-type"], await head.read()) == ("text/plain", b"")
        return await whole(world)

    assert each_time(app, ask) == [(200, b"onetwothree")] * ROUNDS


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_none(status: int) -> None:
    """What an application sends with 204 and 304 is dropped."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"dropped", status=status)

    assert each_time(app, whole) == [(status, b"")] * ROUNDS


def test_trailers_and_files_follow_a_start_that_waits(tmp_path: Any) -> None:
    """The other events that may come next."""
    path = tmp_path / "file"
    path.write_bytes(b"file")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "trailers": scope["path"] == "/trailers"})
        if scope["path"] == "/trailers":
            await send({"type": "http.response.body"})
            await send({"type": "http.response.trailers", "headers": [(b"x-check", b"sum")]})
        else:
            await send({"type": "http.response.pathsend", "path": str(path)})

    async def ask(world: World) -> Any:
        response = await world.client.get("/trailers", headers={"te": "trailers"})
        assert await response.read() == b""
        assert (response.trailers or {}).get("x-check") == "sum"
        return await whole(world)

    assert each_time(app, ask) == [(200, b"file")] * ROUNDS


@pytest.mark.parametrize("max_pushes", [None, 100])
def test_a_push_between_start_and_content_is_pushed_or_nothing(max_pushes: int | None) -> None:
    """After the start it is too late for a hint, also while the start waits."""
    ways = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"cache-control", b"no-store")]})
        if scope["path"] == "/":
            ways.extend(one.way for one in await h3push.push(scope, "/a.css"))
            await send({"type": "http.response.early_hint", "links": [b"</b.css>; rel=preload; as=style"]})
            await asyncio.sleep(0)
            await send({"type": "http.response.push", "path": "/c.css", "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    async def ask(world: World) -> Any:
        response = await world.client.get("/")
        paths = await pushed_paths(response)
        return paths, hints(response), response.headers.get("link")

    expected = ["/a.css", "/b.css", "/c.css"] if max_pushes else []
    assert each_time(app, ask, max_pushes=max_pushes) == [(expected, [], None)] * ROUNDS
    assert ways == [Way.PUSH if max_pushes else Way.NONE] * ROUNDS


def test_a_start_that_is_too_large_for_one_client_raises_at_once() -> None:
    """It went out to others; to this one it cannot, and the `send` of the start says so."""
    raised = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-long", b"x" * 600)]})
        except h3push.LocalProtocolError:
            raised.append(scope["path"])
            raise
        await send({"type": "http.response.body", "body": b"page"})

    async def ask(world: World) -> list[int]:
        settings = h3push.ClientSettings()
        trust = h3push.ClientTls(trust=IDENTITY.authority)
        driver = world.network.client_endpoint(trust, settings.transport(None))
        config = h3push.H3Config(max_field_section_size=600)
        async with h3push.connect(f"https://{HOST}/", config=config, settings=settings, driver=driver) as small:
            return [(await world.client.get("/large")).status, (await small.get("/small")).status]

    assert each_time(app, ask) == [[200, 500]] * ROUNDS
    assert raised == ["/small"] * ROUNDS
