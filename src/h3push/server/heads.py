"""Requests that are not there yet: expected, begun and not complete, or stopped before they came."""

from h3push.h3.events import Event, MessageFailed, RequestReceived
from h3push.http.fields import RequestHead

UNREAD = RequestHead(method=b"-", scheme=None, authority=None, path=b"-", fields=[], content_length=None)
"""Stands for a request whose header section was too large to be read."""

MAX_UNWANTED = 1_000
"""Requests that were stopped before they came and that are remembered; beyond, their handlers run for nothing."""


class OpenHeads:
    """The header sections of one connection that are on their way (slowloris), and the requests that nobody wants any more.

    Args:
        seconds: a header section must be complete so long after its first byte; `None`: no limit.
    """

    __slots__ = ("_seconds", "awaited", "deadlines", "first_request_by", "unwanted")

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.awaited = False
        """True while something may be known of requests that have not come, so that `take` has to be asked when one does."""
        self.first_request_by: float | None = None
        """When the first request has to be there, in loop time; `None`: it is, or there is no limit."""
        self.deadlines: dict[int, float] = {}
        """When each has to be complete, by stream; the time-out is a constant, so the oldest is due first."""
        self.unwanted: set[int] = set()
        """Streams of requests that were stopped before they came."""

    def expect_first(self, by: float) -> None:
        """The first request has to be there by then, in loop time."""
        self.first_request_by = by
        self.awaited = True

    def begin(self, stream_id: int, now: float) -> bool:
        """A part of a header section is there. True when its time begins now."""
        if self._seconds is None or stream_id in self.deadlines:
            return False
        self.deadlines[stream_id] = now + self._seconds
        self.awaited = True
        return True

    def end(self, stream_id: int) -> None:
        """A header section is complete, or will not be."""
        self.deadlines.pop(stream_id, None)

    def refuse(self, stream_id: int) -> None:
        """The client wants no answer to a request that has not come yet."""
        if len(self.unwanted) < MAX_UNWANTED:
            self.unwanted.add(stream_id)
            self.awaited = True

    def take(self, stream_id: int) -> bool:
        """A request has come. True when nobody wants an answer to it any more."""
        self.first_request_by = None
        self.deadlines.pop(stream_id, None)
        is_unwanted = stream_id in self.unwanted
        self.unwanted.discard(stream_id)
        self.awaited = bool(self.deadlines or self.unwanted)
        return is_unwanted

    @property
    def deadline(self) -> float | None:
        """When the first time is over."""
        by, head = self.first_request_by, next(iter(self.deadlines.values()), None)
        return head if by is None or (head is not None and head < by) else by

    def take_missing(self, now: float) -> bool:
        """True, once, when the time for the first request is over."""
        if self.first_request_by is None or self.first_request_by > now:
            return False
        self.first_request_by = None
        return True

    def take_due(self, now: float) -> list[int]:
        """The streams whose time is over."""
        due = [stream_id for stream_id, deadline in self.deadlines.items() if deadline <= now]
        for stream_id in due:
            del self.deadlines[stream_id]
        return due

    def clear(self) -> None:
        """The connection is over."""
        self.deadlines.clear()
        self.unwanted.clear()


def without_malformed(events: list[Event]) -> list[Event]:
    """The same events without requests that turned out to be malformed in the same delivery: nobody is called for them."""
    failed = {event.stream_id for event in events if isinstance(event, MessageFailed)}
    if not failed:
        return events
    return [event for event in events if not isinstance(event, RequestReceived) or event.stream_id not in failed]
