"""uvicorn's protocols for HTTP/2 and HTTP/1.1 by zttp, chosen by ALPN."""

import asyncio
import ssl
from typing import Any, cast
from weakref import ref

import zttp
from uvicorn.protocols.http.flow_control import CLOSE_HEADER, HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.zttp_h2_impl import RequestResponseCycle, ZttpH2Protocol
from uvicorn.protocols.http.zttp_impl import ZttpProtocol

from h3push.tcp.admission import ReleasedWhenLost
from h3push.tcp.gathering import GatheringTransport

FRAME_HEADER, SETTING = 9, 6
"""Bytes of a frame's header, and of each setting in SETTINGS (RFC 9113 sections 4.1 and 6.5.1)."""

ENABLE_CONNECT_PROTOCOL = b"\x00\x08"
"""The setting of RFC 8441 section 3."""

MANY_REQUESTS, MANY_RESETS = 3_328, 96
"""Requests and resets of one connection after which its client is sent to another, once nothing is under way."""

MOST_REQUESTS, MOST_RESETS = 3_584, 128
"""The same, whatever is under way. At 4,096 and 256, zttp 0.0.35 breaks a connection off with all that is on it; the difference
is for what the client does before it has heard."""

RETIRED_IDLE = 2
"""Seconds after which such a connection is closed: what the client had sent before it heard has come, and resets nothing."""

ANY_STREAM = 0x7FFF_FFFF
"""The stream ID in GOAWAY by which requests that are on their way are still answered (RFC 9113 section 6.8)."""


class StreamFlow:
    """Back-pressure of one response; uvicorn asks it before each event of the application.

    uvicorn looks at the connection's buffer alone. What the client's flow-control window does not admit waits in zttp, without a
    bound: whoever opened no window would have the whole response held for him, at once.

    Args:
        connection: the connection's buffer.
        cycle: the response, which holds this: to hold it too would leave both, and the connection, to the garbage collector.
        held: those whose application waits; the connection wakes them when something has come.
    """

    __slots__ = ("_connection", "_cycle", "_held", "_moved")

    def __init__(self, connection: FlowControl, cycle: RequestResponseCycle, held: "set[StreamFlow]") -> None:
        self._connection = connection
        self._cycle = ref(cycle)
        self._held = held
        self._moved: asyncio.Event | None = None

    @property
    def write_paused(self) -> bool:
        """True while too much waits, of this response or of the connection."""
        return self._connection.write_paused or self._lacks_window()

    def _lacks_window(self) -> bool:
        cycle = self._cycle()
        return cycle is not None and (cycle.stream.pending_bytes or 0) > HIGH_WATER_LIMIT and not cycle.disconnected

    async def drain(self) -> None:
        """Wait until the response may go on, or nobody takes it any more."""
        while self.write_paused:
            await self._connection.drain()
            if self._lacks_window():
                self._moved = asyncio.Event()
                self._held.add(self)
                try:
                    await self._moved.wait()
                finally:
                    self._held.discard(self)

    def wake(self) -> None:
        """Look again."""
        if self._moved is not None:
            self._moved.set()


class Http1Protocol(ReleasedWhenLost, ZttpProtocol):
    """HTTP/1.1, with an upgrade that nobody takes answered by the response and the end of the connection.

    What a client has sent behind it may be in the other protocol, so none of it is read as HTTP/1.1 (`httptools_protocol`).
    """

    transport: GatheringTransport
    _refuses_upgrade = False

    def handle_events(self, event: zttp.Event) -> None:
        """Take what has been read; the task of a request that begins runs later."""
        super().handle_events(event)
        if self._refuses_upgrade:
            self.cycle.default_headers = [*self.server_state.default_headers, CLOSE_HEADER]

    def _unsupported_upgrade_warning(self) -> None:
        super()._unsupported_upgrade_warning()
        self._refuses_upgrade = True

    def on_response_complete(self) -> None:
        """Send what waits: nothing more comes with it, and a handler may have work to do that does not wait."""
        self.transport.flush()
        super().on_response_complete()


class Http2Protocol(ReleasedWhenLost, ZttpH2Protocol):
    """HTTP/2, with five things that uvicorn 0.54 and zttp leave undone.

    zttp announces extended CONNECT, which uvicorn takes for a plain request: a browser that believes it gets no WebSocket. Here
    it is not announced, so that browsers open one over HTTP/1.1. And zttp tells of the end of a request without content in the
    request itself, where uvicorn waits for another event: an application that reads the content of a GET would wait for ever.
    A response goes on only while its client has a window for it (`StreamFlow`). A server that stops says before it closes what it
    processed, so that clients may send the rest again elsewhere (GOAWAY, RFC 9113 sections 6.8 and 8.7); uvicorn closes in the
    same moment, or answers with 503. Last, zttp bounds the requests of a connection and breaks it off at the bound: before that,
    it stops like a server (`MANY_REQUESTS`).
    """

    transport: GatheringTransport
    cycle: RequestResponseCycle | None = None
    """The request that began last, as uvicorn's protocols for HTTP/1.1 have it; `None` before the first."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._held: set[StreamFlow] = set()
        self._is_stopping = False
        self._said_goaway = False
        self._requests = 0
        self._resets = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """The handshake is done."""
        self.conn.initiate_connection()
        transport.write(without_extended_connect(self.conn.data_to_send()))
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        super().connection_lost(exc)
        self.cycle = None  # it leads back here
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Take what came; a larger window, or a reset, lets responses go on."""
        super().data_received(data)
        self._wake()

    def _wake(self) -> None:
        for flow in self._held:
            flow.wake()

    def handle_request(self, event: zttp.Request) -> None:
        """Begin a request, unless it came after GOAWAY, which has told its client that it is not processed."""
        if self._said_goaway:
            return
        super().handle_request(event)
        self._requests += 1
        if self._requests == MOST_REQUESTS:
            self._warn()
        cycle = self.cycle = self.cycles.get(event.stream_id)
        if cycle is None:
            return
        cycle.flow = cast("FlowControl", StreamFlow(self.flow, cycle, self._held))
        if event.end_stream:
            cycle.more_body = False
            cycle.message_event.set()

    def announce_stop(self) -> None:
        """Send GOAWAY as soon as no response is under way.

        Not before the first request: httpcore 1.0 sends nothing again when the last stream is 0, and breaks off what it asked.
        """
        self._is_stopping = True
        self._say_goaway_when_idle()

    def shutdown(self) -> None:
        """Process nothing more but what has begun, and close after that."""
        self._say_goaway()
        super().shutdown()

    def on_stream_closed(self) -> None:
        """A response is over. When it was the last under way, send what waits: a handler may have work to do that does not."""
        if not self.cycles and (self._requests >= MANY_REQUESTS or self._resets >= MANY_RESETS):
            self.timeout_keep_alive = min(self.timeout_keep_alive, RETIRED_IDLE)
            self._is_stopping = True
        super().on_stream_closed()
        if self._is_stopping:
            self._say_goaway_when_idle()
        if not self.cycles:
            self.transport.flush()

    def _say_goaway_when_idle(self) -> None:
        if self.cycle is not None and not self.cycles:
            self._say_goaway()

    def _say_goaway(self) -> None:
        if not self._said_goaway and not self.transport.is_closing():
            self._said_goaway = True
            self.conn.close()
            self.flush()

    def _close_connection(self) -> None:
        self._say_goaway()  # once: a second one would name streams that were refused
        self.transport.close()

    def handle_rst_stream(self, event: zttp.RstStream) -> None:
        """A client does not want a response any more."""
        self._resets += 1
        super().handle_rst_stream(event)
        if self._resets == MOST_RESETS:
            self._warn()

    def _warn(self) -> None:
        """Have a client that always waits for something ask elsewhere. What it has asked by now is answered here."""
        if not self._said_goaway:
            self.conn.close(0, ANY_STREAM)
            self.flush()


def without_extended_connect(preface: bytes) -> bytes:
    """A server's first SETTINGS frame, with extended CONNECT switched off."""
    changed = bytearray(preface)
    for at in range(FRAME_HEADER, FRAME_HEADER + int.from_bytes(preface[:3]), SETTING):
        if preface[at : at + 2] == ENABLE_CONNECT_PROTOCOL:
            changed[at + 2 : at + SETTING] = bytes(4)
    return bytes(changed)


def by_alpn(transport: asyncio.Transport) -> type[Http2Protocol] | type[Http1Protocol]:
    """The protocol that the TLS handshake agreed on."""
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    return Http2Protocol if tls.selected_alpn_protocol() == "h2" else Http1Protocol
