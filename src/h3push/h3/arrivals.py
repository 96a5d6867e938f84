"""Which requests have come, and what was said of those that have not."""

from collections import OrderedDict

from h3push.http.priority import Priority


class RequestArrivals:
    """The client's request streams, in the order of their coming.

    QUIC gives no order between streams, so a request may come behind a later one. Those that were skipped are remembered; QUIC's
    limit on streams bounds how many there can be.

    Args:
        max_priorities: priorities kept for requests that have not come; the oldest is dropped.
    """

    __slots__ = ("_max_priorities", "early_priorities", "next_request", "skipped")

    def __init__(self, max_priorities: int) -> None:
        self.next_request = 0
        """Stream ID above all that were heard of."""
        self.skipped: set[int] = set()
        """Stream IDs below it that were not."""
        self.early_priorities: OrderedDict[int, Priority] = OrderedDict()
        """From PRIORITY_UPDATE, by stream ID (RFC 9218 section 7)."""
        self._max_priorities = max_priorities

    def note(self, stream_id: int) -> None:
        """Something came on a request stream for the first time."""
        expected = self.next_request
        if stream_id < expected:
            self.skipped.discard(stream_id)
            return
        if stream_id > expected:
            self.skipped.update(range(expected, stream_id, 4))
        self.next_request = stream_id + 4

    def awaits(self, stream_id: int) -> bool:
        """True when a request is still to come."""
        return stream_id >= self.next_request or stream_id in self.skipped

    def keep_priority(self, stream_id: int, priority: Priority) -> None:
        """Keep the priority of a request that has not come."""
        self.early_priorities[stream_id] = priority
        self.early_priorities.move_to_end(stream_id)
        while len(self.early_priorities) > self._max_priorities:
            self.early_priorities.popitem(last=False)
