"""Outcomes of the pushes of one connection, each counted once."""

from collections import Counter
from dataclasses import dataclass, field

from h3push.h3.push.rules import PushRefusal


@dataclass(slots=True)
class PushCounters:
    """The pushes of one connection, either role.

    When nothing is under way, `promised` is the sum of `fulfilled`, `cancelled`, `cancelled_by_peer` and `failed`.
    """

    promised: int = 0
    """Push IDs that were promised; on a client, those whose promise it accepted."""
    fulfilled: int = 0
    """Pushes whose whole response arrived (server: was acknowledged)."""
    cancelled: int = 0
    """Pushes called off by us."""
    cancelled_by_peer: int = 0
    """Pushes called off by the peer (CANCEL_PUSH, STOP_SENDING, GOAWAY, RESET_STREAM with H3_REQUEST_CANCELLED)."""
    failed: int = 0
    """Pushes that nobody called off and that are not whole: given up by the server or, on a client, malformed or late."""
    refused: Counter[PushRefusal] = field(default_factory=Counter)
    """Pushes not promised (server), or promised and not accepted (client), by reason."""
    content_bytes: int = 0
    """Content of pushed responses, sent or received."""
