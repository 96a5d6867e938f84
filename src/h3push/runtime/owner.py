"""The contract between an endpoint and whoever owns one of its connections."""

from typing import Any, Protocol

from h3push.h3.connection import H3Connection
from h3push.h3.events import Event


class EndpointOwner(Protocol):
    """The owner of a connection: a server's connection or a client's."""

    @property
    def core(self) -> H3Connection[Any]:
        """The protocol core."""

    handle: int
    """The transport's number for the connection."""
    address: tuple[str, int]
    """The peer's address."""

    @property
    def takes_early_data(self) -> bool:
        """True for a server's connection that looks at early data itself, which may be a replay (RFC 8470)."""

    def connected(self, early_data: bool, now: float) -> None:
        """The handshake is done, and the core is to be started. `early_data`: there was some, and the server took it."""

    def receive(self, events: list[Event]) -> None:
        """Take the events that the core made of something that arrived."""

    def data_without_event(self, stream_id: int) -> None:
        """Data arrived on a stream, and the core made no event of it."""

    def acknowledged(self, stream_id: int) -> None:
        """The peer has everything that was written to a stream, its end included."""

    def reset_received(self, stream_id: int) -> None:
        """The peer reset a stream, of which the core has perhaps told nothing yet."""

    def unsent(self, stream_id: int, size: int) -> None:
        """`size` bytes of a stream waited to be sent and will never be; the reason is told next."""

    def stop_received(self, stream_id: int) -> None:
        """The peer takes no more of a stream (STOP_SENDING); the core will be told next."""

    def file_failed(self, stream_id: int, reason: str) -> None:
        """A file could not be sent to its end: the transport has reset the stream, and the core knows nothing of it."""

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due, on the loop's clock."""

    def handle_timeout(self, now: float) -> None:
        """That time has come."""

    def closed(self, kind: str, error_code: int | None, reason: str) -> None:
        """The connection is over. `kind` is one of `_quic.CLOSED_*`."""
