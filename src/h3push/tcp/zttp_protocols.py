"""uvicorn's protocols for HTTP/2 and HTTP/1.1 by zttp, chosen by ALPN."""

import asyncio
import ssl
from typing import Any, cast
from weakref import ref

import zttp
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.zttp_h2_impl import RequestResponseCycle, ZttpH2Protocol
from uvicorn.protocols.http.zttp_impl import ZttpProtocol

from h3push.tcp.admission import ReleasedWhenLost

FRAME_HEADER, SETTING = 9, 6
"""Bytes of a frame's header, and of each setting in SETTINGS (RFC 9113 sections 4.1 and 6.5.1)."""

ENABLE_CONNECT_PROTOCOL = b"\x00\x08"
"""The setting of RFC 8441 section 3."""


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
        self._moved = asyncio.Event()

    @property
    def write_paused(self) -> bool:
        """True while too much waits, of this response or of the connection."""
        return self._connection.write_paused or self._waits_for_window

    @property
    def _waits_for_window(self) -> bool:
        cycle = self._cycle()
        return cycle is not None and not cycle.disconnected and (cycle.stream.pending_bytes or 0) > HIGH_WATER_LIMIT

    async def drain(self) -> None:
        """Wait until the response may go on, or nobody takes it any more."""
        while self.write_paused:
            await self._connection.drain()
            if self._waits_for_window:
                self._moved.clear()
                self._held.add(self)
                try:
                    await self._moved.wait()
                finally:
                    self._held.discard(self)

    def wake(self) -> None:
        """Look again."""
        self._moved.set()


class Http2Protocol(ReleasedWhenLost, ZttpH2Protocol):
    """HTTP/2, with four things that uvicorn 0.54 leaves undone.

    zttp announces extended CONNECT, which uvicorn takes for a plain request: a browser that believes it gets no WebSocket. Here
    it is not announced, so that browsers open one over HTTP/1.1. And zttp tells of the end of a request without content in the
    request itself, where uvicorn waits for another event: an application that reads the content of a GET would wait for ever.
    A response goes on only while its client has a window for it (`StreamFlow`). Last, a server that stops says before it closes
    what it processed, so that clients may send the rest again elsewhere (GOAWAY, RFC 9113 sections 6.8 and 8.7); uvicorn closes
    in the same moment, or answers with 503.
    """

    cycle: RequestResponseCycle | None = None
    """The request that began last, as uvicorn's protocols for HTTP/1.1 have it; `None` before the first."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._held: set[StreamFlow] = set()
        self._is_stopping = False
        self._said_goaway = False

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
        """A response is over."""
        super().on_stream_closed()
        if self._is_stopping:
            self._say_goaway_when_idle()

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


class Http1Protocol(ReleasedWhenLost, ZttpProtocol):
    """HTTP/1.1 by zttp."""


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
