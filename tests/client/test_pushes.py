"""Pushes on the client: who may refuse them, what gives their credit back, and how long they are waited for."""

import asyncio
import gc
from collections.abc import Awaitable

import pytest

import h3push
from h3push import ReceivedState
from h3push.testing import World, in_world


def page(*paths: str) -> h3push.Handler:
    """A handler whose page "/" pushes `paths`; every path answers with itself."""

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            for path in paths:
                request.push_nowait(path)
        return h3push.Response(content=request.path)

    return handler


# issue 9, point 24


@pytest.mark.parametrize("is_async", [False, True])
def test_on_push_refuses_by_returning_false(is_async: bool) -> None:
    """False calls a push off; anything else, `None` too, lets it come. The answer may be awaited."""

    def judge(push: h3push.ReceivedPush) -> "bool | Awaitable[bool | None] | None":
        verdict = {"/no": False, "/yes": True}.get(push.request.path)

        async def later() -> bool | None:
            await asyncio.sleep(0)
            return verdict

        return later() if is_async else verdict

    async def scenario(world: World) -> dict[str, str]:
        async with world.connect(max_pushes=5, on_push=judge) as client:
            response = await client.get("/")
            pushes = [push async for push in response.pushes()]
            await asyncio.sleep(1)
            states = {push.request.path: push.state.name for push in pushes}
            await response.close()
            return states

    async def handler(request: h3push.Request) -> h3push.Response:
        for path in ("/no", "/yes", "/unknown") if request.path == "/" else ():
            request.push_nowait(path)
        await asyncio.sleep(0.1 if request.path != "/" else 0)
        return h3push.Response()

    states = in_world(handler, scenario, connected=False)
    assert states == {"/no": "CANCELLED", "/yes": "FULFILLED", "/unknown": "FULFILLED"}


def test_an_async_on_push_that_fails_calls_the_push_off(caplog: pytest.LogCaptureFixture) -> None:
    async def judge(_: h3push.ReceivedPush) -> bool:
        raise ZeroDivisionError

    async def scenario(world: World) -> ReceivedState:
        async with world.connect(max_pushes=5, on_push=judge) as client:
            response = await client.get("/")
            (push,) = [push async for push in response.pushes()]
            await response.close()
            return push.state

    assert in_world(page("/a"), scenario, connected=False) is ReceivedState.CANCELLED
    assert "on_push failed" in caplog.text


def test_credit_of_pushes_comes_back_from_responses_that_are_dropped() -> None:
    """Nobody can take them any more, so they are called off: a hundred pages do not use the window up."""

    async def scenario(world: World) -> None:
        for _ in range(20):
            assert await (await world.client.get("/")).read() == b"/"
            await asyncio.sleep(1)
        core = world.client.session.core
        assert core.push_counters.promised == 40
        assert len(world.client.session.pushes) == 0
        assert core.max_push_id == 41

    in_world(page("/a", "/b"), scenario, max_pushes=2)


def test_a_push_that_is_held_survives_the_response_that_was_dropped() -> None:
    async def scenario(world: World) -> bytes:
        response = await world.client.get("/")
        pushes = [push async for push in response.pushes()]
        await response.read()
        del response
        kept = pushes[0]
        pushes.clear()
        gc.collect()
        await asyncio.sleep(1)
        assert [push.request.path for push in world.client.session.pushes.values()] == ["/a"]
        return await (await kept.response()).read()

    assert in_world(page("/a", "/b"), scenario, max_pushes=2) == b"/a"


def test_a_pushed_response_that_is_held_keeps_its_push() -> None:
    async def scenario(world: World) -> bytes:
        response = await world.client.get("/")
        pushed = await (await anext(aiter(response.pushes()))).response()
        await response.read()
        del response
        gc.collect()
        await asyncio.sleep(1)
        return await pushed.read()

    assert in_world(page("/a"), scenario, max_pushes=1) == b"/a"


def test_a_listener_gets_what_comes_with_responses_that_are_dropped() -> None:
    """`ClientConnection.pushes` takes every promise, whatever becomes of the responses."""

    async def scenario(world: World) -> list[bytes]:
        taken = []

        async def take() -> None:
            async for push in world.client.pushes():
                taken.append(await (await push.response()).read())

        taker = asyncio.create_task(take())
        for _ in range(3):
            await (await world.client.get("/")).read()
        await asyncio.sleep(1)
        taker.cancel()
        return taken

    assert in_world(page("/a", "/b"), scenario, max_pushes=2) == [b"/a", b"/b"] * 3


# issue 9, point 42


@pytest.mark.parametrize("begins", [False, True])
def test_a_push_that_does_not_move_is_given_up_once_the_page_is_there(begins: bool) -> None:
    """A promise without a stream, or one that stops in the middle: `push_timeout` after the page, it is failed."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            request.push_nowait("/stalls")
            request.push_nowait("/comes")
        elif request.path == "/stalls":
            if begins:
                await request.start_response(200)
                await request.send(b"x")
            await asyncio.sleep(3600)
        return h3push.Response(content=request.path)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await response.read() == b"/"
        there = world.now
        stalls, comes = [push async for push in response.pushes()]
        with pytest.raises(h3push.PushCancelled, match="push_timeout"):
            await (await stalls.response()).read()
        assert 10 <= world.now - there <= 13
        assert (stalls.state, stalls.cancelled_by) == (ReceivedState.FAILED, h3push.CancelledBy.TIMEOUT)
        assert await (await comes.response()).read() == b"/comes"
        assert world.client.session.core.max_push_id == 3
        assert world.client.is_usable

    in_world(handler, scenario, max_pushes=2)


def test_a_push_that_moves_is_waited_for() -> None:
    """Slow is not stalled: a piece every nine seconds is progress, and so is a page that is not there yet."""

    async def handler(request: h3push.Request) -> None:
        if request.path == "/":
            request.push_nowait("/slow")
        await request.start_response(200)
        for _ in range(5):
            await asyncio.sleep(9 if request.path == "/slow" else 20)
            await request.send(b"x")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        assert await response.read() == b"x" * 5
        assert await (await push.response()).read() == b"x" * 5

    in_world(handler, scenario, max_pushes=1)


def test_a_push_that_the_application_holds_back_is_not_given_up() -> None:
    """Back-pressure is ours, not the server's: an unread push waits as long as its reader likes."""
    content = b"x" * 1_000_000

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/large")
        return h3push.Response(content=b"" if request.path == "/" else content)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        await response.read()
        await asyncio.sleep(40)
        assert await (await push.response()).read() == content

    settings = h3push.ClientSettings(receive_high_water=50_000, stream_receive_window=100_000)
    in_world(handler, scenario, max_pushes=1, client_settings=settings)


def test_a_response_that_is_kept_open_for_promises_that_do_not_come_is_closed() -> None:
    async def handler(request: h3push.Request) -> None:
        await request.start_response(200, {"content-length": "4"})
        await request.send(b"page")
        await asyncio.sleep(3600)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        there = world.now
        assert [push async for push in response.pushes()] == []
        assert 10 <= world.now - there <= 13
        assert await response.read() == b"page"

    in_world(handler, scenario, max_pushes=1)


def test_a_response_that_waits_for_credit_is_not_closed_while_pushes_are_slow() -> None:
    """The server promises the next push when the last one has been read, half a minute later: that is no stall of its own."""

    async def handler(request: h3push.Request) -> None:
        if request.path != "/":
            await request.start_response(200)
            for _ in range(5):
                await asyncio.sleep(6)
                await request.send(b"x")
            return
        await request.start_response(200, {"content-length": "4"})
        await request.send(b"page")
        for number in range(3):
            await request.push(f"/{number}", wait=True)

    async def scenario(world: World) -> list[str]:
        response = await world.client.get("/")
        assert await response.read() == b"page"
        taken = []
        async for push in response.pushes():
            assert await (await push.response()).read() == b"x" * 5
            taken.append(push.request.path)
        return taken

    assert in_world(handler, scenario, max_pushes=1) == ["/0", "/1", "/2"]


# issue 9, point 43


def test_a_push_that_the_server_gives_up_is_failed_and_one_that_it_calls_off_is_not() -> None:
    """Half way it has failed, whatever its server meant by it; before its response began, it was called off."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            request.push_nowait("/fails")
            called_off.append(request.push_nowait("/called-off"))
            return h3push.Response()
        if request.path == "/called-off":
            await asyncio.sleep(3)
        await request.start_response(200)
        await request.send(b"x")
        await asyncio.sleep(1)
        raise ZeroDivisionError

    called_off: list[h3push.Push] = []

    async def scenario(world: World) -> dict[str, ReceivedState]:
        response = await world.client.get("/")
        pushes = [push async for push in response.pushes()]
        await asyncio.sleep(0.5)
        called_off[0].cancel()
        await asyncio.sleep(5)
        return {push.request.path: push.state for push in pushes}

    states = in_world(handler, scenario, max_pushes=2)
    assert states == {"/fails": ReceivedState.FAILED, "/called-off": ReceivedState.CANCELLED}


def test_promises_that_are_refused_are_remembered_with_their_reason() -> None:
    """A server whose promises name another authority would otherwise look like one that pushes nothing."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/", headers={"host": "origin.example"})
        await response.read()
        await asyncio.sleep(1)
        refused = list(world.client.session.pushes.refusals)
        assert [(one.push_id, one.request.url, one.reason) for one in refused if one.request is not None] == [
            (0, "https://origin.example:8443/a", h3push.PushRefusal.AUTHORITY)
        ]
        counters = world.client.session.core.push_counters
        assert counters.refused[h3push.PushRefusal.AUTHORITY] == 1
        assert world.client.session.core.max_push_id == 2

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/a", authority="origin.example:8443")
        return h3push.Response()

    config = h3push.H3Config(push_authorities=(b"origin.example:8443",))
    in_world(handler, scenario, max_pushes=2, server_config=config)
