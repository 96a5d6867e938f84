"""Connections that somebody watches: every byte of every stream, in both directions, is shown to an observer.

They are classes of their own, so that a connection that nobody watches pays nothing. The observer stands between the core and
QUIC and cannot change anything; what the bytes mean it works out by itself (`qlog.observer`).
"""

from collections.abc import Callable
from typing import Protocol

from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.events import Event
from h3push.h3.push.counters import PushCounters
from h3push.h3.server import H3ServerConnection
from h3push.h3.transport import Transport


class Observer(Protocol):
    """An observer of a connection."""

    def sent(self, stream_id: int, data: bytes, fin: bool) -> None:
        """The core wrote bytes to a stream, and with `fin` its end."""

    def sent_elsewhere(self, stream_id: int, length: int) -> None:
        """The payload of the DATA frame that the core writes next goes to QUIC by another way: from a file."""

    def received(self, stream_id: int, data: bytes, fin: bool) -> None:
        """Bytes of a stream arrived, and with `fin` its end."""

    def push_resolved(self, push_id: int, *, claimed: bool) -> None:
        """The application used a push, or will not."""

    def closed(self) -> None:
        """The connection is over."""


class ObservedTransport:
    """A transport that shows what is written.

    Args:
        transport: the real one.
        observer: is told.
    """

    def __init__(self, transport: Transport, observer: Observer) -> None:
        self._transport = transport
        self._observer = observer

    def stream_credit(self, unidirectional: bool, wanted: int) -> int:
        """How many streams could be opened."""
        return self._transport.stream_credit(unidirectional, wanted)

    def open_stream(self, unidirectional: bool) -> int | None:
        """Open a stream."""
        return self._transport.open_stream(unidirectional)

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        """Queue bytes, and show them."""
        self._observer.sent(stream_id, data, fin)
        return self._transport.write(stream_id, data, fin)

    def send_stream(self, priority: int, data: bytes) -> int | None:
        """Open a stream and send all of it, and show that."""
        stream_id = self._transport.send_stream(priority, data)
        if stream_id is not None:
            self._observer.sent(stream_id, data, True)
        return stream_id

    def reset(self, stream_id: int, error_code: int) -> None:
        """Abandon sending."""
        self._transport.reset(stream_id, error_code)

    def stop(self, stream_id: int, error_code: int) -> None:
        """Ask the peer to stop sending."""
        self._transport.stop(stream_id, error_code)

    def pause(self, stream_id: int) -> None:
        """Deliver no more of a stream."""
        self._transport.pause(stream_id)

    def resume(self, stream_id: int) -> None:
        """Undo `pause`."""
        self._transport.resume(stream_id)

    def set_priority(self, stream_id: int, priority: int) -> None:
        """Higher goes first."""
        self._transport.set_priority(stream_id, priority)

    def close(self, error_code: int, reason: str) -> None:
        """Close the connection."""
        self._transport.close(error_code, reason)


class ObservedClientConnection(H3ClientConnection):
    """A client's connection that an observer watches."""

    def __init__(
        self,
        transport: Transport,
        config: H3Config | None,
        observer: Observer,
        *,
        is_authoritative: Callable[[bytes], bool] | None = None,
    ) -> None:
        super().__init__(ObservedTransport(transport, observer), config, is_authoritative=is_authoritative)
        self._observer = observer

    def receive_data(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Event]:
        """Data of a stream arrived: show it first."""
        self._observer.received(stream_id, data, fin)
        return super().receive_data(stream_id, data, fin, now)

    def receive_closed(self, error_code: int | None, reason: str, by_peer: bool) -> list[Event]:
        """The connection is over."""
        self._observer.closed()
        return super().receive_closed(error_code, reason, by_peer)

    def send_data_header(self, stream_id: int, length: int, end_stream: bool = False) -> bool:
        """Announce content that goes to QUIC by another way."""
        self._observer.sent_elsewhere(stream_id, length)
        return super().send_data_header(stream_id, length, end_stream)

    def push_resolved(self, push_id: int, *, claimed: bool) -> None:
        """The application used a push, or will not."""
        self._observer.push_resolved(push_id, claimed=claimed)


class ObservedServerConnection(H3ServerConnection):
    """A server's connection that an observer watches."""

    def __init__(
        self, transport: Transport, config: H3Config | None, push_counters: PushCounters | None, observer: Observer
    ) -> None:
        super().__init__(ObservedTransport(transport, observer), config, push_counters)
        self._observer = observer

    def receive_data(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Event]:
        """Data of a stream arrived: show it first."""
        self._observer.received(stream_id, data, fin)
        return super().receive_data(stream_id, data, fin, now)

    def receive_closed(self, error_code: int | None, reason: str, by_peer: bool) -> list[Event]:
        """The connection is over."""
        self._observer.closed()
        return super().receive_closed(error_code, reason, by_peer)

    def send_data_header(self, stream_id: int, length: int, end_stream: bool = False) -> bool:
        """Announce content that goes to QUIC by another way."""
        self._observer.sent_elsewhere(stream_id, length)
        return super().send_data_header(stream_id, length, end_stream)
