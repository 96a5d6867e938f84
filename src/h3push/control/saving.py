"""The time that a push saves over a hint, in milliseconds: arithmetic of one link, no statistics.

With r the round trip, B the rate, W the congestion window, T the time that the server thinks, R the bytes of the page and S those
that go with it, nobody can have all of S earlier than ::

    n(X)   = ceil(log2(1 + X / W))                                   round trips of slow start for X bytes
    push   = r + max(T, (n(R + S) - 1) r, (R + S) / B)
    hint   = r + max(T, r, min(r, T) + (n(R + S) - 1) r, min(r, T) + (R + S) / B)

A hint is a 103 response that leaves at once: the requests that it causes are back after a round trip, and until then the link
carries the page at most. So a push saves min(r, T) or r - T of it, whichever the link has room for, and never more than r. What a
push is compared with is always the hint: a saving over nothing would claim what a hint gives without a wasted byte.

`idle` is the room: the bytes that may be sent before what was asked for needs the link, in slow start while the server thinks,
and in what the page leaves of the window afterwards.
"""

import math
from dataclasses import dataclass

INITIAL_WINDOW = 12_000
"""Bytes that a new connection may send before the first acknowledgment (RFC 9002 section 7.2)."""
ROUND_TRIP_MS = 100.0
"""Assumed where no log tells: the median of mobile access."""
RATE = 10_000_000
"""Assumed where no log tells, in bits per second."""
QUEUED = 1.25
"""Round trips so many times the shortest one wait in a queue: the window fills the link, and tells its rate."""
PRICE_MS_PER_KB = 0.2
"""Price of a wasted byte: milliseconds of saving that a wasted kilobyte has to be worth."""


@dataclass(frozen=True, slots=True)
class Path:
    """One link and one page; times in milliseconds, sizes in bytes."""

    round_trip: float = ROUND_TRIP_MS
    """The round trip."""
    rate: float = RATE / 8000
    """Bytes in a millisecond."""
    window: float = INITIAL_WINDOW
    """The congestion window when the page is asked for."""
    think: float = 0.0
    """From the page's request to its first byte."""
    page: float = 0.0
    """Bytes of the page."""

    def rounds(self, size: float) -> int:
        """Round trips of slow start for so many bytes."""
        return max(1, math.ceil(math.log2(1 + size / self.window))) if size > 0 else 1

    def pushed(self, size: float) -> float:
        """When the client has the page and `size` bytes that were pushed with it, at the earliest."""
        total = self.page + size
        return self.round_trip + max(self.think, (self.rounds(total) - 1) * self.round_trip, total / self.rate)

    def hinted(self, size: float) -> float:
        """The same when it was told of them by a 103 response and asked for them."""
        total, begin = self.page + size, min(self.round_trip, self.think)
        slow_start = begin + (self.rounds(total) - 1) * self.round_trip
        return self.round_trip + max(self.think, self.round_trip, slow_start, begin + total / self.rate)

    def saved(self, size: float) -> float:
        """How much earlier a push brings the last of `size` bytes than a hint; never below 0, never above a round trip."""
        return min(self.round_trip, max(0.0, self.hinted(size) - self.pushed(size)))

    @property
    def idle(self) -> float:
        """Bytes that delay nothing that was asked for."""
        per_round = self.rate * self.round_trip
        room = 0.0
        for number in range(min(30, math.ceil(self.think / self.round_trip))):
            left = self.think - number * self.round_trip
            room += min(self.window * 2**number, self.rate * min(self.round_trip, left))
        if self.think < self.round_trip:
            room -= min(self.page, self.window)
        return max(0.0, room) + max(0.0, min(per_round, self.window) - self.page)


def rate_of(window: float, round_trip: float, shortest: float) -> float:
    """Bytes in a millisecond. A window that has not filled the link yet tells only that it is no slower."""
    if round_trip > QUEUED * shortest:
        return window / round_trip
    return max(window / shortest, RATE / 8000)


def break_even(saved: float, size: float, delay: float, price: float = PRICE_MS_PER_KB, toll: float = 0.0) -> float:
    """The probability of use from which on a push pays: p = (D + s) / (saved + D + s), s the price of its bytes.

    Args:
        saved: milliseconds that it saves when it is used.
        size: its bytes.
        delay: milliseconds by which it delays what was asked for (D), 0 in idle time.
        price: milliseconds that a wasted kilobyte is worth.
        toll: milliseconds that a wasted push is worth, whatever its size.
    """
    cost = delay + price * size / 1000 + toll
    return cost / (saved + cost) if saved + cost > 0 else 1.0
