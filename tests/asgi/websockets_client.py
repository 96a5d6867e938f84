"""A WebSocket client on one of our connections, for tests: extended CONNECT by the session, frames by `websockets`."""

import asyncio

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.protocol import Protocol, Side

import h3push
from h3push.client.exchange import Exchange
from h3push.client.limits import Limits
from h3push.http.fields import RequestHead
from h3push.testing import World


class Socket:
    """One WebSocket: what comes is read only when somebody asks for it."""

    def __init__(self, client: h3push.ClientConnection, exchange: Exchange) -> None:
        self._session = client.session
        self.exchange = exchange
        self.frames = Protocol(Side.CLIENT, max_size=None)
        self._events: list[Frame] = []

    @property
    def status(self) -> int:
        assert self.exchange.head is not None
        return self.exchange.head.status

    @property
    def headers(self) -> dict[bytes, bytes]:
        assert self.exchange.head is not None
        return dict(self.exchange.head.fields)

    def send(self, data: str | bytes) -> None:
        if isinstance(data, str):
            self.frames.send_text(data.encode())
        else:
            self.frames.send_binary(data)
        self.flush()

    def flush(self) -> None:
        for piece in self.frames.data_to_send():
            self.write(piece, end=not piece)

    def write(self, data: bytes, end: bool = False) -> None:
        """Bytes as they are."""
        self._session.core.send_data(self.exchange.stream_id, data, end)
        self._session.schedule_flush()

    def reset(self) -> None:
        self._session.core.reset_stream(self.exchange.stream_id, 0x10C)
        self._session.core.stop_stream(self.exchange.stream_id, 0x10C)
        self._session.schedule_flush()

    async def next(self) -> Frame | None:
        """The next frame; `None` at the end of the stream. Pings are answered."""
        while not self._events:
            data = await self.exchange.content.next_chunk()
            if not data:
                return None
            self.frames.receive_data(data)
            self._events += [event for event in self.frames.events_received() if isinstance(event, Frame)]
            self.flush()
        return self._events.pop(0)

    async def close(self, code: int = 1000) -> tuple[int, str]:
        """Close, and give the code that the server closed with."""
        self.frames.send_close(code)
        self.flush()
        return await self.closed()

    async def closed(self) -> tuple[int, str]:
        while await self.next() is not None:
            pass
        assert self.frames.close_rcvd is not None
        if not self.frames.eof_sent:
            self.write(b"", end=True)
        return int(self.frames.close_rcvd.code), self.frames.close_rcvd.reason


async def open_socket(
    world: World, path: str = "/", *fields: tuple[bytes, bytes], deflate: bool = False, protocol: bytes = b"websocket"
) -> Socket:
    """Ask for a WebSocket, and wait for the answer."""
    session = world.client.session
    async with asyncio.timeout(5):
        while session.core.peer_settings is None:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
    if deflate:
        fields = (*fields, (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"))
    host = b"origin.example"
    own = [(b"sec-websocket-version", b"13"), *fields]
    head = RequestHead(b"CONNECT", b"https", host, path.encode(), own, None, protocol)
    exchange = session.open(head, Limits(None, None, None, None), end_stream=False, priority=None)
    await exchange.wait_answer()
    socket = Socket(world.client, exchange)
    if deflate and b"sec-websocket-extensions" in socket.headers:
        socket.frames.extensions = [PerMessageDeflate(False, False, 12, 12)]
    return socket
