"""The transport contract: everything that an HTTP/3 connection asks of QUIC, and everything that QUIC tells it.

The protocol core (`h3push.h3`) calls a `Transport` and is a `Receiver`; it knows no socket, no clock and no event loop.
Whoever keeps this contract can carry HTTP/3: `quic.adapter` over the Rust module, `testing.memory` over plain in-memory
streams.

The life of incoming data. A peer's stream announces itself with its first data. On a stream that the core has not paused,
data arrives as soon as it is there. The first data of a *unidirectional* stream opened by a server is cut to
`FIRST_READ_BYTES`; the stream then stays paused until the core calls `resume`. So a push stream is identified (type and
push ID) before the transport grants any further flow-control credit for it, and what an unpromised push can make us hold is
exactly the stream's initial window (RFC 9114 section 4.6).

The life of outgoing data. `write` takes everything. `receive_drained` says when little of it waits, `receive_acknowledged` when
the peer has all of it, the end included: only then is a push fulfilled. A stream that was reset is not acknowledged.

Nothing here blocks, nothing here raises for what the peer did: a call for a stream that is gone is ignored.
"""

from typing import Protocol

from h3push.h3.events import Event

FIRST_READ_BYTES = 16
"""How much of a server's unidirectional stream is read before `resume`: two varints of 8 bytes at most."""


class Transport(Protocol):
    """One QUIC connection, as HTTP/3 sees it. Stream IDs are those of RFC 9000 section 2.1."""

    def stream_credit(self, unidirectional: bool, wanted: int) -> int:
        """How many of `wanted` further streams of that kind `open_stream` could open now (0 to `wanted`)."""

    def open_stream(self, unidirectional: bool) -> int | None:
        """Open a stream and return its ID, or `None` when the peer's limit allows none now.

        When a limit that gave `None` (or less than `wanted`) is raised, the core is told by `receive_stream_credit`.
        """

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        """Queue `data` (and the end of the stream) for sending.

        Everything is taken. Returns how many bytes of this stream wait because the peer's flow control or the congestion
        window does not take them yet; when they fall below the low-water mark again, `receive_drained` tells.
        """

    def send_stream(self, priority: int, data: bytes) -> int | None:
        """Open a unidirectional stream, set its priority, and write `data` and its end: all of a stream in one call.

        Returns its ID, or `None`, and nothing was done, when `open_stream` would.
        """

    def reset(self, stream_id: int, error_code: int) -> None:
        """Abandon sending (RESET_STREAM); bytes not yet sent are dropped."""

    def stop(self, stream_id: int, error_code: int) -> None:
        """Ask the peer to stop sending (STOP_SENDING); what arrives afterwards is dropped."""

    def pause(self, stream_id: int) -> None:
        """Deliver no more data of this stream and grant no more flow-control credit for it."""

    def resume(self, stream_id: int) -> None:
        """Undo `pause`; what is there is delivered soon, never from inside this call."""

    def set_priority(self, stream_id: int, priority: int) -> None:
        """Send this stream's data before that of streams with a lower number (32 bits, signed; 0 at first)."""

    def close(self, error_code: int, reason: str) -> None:
        """Close the connection with CONNECTION_CLOSE of type 0x1d."""


class Receiver(Protocol):
    """A protocol core, seen from below. `now` is seconds of a monotonic clock that the caller owns."""

    def start(self, now: float) -> None:
        """Streams can be opened: begin."""

    def receive_data(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Event]:
        """Bytes of one stream, in order; `fin` with the last."""

    def receive_reset(self, stream_id: int, error_code: int, now: float) -> list[Event]:
        """The peer abandoned sending on a stream."""

    def receive_stop(self, stream_id: int, error_code: int, now: float) -> list[Event]:
        """The peer wants no more of a stream; RESET_STREAM has been sent."""

    def receive_acknowledged(self, stream_id: int, now: float) -> list[Event]:
        """The peer has everything that was written to a stream, its end included; told once, and not after `reset`."""

    def receive_stream_credit(self, unidirectional: bool, now: float) -> list[Event]:
        """The peer raised its limit on streams that we open."""

    def receive_drained(self, stream_id: int, now: float) -> list[Event]:
        """A stream has fallen to the low-water mark: more may be written."""

    def receive_closed(self, error_code: int | None, reason: str, by_peer: bool) -> list[Event]:
        """The connection is over."""

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due (seconds), or `None`."""

    def handle_timeout(self, now: float) -> list[Event]:
        """Do what is due."""
