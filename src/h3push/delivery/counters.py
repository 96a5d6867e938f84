"""Counts of resources by outcome: pushed, hinted at, refused.

The core counts what becomes of each push (`h3.push.counters`); this counts every resource of a plan, pushed or not.
"""

from collections import Counter
from dataclasses import dataclass, field

from h3push.delivery.decision import Way
from h3push.h3.push.rules import NO_CREDIT, PushRefusal


@dataclass(slots=True)
class DeliveryCounters:
    """Resources by outcome, over all connections; live."""

    ways: Counter[Way] = field(default_factory=Counter)
    """Resources by the way they went out."""
    refusals: Counter[PushRefusal] = field(default_factory=Counter)
    """Resources that were not pushed, by reason; those that were hinted at instead are in `ways` as well."""
    early_hints: int = 0
    """103 responses that were sent with Link fields."""
    left_out: int = 0
    """Resources that a bound kept out of a plan."""
    fields_refused: int = 0
    """Link values that were not sent, for the characters in them."""


@dataclass(frozen=True, slots=True)
class PushTotals:
    """Totals over all connections, of the resources that requested pages needed."""

    promised: int
    """Promises sent."""
    refused: int
    """Not promised: the client gave no credit for it, or is going away."""
    given_before: int
    """Not promised: this connection has it already."""
    missing: int
    """Not promised: the page names it, and there is no such file."""
    left_out: int
    """Not promised: over the bound on resources of one page."""
    hinted: int
    """Named in a 103 or a Link field instead."""

    @classmethod
    def of(cls, counters: DeliveryCounters, missing: int) -> "PushTotals":
        """The totals of a server, from what its deliveries counted."""
        return cls(
            promised=counters.ways[Way.PUSH],
            refused=sum(counters.refusals[one] for one in (*NO_CREDIT, PushRefusal.LIMIT, PushRefusal.GOING_AWAY)),
            given_before=counters.refusals[PushRefusal.HAS_IT],
            missing=missing,
            left_out=counters.left_out,
            hinted=counters.ways[Way.EARLY_HINT] + counters.ways[Way.LINK],
        )
