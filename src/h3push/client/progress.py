"""The progress of a response at the client: its moments, and the states of a push as an application sees them.

`ReceivedState` is the client's table of `h3push.h3.push.states` in fewer words: whether a push stream was there is nothing to an
application. It is nowhere kept, but follows from what the core has told.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(slots=True)
class Timing:
    """The moments of a response, in seconds of the loop's clock."""

    started: float
    """The request went out, or the promise came in."""
    first_byte: float | None = None
    """The final response's header section arrived."""
    ended: float | None = None
    """The response was complete, or failed."""


class ReceivedState(Enum):
    """How far a push has come, seen from the client."""

    PROMISED = "promised"
    """Its response has not begun."""
    OPEN = "open"
    """Its response is arriving."""
    FULFILLED = "fulfilled"
    """Its response has arrived whole."""
    CANCELLED = "cancelled"
    """It was called off, by either side."""
    FAILED = "failed"
    """Its response was malformed, given up by the server, did not come in time, or the connection was lost."""
