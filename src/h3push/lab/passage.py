"""One direction of an emulated link in real time: the rules of `testing.link`, the clock of the event loop.

Theory of operation. A `Link` answers at once when a packet arrives; here that instant is waited for. All packets under way stand
in one heap under one timer. None leaves early. Some leave late, because a timer fires late and because other packets are being
handed on: how late is measured for each, and told, so that nobody has to believe the emulation unseen.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import NamedTuple

from h3push.testing.link import NANOSECONDS, Link, LinkSettings

MOST_BYTES = 256 * 1024 * 1024
"""Bytes under way in one direction at most, whatever queue and rate allow; a packet beyond them is dropped."""
_SAMPLES = 100_000
"""Measurements that are kept for percentiles; of more, each has the same chance."""


class _Waiting(NamedTuple):
    due: int
    number: int
    sent: int
    size: int
    deliver: Callable[[], None]


class Sample:
    """A sample of measurements in seconds, for percentiles."""

    __slots__ = ("_random", "_values", "count", "largest")

    def __init__(self) -> None:
        self.count = 0
        """Measurements so far."""
        self.largest = 0.0
        """The largest of all."""
        self._values: list[float] = []
        self._random = Random(0)  # noqa: S311 - a sample, not secrets

    def add(self, value: float) -> None:
        """Count one measurement."""
        self.count += 1
        self.largest = max(self.largest, value)
        if len(self._values) < _SAMPLES:
            self._values.append(value)
        elif (place := self._random.randrange(self.count)) < _SAMPLES:
            self._values[place] = value

    def percentiles(self, *shares: float) -> Sequence[float]:
        """The quantiles at these shares (0 to 1); zeros when nothing was measured."""
        found = sorted(self._values) or [0.0]
        return [found[min(len(found) - 1, round(share * (len(found) - 1)))] for share in shares]


@dataclass(frozen=True, slots=True)
class Passed:
    """The account of one direction."""

    packets: int
    """Packets that came to the link."""
    octets: int
    """Their bytes, with the headers of IP and UDP or TCP."""
    dropped: int
    """Packets that found the queue full."""
    lost: int
    """Packets lost on the wire."""
    delay: Sample
    """From arriving at the link to leaving it, in seconds."""
    late: Sample
    """Delay behind the emulation's own schedule, in seconds."""


class Passage:
    """One direction.

    Args:
        settings: delay, rate, queue and loss.
        seed: decides what is lost.
    """

    def __init__(self, settings: LinkSettings, *, seed: int | str = 0) -> None:
        self.link = Link(settings, seed=seed)
        """The emulation."""
        self._loop = asyncio.get_running_loop()
        self._heap: list[_Waiting] = []
        self._bytes = 0
        self._number = 0
        self._overfull = 0
        self._timer: asyncio.TimerHandle | None = None
        self._delay, self._late = Sample(), Sample()

    @property
    def passed(self) -> Passed:
        """The account so far."""
        counters = self.link.counters
        dropped = counters.dropped + self._overfull
        return Passed(counters.packets, counters.octets, dropped, counters.lost, self._delay, self._late)

    def send(self, size: int, deliver: Callable[[], None]) -> bool:
        """Give a packet of `size` bytes to the link; `deliver` is called when it arrives. False when it will not."""
        now = self._now()
        arrivals = self.link.send(now, size)
        for due in arrivals:
            if self._bytes + size > MOST_BYTES:
                self._overfull += 1
                return False
            self._bytes += size
            self._number += 1
            heappush(self._heap, _Waiting(due, self._number, now, size, deliver))
        if arrivals:
            self._set_timer()
        return bool(arrivals)

    def close(self) -> None:
        """Forget what is under way."""
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> int:
        return round(self._loop.time() * NANOSECONDS)

    def _set_timer(self) -> None:
        due = self._heap[0].due / NANOSECONDS
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        self._timer = None
        now = self._now()
        while self._heap and self._heap[0].due <= now:
            waiting = heappop(self._heap)
            self._bytes -= waiting.size
            self._delay.add((now - waiting.sent) / NANOSECONDS)
            self._late.add((now - waiting.due) / NANOSECONDS)
            waiting.deliver()
            now = self._now()
        if self._heap:
            self._set_timer()
