"""Clients that stop reading in mid-download: what they hold, and for how long."""

import asyncio
from pathlib import Path

import pytest

import h3push
from h3push.http.content import FileContent
from h3push.testing import World, in_world
from h3push.testing.link import LinkSettings

MIB = 1024 * 1024
SMALL = h3push.ClientSettings(receive_high_water=20_000, stream_receive_window=40_000)
"""A client that asks for more only as it reads."""
PATIENT = h3push.ServerSettings(drain_timeout=20)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def large_file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"f" * 8 * MIB)
    return path


@pytest.mark.rfc("ROB-12")
@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_a_response_that_nobody_takes_is_reset_though_its_handler_is_done(kind: str, large_file: Path) -> None:
    """`drain_timeout` guards every response until it is acknowledged or reset, files and bytes alike."""
    content = FileContent(large_file) if kind == "file" else b"x" * MIB

    async def scenario(world: World) -> None:
        before = open_files()
        responses = [await world.client.get("/") for _ in range(3)]
        (connection,) = world.server._connections
        await asyncio.sleep(15)
        assert (world.server.counters.stalled, len(connection.guard.responses)) == (0, 3)
        await asyncio.sleep(20)
        assert (world.server.counters.stalled, connection.guard.responses) == (3, {})
        assert open_files() == before
        for response in responses:
            with pytest.raises(h3push.StreamFailed):
                await response.read()
        assert connection.all_acknowledged

    in_world(lambda _: h3push.Response(content=content), scenario, client_settings=SMALL, server_settings=PATIENT)


@pytest.mark.rfc("ROB-12")
def test_a_push_that_nobody_takes_is_called_off_though_its_handler_is_done() -> None:
    """The same for a pushed response, whose push ends with it."""
    pushes: list[h3push.Push] = []

    def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is None:
            pushes.append(request.push_nowait("/large"))
            return h3push.Response(content=b"page")
        return h3push.Response(content=b"x" * 5 * MIB)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await response.read()
        await asyncio.sleep(40)
        assert world.server.counters.stalled == 1
        assert pushes[0].state is h3push.PushState.CANCELLED
        assert world.server_driver.stats(next(iter(world.server._connections)).handle)["buffered_bytes"] == 0

    in_world(handler, scenario, client_settings=SMALL, server_settings=PATIENT, max_pushes=1)


def test_a_client_that_takes_its_time_gets_all_of_a_file(large_file: Path) -> None:
    """Progress counts, not the whole: a file is given up only when too little of it is taken within the time-out."""

    async def scenario(world: World) -> int:
        size = 0
        async for piece in (await world.client.get("/")).stream():
            size += len(piece)
            await asyncio.sleep(4 * len(piece) / 40_000)
        return size

    handler = lambda _: h3push.Response(content=FileContent(large_file, 0, MIB))  # noqa: E731
    assert in_world(handler, scenario, client_settings=SMALL, server_settings=PATIENT) == MIB


def test_a_response_that_waits_for_another_is_not_given_up() -> None:
    """Which response of a connection goes first is our decision: the last one may have to wait for longer than the time-out."""

    async def scenario(world: World) -> None:
        responses = [await world.client.get("/") for _ in range(3)]
        for response in responses:
            assert len(await response.read()) == 3 * MIB
        assert world.now > 60
        assert world.server.counters.stalled == 0

    link = LinkSettings(delay=0.02, rate=1_000_000)
    in_world(lambda _: h3push.Response(content=b"x" * 3 * MIB), scenario, link=link, server_settings=PATIENT)


@pytest.mark.parametrize("size", [300_000, 900_000])
def test_a_response_on_a_slow_link_is_not_given_up(size: int) -> None:
    """All of it is with QUIC long before it has arrived: the rest has the time that the least rate gives it."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert len(await response.read()) == size
        assert world.now > 75
        assert world.server.counters.stalled == 0

    link = LinkSettings(delay=0.3, rate=size // 10)  # bits per second: 80 s for all of it
    patient = h3push.ServerSettings(drain_timeout=20)
    in_world(lambda _: h3push.Response(content=b"x" * size), scenario, link=link, server_settings=patient)


def test_a_response_whose_handler_is_silent_is_not_given_up() -> None:
    """A stream of events may be quiet for as long as it likes: its client has taken all that there is."""

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        for _ in range(3):
            await request.send(b"tick")
            await asyncio.sleep(100)
        await request.send(b"end", end_stream=True)

    async def scenario(world: World) -> bytes:
        content = await (await world.client.get("/")).read()
        assert world.server.counters.stalled == 0
        return content

    patient = h3push.ClientSettings(read_timeout=3600)
    assert in_world(handler, scenario, server_settings=PATIENT, client_settings=patient) == b"tickticktickend"


def test_a_handler_that_waits_for_its_client_is_told() -> None:
    """`send` raises `Timeout` when the response is given up; what is sent after that is dropped."""
    told: list[str] = []

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200)
        try:
            while True:
                await request.send(b"x" * 10_000)
        except h3push.Timeout as error:
            told.append(str(error))
        await request.send(b"more", end_stream=True)

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await asyncio.sleep(40)
        assert told == ["the client did not take what was sent within 20 s (drain_timeout)"]
        with pytest.raises(h3push.StreamFailed):
            await response.read()
        assert world.server.counters.stalled == 1

    in_world(handler, scenario, client_settings=SMALL, server_settings=PATIENT)


def test_the_server_keeps_a_connection_alive_while_a_response_is_pending() -> None:
    """PING within the client's idle time-out while a response is pending, and no more when none is."""

    async def handler(_: h3push.Request) -> h3push.Response:
        await asyncio.sleep(120)
        return h3push.Response(content=b"late")

    async def scenario(world: World) -> None:
        task = asyncio.create_task(world.client.get("/"))
        await asyncio.sleep(1)
        world.client_driver.set_keep_alive(world.client.session.handle, None)  # it leaves that to us
        response = await task
        assert await response.read() == b"late"
        await asyncio.sleep(15)
        world.client_driver.set_keep_alive(world.client.session.handle, None)
        assert world.network.capture is not None
        world.network.capture.clear()
        await asyncio.sleep(8)
        assert world.network.capture == []
        await asyncio.sleep(10)
        assert not world.client.is_usable

    settings = h3push.ClientSettings(idle_timeout=10, response_timeout=3600)
    in_world(handler, scenario, client_settings=settings, capture=True)
