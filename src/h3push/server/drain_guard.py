"""The drain time-out of the responses of one connection: a client that does not take what it asked for loses it.

Theory of operation. A client can stop reading long after the handler is done, and what waits for it holds memory and files. So a
response is guarded from its first byte until it is acknowledged, reset or called off, whatever its content is. No response
has a timer: the connection looks at all of them four times within `drain_timeout` and compares what the client has taken with
what it had taken before. A response that is acknowledged between two looks costs an entry in a dictionary.

A client has to take `LEAST_PROGRESS` within the time-out, as seen from here: QUIC takes what the client's flow control allows and
the send window holds. When nothing waits any more, the rest is on its way, of which nothing is seen before all of it is there: it
may take as long as that least rate gives it. It is excused for all of its responses together as long as it takes
that much for each of them on average: which of them goes first is our decision and its priorities', and the last one may have to
wait for long.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

from h3push.errors import H3PushError
from h3push.runtime.drain import LEAST_PROGRESS
from h3push.server.push import Push


class ResponseState(IntEnum):
    """How far a response has come."""

    WAITING = 0
    """Nothing final yet; interim responses may have passed."""
    HELD = 1
    """The start waits for content; nothing final has gone out."""
    STARTED = 2
    """The header section has gone out."""
    ENDED = 3
    """The end was handed to QUIC."""
    RESET = 4
    """We reset it: it could not be completed."""
    UNWANTED = 5
    """Nobody wants it any more: the client cancelled it, or the connection is over."""


class ResponseRow(Protocol):
    """A row of the access log, which is told when the response begins and how it ends."""

    def began(self) -> None:
        """The final header section was sent, or is held for the content that follows."""

    def ended(self) -> None:
        """The end of the response was handed to QUIC."""

    def given_up(self) -> None:
        """The response is about to be reset by us."""

    def unwanted(self, error: Exception) -> None:
        """Nobody takes the response any more."""


class OpenResponse(Protocol):
    """A response on its way, as its connection sees it."""

    @property
    def ended(self) -> bool:
        """True when nothing more of it will be sent: its end was, or it was reset, or nobody wants it."""

    @property
    def stream_id(self) -> int | None:
        """Its stream, once open."""

    @property
    def push(self) -> Push | None:
        """The push that it fulfils, if any."""

    failed: bool
    """True when our side could not make it whole."""
    bytes_sent: int
    """Content given to the transport so far, in bytes."""
    on_acknowledged: Callable[[], None] | None
    """Called when the client has all of it."""
    taken: int
    """Content that the client had taken when it last made progress; the guard's own note."""
    taken_at: float | None
    """When that was, in loop time; `None` before the first look."""

    def drained(self) -> None:
        """The transport has taken (nearly) all that was queued."""

    def send_held(self) -> None:
        """Send a start that waits for content, if one does."""

    def give_up(self, error: H3PushError) -> bool:
        """It is about to be reset, for its client does not take it; True when a sender waits and has been told by `error`."""

    def disconnect(self, error: H3PushError) -> bool:
        """Nobody wants it any more. False when that was known."""


class DrainGuard:
    """The responses of one connection that the client does not have yet.

    Args:
        waiting: how many bytes of a stream wait for the client to take them.
        send_window: how many bytes of a response can be on their way.
        seconds: the drain time-out; `None`: no limit.
    """

    __slots__ = ("_base", "_base_at", "_seconds", "_send_window", "_waiting", "acknowledged_bytes", "responses")

    def __init__(self, waiting: Callable[[int], int], send_window: int, seconds: float | None) -> None:
        self.responses: dict[int, OpenResponse] = {}
        """Begun and neither acknowledged nor given up, by stream."""
        self.acknowledged_bytes = 0
        """Content of responses that were acknowledged, in bytes; whoever takes one out for that counts it here."""
        self._waiting = waiting
        self._send_window = send_window
        self._seconds = seconds
        self._base = 0
        self._base_at = 0.0

    def look(self, now: float) -> list[OpenResponse]:
        """The responses whose client has made no progress for the time-out."""
        if self._seconds is None or not self.responses:
            return []
        waiting = {stream_id: self._waiting(stream_id) for stream_id in self.responses}
        taken = sum(one.bytes_sent for one in self.responses.values()) - sum(waiting.values())
        if self.acknowledged_bytes + taken - self._base >= LEAST_PROGRESS * len(waiting):
            self._base, self._base_at = self.acknowledged_bytes + taken, now
        return [one for stream_id, one in self.responses.items() if self._is_stalled(one, waiting[stream_id], now)]

    def _is_stalled(self, response: OpenResponse, waiting: int, now: float) -> bool:
        seconds, taken = self._seconds, response.bytes_sent - waiting
        assert seconds is not None
        waits_for_us = not waiting and not response.ended
        if response.taken_at is None or waits_for_us or taken - response.taken >= LEAST_PROGRESS:
            response.taken, response.taken_at = taken, now
            return False
        if not waiting:
            seconds *= max(1, min(taken, self._send_window) / LEAST_PROGRESS)
        return now - max(response.taken_at, self._base_at) >= seconds
