"""A hostile server against the whole client, over the real QUIC stack, in virtual time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

import h3push
from h3push.client.response import ReceivedState
from runtime.harness import World, in_world

KIB, MIB = 1024, 1024 * 1024
SETTINGS = h3push.ClientSettings(
    receive_high_water=64 * KIB, stream_receive_window=128 * KIB, connection_receive_window=512 * KIB
)


def received(world: World) -> int:
    """Bytes of datagrams that the client took."""
    return int(world.client_driver.stats(world.client.session.handle)["received_bytes"])


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 10 * KIB


@pytest.mark.rfc("ROB-29", "ROB-12")
def test_responses_that_nobody_reads_are_held_back() -> None:
    """`receive_high_water` and one `stream_receive_window` for each response, however much the server has."""

    async def scenario(world: World) -> None:
        responses = [await world.client.get("/") for _ in range(3)]
        await asyncio.sleep(10)
        assert received(world) <= 1.1 * 3 * (64 + 128) * KIB + 20 * KIB
        for response in responses:
            await response.close()

    in_world(lambda _: h3push.Response(content=endless()), scenario, client_settings=SETTINGS)


@pytest.mark.rfc("ROB-01", "ROB-05", "ROB-22")
@pytest.mark.parametrize("allowed", [1, 6])
def test_pushes_that_nobody_reads_are_held_back(allowed: int) -> None:
    """A server that pushes without end: `max_pushes` of them, each held to a window, and requests go on."""
    refused = 0

    async def handler(request: h3push.Request) -> h3push.Response:
        nonlocal refused
        if request.path == "/":
            for number in range(50):
                refused += (await request.push(f"/{number}")).refusal is not None
        if request.push_id is not None:
            return h3push.Response(content=endless())
        return h3push.Response(content=b"page")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        await asyncio.sleep(10)
        pushes = list(world.client.session.pushes.values())
        assert len(pushes) == allowed
        assert received(world) <= 1.1 * allowed * (64 + 128) * KIB + 40 * KIB
        assert await (await world.client.get("/other")).read() == b"page"
        await response.close()
        await asyncio.sleep(1)
        assert {push.state for push in pushes} == {ReceivedState.CANCELLED}
        assert len(world.client.session.pushes) == 0
        assert world.client.session.core.pushes_under_way == 0

    in_world(handler, scenario, max_pushes=allowed, client_settings=SETTINGS)
    assert refused == 50 - allowed


@pytest.mark.rfc("ROB-12")
@pytest.mark.parametrize(("begins", "seconds"), [(False, 5), (True, 7)])
def test_a_server_that_stops_talking_loses(begins: bool, seconds: float) -> None:
    """`response_timeout` to the header section, `read_timeout` to the next piece; the connection stays."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/honest":
            return h3push.Response()
        if begins:
            await request.start_response(200)
            await request.send(b"x")
        await asyncio.sleep(3_600)
        return h3push.Response()

    async def scenario(world: World) -> None:
        begin = asyncio.get_running_loop().time()
        with pytest.raises(h3push.Timeout):
            await (await world.client.get("/")).read()
        assert seconds <= asyncio.get_running_loop().time() - begin <= seconds + 1
        assert (await world.client.get("/honest")).status == 200

    settings = h3push.ClientSettings(response_timeout=5, read_timeout=7)
    in_world(handler, scenario, client_settings=settings)


@pytest.mark.rfc("ROB-05")
@pytest.mark.parametrize(("push_streams", "max_pushes", "streams"), [(100, None, 13), (3, 2, 16), (3, 9, 22)])
def test_push_streams_end_at_their_limit(push_streams: int, max_pushes: int | None, streams: int) -> None:
    """`push_streams` or `max_pushes`, whichever is larger, and 16 for everything else, of which three are in use."""

    async def scenario(world: World) -> None:
        await world.client.get("/")
        (connection,) = world.server._connections
        opened = [world.server_driver.open(connection.handle, True) for _ in range(200)]
        assert sum(stream is not None for stream in opened) == streams

    settings = h3push.ClientSettings(push_streams=push_streams)
    in_world(lambda _: h3push.Response(), scenario, client_settings=settings, max_pushes=max_pushes)
