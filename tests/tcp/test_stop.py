"""A server that stops says so over TCP before it closes, and answers what was sent before that was known."""

import asyncio
import ssl
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

import h3push

pytest.importorskip("uvicorn")

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")]


class Waiting:
    """An application that answers "/" when it may."""

    def __init__(self) -> None:
        self.may, self.asked = asyncio.Event(), asyncio.Event()
        self.may.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        self.asked.set()
        await self.may.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


async def connect(world: Any, version: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=world.cafile)
    context.set_alpn_protocols([version])
    return await asyncio.open_connection("localhost", world.port, ssl=context)


async def stop(world: Any) -> "asyncio.Task[None]":
    """Begin to stop, and let the backend come as far as it comes at once."""
    stopping = asyncio.create_task(world.service.shutdown())
    while not world.server.is_shutting_down:  # noqa: ASYNC110 - the next turn of the loop
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    return stopping


@pytest.mark.parametrize("requests_before", [0, 1])
def test_a_request_that_crosses_the_stop_is_answered(served: Any, requests_before: int) -> None:
    """HTTP/1.1: an idle connection is not closed under a request that is on its way; the response says `Connection: close`."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, "http/1.1")
        for _ in range(requests_before):
            writer.write(REQUEST)
            assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(2)
        stopping = await stop(world)
        writer.write(REQUEST)
        head, content = (await reader.read()).split(b"\r\n\r\n")
        assert b" 200 " in head
        assert b"\r\nconnection: close" in head
        assert content == b"ok"
        await stopping
        writer.close()

    served(Waiting(), scenario)


def test_an_idle_connection_ends_with_the_server(served: Any) -> None:
    """It does not hold the stop up for more than a moment, whatever the grace."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, "http/1.1")
        async with asyncio.timeout(5):
            await (await stop(world))
        assert not await reader.read()
        writer.close()

    served(Waiting(), scenario, settings=h3push.ServerSettings(graceful_timeout=60))


class Http2Client:
    """One connection of HTTP/2, and what came on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.core = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.core.initiate_connection()
        self.answered: list[int] = []
        self.goaways: list[int] = []
        self.closed = False

    def ask(self) -> int:
        """Send a request."""
        stream = self.core.get_next_available_stream_id()
        self.core.send_headers(stream, HEAD, end_stream=True)
        self.writer.write(self.core.data_to_send())
        return stream

    async def take(self) -> None:
        """Take what comes next."""
        data = await self.reader.read(65_536)
        self.closed = not data
        for event in self.core.receive_data(data):
            if isinstance(event, h2.events.StreamEnded):
                self.answered.append(event.stream_id)
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaways.append(event.last_stream_id)
                self.core.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN  # h2 takes nothing after it
        if not self.closed:
            self.writer.write(self.core.data_to_send())


async def until(client: Http2Client, condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await client.take()


def test_an_idle_http2_connection_is_told_and_ends(served: Any) -> None:
    """GOAWAY names the last request that was processed: the client knows that what it sent after that may be sent again."""
    pytest.importorskip("zttp")

    async def scenario(world: Any) -> None:
        client = Http2Client(*await connect(world, "h2"))
        first = client.ask()
        await until(client, lambda: client.answered == [first])
        stopping = await stop(world)
        client.ask()  # it has not read GOAWAY yet
        await until(client, lambda: client.closed)
        assert client.goaways == [first]
        assert client.answered == [first]
        await stopping
        client.writer.close()

    served(Waiting(), scenario)


def test_a_first_request_over_http2_that_crosses_the_stop_is_answered(served: Any) -> None:
    """A connection without a request hears of the stop with the first one's response."""
    pytest.importorskip("zttp")

    async def scenario(world: Any) -> None:
        client = Http2Client(*await connect(world, "h2"))
        stopping = await stop(world)
        first = client.ask()
        await until(client, lambda: client.closed)
        assert client.answered == [first]
        assert client.goaways == [first]
        await stopping
        client.writer.close()

    served(Waiting(), scenario)


def test_what_is_under_way_over_http2_is_finished(served: Any) -> None:
    """GOAWAY comes when a moment is over, at the latest; the response goes on until it is whole."""
    pytest.importorskip("zttp")

    async def scenario(world: Any) -> None:
        app.may.clear()
        client = Http2Client(*await connect(world, "h2"))
        first = client.ask()
        await app.asked.wait()
        stopping = await stop(world)
        assert not client.goaways
        await until(client, lambda: client.goaways)
        assert not client.answered
        app.may.set()
        await until(client, lambda: client.closed)
        assert client.answered == [first]
        assert client.goaways == [first]
        await stopping
        client.writer.close()

    app = Waiting()
    served(app, scenario)
