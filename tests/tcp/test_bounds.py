"""Connections over TCP that ask for nothing, or are too many."""

import asyncio
import gc
import ssl
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import h2.connection
import h2.events
import pytest

import h3push

pytest.importorskip("uvicorn")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def connect(world: Any, version: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=world.cafile)
    context.set_alpn_protocols([version])
    return await asyncio.open_connection("localhost", world.port, ssl=context)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """True when the server closes the connection within five seconds."""
    try:
        async with asyncio.timeout(5):
            while await reader.read(1000):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("version", ["h2", "http/1.1"])
@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: localh"])
def test_a_connection_that_asks_for_nothing_ends(served: Any, version: str, said: bytes) -> None:
    """`first_request_timeout`, for silence and for a request that never becomes one (slowloris)."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, version)
        writer.write(said)
        assert await is_closed(reader)
        writer.close()

    served(app, scenario, settings=h3push.ServerSettings(first_request_timeout=0.3))


def test_a_connection_that_asked_stays(served: Any) -> None:
    """The time-out is for the first request only."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, "http/1.1")
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"
            await asyncio.sleep(0.5)
        writer.close()

    served(app, scenario, settings=h3push.ServerSettings(first_request_timeout=0.3))


@pytest.mark.parametrize("version", ["h2", "http/1.1"])
def test_a_connection_that_ended_before_it_asked_is_let_alone(served: Any, version: str) -> None:
    """Its time-out comes and finds nothing to close, also when something still holds the connection."""
    failures: list[Any] = []

    async def scenario(world: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        _, writer = await connect(world, version)
        held = await one_of(world)
        writer.close()
        await asyncio.sleep(0.5)
        assert held

    served(app, scenario, settings=h3push.ServerSettings(first_request_timeout=0.3))
    assert failures == []


def test_connections_beyond_the_bound_are_closed(served: Any) -> None:
    """`max_connections`; those that are there go on."""

    async def scenario(world: Any) -> None:
        held = [await connect(world, "http/1.1") for _ in range(2)]
        await asyncio.sleep(0.1)
        reader, writer = await connect(world, "http/1.1")
        assert await is_closed(reader)
        writer.close()
        for reader, writer in held:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"ok")
            writer.close()

    served(app, scenario, settings=h3push.ServerSettings(max_connections=2))


class Http2Client:
    """One connection that opens no window but the first 65,535 bytes of each stream, unless it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.core = h2.connection.H2Connection()
        self.core.initiate_connection()
        self.core.increment_flow_control_window(1 << 30)
        self.received: dict[int, int] = {}
        self.ended: set[int] = set()

    def ask(self, path: str) -> int:
        stream = self.core.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        self.core.send_headers(stream, head, end_stream=True)
        self.writer.write(self.core.data_to_send())
        return stream

    def grant(self, stream: int, size: int) -> None:
        self.core.increment_flow_control_window(size, stream)
        self.writer.write(self.core.data_to_send())

    def reset(self, stream: int) -> None:
        self.core.reset_stream(stream, 0x8)
        self.writer.write(self.core.data_to_send())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                for event in self.core.receive_data(await self.reader.read(65_536)):
                    if isinstance(event, h2.events.DataReceived):
                        self.received[event.stream_id] = self.received.get(event.stream_id, 0) + len(event.data)
                    elif isinstance(event, h2.events.StreamEnded):
                        self.ended.add(event.stream_id)
                self.writer.write(self.core.data_to_send())


@pytest.mark.parametrize("end", ["granted", "reset", "gone"])
def test_a_response_does_not_go_on_without_a_window(served: Any, end: str) -> None:
    """HTTP/2: of a response that its client takes no more of, one buffer is held; it goes on with a larger window, or ends."""
    pytest.importorskip("zttp")
    sent, whole, piece = 0, 100 * 65_536, bytes(65_536)
    over = asyncio.Event()

    async def download(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        if scope["path"] != "/download":
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while sent < whole:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += len(piece)
        await send({"type": "http.response.body"})
        over.set()

    async def scenario(world: Any) -> None:
        client = Http2Client(*await connect(world, "h2"))
        stream = client.ask("/download")
        await client.until(lambda: client.received.get(stream) == 65_535)
        for _ in range(3):
            other = client.ask("/")
            await client.until(lambda other=other: other in client.ended)
        assert 65_536 <= sent <= 4 * 65_536
        if end == "granted":
            client.grant(stream, whole)
            await client.until(lambda: stream in client.ended)
            assert client.received[stream] == whole
        elif end == "reset":
            client.reset(stream)
        else:
            client.writer.transport.abort()
        await asyncio.wait_for(over.wait(), 5)
        client.writer.close()

    served(download, scenario, settings=h3push.ServerSettings(graceful_timeout=0.5))


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only what nothing holds is freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def ask(version: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a request, and take the first bytes after it."""
    if version == "h2":
        client = Http2Client(reader, writer)
        stream = client.ask("/")
        await client.until(lambda: stream in client.received)
    else:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")


async def are_gone(*places: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while any(place() is not None for place in places):  # noqa: ASYNC110 - the end comes by the network
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("version", ["h2", "http/1.1"])
@pytest.mark.parametrize("asks", [False, True])
def test_nothing_is_kept_of_a_connection_that_has_ended(served: Any, version: str, asks: bool) -> None:
    """No timer and no circle holds its buffers: they go with it. The timer of `first_request_timeout` outlives it by far."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, version)
        if asks:
            await ask(version, reader, writer)
        [protocol] = await one_of(world)
        place = weakref.ref(protocol)
        del protocol
        writer.close()
        await are_gone(place)

    served(app, scenario, settings=h3push.ServerSettings(first_request_timeout=30))


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("version", ["h2", "http/1.1"])
@pytest.mark.parametrize("keeps", [False, True])
def test_nothing_is_kept_of_a_connection_that_is_left_in_a_download(served: Any, version: str, keeps: bool) -> None:
    """Its TLS goes with it, even when the application keeps what it sent with.

    TLS has 256 KiB of buffers on each connection, and the collector looks at its oldest objects when they are more by a quarter,
    however large they are: with ten clients a second that leave, a worker would hold hundreds of MiB between two looks.
    """
    kept: list[Any] = []

    async def download(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        if keeps:
            kept.append((scope, receive, send))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})
        await send({"type": "http.response.body"})

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, version)
        await ask(version, reader, writer)
        [protocol] = await one_of(world)
        places = [weakref.ref(protocol.transport.get_extra_info("ssl_object"))]
        places += [] if keeps else [weakref.ref(protocol)]
        del protocol
        writer.transport.abort()
        await are_gone(*places)

    served(download, scenario, settings=h3push.ServerSettings(graceful_timeout=0.5))


async def one_of(world: Any) -> list[Any]:
    """The protocols of all connections, once there are some."""
    connections = world.side._backends[0]._server.server_state.connections
    async with asyncio.timeout(5):
        while not connections:  # noqa: ASYNC110 - the server's handshake ends when it ends
            await asyncio.sleep(0.01)
    return list(connections)
