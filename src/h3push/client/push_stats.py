"""The fate of the pushes that a client was promised."""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Unused(Enum):
    """Why a promised push was not used."""

    FRESH = "fresh"
    """The cache has an answer that is still fresh: cancelled at the promise."""
    REQUESTED = "requested"
    """The same thing was asked for already when the promise came: cancelled at the promise."""
    HELD = "held"
    """The same thing was pushed already and waits: cancelled at the promise."""
    REFUSED = "refused"
    """The application's `push=` refused it."""
    EVICTED = "evicted"
    """Nobody asked for it before a bound on count, bytes or age was reached."""
    CHANGED = "changed"
    """A request to its origin that is not safe (RFC 9110 section 9.2.1) may have put it out of date."""
    WITHDRAWN = "withdrawn"
    """The server called it off before its response began."""
    FAILED = "failed"
    """The server ended its response half way, it was malformed or too late, or the connection was lost."""


@dataclass(slots=True)
class PushStats:
    """Pushes of one client. `promised` is always the sum of `claimed`, `unclaimed` and all of `cancelled`."""

    promised: int = 0
    """Promises that could be used (RFC 9114 section 4.6)."""
    claimed: int = 0
    """Pushes that answered a request."""
    reused: int = 0
    """Requests that a stored push answered, after the one that it had answered first."""
    unclaimed: int = 0
    """Pushes that wait for a request."""
    cancelled: Counter[Unused] = field(default_factory=Counter)
    """Pushes that were not used, by reason."""
    bytes_claimed: int = 0
    """Content of the pushes that answered a request."""
    bytes_wasted: int = 0
    """Content that arrived for pushes that were not used. Bytes on their way when a push is cancelled are not seen here."""

    @property
    def round_trips_saved(self) -> int:
        """Requests that did not have to go to the server."""
        return self.claimed + self.reused
