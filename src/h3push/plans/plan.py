"""Plans: the resources that may be pushed for a page, in the order in which the page needs them, as frozen values.

A plan knows nothing of clients or credit. Whoever carries it out asks the ledger what a connection has got already and the
connection how many pushes it takes.
"""

from dataclasses import dataclass, field
from enum import Enum, IntEnum

from h3push.http.fields import Field
from h3push.http.priority import Priority


class ResourceKind(Enum):
    """The role of a resource in its page: the `as` of a preload link (HTML Standard, section 4.6.7.18)."""

    STYLE = "style"
    """A style sheet."""
    SCRIPT = "script"
    """A classic or module script."""
    FONT = "font"
    """A font that a style sheet's @font-face names."""
    IMAGE = "image"
    """An image, of the page or of a style sheet."""
    FETCH = "fetch"
    """Data that the page's author preloads for a script."""


class Stage(IntEnum):
    """When the page needs a resource; a lower stage is needed earlier."""

    BLOCKING = 0
    """Nothing is shown before: style sheets, their imports, and scripts that stop the parser."""
    FONT = 1
    """Text is shown late, or in another font first, until it is there."""
    DEFERRED = 2
    """Runs when the page is parsed, or whenever it arrives: defer, async and module scripts, preloaded data."""
    IMAGE = 3
    """Fills a place on a page that is readable without it."""


URGENCY = {Stage.BLOCKING: 1, Stage.FONT: 2, Stage.DEFERRED: 4, Stage.IMAGE: 5}
"""Urgency (RFC 9218 section 4.1; 0 is first, 7 last, 3 the default) of each stage. They order pushes among
themselves: the server sends what was requested before anything that was pushed, whatever its urgency."""

_PRIORITIES = {stage: Priority(urgency=urgency, incremental=stage is Stage.IMAGE) for stage, urgency in URGENCY.items()}


class PlanSource(Enum):
    """The source of the knowledge that a page needs its resources."""

    PAGE_SCAN = "page scan"
    """The page's HTML and CSS were read."""
    MANIFEST = "manifest"
    """A file says so (`--push-manifest`)."""
    LINK = "link"
    """A `Link: rel=preload` field of a response, final or interim, or of an early-hint event."""
    LEARNED = "learned"
    """Clients asked for them after the page, or used them when they were pushed (`--push learned`)."""
    APPLICATION = "application"
    """The application asked for it while it answered: `h3push.push`, or ASGI's push event."""


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """One resource that a page needs."""

    path: str
    """Its `:path`: absolute path and query, percent-encoded, without fragment."""
    kind: ResourceKind
    """Its role in the page."""
    stage: Stage
    """When the page needs it."""
    named_in: str
    """`:path` of the page or style sheet that names it."""
    method: str = "GET"
    """Method of the promised request: GET, or HEAD."""
    fields: tuple[Field, ...] = ()
    """Request fields that its source gave for the promised request, names in lower case."""
    wanted_priority: Priority | None = None
    """Priority that its source asked for."""
    link: str | None = None
    """The Link field value that says so, as its source wrote it."""

    @property
    def priority(self) -> Priority:
        """The priority to push it with; images are useful in pieces, the rest only when it is whole."""
        if self.wanted_priority is not None:
            return self.wanted_priority
        return _PRIORITIES[self.stage]


@dataclass(frozen=True, slots=True)
class PushPlan:
    """Everything that may be pushed for a page."""

    page: str
    """`:path` of the page."""
    source: PlanSource
    """The source of the plan."""
    resources: tuple[PlannedResource, ...] = ()
    """In the order in which the page needs them, each path once, the page itself never."""
    left_out: int = 0
    """Resources that the page needs and that a bound kept out of the plan."""
    sheets: tuple[str, ...] = field(default=())
    """`:path` of every style sheet that was read for the plan: when one of them changes, the plan is stale."""
    complete: bool = True
    """False when a bound of work ended the scan early: there may be more that the page needs."""
