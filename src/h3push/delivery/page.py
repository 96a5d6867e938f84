"""Carries plans out: gives one client what goes with one page, as push, 103 or Link field, and counts what became of it.

Theory of operation. `PageDelivery` belongs to one request. Every source of pushes hands it plans; for each resource it asks, in
this order: may such a thing be pushed at all, does the client take pushes for this request, has the connection given it the
resource already, is the connection held out of pushes, does it promise the resource. If a push is refused for a reason that a
hint still helps with, the resource is hinted at; `delivery.decision.DELIVERY` says in which way at this moment.

Everything here takes effect at once, in the caller's turn; only `wait_for_credit` waits.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from h3push.control.decision import Action
from h3push.delivery.counters import DeliveryCounters
from h3push.delivery.decision import (
    AGREED,
    DELIVERY,
    WORTH_A_HINT,
    Moment,
    Way,
    refused_by_request,
)
from h3push.delivery.heads import PagePromises
from h3push.delivery.hints import PageHints
from h3push.delivery.holdings import Holdings, Key
from h3push.delivery.state import DeliveryState, key_of
from h3push.errors import LocalProtocolError
from h3push.h3.push.rules import NO_CREDIT, NOT_AGREED, PushRefusal
from h3push.http.fields import Field, Fields
from h3push.http.semantics import freshness_lifetime, names_validator
from h3push.plans.links import SortedLinks
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan
from h3push.server.push import Push
from h3push.server.request import Request


@dataclass(slots=True, unsafe_hash=True)  # not frozen, which would triple its price
class Delivered:
    """The outcome for one resource. Not to be changed."""

    path: str
    """The path, percent-encoded where it could be understood."""
    way: Way
    """The way by which the client gets it or learns of it."""
    refusal: PushRefusal | None = None
    """Why it was not pushed; `None` when it was."""
    push: Push | None = None
    """The push, when there is one: its `state`, `cancel()`, `done()`."""


class PageDelivery:
    """Delivers what goes with one response."""

    # Class attributes are the defaults, so that a response that nothing goes with pays for none of it.
    _waiting: tuple[PlannedResource, ...] = ()
    _held: tuple[PushPlan, ...] = ()
    _hints: PageHints | None = None
    _holdings: Holdings | None = None
    _agreed: bool = False
    _promises: PagePromises | None = None

    def __init__(self, request: Request, state: DeliveryState) -> None:
        self.request = request
        """The page's request."""
        self._state = state
        state.asked(request)

    # what the client takes

    @property
    def takes_pushes(self) -> bool:
        """True when the client agreed to pushes and this request does not say otherwise; credit is another matter."""
        return self.request.takes_pushes and self._refused_by_request() is None

    @property
    def is_conditional(self) -> bool:
        """True when the client has a copy of the page and most likely of what goes with it."""
        return names_validator(self.request.head.fields)

    @property
    def moment(self) -> Moment:
        """Progress of the response. A pushed response has no stream for hints before it begins, and HTTP/1.1 is told none."""
        if self.request.status is not None:
            return Moment.STARTED
        request = self.request
        no_more = request.fulfils is not None or (self._hints is not None and self._hints.exhausted)
        return Moment.START if no_more or not request.takes_interim else Moment.BEFORE

    # plans in

    def carry_out(self, plan: PushPlan, *, moment: Moment | None = None) -> list[Delivered]:
        """Deliver every resource of a plan; `moment` when it is later than the request shows."""
        self.counters.left_out += plan.left_out
        controller = self._state.controller
        judged = None
        if controller is not None:
            named, arm = plan.source is not PlanSource.LEARNED, self._state.arm(self.request)
            judged = controller.judge(self.request, plan.resources, named=named, arm=arm, holds=self._holds)
        if judged is None:
            return [self.deliver(resource, moment=moment) for resource in plan.resources]
        return [self._deliver_judged(resource, action, moment) for resource, action, _ in judged]

    def _deliver_judged(self, resource: PlannedResource, action: Action, moment: Moment | None) -> Delivered:
        """Deliver one resource in the way that the controller has chosen."""
        if action in {Action.PUSH, Action.DEFER}:
            return self.deliver(resource, moment=moment, deferred=action is Action.DEFER)
        is_held_out = self._state.arm(self.request) == "none"
        worth = action is Action.HINT and not is_held_out
        return self._done(resource, self._hinted(resource, moment) if worth else Way.NONE, PushRefusal.NOT_WORTH)

    def carry_out_early(self, *plans: PushPlan) -> None:
        """Deliver plans that are known before the page is made: at once, as promises or as one 103 for all of them.

        Not when the client has a copy of the page: then what goes with it waits for the answer, and for 304 is not needed.
        """
        if self.is_conditional:
            self._held = (*self._held, *plans)
            return
        for plan in plans:
            self.carry_out(plan)
        self.flush_hints()

    def carry_out_held(self) -> None:
        """Deliver the plans that waited, for the page turned out to be new to the client."""
        held, self._held = self._held, ()
        for plan in held:
            self.carry_out(plan, moment=Moment.START)

    def carry_out_links(self, links: SortedLinks, *, moment: Moment | None = None) -> None:
        """Deliver what a message's Link fields name; those that are for the client alone go out as hints, if they still can."""
        self.counters.fields_refused += links.refused
        self.carry_out(links.plan, moment=moment)
        if links.hints and (moment or self.moment) is Moment.BEFORE:
            self.hints.add_texts(links.hints)

    def deliver(
        self,
        resource: PlannedResource,
        *,
        moment: Moment | None = None,
        credentials: bool = False,
        deferred: bool = False,
    ) -> Delivered:
        """Deliver one resource; a deferred push is promised now and sent a round trip later."""
        refusal, push = self._try_push(resource, credentials=credentials, deferred=deferred)
        if push is not None:
            return self._done(resource, Way.PUSH, None, push)
        assert refusal is not None
        more_may_come = self._state.push_wait > 0 and self.request.push_limit_moves
        if refusal in NO_CREDIT and more_may_come:
            self._waiting = (*self._waiting, resource)
            return Delivered(resource.path, Way.NONE, refusal)
        worth = refusal in WORTH_A_HINT or (refusal is PushRefusal.HOLD_OUT and self.request.arm == "hint")
        return self._done(resource, self._hinted(resource, moment) if worth else Way.NONE, refusal)

    def _hinted(self, resource: PlannedResource, moment: Moment | None) -> Way:
        """Tell the client of a resource, and in which way."""
        way = DELIVERY[not AGREED, moment or self.moment] if resource.method == "GET" else Way.NONE
        return way if way is not Way.NONE and self.hints.add(resource, way) else Way.NONE

    def refuse(self, path: object, refusal: PushRefusal) -> Delivered:
        """Count a resource that cannot be delivered."""
        self.counters.refusals[refusal] += 1
        return Delivered(str(path), Way.NONE, refusal)

    # hints out

    @property
    def hints(self) -> PageHints:
        """The hints for this response."""
        if self._hints is None:
            self._hints = PageHints(self.request, self._state.counters)
        return self._hints

    def flush_hints(self) -> None:
        """Send what was collected as one 103, if there is anything."""
        if self._hints is not None:
            self._hints.flush()

    def link_fields(self, fields: Iterable[Field]) -> Fields:
        """The Link fields to add to the final response: what was hinted at, unless `fields` name it."""
        return [] if self._hints is None else self._hints.link_fields(fields)

    # results out

    def answered(self, status: int, fields: Sequence[Field]) -> None:
        """The final header section goes out: remember how long the client will have this resource."""
        if self._state.controller is not None:
            self._state.controller.answered(self.request, fields)
        if not (status < 300 or status == 304) or status == 206 or self.request.max_push_id is None:
            return
        lifetime = freshness_lifetime(fields)
        holdings = None if lifetime is None or self.is_conditional else self.holdings
        if holdings is not None:
            holdings.answered(key_of(self.request), lifetime, self._now())

    def ended(self, *, failed: bool) -> None:
        """The response is over; `failed`: we could not complete it, so the client was not given it."""
        if self._waiting:
            self._give_up_waiting()
        self._state.ended(self.request, failed=failed)

    @property
    def waits_for_credit(self) -> bool:
        """True when something was not promised for want of credit, and credit may come."""
        return bool(self._waiting)

    async def wait_for_credit(self) -> None:
        """Promise what had no credit as the client gives more; ends when it gives none for `push_wait` seconds."""
        while self._waiting:
            try:
                async with asyncio.timeout(self._state.push_wait):
                    await self._promise_when_possible(self._waiting[0])
            except TimeoutError:
                break
            self._waiting = self._waiting[1:]
        self._give_up_waiting()

    # inside

    @property
    def counters(self) -> DeliveryCounters:
        """Counts of every outcome so far, over all pages."""
        return self._state.counters

    @property
    def holdings(self) -> Holdings | None:
        """The holdings of the connection; `None` while the client takes no pushes, for then nobody asks."""
        if self._holdings is None:
            self._holdings = self._state.holdings(self.request)
        return self._holdings

    def _refused_by_request(self) -> PushRefusal | None:
        return refused_by_request(self.request.head.fields)

    def _try_push(
        self, resource: PlannedResource, *, credentials: bool = False, deferred: bool = False
    ) -> tuple[PushRefusal | None, Push | None]:
        request = self.request
        key = self._key(resource.method, resource.path)
        refusal = self._refusal(resource, key)
        if refusal is not None:
            return refusal, None
        arm = request.arm = self._state.arm(request)
        if arm is not None and arm != "push":
            return PushRefusal.HOLD_OUT, None
        try:
            if self._promises is None:
                self._promises = PagePromises(request, self._state.heads)
            push = self._promises.push(resource, credentials=credentials, deferred=deferred)
        except (LocalProtocolError, ValueError):
            return PushRefusal.MALFORMED, None
        if push.refusal is not None:
            return push.refusal, None
        if push.path != resource.path:
            key = self._key(resource.method, push.path)
        request.budget.promised.add(key)
        holdings = self.holdings
        if holdings is not None:
            holdings.hold(key)
        if self._state.controller is not None:
            self._state.controller.promised(request, push, deferred=deferred)
        return None, push

    def _holds(self, resource: PlannedResource) -> bool:
        """True when the connection was given a resource before, and a push of it would be waste."""
        return self._holds_key(self._key(resource.method, resource.path))

    def _holds_key(self, key: Key) -> bool:
        holdings = self.holdings
        return holdings is not None and key in holdings and holdings.holds(key, self._now())

    def _refusal(self, resource: PlannedResource, key: Key) -> PushRefusal | None:
        if resource.fields and names_validator(resource.fields):
            return PushRefusal.VALIDATOR
        if not self._agreed:
            refused = self._refused_by_request()
            if refused is not None:
                return refused
            refused = self.request.push_refusal
            if refused in NOT_AGREED:
                return refused
            self._agreed = True  # neither the request nor what both ends agreed to changes any more
        return PushRefusal.HAS_IT if self._holds_key(key) or key in self.request.budget.promised else None

    def _done(
        self, resource: PlannedResource, way: Way, refusal: PushRefusal | None, push: Push | None = None
    ) -> Delivered:
        self.counters.ways[way] += 1
        if refusal is not None:
            self.counters.refusals[refusal] += 1
        return Delivered(resource.path, way, refusal, push)

    def _give_up_waiting(self) -> None:
        waiting, self._waiting = self._waiting, ()
        for resource in waiting:
            self._done(resource, Way.NONE, PushRefusal.NO_PUSH_CREDIT)

    async def _promise_when_possible(self, resource: PlannedResource) -> None:
        """Wait for credit for one resource, or for a reason not to push it at all."""
        while True:
            refusal, push = self._try_push(resource)
            if refusal not in NO_CREDIT:
                self._done(resource, Way.NONE if push is None else Way.PUSH, refusal, push)
                return
            await self.request.wait_for_push_credit()

    def _key(self, method: str, path: str) -> Key:
        """The key of a resource of this page's origin in the holdings."""
        return (method.encode("utf-8", "replace"), self.request.head.authority or b"", path.encode("utf-8", "replace"))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
