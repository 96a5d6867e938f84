"""A budget for frames that cost us work and bring nothing: the flood limiter."""

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.h3.config import H3Config


class FloodBudget:
    """A token bucket for one connection: `flood_burst` at first, `flood_rate` a second, and some earned by real work.

    One bucket for all kinds of useless frames (RFC 9114 section 10.5): a peer that mixes its floods gains nothing. Ordinary
    peers send a handful of them, so the bound is far from what they do.
    """

    EARNED_BY_PROGRESS = 2
    """Given back by each request or push that completes: one reset and one cancellation."""

    __slots__ = ("_burst", "_filled_at", "_rate", "_tokens")

    def __init__(self, config: H3Config) -> None:
        self._burst = float(config.flood_burst)
        self._rate = config.flood_rate
        self._tokens = self._burst
        self._filled_at: float | None = None

    def charge(self, now: float, what: str) -> None:
        """Count one; raises H3_EXCESSIVE_LOAD when the budget is used up."""
        if self._filled_at is not None and now > self._filled_at:
            self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        self._tokens -= 1
        if self._tokens < 0:
            raise H3ConnectionError(ErrorCode.H3_EXCESSIVE_LOAD, f"too many {what}")

    def earn(self) -> None:
        """The peer made real progress."""
        tokens = self._tokens + self.EARNED_BY_PROGRESS
        self._tokens = tokens if tokens < self._burst else self._burst
