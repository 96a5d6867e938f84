"""A set of IDs, of pushes or of streams, kept as ranges."""

from bisect import bisect_right


class IdRanges:
    """Push IDs that are finished, as disjoint ranges.

    IDs finish nearly in order, and those that are not finished are bounded by the client's grant; so a connection with a million
    finished pushes holds a handful of ranges, never more than the number of unfinished IDs plus one.
    """

    __slots__ = ("_ends", "_starts", "count")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.count = 0
        """How many IDs are in the set."""

    def __contains__(self, push_id: int) -> bool:
        index = bisect_right(self._starts, push_id) - 1
        return index >= 0 and push_id <= self._ends[index]

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, push_id: int) -> bool:
        """Add an ID; False when it was in the set already."""
        starts, ends = self._starts, self._ends
        index = bisect_right(starts, push_id) - 1
        if index >= 0 and push_id <= ends[index]:
            return False
        self.count += 1
        joins_left = index >= 0 and ends[index] == push_id - 1
        joins_right = index + 1 < len(starts) and starts[index + 1] == push_id + 1
        if joins_left and joins_right:
            ends[index] = ends.pop(index + 1)
            del starts[index + 1]
        elif joins_left:
            ends[index] = push_id
        elif joins_right:
            starts[index + 1] = push_id
        else:
            starts.insert(index + 1, push_id)
            ends.insert(index + 1, push_id)
        return True
