"""Requests in early data (0-RTT, RFC 8470): which go to the handler at once, and which wait for the handshake.

Early data may be a replay: somebody on the way recorded it and sends it again, as often as he likes. A request without side
effects does no harm then, and gains a round trip. Everything else waits until the client has shown that it is there; its stream
is paused meanwhile, so that flow control bounds what is kept.
"""

from h3push.h3.events import Event, RequestReceived
from h3push.h3.server import H3ServerConnection
from h3push.http.semantics import SAFE_METHODS


class EarlyRequests:
    """The requests of one connection while its handshake is under way."""

    def __init__(self, core: H3ServerConnection) -> None:
        self._core = core
        self._held: list[Event] = []
        self._streams: set[int] = set()

    def hold_back(self, events: list[Event]) -> list[Event]:
        """The events that may be dealt with now."""
        return [event for event in events if not self._must_wait(event)]

    def _must_wait(self, event: Event) -> bool:
        stream_id = getattr(event, "stream_id", None)
        if isinstance(event, RequestReceived) and not (event.end_stream and event.request.method in SAFE_METHODS):
            self._streams.add(event.stream_id)
            self._core.pause(event.stream_id)
        elif stream_id is None or stream_id not in self._streams:
            return False
        self._held.append(event)
        return True

    def release(self) -> list[Event]:
        """The handshake is done: what was held back, in order."""
        for stream_id in self._streams:
            self._core.resume(stream_id)
        return self._held
