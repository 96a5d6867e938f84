"""The state that a server keeps for all its pages, and what belongs to one connection of it.

A `PageDelivery` lasts for one response; what it counts, remembers and draws lots for lasts longer, and is here. The holdings and
the group of a connection lie in its slot `Channel.tied`, so they end with it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h3push.delivery.counters import DeliveryCounters
from h3push.delivery.heads import PromisedHeads
from h3push.delivery.holdings import Holdings, Key
from h3push.h3.events import CancelledBy
from h3push.server.push import PushState
from h3push.server.request import Request

if TYPE_CHECKING:
    from h3push.control.controller import Controller

_ARM = object()
"""Key of a connection's group, for all deliveries of a server."""


@dataclass(slots=True, eq=False)
class DeliveryState:
    """State that a server keeps for all its pages."""

    counters: DeliveryCounters = field(default_factory=DeliveryCounters)
    """Counts of every outcome so far."""
    heads: PromisedHeads = field(default_factory=PromisedHeads)
    """The promised requests that were made before."""
    push_wait: float = 0.0
    """Seconds that a response is held open, after all of its content, for more push credit; each promise that gets through starts
    the time anew. Only for clients whose limit has moved before: with a fixed number of pushes none would come. 0: what has no
    credit at once is not pushed."""

    controller: "Controller | None" = None
    """Decides which resources of a plan are worth a push; `None`: all of them are."""
    draw: Callable[[], float] = random.SystemRandom().random
    """Returns a number from 0 to 1, by which a connection is held out of pushes or not."""

    def arm(self, request: Request) -> str | None:
        """The group of the request's connection, "none", "hint" or "push"; `None` while no share of them is held out."""
        share = request.settings.push_hold_out
        if not share:
            return None
        arm: str | None = request.tied.get(_ARM)
        if arm is None:
            drawn = self.draw()
            arm = request.tied[_ARM] = "none" if drawn < share / 2 else "hint" if drawn < share else "push"
        return arm

    def holdings(self, request: Request) -> Holdings | None:
        """The holdings of the request's connection; `None` while the client takes no pushes, for then nobody asks."""
        if request.max_push_id is None:
            return None
        tied = request.tied
        holdings: Holdings | None = tied.get(self)
        if holdings is None:
            holdings = tied[self] = Holdings()
        return holdings

    def asked(self, request: Request) -> None:
        """A request is there: what the client asks for it will have. What we promised is remembered since the promise."""
        if self.controller is not None:
            self.controller.asked(request)
        holdings = self.holdings(request) if request.fulfils is None else None
        if holdings is not None and request.head.method == b"GET":
            holdings.hold(key_of(request))

    def ended(self, request: Request, *, failed: bool) -> None:
        """A response is over; `failed`: we could not complete it, so the client was not given it."""
        push = request.fulfils
        if push is None:
            return
        cut_off = push.state is PushState.CANCELLED and push.cancelled_by in (CancelledBy.LOCAL, CancelledBy.FAILED)
        holdings = self.holdings(request)
        if holdings is not None and (cut_off or (failed and not request.disconnected)):
            holdings.forget(key_of(request))


def key_of(request: Request) -> Key:
    """The key of a request's own resource in the holdings."""
    head = request.head
    return (head.method, head.authority or b"", head.path or b"")
