"""The other half of the transport contract: what a transport calls when something arrived.

`interface.Transport` is what the core asks of QUIC; `Receiver` is what QUIC tells the core. `H3ServerConnection` and
`H3ClientConnection` implement it, `memory.RawPeer` too. Named here, below no one's feet: the native adapter needs the
compiled module, the in-memory pair must not.
"""

from typing import Protocol

from h3push.h3.events import Event


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

    def receive_stream_credit(self, unidirectional: bool, now: float) -> list[Event]:
        """The peer raised its limit on streams that we open."""

    def receive_drained(self, stream_id: int, now: float) -> list[Event]:
        """What waited on a stream is below the low-water mark."""

    def receive_closed(self, error_code: int | None, reason: str, by_peer: bool) -> list[Event]:
        """The connection is over."""

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due (seconds), or `None`."""

    def handle_timeout(self, now: float) -> list[Event]:
        """Do what is due."""
