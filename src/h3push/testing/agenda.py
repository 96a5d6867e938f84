"""A virtual clock and what is due on it: the heart of every rig that needs no real time.

Instants are integer nanoseconds that begin at 0. Two entries for one instant run in the order in which they were made, so
a run depends on nothing but its inputs.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from h3push.testing.link import NANOSECONDS

Entry = tuple[int, int, Callable[..., None], tuple[object, ...]]


class Livelock(AssertionError):
    """A rig ran more steps than its bound: two ends keep each other busy for ever, or a timer is always due."""


class Agenda:
    """Entries by instant, and the clock that follows them."""

    __slots__ = ("_count", "_entries", "now")

    def __init__(self) -> None:
        self.now = 0
        """Nanoseconds since the beginning."""
        self._entries: list[Entry] = []
        self._count = 0

    @property
    def seconds(self) -> float:
        """The clock in seconds, as the protocol core counts."""
        return self.now / NANOSECONDS

    @property
    def due(self) -> int | None:
        """The instant of the next entry, or `None` when nothing is to come."""
        return self._entries[0][0] if self._entries else None

    def at(self, instant: int, call: Callable[..., None], *arguments: object) -> None:
        """Have `call(*arguments)` made at `instant` (ns); now, when that has passed, but never from inside this call."""
        self._count += 1
        heappush(self._entries, (max(instant, self.now), self._count, call, arguments))

    def move_to(self, instant: int) -> None:
        """Let the clock go on to `instant` (ns); it never goes back."""
        self.now = max(self.now, instant)

    def step(self) -> None:
        """Move the clock to the next entry and run it; `IndexError` when there is none."""
        instant, _, call, arguments = heappop(self._entries)
        self.move_to(instant)
        call(*arguments)
