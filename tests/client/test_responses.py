"""Responses of the client: nothing short passes for whole, and nothing that is dropped holds the connection."""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator

import pytest

import h3push
from h3push.testing import World, in_world

KIB = 1024


async def in_pieces(request: h3push.Request) -> None:
    """Ten pieces of a kilobyte, one a second."""
    await request.start_response(200)
    for number in range(10):
        await request.send(bytes([number]) * KIB, end_stream=number == 9)
        await asyncio.sleep(1)


WHOLE = b"".join(bytes([number]) * KIB for number in range(10))


# issue 9, point 16


@pytest.mark.parametrize(
    ("length", "content"),
    [("5", None), ("5", b"four"), ("3", b"four"), ("five", b"fives"), ("1", [b"more"]), ("10", [b"less"])],
)
def test_a_request_whose_content_contradicts_its_length_is_not_sent(length: str, content: object) -> None:
    """A Content-Length that the caller gives is checked: no malformed request reaches a handler (RFC 9114 section 4.1.2)."""
    served: list[bytes] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        served.append(await request.read())
        return h3push.Response()

    async def scenario(world: World) -> None:
        with pytest.raises(h3push.LocalProtocolError, match=r"(?i)content-length"):
            await world.client.post("/", content=content, headers={"content-length": length})
        await asyncio.sleep(1)
        assert (await world.client.post("/", content=b"good", headers={"content-length": "4"})).status == 200

    in_world(handler, scenario)
    assert served == [b"good"]


# issue 9, point 18


def test_closing_a_complete_response_ends_an_upload_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9114 section 4.1: the server may answer before it has the request; then closing the answer resets the request."""
    resets: list[tuple[int, int]] = []

    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(1)

    async def handler(request: h3push.Request) -> None:
        await asyncio.sleep(3600)

    async def scenario(world: World) -> None:
        asking = asyncio.create_task(world.client.post("/", content=forever()))
        await asyncio.sleep(1)
        (connection,) = world.server._connections
        monkeypatch.setattr(world.server_driver, "stop", lambda *_: None)  # our own server would stop the upload
        connection.core.send_response(0, 200, [], end_stream=True)
        connection.schedule_flush()
        reset = world.client_driver.reset
        monkeypatch.setattr(world.client_driver, "reset", lambda *call: resets.append(call[1:]) or reset(*call))
        async with await asking as response:
            assert await response.read() == b""
            await asyncio.sleep(5)
            assert (resets, world.client.session.wanted) == ([], True)
        assert resets == [(0, h3push.ErrorCode.H3_REQUEST_CANCELLED)]
        assert not world.client.session.wanted
        assert world.client.session.core.open_message_streams == 0

    in_world(handler, scenario)


def test_an_upload_that_waits_for_its_own_content_is_stopped_by_the_server() -> None:
    """STOP_SENDING ends the upload at once, although nothing is being sent: its iterator is closed, the stream forgotten."""
    closed: list[float] = []

    async def stalling() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.sleep(3600)
        finally:
            closed.append(asyncio.get_running_loop().time())

    async def scenario(world: World) -> None:
        response = await world.client.post("/", content=stalling())
        assert await response.read() == b"enough"
        await asyncio.sleep(1)
        assert len(closed) == 1
        assert not world.client.session.wanted

    in_world(lambda _: h3push.Response(413, content=b"enough"), scenario)


# issue 9, point 19


def test_trailers_that_come_later_than_the_content_are_there_after_read() -> None:
    """Content-Length tells the end of the content, not of the message: without pushes the reader waits for the end."""

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200, {"content-length": "4"})
        await request.send(b"four")
        await asyncio.sleep(1)
        await request.send_trailers({"checksum": "1"})

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await response.read() == b"four"
        assert response.trailers == h3push.Headers({"checksum": "1"})

    in_world(handler, scenario)


def test_announced_trailers_are_waited_for_where_pushes_are_allowed() -> None:
    """A server may keep a response open for promises; that it sends trailers, the Trailer field says (RFC 9110 section 6.6.2)."""

    async def handler(request: h3push.Request) -> None:
        await request.start_response(200, {"content-length": "4", "trailer": "checksum"})
        await request.send(b"four")
        await asyncio.sleep(1)
        await request.send_trailers({"checksum": "1"})

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await response.read() == b"four"
        assert response.trailers == h3push.Headers({"checksum": "1"})

    in_world(handler, scenario, max_pushes=3)


# issue 9, point 20


def test_a_read_that_was_cancelled_takes_nothing_away() -> None:
    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.5):
                await response.read()
        assert await response.read() == WHOLE

    in_world(in_pieces, scenario)


def test_a_read_that_met_its_limit_takes_nothing_away() -> None:
    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        with pytest.raises(h3push.ContentTooLarge):
            await response.read(limit=3 * KIB)
        assert b"".join([piece async for piece in response.stream()]) == WHOLE

    in_world(in_pieces, scenario)


def test_a_read_behind_a_stream_raises_instead_of_giving_the_rest() -> None:
    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        pieces = [piece async for piece, _ in _first(response, 3)]
        with pytest.raises(RuntimeError, match="piece by piece"):
            await response.read()
        pieces += [piece async for piece in response.stream()]
        assert b"".join(pieces) == WHOLE
        for again in (response.read(), anext(aiter(response.stream()))):
            with pytest.raises(RuntimeError, match="piece by piece"):
                await again

    in_world(in_pieces, scenario)


async def _first(response: h3push.ClientResponse, count: int) -> AsyncIterator[tuple[bytes, int]]:
    number = 0
    async for piece in response.stream():
        number += 1
        yield piece, number
        if number == count:
            return


def test_a_stream_behind_a_read_gives_the_content_again() -> None:
    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await response.read() == WHOLE
        assert [piece async for piece in response.stream()] == [WHOLE]
        assert await response.read() == WHOLE
        with pytest.raises(h3push.ContentTooLarge):
            await response.read(limit=1)

    in_world(in_pieces, scenario)


def test_a_handler_can_read_its_request_again() -> None:
    """The same rules hold for the content of requests: what was read is not nothing the second time."""

    async def handler(request: h3push.Request) -> h3push.Response:
        with pytest.raises(h3push.ContentTooLarge):
            await request.read(limit=1)
        first = await request.read()
        assert [piece async for piece in request.stream()] == [first]
        return h3push.Response(content=first + await request.read())

    async def scenario(world: World) -> bytes:
        return await (await world.client.post("/", content=b"four")).read()

    assert in_world(handler, scenario) == b"fourfour"


# issue 9, point 21


def test_a_response_that_is_dropped_is_cancelled_and_warns() -> None:
    """A hundred responses that nobody reads would take up the connection's flow control for good."""
    settings = h3push.ClientSettings(
        stream_receive_window=64 * KIB, connection_receive_window=256 * KIB, receive_high_water=16 * KIB
    )

    async def scenario(world: World) -> None:
        for _ in range(20):
            with pytest.warns(ResourceWarning, match="dropped before it was read"):
                await world.client.get("/large")
            await asyncio.sleep(0.2)
        assert world.client.session.core.open_message_streams == 0
        assert await (await world.client.get("/")).read() == b"small"

    in_world(
        lambda request: h3push.Response(content=b"small" if request.path == "/" else b"x" * 1024 * KIB),
        scenario,
        client_settings=settings,
    )


def test_a_response_that_was_read_is_dropped_in_silence() -> None:
    async def scenario(world: World) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert await (await world.client.get("/")).read() == b"/"
            async with await world.client.get("/closed"):
                pass
            gc.collect()

    in_world(lambda request: h3push.Response(content=request.path), scenario)


@pytest.mark.parametrize("begins", [False, True])
def test_a_response_that_unread_ones_hold_back_says_so(begins: bool) -> None:
    """When others use up the connection's flow control, "no response came" would send its reader looking in the wrong place."""
    settings = h3push.ClientSettings(
        stream_receive_window=64 * KIB,
        connection_receive_window=256 * KIB,
        receive_high_water=16 * KIB,
        response_timeout=5,
        read_timeout=5,
    )

    async def handler(request: h3push.Request) -> h3push.Response | None:
        if request.path == "/begins":
            await request.start_response(200)
            await asyncio.sleep(1)
        return h3push.Response(content=b"x" * 1024 * KIB) if request.path != "/begins" else None

    async def scenario(world: World) -> None:
        unread = [await world.client.get(f"/unread{number}") for number in range(4)]
        await asyncio.sleep(1)
        with pytest.raises(h3push.ReadTimeout, match="other responses waits to be read, /unread0 first"):
            await (await world.client.get("/begins" if begins else "/other")).read()
        for response in unread:
            await response.close()
        await asyncio.sleep(1)
        assert len(await (await world.client.get("/other")).read()) == 1024 * KIB

    async def begun(request: h3push.Request) -> h3push.Response | None:
        if request.path != "/begins":
            return h3push.Response(content=b"x" * 1024 * KIB)
        await request.start_response(200)
        await asyncio.sleep(30)
        return None

    in_world(begun if begins else handler, scenario, client_settings=settings)
