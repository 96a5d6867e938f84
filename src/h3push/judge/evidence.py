"""Evidence: what was seen of page views, one row for each response, and what counting makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from h3push.control.kinds import EvidenceClass

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "time": "string",
        "connection": "string",
        "view": "string",
        "page": "string",
        "method": "string",
        "path": "string",
        "position": "int64",
        "since_page_ms": "float64",
        "bytes": "int64",
        "duration_ms": "float64",
        "think_ms": "float64",
        "status": "int64",
        "outcome": "string",
        "push_id": "int64",
        "warm": "boolean",
        "rtt_ms": "float64",
        "window": "int64",
        "conditional": "boolean",
        "arm": "string",
        "pushes_used": "array<int64>",
        "pushes_unused": "array<int64>",
    }
)
"""The record: the columns that learning reads of a log, with Ibis's types. docs/reference/evidence.md tells each."""


@dataclass(frozen=True, slots=True)
class Count:
    """How often something was used, of how many times it could have been."""

    uses: int
    """Page views that needed it: it was asked for, or pushed and reported as used."""
    trials: int
    """Page views that tell. One in which it was pushed and nothing was reported tells nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something that may be pushed with a route's pages, as it was seen."""

    path: str
    """Its path, with the route's placeholders."""
    total: Count
    """Over all classes."""
    by_class: Mapping[EvidenceClass, Count] = field(default_factory=dict)
    """For each class that was seen."""
    size: float
    """Median of its bytes."""
    position: float
    """Median of its place behind the page."""
    since_page_ms: float
    """Median of the time from the page's request to its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The pages of one route, as they were seen; medians are `None` where no row tells."""

    route: str
    """A path, or a template such as `/orders/{1}`."""
    views: int
    """Page views."""
    page_bytes: float = 0.0
    """Median size of the page."""
    think_ms: float | None = None
    """Tenth percentile of the think time: the time that one can count on."""
    rtt_ms: float | None = None
    """Median round trip."""
    window: float | None = None
    """Median congestion window in bytes."""
    candidates: tuple[Candidate, ...] = ()
    """In the order in which they are needed."""
