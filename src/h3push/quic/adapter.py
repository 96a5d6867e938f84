"""The native module as a transport: one connection of a `_quic` driver under one protocol core.

Three parts:

* `Driver`: what the event-loop layer asks of a QUIC endpoint, whether it has a socket (`SocketDriver`, below) or lives in
  virtual time (`network.VirtualDriver`). The stream calls are the native object's own bound methods: no layer in between.
* `NativeTransport`: the contract of `h3.transport.Transport` for one connection handle.
* `deliver`: one native event to the core's `receive_*` methods, by a table.

One flush per loop turn. Whatever has to go on the wire calls `schedule_flush`; the owner of the driver makes that cheap and
idempotent (a flag, and one `call_soon` for the first call of a turn) and flushes once, after all events of the turn were
dispatched. After a flush it asks `pending`: `resume` makes events that no datagram will announce.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Protocol

from mypy_extensions import mypyc_attr

from h3push import _quic
from h3push.errors import describe_error_code
from h3push.h3.events import Event
from h3push.h3.transport import Receiver

NativeEvent = tuple[Any, ...]
"""An event tuple of `_quic`: the kind (int), the connection handle, and what the kind's constant documents."""


class Streams(Protocol):
    """The calls of a driver that name a connection; `_quic.pyi` documents each."""

    def open(self, connection: int, unidirectional: bool) -> int | None:
        """Open a stream."""

    def stream_credit(self, connection: int, unidirectional: bool, wanted: int) -> int:
        """How many of `wanted` streams `open` could give now."""

    def write(self, connection: int, stream: int, data: bytes, fin: bool) -> int:
        """Queue bytes; how many wait."""

    def send_stream(self, connection: int, priority: int, data: bytes) -> int | None:
        """Open a unidirectional stream and send all of it."""

    def write_part(self, connection: int, stream: int, data: bytes, offset: int, length: int, fin: bool) -> int:
        """Queue a part of `data`, without a copy; how many bytes wait."""

    def write_file(
        self, connection: int, stream: int, path: "_quic._Path", offset: int, length: int, fin: bool
    ) -> None:
        """Queue a part of a file."""

    def reset(self, connection: int, stream: int, error_code: int) -> None:
        """RESET_STREAM."""

    def stop(self, connection: int, stream: int, error_code: int) -> None:
        """STOP_SENDING."""

    def set_priority(self, connection: int, stream: int, priority: int) -> None:
        """Higher goes first."""

    def pause(self, connection: int, stream: int) -> None:
        """Deliver no more of a stream."""

    def resume(self, connection: int, stream: int) -> None:
        """Undo `pause`."""

    def close(self, connection: int, error_code: int, reason: bytes) -> None:
        """CONNECTION_CLOSE 0x1d."""


class Driver(Streams, Protocol):
    """A QUIC endpoint as the event-loop layer sees it; `_quic.pyi` documents the calls that are not told here."""

    def watch(self, loop: AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        """Have `on_readable()` called from `loop` whenever `recv` would give something."""

    def unwatch(self, loop: AbstractEventLoop) -> None:
        """Undo `watch`; without effect when nothing watches."""

    def recv(self, max_batches: int = 8) -> list[NativeEvent]:
        """Take what arrived; the events."""

    def tick(self) -> list[NativeEvent]:
        """Run the timers that are due; the events, with those that were pending."""

    def watch_writable(self, loop: AbstractEventLoop, on_writable: Callable[[], None]) -> None:
        """Have `on_writable()` called from `loop` once, when a socket that `flush` found full takes packets again."""

    def flush(self) -> tuple[float | None, int]:
        """Send what may be sent: (seconds until `tick` is due or `None`, one of `_quic.FLUSH_*`)."""

    def pending(self) -> bool:
        """Tell whether events wait that nothing will announce."""

    def local_address(self) -> tuple[str, int]:
        """Tell where we are: (host, port)."""

    def connect(self, address: tuple[str, int], server_name: str, *, client: _quic.ClientTls | None = None) -> int:
        """Begin a connection; its handle."""

    def accept(self, incoming: int) -> int | None:
        """Answer INCOMING with a connection."""

    def refuse(self, incoming: int) -> None:
        """Answer INCOMING with a refusal."""

    def set_accepting(self, accepting: bool) -> None:
        """Take, or refuse, new connections."""

    def set_server_tls(self, server: _quic.ServerTls) -> None:
        """Use other certificates for new connections."""

    def set_keep_alive(self, connection: int, interval: float | None) -> None:
        """Send a PING after so many idle seconds."""

    def ping(self, connection: int) -> None:
        """Send a PING."""

    def info(self, connection: int) -> dict[str, object]:
        """Handshake results."""

    def stats(self, connection: int) -> dict[str, int | float]:
        """Counters and the path's measures."""

    def connection_count(self) -> int:
        """Connections that are not over."""

    def shutdown(self) -> None:
        """Close every connection and the driver; CONNECTION_CLOSE goes out."""


@mypyc_attr(allow_interpreted_subclasses=True)
class NativeCalls:
    """The calls that every driver of `_quic` has, taken over as they are: bound methods of the native object."""

    def __init__(self, native: _quic._Streams) -> None:
        self.open = native.open
        self.stream_credit = native.stream_credit
        self.write = native.write
        self.send_stream = native.send_stream
        self.write_part = native.write_part
        self.write_file = native.write_file
        self.reset = native.reset
        self.stop = native.stop
        self.set_priority = native.set_priority
        self.pause = native.pause
        self.resume = native.resume
        self.close = native.close
        self.pending = native.pending
        self.connect = native.connect
        self.accept = native.accept
        self.refuse = native.refuse
        self.set_accepting = native.set_accepting
        self.set_server_tls = native.set_server_tls
        self.set_keep_alive = native.set_keep_alive
        self.ping = native.ping
        self.info = native.info
        self.stats = native.stats
        self.connection_count = native.connection_count


class SocketDriver(NativeCalls):
    """A `Driver` with a socket: `_quic.Endpoint`, or `_quic.ThreadedEndpoint` with its eventfd."""

    def __init__(self, native: _quic.Endpoint | _quic.ThreadedEndpoint) -> None:
        super().__init__(native)
        self.native = native
        """The native object."""
        self.recv = native.recv
        self.tick = native.tick
        self.flush = native.flush
        self.local_address = native.local_address
        self._watching: tuple[AbstractEventLoop, int, Callable[[], None]] | None = None
        self._full = False

    def watch(self, loop: AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        """Call `on_readable()` from `loop` when datagrams or events wait."""
        fileno = self.native.fileno()
        loop.add_reader(fileno, on_readable)
        self._watching = loop, fileno, on_readable

    def unwatch(self, loop: AbstractEventLoop) -> None:
        """Undo `watch` and `watch_writable`."""
        if self._watching is not None and self._watching[0] is loop:
            loop.remove_reader(self._watching[1])
            if self._full:
                loop.remove_writer(self._watching[1])
                self._full = False
            self._watching = None

    def watch_writable(self, loop: AbstractEventLoop, on_writable: Callable[[], None]) -> None:
        """Call `on_writable()` from `loop` once, when the socket takes packets again."""
        if self._watching is None or self._full:
            return
        fileno = self._watching[1]

        def writable() -> None:
            self._full = False
            loop.remove_writer(fileno)
            on_writable()

        self._full = True
        loop.add_writer(fileno, writable)

    def rebind(self, fd: int | None = None) -> None:
        """Move to a new socket on the same host (a fresh port when `fd` is `None`), and watch that one."""
        watching = self._watching
        if watching is not None:
            self.unwatch(watching[0])
        try:
            self.native.rebind(fd)
        finally:
            if watching is not None:
                self.watch(watching[0], watching[2])

    def shutdown(self) -> None:
        """Close every connection and the socket; it is watched no more."""
        if self._watching is not None:
            self.unwatch(self._watching[0])
        self.native.shutdown()


class NativeTransport:
    """`h3.transport.Transport` for one connection of a driver.

    `schedule_flush` is called whenever something may have to go on the wire, or to be delivered: see the module's text.
    """

    __slots__ = ("_driver", "_open", "_schedule_flush", "_send_stream", "_set_priority", "_write", "connection")

    def __init__(self, driver: Streams, connection: int, schedule_flush: Callable[[], None]) -> None:
        self.connection = connection
        """The native handle."""
        self._driver = driver
        self._schedule_flush = schedule_flush
        self._write = driver.write
        self._send_stream = driver.send_stream
        self._open = driver.open
        self._set_priority = driver.set_priority

    def stream_credit(self, unidirectional: bool, wanted: int) -> int:
        """How many of `wanted` streams `open_stream` could open now."""
        return self._driver.stream_credit(self.connection, unidirectional, wanted)

    def open_stream(self, unidirectional: bool) -> int | None:
        """Open a stream, or `None` when the peer's limit allows none now."""
        return self._open(self.connection, unidirectional)

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        """Queue bytes for sending; how many of this stream wait."""
        waiting = self._write(self.connection, stream_id, data, fin)
        self._schedule_flush()
        return waiting

    def send_stream(self, priority: int, data: bytes) -> int | None:
        """Open a unidirectional stream and send all of it; `None` when the peer's limit allows none now."""
        stream_id = self._send_stream(self.connection, priority, data)
        self._schedule_flush()
        return stream_id

    def reset(self, stream_id: int, error_code: int) -> None:
        """Abandon sending."""
        self._driver.reset(self.connection, stream_id, error_code)
        self._schedule_flush()

    def stop(self, stream_id: int, error_code: int) -> None:
        """Ask the peer to stop sending."""
        self._driver.stop(self.connection, stream_id, error_code)
        self._schedule_flush()

    def pause(self, stream_id: int) -> None:
        """Deliver no more of this stream."""
        self._driver.pause(self.connection, stream_id)

    def resume(self, stream_id: int) -> None:
        """Undo `pause`; what is there comes in a later turn, flow-control credit goes out with the flush."""
        self._driver.resume(self.connection, stream_id)
        self._schedule_flush()

    def set_priority(self, stream_id: int, priority: int) -> None:
        """Higher goes first."""
        self._set_priority(self.connection, stream_id, priority)

    def close(self, error_code: int, reason: str) -> None:
        """Close the connection."""
        self._driver.close(self.connection, error_code, reason.encode())
        self._schedule_flush()


_CLOSED_BY_PEER = frozenset(
    {_quic.CLOSED_BY_APPLICATION, _quic.CLOSED_BY_TRANSPORT, _quic.CLOSED_RESET, _quic.CLOSED_REFUSED}
)

_CLOSED_SENTENCES = {
    _quic.CLOSED_BY_APPLICATION: "the peer closed the connection",
    _quic.CLOSED_BY_TRANSPORT: "the peer's QUIC transport closed the connection",
    _quic.CLOSED_LOCALLY: "we closed the connection",
    _quic.CLOSED_TRANSPORT_ERROR: "the peer broke the QUIC protocol",
    _quic.CLOSED_TIMED_OUT: "nothing came from the peer for too long",
    _quic.CLOSED_RESET: "the peer does not know this connection any more (stateless reset)",
    _quic.CLOSED_REFUSED: "the peer refused the connection",
    _quic.CLOSED_UNREACHABLE: "nobody is there any more",
    _quic.CLOSED_INTERNAL: "the transport failed inside (a bug in h3push)",
}


def closed_reason(kind: str, error_code: int | None, reason: str) -> str:
    """One sentence about a CLOSED event: the peer's or our own reason phrase, or what the kind means."""
    if reason:
        return reason
    sentence = _CLOSED_SENTENCES.get(kind, "the connection ended")
    if error_code is None or kind == _quic.CLOSED_LOCALLY:
        return sentence
    code = describe_error_code(error_code) if kind == _quic.CLOSED_BY_APPLICATION else f"QUIC error {error_code:#x}"
    return f"{sentence} with {code}"


def _reset(core: Receiver, event: NativeEvent, now: float) -> list[Event]:
    return core.receive_reset(event[2], event[3], now)


def _stop(core: Receiver, event: NativeEvent, now: float) -> list[Event]:
    return core.receive_stop(event[2], event[3], now)


def _acknowledged(core: Receiver, event: NativeEvent, now: float) -> list[Event]:
    return core.receive_acknowledged(event[2], now)


def _drained(core: Receiver, event: NativeEvent, now: float) -> list[Event]:
    return core.receive_drained(event[2], now)


def _streams_available(core: Receiver, event: NativeEvent, now: float) -> list[Event]:
    return core.receive_stream_credit(event[2], now)


def _closed(core: Receiver, event: NativeEvent, _now: float) -> list[Event]:
    _, _, kind, error_code, reason = event
    return core.receive_closed(error_code, closed_reason(kind, error_code, reason), kind in _CLOSED_BY_PEER)


_DELIVERIES: dict[int, Callable[[Receiver, NativeEvent, float], list[Event]]] = {
    _quic.RESET: _reset,
    _quic.STOP: _stop,
    _quic.ACKED: _acknowledged,
    _quic.DRAINED: _drained,
    _quic.STREAMS_AVAILABLE: _streams_available,
    _quic.CLOSED: _closed,
}
_DATA = _quic.DATA


def deliver(core: Receiver, event: NativeEvent, now: float) -> list[Event]:
    """Tell `core` one native event of its connection; what the core makes of it.

    Kinds that concern the endpoint or the handshake (INCOMING, ACCEPTED, HANDSHAKE, CONNECTED, PATH_CHANGED) and those that
    the core has no use for (DATAGRAM) give nothing: the owner looks at them first.
    """
    if event[0] == _DATA:
        return core.receive_data(event[2], event[3], event[4], now)
    delivery = _DELIVERIES.get(event[0])
    return delivery(core, event, now) if delivery is not None else []
