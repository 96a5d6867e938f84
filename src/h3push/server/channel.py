"""The part of a connection that its requests see: the way out, what the client has not acknowledged, and what is tied to it.

Theory of operation. What is sent takes effect at once; one flush at the end of the turn puts it on the wire. While something is
pending, the connection looks at all of it four times within the shortest time-out (`look`): it names the responses that their
client does not take, and has PINGs sent only as long as something is pending, so that a client that waits in silence is not
lost. Whatever becomes pending says so (`look_soon`); in between it costs nothing.

The start of a response may wait for its content until the turn of the loop is over (`hold`), so that both go out in one write.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from h3push.errors import ErrorCode
from h3push.h3.server import H3ServerConnection
from h3push.http.content import PIECE_BYTES, BytesPart, FileContent
from h3push.http.fields import Field, Fields
from h3push.http.headers import has_field
from h3push.quic.driver import bytes_waiting, send_file, send_part
from h3push.runtime.credit import CreditQueue
from h3push.runtime.drain import LOOKS
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.inbox import UnreadBudget
from h3push.runtime.settings import ServerSettings
from h3push.server.counters import ServerCounters
from h3push.server.drain_guard import DrainGuard, OpenResponse
from h3push.server.identities import Identities

KEEP_ALIVE = 5.0
"""Seconds between two PINGs while a response is pending, at most: QUIC does not tell the client's idle time-out, and none that is
known is shorter."""

_NO_LIMIT = 60.0
"""Seconds that stand for the time-outs where there is none: what is pending is looked at all the same."""

logger = logging.getLogger("h3push.server")


class Channel(ABC):
    """One connection, as its requests and responses see it.

    Args:
        endpoint: moves the packets.
        handle: the transport's number for the connection.
        address: the client's address and port.
        core: the protocol.
        settings: time-outs and bounds.
        counters: those of the server.
        date: gives the Date field for responses that have none; `None`: no such field is added.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        handle: int,
        address: tuple[str, int],
        core: H3ServerConnection,
        *,
        settings: ServerSettings,
        counters: ServerCounters,
        date: Callable[[], Field | None],
    ) -> None:
        self.core = core
        self.handle = handle
        """The transport's number for this connection."""
        self.address = address
        """The client's address and port."""
        self.settings = settings
        self.counters = counters
        self.date = date
        """Gives the Date field to add to responses, if any."""
        self.piece = min(PIECE_BYTES, settings.send_high_water)
        """Content up to this size goes out at once, in bytes."""
        self.guard = DrainGuard(self.waiting, settings.send_window, settings.drain_timeout)
        """Responses that were begun and not yet acknowledged, and the time-out for clients that do not take them."""
        self.streams = CreditQueue()
        """Pushed responses that wait for their stream."""
        self.tied: dict[object, Any] = {}
        """State that others tie to this connection, each under a key of its own; gone with the connection."""
        self.identities: Identities | None = None
        """The certificates that the server had when the connection began, where they are known."""
        self.unread: UnreadBudget | None = None
        """Counts what waits for handlers, over all connections of the server."""
        self.next_look: float | None = None
        """When what is pending is looked at next, in loop time; `None` while nothing is."""
        self._endpoint = endpoint
        self._held: list[OpenResponse] = []
        self._look_interval = _look_interval(settings)
        self._kept_alive = False

    @abstractmethod
    def schedule_flush(self) -> None:
        """See that what was written is sent at the end of this turn."""

    @property
    def info(self) -> dict[str, object]:
        """Facts of the handshake: `alpn`, `server_name`, `cipher_suite`, `peer_certificates`, `resumed`, ..."""
        return self._endpoint.driver.info(self.handle)

    @property
    def stats(self) -> Mapping[str, int | float]:
        """The path's measures, `rtt` (seconds) and `congestion_window` (bytes) among them; empty when the connection is gone."""
        return self._endpoint.driver.stats(self.handle)

    @property
    def local_address(self) -> tuple[str, int]:
        """The address and port that the server listens on and the client came to."""
        return self._endpoint.local_address

    # content of requests, in the words of `inbox.FlowControl`

    def pause(self, stream_id: int) -> None:
        """Take no more content of this stream."""
        self.core.pause(stream_id)

    def resume(self, stream_id: int) -> None:
        """Go on taking content."""
        self.core.resume(stream_id)
        self.schedule_flush()

    def silence(self, stream_id: int) -> str:
        """Nothing more is known about a client that sends no content."""
        return ""

    # responses

    def dated(self, fields: Fields) -> Fields:
        """The same fields, with Date where it is missing and the server sends one."""
        date = self.date()
        return fields if date is None or has_field(fields, b"date") else [*fields, date]

    def send_file(self, stream_id: int, file: FileContent, size: int, end: bool) -> None:
        """Send a part of a file as one DATA frame."""
        send_file(self.core, self._endpoint.driver, self.handle, stream_id, file, size, end)
        self.schedule_flush()

    def send_part(self, stream_id: int, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes as one DATA frame; how many bytes wait."""
        queued = send_part(self.core, self._endpoint.driver, self.handle, stream_id, part, end)
        self.schedule_flush()
        return queued

    def reset(self, stream_id: int, code: int) -> None:
        """Reset a response that is not acknowledged, though its end may have been sent."""
        self.core.reset_stream(stream_id, code)
        self._endpoint.driver.reset(self.handle, stream_id, code)
        self.schedule_flush()

    def waiting(self, stream_id: int) -> int:
        """How many bytes of a stream wait for the client to take them."""
        return bytes_waiting(self._endpoint.driver, self.handle, stream_id)

    def hold(self, response: OpenResponse) -> None:
        """Have the start of a response sent when this turn of the loop is over, unless it goes out before."""
        if not self._held:
            self._endpoint.loop.call_soon(self._send_held)
        self._held.append(response)

    def _send_held(self) -> None:
        held, self._held = self._held, []
        for response in held:
            try:
                response.send_held()
            except Exception:  # the starts behind it are other requests'
                logger.exception("%r: its start could not be sent", response)

    # what is pending

    def look_soon(self) -> None:
        """Something is pending: look after a while what became of it, unless that is planned already."""
        if self.next_look is None:
            self.next_look = self._endpoint.loop.time() + self._look_interval
            self.schedule_flush()

    def look(self, now: float, *, pending: bool) -> list[OpenResponse]:
        """Look at what is pending; the responses that their client does not take.

        Args:
            now: loop time.
            pending: something is pending beside the responses that are guarded.
        """
        stalled = self.guard.look(now)
        pending = pending or len(self.guard.responses) > len(stalled)
        self.keep_alive(pending)
        self.next_look = now + self._look_interval if pending else None
        return stalled

    def keep_alive(self, wanted: bool) -> None:
        """Send PINGs, or no more: a client that waits for us and says nothing must not be lost (RFC 9114 section 5.1)."""
        if wanted is not self._kept_alive and not self.core.is_closed:
            self._kept_alive = wanted
            idle = self.settings.idle_timeout
            interval = min(idle / 3, KEEP_ALIVE) if idle else KEEP_ALIVE
            self._endpoint.driver.set_keep_alive(self.handle, interval if wanted else None)

    # the end

    def go_away(self) -> None:
        """Say that no further request will be answered (RFC 9114 section 5.2)."""
        if not self.core.is_closed:
            self.core.send_goaway()
            self.schedule_flush()

    def close(self, reason: str = "") -> None:
        """Close with H3_NO_ERROR; what is under way is lost."""
        if not self.core.is_closed:
            self.core.close(ErrorCode.H3_NO_ERROR, reason)
            self.schedule_flush()


def _look_interval(settings: ServerSettings) -> float:
    """Seconds between two looks at what is pending."""
    drain, idle = settings.drain_timeout, settings.idle_timeout
    return min(drain or idle or _NO_LIMIT, idle or drain or _NO_LIMIT) / LOOKS
