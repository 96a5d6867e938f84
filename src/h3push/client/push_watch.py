"""The time-out for what comes after everything that was asked for: pushes, and promises of more of them.

A server may promise a push and never send it, stop one in the middle, or keep a response open behind its content for promises
that do not come. While a request is under way that hurts nobody. Once what was asked for is complete, somebody may be waiting for
the pushes alone: then each has `push_timeout` from one sign of progress to the next. One that the application holds back itself,
because it does not read, is excused.
"""

from collections.abc import Iterable

from h3push.client.exchange import Exchange

LOOKS = 4
"""Looks within the time-out, from the first request on: so a stall is noticed at most a quarter of it late, and no event costs
anything for it."""


class PushWatch:
    """Looks at what is left, now and then."""

    def __init__(self, timeout: float | None) -> None:
        self.next_look: float | None = None
        """When `look` is due; `None` while nothing is watched."""
        self._timeout = timeout
        self._seen: dict[Exchange, tuple[object, float]] = {}

    def start(self, now: float) -> float | None:
        """Look when a quarter of the time-out is over; what was seen before does not count, for something was asked for since.

        Returns `next_look`.
        """
        if self._timeout is not None:
            self._seen = {}
            self.next_look = now + self._timeout / LOOKS
        return self.next_look

    def stop(self) -> None:
        """Nothing is left."""
        self.next_look = None
        self._seen = {}

    def look(self, now: float, left: Iterable[Exchange]) -> list[Exchange]:
        """See how far everything has come, now that all that was asked for is complete; what has not moved in the time-out."""
        assert self._timeout is not None
        stalled, seen = [], {}
        for exchange in left:
            progress = exchange.progress
            before, since = self._seen.get(exchange, (None, now))
            if progress is None or progress != before:
                since = now
            elif now >= since + self._timeout:
                stalled.append(exchange)
                continue
            seen[exchange] = progress, since
        self._seen = seen
        self.next_look = now + self._timeout / LOOKS
        return stalled
