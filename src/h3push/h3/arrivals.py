"""Which requests have come, and what was said of those that have not."""

from bisect import bisect_right
from collections import OrderedDict

from h3push.http.priority import Priority


class RequestArrivals:
    """The client's request streams, in the order of their coming.

    QUIC gives no order between streams, so a request may come behind a later one. What was skipped is remembered as ranges: the
    highest stream ID may come first, and costs one range.

    Args:
        max_priorities: priorities kept for requests that have not come; the oldest is dropped.
    """

    __slots__ = ("_gap_ends", "_gap_starts", "_max_priorities", "early_priorities", "next_request")

    def __init__(self, max_priorities: int) -> None:
        self.next_request = 0
        """Stream ID above all that were heard of."""
        self.early_priorities: OrderedDict[int, Priority] = OrderedDict()
        """From PRIORITY_UPDATE, by stream ID (RFC 9218 section 7)."""
        # What was skipped below `next_request`: disjoint ranges in order, each from its start to before its end.
        self._gap_starts: list[int] = []
        self._gap_ends: list[int] = []
        self._max_priorities = max_priorities

    def note(self, stream_id: int) -> None:
        """Something came on a request stream for the first time."""
        expected = self.next_request
        if stream_id >= expected:
            if stream_id > expected:
                self._gap_starts.append(expected)
                self._gap_ends.append(stream_id)
            self.next_request = stream_id + 4
            return
        index = self._gap_of(stream_id)
        if index is not None:
            parts = [(self._gap_starts[index], stream_id), (stream_id + 4, self._gap_ends[index])]
            left = [part for part in parts if part[0] < part[1]]
            self._gap_starts[index : index + 1] = [start for start, _ in left]
            self._gap_ends[index : index + 1] = [end for _, end in left]

    def awaits(self, stream_id: int) -> bool:
        """True when a request is still to come."""
        return stream_id >= self.next_request or self._gap_of(stream_id) is not None

    @property
    def gaps(self) -> int:
        """How many ranges of skipped streams are remembered."""
        return len(self._gap_starts)

    def _gap_of(self, stream_id: int) -> int | None:
        index = bisect_right(self._gap_starts, stream_id) - 1
        return index if index >= 0 and stream_id < self._gap_ends[index] else None

    def keep_priority(self, stream_id: int, priority: Priority) -> None:
        """Keep the priority of a request that has not come."""
        self.early_priorities[stream_id] = priority
        self.early_priorities.move_to_end(stream_id)
        while len(self.early_priorities) > self._max_priorities:
            self.early_priorities.popitem(last=False)
