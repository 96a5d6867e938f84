"""How requests, connections and servers end: cancelled, failed, timed out, shut down."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

import h3push
from h3push import _quic
from h3push.errors import describe_error_code
from h3push.runtime.drain import Drain
from h3push.server.connection import ServerConnection
from h3push.testing.link import LinkSettings

from .harness import World, client_tls, in_world


async def forever(request: h3push.Request) -> h3push.Response:
    await asyncio.sleep(3600)
    return h3push.Response()


def failing(request: h3push.Request) -> h3push.Response:
    raise ZeroDivisionError


async def failing_later(request: h3push.Request) -> h3push.Response:
    raise ZeroDivisionError


@pytest.mark.rfc("H3-4.1.1-09")
@pytest.mark.parametrize("handler", [failing, failing_later, lambda _: None, lambda _: "text"])
def test_a_handler_that_fails_is_a_500(handler: h3push.Handler, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(world: World) -> int:
        return (await world.client.get("/")).status

    assert in_world(handler, scenario) == 500
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["h3push.server"]


@pytest.mark.rfc("H3-4.1.1-06", "H3-4.1.1-09")
def test_a_handler_that_fails_after_the_start_resets_the_response() -> None:
    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        await request.send(b"half")
        await asyncio.sleep(1)
        raise ZeroDivisionError

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        with pytest.raises(h3push.StreamFailed) as failed:
            await response.read()
        assert failed.value.error_code == h3push.ErrorCode.H3_INTERNAL_ERROR

    in_world(handler, scenario)


def test_content_that_breaks_its_length_resets_the_response() -> None:
    async def handler(request: h3push.Request) -> None:
        await request.start_response(200, {"content-length": "10"})
        await request.send(b"four")
        await asyncio.sleep(1)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        with pytest.raises(h3push.StreamFailed):
            await response.read()

    in_world(handler, scenario)


@pytest.mark.rfc("H3-4.1.1-05")
@pytest.mark.parametrize("cancel", [True, False])
def test_a_client_that_cancels_is_told_to_the_handler(cancel: bool) -> None:
    told: list[str] = []

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        try:
            await request.wait_disconnected()
            told.append("disconnected")
            await request.send(b"dropped")
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await response.close()
        with pytest.raises(h3push.StreamFailed):
            await response.read()
        await asyncio.sleep(1)
        assert told == ["cancelled" if cancel else "disconnected"]
        assert world.server.counters.failed == 0

    in_world(handler, scenario, server_settings=h3push.ServerSettings(cancel_handlers=cancel))


def test_cancelling_the_task_that_asks_cancels_the_request() -> None:
    told: list[str] = []

    async def handler(request: h3push.Request) -> None:
        try:
            await request.wait_disconnected()
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    async def scenario(world: World) -> None:
        task = asyncio.create_task(world.client.get("/"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(1)
        assert told == ["cancelled"]

    in_world(handler, scenario)


def test_an_abandoned_upload_fails_the_handlers_read() -> None:
    told: list[str] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        try:
            await request.read()
        except h3push.StreamFailed as error:
            told.append(str(error))
        return h3push.Response()

    async def stalling() -> object:
        yield b"x"
        await asyncio.sleep(3600)

    async def scenario(world: World) -> None:
        task = asyncio.create_task(world.client.post("/", content=stalling()))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(1)

    settings = h3push.ServerSettings(cancel_handlers=False)
    in_world(handler, scenario, server_settings=settings)
    assert len(told) == 1
    assert describe_error_code(0x10C) in told[0]


@pytest.mark.rfc("ROB-10")
def test_reset_requests_hold_their_place_until_the_handler_is_done() -> None:
    running = most = 0

    async def stubborn(request: h3push.Request) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(5)
        running -= 1

    async def scenario(world: World) -> None:
        for _ in range(40):
            task = asyncio.create_task(world.client.get("/"))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert most <= 10
        assert world.server.counters.rejected > 0

    settings = h3push.ServerSettings(max_concurrent_requests=10, cancel_handlers=False)
    in_world(stubborn, scenario, server_settings=settings, link=LinkSettings(delay=0.001))


@pytest.mark.rfc("H3-5.3-01", "H3-5.4-01")
def test_a_lost_connection_fails_every_waiter() -> None:
    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/body":
            await request.start_response(200)
        await asyncio.sleep(3600)
        return None

    async def scenario(world: World) -> None:
        response = await world.client.get("/body")
        waiting = asyncio.create_task(world.client.get("/"))
        pushes = asyncio.create_task(_count(world.client))
        await asyncio.sleep(1)
        world.network.remove(world.server_driver)
        with pytest.raises(h3push.ConnectionClosed) as lost:
            await waiting
        assert not isinstance(lost.value, h3push.RequestNotProcessed)
        with pytest.raises(h3push.ConnectionClosed):
            await response.read()
        assert await pushes == 0
        with pytest.raises(h3push.RequestNotProcessed):
            await world.client.get("/")
        await world.client.wait_closed()

    # The server cannot hear the client any more, but its PINGs arrive until it gives up.
    in_world(handler, scenario, client_settings=h3push.ClientSettings(response_timeout=3600, read_timeout=3600))


async def _count(client: h3push.ClientConnection) -> int:
    return len([push async for push in client.pushes()])


@pytest.mark.rfc("H3-5.1-03")
def test_an_idle_connection_times_out_on_both_sides() -> None:
    async def scenario(world: World) -> None:
        await (await world.client.get("/")).read()
        await asyncio.sleep(29)
        assert world.client.is_usable
        await asyncio.sleep(3)
        assert not world.client.is_usable
        assert world.server.connections == 0

    in_world(lambda _: h3push.Response(), scenario)


def test_a_request_keeps_the_connection_alive() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        await asyncio.sleep(300)
        return h3push.Response(content=b"late")

    async def scenario(world: World) -> bytes:
        return await (await world.client.get("/")).read()

    settings = h3push.ClientSettings(response_timeout=600)
    assert in_world(handler, scenario, client_settings=settings) == b"late"


def test_the_response_time_out_names_its_setting() -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(h3push.Timeout, match="response_timeout"):
            await world.client.get("/")

    in_world(forever, scenario, client_settings=h3push.ClientSettings(response_timeout=5))


def test_the_read_time_out_names_its_setting() -> None:
    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        await asyncio.sleep(3600)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        with pytest.raises(h3push.Timeout, match="read_timeout"):
            await response.read()

    in_world(handler, scenario, client_settings=h3push.ClientSettings(read_timeout=5))


def test_a_request_that_finds_no_stream_times_out() -> None:
    async def scenario(world: World) -> None:
        first = asyncio.create_task(world.client.get("/"))
        await asyncio.sleep(1)
        with pytest.raises(h3push.Timeout, match="request_timeout"):
            await world.client.get("/")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

    in_world(
        forever,
        scenario,
        server_settings=h3push.ServerSettings(max_concurrent_requests=1),
        client_settings=h3push.ClientSettings(request_timeout=5),
    )


@pytest.mark.rfc("ROB-12")
def test_a_header_section_that_is_never_complete_is_given_up() -> None:
    async def scenario(world: World) -> None:
        connection = world.client.session
        stream = world.client_driver.open(connection.handle, False)
        assert stream is not None
        world.client_driver.write(connection.handle, stream, b"\x01\x40\x64ab", False)
        connection.schedule_flush()
        await asyncio.sleep(9)
        assert world.server.counters.timed_out == 0
        await asyncio.sleep(2)
        assert world.server.counters.timed_out == 1
        assert (await world.client.get("/")).status == 200

    in_world(lambda _: h3push.Response(), scenario)


@pytest.mark.rfc("ROB-12")
def test_a_reader_that_takes_nothing_is_reset() -> None:
    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await asyncio.sleep(20)
        with pytest.raises(h3push.StreamFailed):
            await response.read()
        assert world.server.counters.failed == 1

    in_world(
        lambda _: h3push.Response(content=b"x" * 20_000_000),
        scenario,
        server_settings=h3push.ServerSettings(drain_timeout=5),
        client_settings=h3push.ClientSettings(receive_high_water=100_000, stream_receive_window=100_000),
    )


@pytest.mark.rfc("ROB-12")
def test_a_reader_that_takes_little_is_waited_for() -> None:
    """`drain_timeout` is for those who take nothing: a slow client gets all of a response, and a slow server of an upload."""
    content = bytes(range(256)) * 8_000

    async def slowly(stream: AsyncIterator[bytes]) -> bytes:
        pieces = []
        async for piece in stream:
            pieces.append(piece)
            await asyncio.sleep(1)
        return b"".join(pieces)

    async def handler(request: h3push.Request) -> h3push.Response:
        assert await slowly(request.stream()) == content
        return h3push.Response(content=content)

    async def scenario(world: World) -> bytes:
        return await slowly((await world.client.post("/", content=content)).stream())

    small = 60_000
    answer = in_world(
        handler,
        scenario,
        server_settings=h3push.ServerSettings(
            drain_timeout=5, receive_high_water=small, stream_receive_window=small, send_window=small, read_timeout=60
        ),
        client_settings=h3push.ClientSettings(
            drain_timeout=5,
            receive_high_water=small,
            stream_receive_window=small,
            send_window=small,
            response_timeout=3600,
            read_timeout=60,
        ),
    )
    assert answer == content


def test_a_stream_that_is_drained_in_the_moment_of_the_time_out_goes_on() -> None:
    async def scenario() -> str:
        drain, asked = Drain(), 0

        def waiting() -> int:
            nonlocal asked
            asked += 1
            if asked == 2:  # just timed out
                drain.drained()
            return 100_000

        await drain.wait(0.01, waiting)
        with pytest.raises(h3push.Timeout):
            await drain.wait(0.01, lambda: 100_000)
        return "went on"

    assert asyncio.run(scenario()) == "went on"


def test_a_handler_that_waits_for_content_too_long_answers_408() -> None:
    async def stalling() -> object:
        yield b"x"
        await asyncio.sleep(3600)

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=await request.read())

    async def scenario(world: World) -> int:
        return (await world.client.post("/", content=stalling())).status

    assert in_world(handler, scenario, server_settings=h3push.ServerSettings(read_timeout=5)) == 408


@pytest.mark.rfc("H3-5.2-07", "H3-5.2-17", "H3-3.3-03")
def test_graceful_shutdown_lets_a_request_and_a_push_finish() -> None:
    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await request.push("/slow")
            await asyncio.sleep(2)
        else:
            await asyncio.sleep(4)
        return h3push.Response(content=request.path * 1000)

    async def scenario(world: World) -> None:
        asking = asyncio.create_task(world.client.get("/"))
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        stopping = asyncio.create_task(world.server.shutdown())
        response = await asking
        (push,) = [push async for push in response.pushes()]
        assert await response.read() == b"/" * 1000
        with pytest.raises(h3push.RequestNotProcessed):
            await world.client.get("/more")
        assert await (await push.response()).read() == b"/slow" * 1000
        await stopping
        assert 3 < loop.time() - began < 4
        assert world.client.session.over is not None
        assert world.client.session.over.error_code == h3push.ErrorCode.H3_NO_ERROR
        await world.server.wait_closed()

    in_world(handler, scenario, max_pushes=1)


@pytest.mark.rfc("H3-5.2-16", "H3-5.2-10")
def test_a_request_that_crosses_the_goaway_is_safe_to_retry() -> None:
    async def scenario(world: World) -> None:
        await (await world.client.get("/")).read()
        slow = asyncio.create_task(world.client.get("/slow"))
        await asyncio.sleep(1)
        asyncio.get_running_loop().call_soon(asyncio.ensure_future, world.server.shutdown())
        await asyncio.sleep(0)
        with pytest.raises(h3push.RequestNotProcessed):
            await world.client.get("/crossing")
        assert (await slow).status == 200

    async def handler(request: h3push.Request) -> h3push.Response:
        assert request.path != "/crossing"
        if request.path == "/slow":
            await asyncio.sleep(2)
        return h3push.Response()

    in_world(handler, scenario)


def test_shutdown_ends_after_its_grace() -> None:
    async def scenario(world: World) -> None:
        asking = asyncio.create_task(world.client.get("/"))
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await world.server.shutdown(3)
        assert loop.time() - began == pytest.approx(3, abs=0.1)
        with pytest.raises(h3push.ConnectionClosed):
            await asking

    in_world(forever, scenario)


def test_shutdown_of_an_idle_server_is_quick() -> None:
    async def scenario(world: World) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await world.server.shutdown()
        return loop.time() - began

    assert in_world(lambda _: h3push.Response(), scenario) < 1


def test_a_client_that_is_closed_fails_what_is_under_way_and_leaves_no_task() -> None:
    async def endless() -> object:
        while True:
            yield b"x" * 100_000

    async def scenario(world: World) -> None:
        asking = asyncio.create_task(world.client.get("/"))
        uploading = asyncio.create_task(world.client.post("/", content=endless()))
        await asyncio.sleep(1)
        await world.client.close()
        for task in (asking, uploading):
            with pytest.raises(h3push.H3PushError):
                await task
        assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task(), *_handlers(world)}

    in_world(forever, scenario)


def _handlers(world: World) -> set[asyncio.Task[None]]:
    return world.server.tasks


def test_a_handshake_nobody_answers_times_out() -> None:
    async def scenario(world: World) -> None:
        driver = world.network.client_endpoint(client_tls(), h3push.ClientSettings().transport())
        lonely = h3push.connect("https://192.0.2.99/", driver=driver)
        with pytest.raises(h3push.ConnectFailed, match=r"nothing answers at 192\.0\.2\.99"):
            await lonely.open()
        await lonely.close()

    in_world(lambda _: h3push.Response(), scenario)


def test_unknown_hosts_and_untrusted_certificates() -> None:
    async def scenario(world: World) -> None:
        for url, trust, sentence in (
            ("https://unknown.example/", client_tls(), "cannot find host unknown.example"),
            ("https://origin.example/", _quic.ClientTls(), "certificate of origin.example is not trusted"),
            ("https://wrong.example/", client_tls(), "the certificate is not for wrong.example"),
        ):
            world.network._loop.hosts["wrong.example"] = world.server.address[0]
            driver = world.network.client_endpoint(trust, h3push.ClientSettings().transport())
            with pytest.raises(h3push.ConnectFailed, match=sentence):
                await h3push.connect(url, driver=driver).open()

    in_world(lambda _: h3push.Response(), scenario)


@pytest.mark.rfc("H3-3.1-05")
@pytest.mark.parametrize("url", ["http://origin.example/", "origin.example", ""])
def test_only_https_urls(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        h3push.connect(url)


@pytest.mark.rfc("H3-3.3-04")
def test_a_request_for_an_authority_that_is_not_served_gets_421() -> None:
    """421 tells the client to ask elsewhere; the connection goes on (RFC 9110 section 15.5.20)."""
    settings = h3push.ServerSettings(authorities=("localhost",))

    async def scenario(world: World) -> list[int]:
        statuses = []
        for authority in (None, "localhost"):
            response = await world.client.request("GET", "/", authority=authority)
            await response.read()
            statuses.append(response.status)
        return statuses

    assert in_world(lambda _: h3push.Response(), scenario, server_settings=settings) == [421, 200]


@pytest.mark.rfc("H3-6.2.3-01", "H3-7.2.4-09")
def test_connections_differ_in_their_reserved_values() -> None:
    """Peers have to go on ignoring all of them, so no two connections need send the same."""

    async def scenario(world: World) -> set[int | None]:
        endpoint = world.client.session.endpoint
        return {endpoint.vary(h3push.H3Config()).grease_seed for _ in range(50)}

    seeds = in_world(lambda _: h3push.Response(), scenario)
    assert None not in seeds
    assert len(seeds) > 40
    assert any(seed is not None and seed % 8 == 7 for seed in seeds), "one in eight opens a reserved stream"


@pytest.mark.parametrize("asks", [False, True])
def test_a_connection_that_has_ended_is_not_kept_for_its_deadlines(asks: bool) -> None:
    """They may be half a minute away (`first_request_timeout`): thousands that come and leave would be held so long."""

    def kept() -> int:
        gc.collect()
        return sum(isinstance(thing, ServerConnection) for thing in gc.get_objects())

    async def scenario(world: World) -> None:
        before = kept()  # the world's own, and those of other tests
        for _ in range(20):
            async with world.connect() as client:
                if asks:
                    await (await client.get("/")).read()
        await asyncio.sleep(1)  # they have closed
        assert kept() <= before + 1  # one in the frame of a loop

    in_world(lambda _request: h3push.Response(content=b"x"), scenario)
