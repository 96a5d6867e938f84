"""Pushes, from both sides."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import h3push
from h3push import CancelledBy, PushRefusal, PushState, ReceivedState
from h3push.testing.link import LinkSettings

from .harness import World, in_world


def page(*paths: str, **options: object) -> h3push.Handler:
    """A handler whose page "/" pushes `paths`; every path answers with itself."""

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            for path in paths:
                request.push_nowait(path, **options)
        return h3push.Response(content=request.path)

    return handler


async def take(response: h3push.ClientResponse) -> list[tuple[str, bytes]]:
    """All pushes of a response, read."""
    return [(push.request.path, await (await push.response()).read()) async for push in response.pushes()]


def test_promises_come_in_order_with_their_content() -> None:
    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await take(response) == [("/a.css", b"/a.css"), ("/b.js?v=1", b"/b.js?v=1")]
        assert await response.read() == b"/"
        await asyncio.sleep(1)  # the last one is acknowledged
        assert world.server.counters.pushes == world.server.counters.pushes_fulfilled == 2

    in_world(page("/a.css", "b.js?v=1"), scenario, max_pushes=10)


def test_the_handler_can_tell_a_pushed_request() -> None:
    seen: list[h3push.Request] = []

    def handler(request: h3push.Request) -> h3push.Response:
        seen.append(request)
        if request.path == "/":
            push = request.push_nowait("/x", headers={"accept-language": "de"})
            assert push.request is not None
            assert push.push_id == 0
        return h3push.Response()

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        assert push.request.url == "https://origin.example/x"
        assert push.request.headers["accept-language"] == "de"
        assert push.initiator.path == "/"
        assert (await push.response()).push_id == 0

    in_world(handler, scenario, max_pushes=1)
    asked, pushed = seen
    assert pushed.initiator is asked
    assert pushed.push_id == 0
    assert pushed.connection is asked.connection
    assert pushed.headers["accept-language"] == "de"


def test_the_first_request_of_a_connection_can_push() -> None:
    """MAX_PUSH_ID is on another stream than the request; it must be known when the handler runs."""
    results: list[bool] = []

    def handler(request: h3push.Request) -> h3push.Response:
        results.append(request.can_push)
        return h3push.Response()

    async def scenario(world: World) -> None:
        await (await world.client.get("/")).read()

    in_world(handler, scenario, max_pushes=1)
    assert results == [True]


@pytest.mark.parametrize(
    ("given", "promised"),
    [("/a b.css", "/a%20b.css"), ("/é", "/%C3%A9"), ("/%20", "/%20"), ("x?q=a b#f", "/d/x?q=a%20b"), ("../y", "/y"),
     ("https://origin.example/z", "/z")],
)  # fmt: skip
def test_paths_are_resolved_and_encoded(given: str, promised: str) -> None:
    def handler(request: h3push.Request) -> h3push.Response:
        if request.initiator is None:
            assert request.push_nowait(given).path == promised
        return h3push.Response(content=request.path)

    async def scenario(world: World) -> None:
        assert await take(await world.client.get("/d/page")) == [(promised, promised.encode())]

    in_world(handler, scenario, max_pushes=1)


@pytest.mark.rfc("H3-4.6-05", "H3-4.6-07")
@pytest.mark.parametrize(
    "options", [{"method": "POST"}, {"authority": "other.example"}, {"headers": {"content-length": "5"}}]
)
def test_what_may_never_be_pushed_raises(options: dict[str, object]) -> None:
    raised: list[str] = []

    def handler(request: h3push.Request) -> h3push.Response:
        try:
            request.push_nowait("/x", **options)
        except h3push.PushNotAllowed as error:
            raised.append(str(error))
        return h3push.Response()

    async def scenario(world: World) -> int:
        return (await world.client.get("/")).status

    assert in_world(handler, scenario, max_pushes=1) == 200
    assert len(raised) == 1


def refusals(handler_count: int = 3, **world: object) -> list[PushRefusal | None]:
    results: list[PushRefusal | None] = []

    def handler(request: h3push.Request) -> h3push.Response:
        if request.initiator is None:
            for number in range(handler_count):
                push = request.push_nowait(f"/{number}")
                assert (push.state is PushState.UNPROMISED) == (push.refusal is not None)
                results.append(push.refusal)
        return h3push.Response()

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert response.status == 200
        await take(response)

    in_world(handler, scenario, **world)
    return results


@pytest.mark.rfc("H3-6.2.2-32")
def test_refusals_say_why() -> None:
    assert refusals() == [PushRefusal.NOT_ALLOWED_BY_CLIENT] * 3
    assert refusals(max_pushes=2) == [None, None, PushRefusal.NO_PUSH_CREDIT]
    settings = h3push.ServerSettings(max_pushes_per_request=1)
    assert refusals(max_pushes=9, server_settings=settings) == [None, PushRefusal.LIMIT, PushRefusal.LIMIT]
    off = h3push.H3Config(enable_push=False)
    assert refusals(max_pushes=9, server_config=off) == [PushRefusal.DISABLED] * 3


def test_a_thousand_pushes_through_a_window_of_ten() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            for number in range(1000):
                push = await request.push(f"/{number}", wait=True)
                assert push.state is PushState.PROMISED
        return h3push.Response(content=request.path)

    most = 0

    async def scenario(world: World) -> list[tuple[str, bytes]]:
        nonlocal most
        core = world.client.session.core
        taken = []

        async def collect() -> None:
            nonlocal most
            async for push in world.client.pushes():
                most = max(most, core.pushes_granted_and_unfinished, len(world.client.session.pushes.unreleased))
                taken.append((push.request.path, await (await push.response()).read()))

        collector = asyncio.create_task(collect())
        await (await world.client.get("/")).read()
        while len(taken) < 1000:  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.1)
        collector.cancel()
        assert world.client.session.pushes.unreleased == {}
        assert core.pushes_under_way == 0
        return taken

    settings = h3push.ServerSettings(max_pushes_per_request=1000)
    taken = in_world(handler, scenario, max_pushes=10, server_settings=settings)
    assert taken == [(f"/{number}", f"/{number}".encode()) for number in range(1000)]
    assert most == 10


def test_unclaimed_pushes_give_no_credit_back_until_the_response_is_closed() -> None:
    async def scenario(world: World) -> None:
        core = world.client.session.core
        response = await world.client.get("/")
        await response.read()
        await asyncio.sleep(1)
        assert core.max_push_id == 1
        await response.close()
        assert core.max_push_id == 3
        assert await take(await world.client.get("/")) == [("/a", b"/a"), ("/b", b"/b")]

    in_world(page("/a", "/b"), scenario, max_pushes=2)


def test_a_large_unread_push_is_held_back_and_harms_nobody() -> None:
    made = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(200):
            made += 100_000
            yield b"x" * 100_000

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/large")
        return h3push.Response(content=endless() if request.path == "/large" else b"small")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        await asyncio.sleep(10)
        assert made <= 4_000_000
        assert await (await world.client.get("/other")).read() == b"small"
        assert len(await (await push.response()).read()) == 20_000_000

    settings = h3push.ClientSettings(receive_high_water=500_000, stream_receive_window=1_000_000)
    in_world(handler, scenario, max_pushes=2, client_settings=settings)


def pushing_slowly(told: list[str], first: bytes | None) -> h3push.Handler:
    """A page that pushes "/slow"; its response says `first` at once (`None`: does not begin) and then hangs."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            request.push_nowait("/slow")
            return h3push.Response(content=b"page")
        if request.path == "/again":
            return h3push.Response(content=b"again")
        try:
            if first is not None:
                await request.start_response(200)
                await request.send(first)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            told.append(f"cancelled, disconnected={request.disconnected}")
            await request.send(b"dropped")
            raise
        return None

    return handler


@pytest.mark.rfc("H3-7.2.3-08", "H3-7.2.3-09", "H3-6.2.2-26")
@pytest.mark.parametrize("first", [None, b"begun"])
def test_the_client_cancels(first: bytes | None) -> None:
    told: list[str] = []

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        if first is not None:
            pushed = await push.response()
            assert await pushed.content.next_chunk() == first
        await asyncio.sleep(0.5)
        push.cancel()
        push.cancel()
        assert push.state is ReceivedState.CANCELLED
        assert push.cancelled_by is CancelledBy.LOCAL
        with pytest.raises(h3push.PushCancelled):
            await (await push.response()).read()
        await asyncio.sleep(0.5)
        assert told == ["cancelled, disconnected=True"]
        assert world.server.counters.pushes_cancelled == 1
        assert await response.read() == b"page"
        assert await (await world.client.get("/again")).read() == b"again"

    in_world(pushing_slowly(told, first), scenario, max_pushes=1)


@pytest.mark.rfc("H3-7.2.3-15", "H3-7.2.3-16")
@pytest.mark.parametrize("first", [None, b"begun"])
def test_the_server_cancels(first: bytes | None) -> None:
    pushes: list[h3push.Push] = []
    told: list[str] = []
    inner = pushing_slowly(told, first)

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/":
            pushes.append(request.push_nowait("/slow"))
            return h3push.Response(content=b"page")
        return await inner(request)  # type: ignore[misc]

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        await asyncio.sleep(0.5)
        pushes[0].cancel()
        assert await pushes[0].done() is PushState.CANCELLED
        assert pushes[0].cancelled_by is CancelledBy.LOCAL
        await asyncio.sleep(0.5)
        with pytest.raises(h3push.PushCancelled):
            await (await push.response()).read()
        ended = (push.state, push.cancelled_by)
        if first is None:
            assert ended == (ReceivedState.CANCELLED, CancelledBy.PEER)
        else:
            assert ended == (ReceivedState.FAILED, CancelledBy.FAILED), "its response had begun"
        assert told == ["cancelled, disconnected=True"]
        assert await response.read() == b"page"
        assert world.client.session.core.max_push_id == 1

    in_world(handler, scenario, max_pushes=1)


@pytest.mark.rfc("H3-6.2.2-29", "H3-6.2.2-32")
@pytest.mark.parametrize("begin", [False, True])
def test_a_handler_that_fails_ends_its_push_alone(begin: bool, caplog: pytest.LogCaptureFixture) -> None:
    pushes: list[h3push.Push] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            pushes.append(request.push_nowait("/broken"))
            return h3push.Response(content=b"page")
        if begin:
            await request.start_response(200)
            await request.send(b"x")
        raise ZeroDivisionError

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        with pytest.raises(h3push.PushCancelled):
            await (await push.response()).read()
        assert (response.status, await response.read()) == (200, b"page")
        assert await pushes[0].done() is PushState.CANCELLED
        assert world.server.counters.failed == 1

    in_world(handler, scenario, max_pushes=1)
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] != []


def test_a_push_from_a_pushed_page_goes_on_the_request_that_is_still_open() -> None:
    pushes: list[h3push.Push] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await request.push("/style.css")
            await asyncio.sleep(0.1)
        if request.path == "/style.css":
            pushes.append(await request.push("/font.woff"))
        return h3push.Response(content=request.path)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await take(response) == [("/style.css", b"/style.css"), ("/font.woff", b"/font.woff")]

    in_world(handler, scenario, max_pushes=5)
    assert pushes[0].request is not None
    assert pushes[0].request.initiator is not None
    assert pushes[0].request.initiator.path == "/style.css"


def test_a_push_from_a_pushed_page_is_refused_when_that_has_ended() -> None:
    pushes: list[h3push.Push] = []

    def handler(request: h3push.Request) -> h3push.Response:
        pushes.append(request.push_nowait("/next"))
        return h3push.Response(content=request.path)

    async def scenario(world: World) -> None:
        assert await take(await world.client.get("/")) == [("/next", b"/next")]

    in_world(handler, scenario, max_pushes=5)
    assert [push.refusal for push in pushes] == [None, PushRefusal.RESPONSE_ENDED]


def test_pushed_bytes_are_bounded() -> None:
    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/large")
        return h3push.Response(content=iter([b"x" * 1000] * 100) if request.path == "/large" else b"")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        with pytest.raises(h3push.PushCancelled):
            await (await push.response()).read()

    in_world(handler, scenario, max_pushes=1, server_settings=h3push.ServerSettings(max_push_bytes=50_000))


@pytest.mark.rfc("H3-6.2.2-28")
@pytest.mark.parametrize("kept", [True, False])
def test_a_push_outlives_its_response_when_it_is_kept(kept: bool) -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/slow")
        else:
            await asyncio.sleep(2)
        return h3push.Response(content=request.path)

    async def scenario(world: World) -> bytes:
        async with await world.client.get("/") as response:
            (push,) = [push async for push in response.pushes()]
            if kept:
                push.keep()
        return await (await push.response()).read()

    if kept:
        assert in_world(handler, scenario, max_pushes=1) == b"/slow"
    else:
        with pytest.raises(h3push.PushCancelled):
            in_world(handler, scenario, max_pushes=1)


@pytest.mark.rfc("H3-5.1-01")
def test_the_connection_is_kept_alive_for_a_wanted_push_only() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/slow")
            return h3push.Response()
        await asyncio.sleep(50)
        return h3push.Response(content=b"at last")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        assert await (await push.response()).read() == b"at last"
        await asyncio.sleep(60)
        assert not world.client.is_usable

    in_world(handler, scenario, max_pushes=1, client_settings=h3push.ClientSettings(push_timeout=None))


def test_early_hints_on_a_push_and_head() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await request.push("/h", method="HEAD")
            return h3push.Response()
        await request.send_informational(103, {"link": "</x>"})
        return h3push.Response(content=b"1234")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        pushed = await push.response()
        assert push.request.method == "HEAD"
        assert pushed.headers["content-length"] == "4"
        assert [status for status, _ in pushed.informational] == [103]
        assert await pushed.read() == b""
        assert world.client.session.pushes.unreleased == {}

    in_world(handler, scenario, max_pushes=1)


@pytest.mark.rfc("ROB-36")
def test_nothing_is_left_behind() -> None:
    async def scenario(world: World) -> int:
        for _ in range(50):
            async with await world.client.get("/") as response:
                await take(response)
        await asyncio.sleep(1)  # the last ones are acknowledged
        gc.collect()
        assert world.client.session.pushes.unreleased == {}
        return sum(isinstance(thing, h3push.Push | h3push.ReceivedPush | h3push.Request) for thing in gc.get_objects())

    assert in_world(page("/a", "/b"), scenario, max_pushes=3) <= 4


def test_a_generator_as_pushed_content_is_closed_when_the_push_is_cancelled() -> None:
    closed: list[bool] = []

    def content() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 50_000
        finally:
            closed.append(True)

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/endless")
            return h3push.Response()
        return h3push.Response(content=content())

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        await push.response()
        push.cancel()
        await asyncio.sleep(1)
        gc.collect()
        assert closed == [True]

    in_world(handler, scenario, max_pushes=1)


def test_a_callback_may_call_a_push_off_in_the_moment_of_its_promise(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> None:
        def judge(push: h3push.ReceivedPush) -> None:
            if push.request.path == "/fails":
                raise ZeroDivisionError
            if push.request.path == "/unwanted":
                push.cancel()

        world.client.session.pushes.on_push = judge
        states = {}
        async for push in (await world.client.get("/")).pushes():
            if push.state is ReceivedState.PROMISED:
                await (await push.response()).read()
            states[push.request.path] = push.state.name
        assert states == {"/fails": "CANCELLED", "/unwanted": "CANCELLED", "/wanted": "FULFILLED"}

    in_world(page("/fails", "/unwanted", "/wanted"), scenario, max_pushes=3)
    assert "on_push failed" in caplog.text


def test_a_push_called_off_before_its_handler_began_leaves_nothing_behind() -> None:
    """A task that is cancelled before its first step runs nothing: its coroutine is closed, its exchange forgotten."""
    began: list[str] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/unwanted").cancel()
            return h3push.Response(content=b"page")
        began.append(request.path)
        return h3push.Response()

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await response.read() == b"page"
        (push,) = [push async for push in response.pushes()]
        with pytest.raises(h3push.PushCancelled):
            await push.response()
        gc.collect()
        (connection,) = world.server._connections
        assert (connection.runner.running, connection.requests) == (0, {})

    in_world(handler, scenario, max_pushes=1)
    assert began == []


@pytest.mark.parametrize("size", [0, 5, 20_000])
def test_a_pushed_response_that_cannot_be_sent_can_be_replaced(size: int) -> None:
    """A handler that is told that its response is wrong answers with another one."""

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.push_id is None:
            await request.push("/pushed")
            return h3push.Response(content=b"page")
        with pytest.raises(h3push.LocalProtocolError):
            await request.respond(h3push.Response(headers={"bad name": "x"}, content=b"x" * size))
        return h3push.Response(content=b"y" * size)

    async def scenario(world: World) -> bytes:
        response = await world.client.get("/")
        pushes = [push async for push in response.pushes()]
        return await (await pushes[0].response()).read()

    assert in_world(handler, scenario, max_pushes=5) == b"y" * size


@pytest.mark.parametrize("kind", ["bytes", "file", "pieces"])
def test_large_pushes_do_not_delay_what_is_asked_for(kind: str, tmp_path: Path) -> None:
    """What was asked for waits for the pushed packets that are on their way, and for nothing that only waits to be sent."""
    large = b"x" * 3_000_000
    (tmp_path / "large").write_bytes(large)
    rate, delay, queue = 2_000_000, 0.05, 25_000

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield large[:10_000]

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/page":
            for number in range(2):
                await request.push(f"/large{number}")
        if request.push_id is None:
            return h3push.Response(content=b"small")
        contents = {"bytes": large, "file": h3push.FileContent(tmp_path / "large"), "pieces": pieces()}
        return h3push.Response(content=contents[kind])

    async def scenario(world: World) -> list[float]:
        loop = asyncio.get_running_loop()
        await (await world.client.get("/page")).read()
        waits = []
        for _ in range(10):
            await asyncio.sleep(0.37)
            began = loop.time()
            assert await (await world.client.get("/small")).read() == b"small"
            waits.append(loop.time() - began)
        return waits

    link = LinkSettings(delay=delay, rate=rate, queue=queue)
    waits = in_world(handler, scenario, max_pushes=5, link=link)
    assert max(waits) < 2 * delay + queue * 8 / rate + 0.01
