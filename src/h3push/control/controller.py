"""The controller: at each page it decides what is pushed, deferred, hinted at or left, and it learns from what becomes of it.

Theory of operation. Deliveries show it every request (`asked`), and ask it before they carry out a plan (`judge`). Plans of a
manifest, of a scan or of Link fields name candidates; what clients asked for after the page adds others (`plan`). A decision
takes the path as QUIC measured it, the bound of the candidate's probability, the arithmetic of `saving` and the price of waste;
it looks nothing up and waits for nothing. When a page view is over, what it tells goes into the model::

    request ──▶ Visitor ──▶ Page ──(quiet, and pushes reported or given up)──▶ ViewSeen ──▶ Model
                              ▲                                                  │           │
    judge ────────────────────┴──────────────────────────────────────────────────┼───────────┘
                                                                    other workers, the next start (`sharing`)

Pushed things are never asked for, so a push tells of itself only when its client reports on it (`Push-Report`), calls it off, or
asks all the same; any other view is no trial. Connections that are held out keep the learning going for clients that report
nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from h3push.control.decision import MIN_TRIALS, Action, Judgement, Verdict, action_of, judge
from h3push.control.explanation import reason
from h3push.control.kinds import Arm
from h3push.control.model import Model, Route, ViewSeen
from h3push.control.open_pages import OpenPages
from h3push.control.page import Page, PushedResponse
from h3push.control.routes import Router
from h3push.control.saving import INITIAL_WINDOW, ROUND_TRIP_MS, Path, rate_of
from h3push.control.visitor import Visitor
from h3push.http.fields import Field
from h3push.plans.links import planned
from h3push.plans.plan import PlannedResource, PlanSource, PushPlan
from h3push.server.channel import Channel
from h3push.server.push import Push
from h3push.server.request import Request

logger = logging.getLogger("h3push.control")

MIN_SHARE = 0.05
"""Share of views below which something is not even considered."""


@dataclass(slots=True)
class ControlCounters:
    """Decisions and what they cost."""

    decisions: int = 0
    """Pages that were decided for."""
    seconds: list[float] = field(default_factory=list)
    """Time of each decision, while somebody measures (`Controller.measure`)."""
    cpu_seconds: list[float] = field(default_factory=list)
    """The part of it in which this thread had the processor."""
    views: int = 0
    """Page views that were learned from."""
    pushed: int = 0
    """Pushes whose fate is known, or will not be."""
    used: int = 0
    """Those of them that were used."""
    unused: int = 0
    """Those that were not, or called off."""


class Controller:
    """Decides and learns, for all connections of a process.

    Args:
        model: what is known at the start.
        max_unclaimed: bytes of pushes that one connection may be ahead of what it has claimed.
    """

    def __init__(self, model: Model, *, max_unclaimed: int = 256 * 1024) -> None:
        self.model = model
        """The knowledge so far."""
        self.counters = ControlCounters()
        """The work done so far."""
        self.on_view: Callable[[ViewSeen], None] | None = None
        """Called with each view that was learned from; shares it with other workers."""
        self.measure = False
        """Keep the time that each decision takes."""
        self._router = Router(name for name in model.routes if "{" in name)
        self._max_unclaimed = max_unclaimed
        self._open = OpenPages(self._learn)

    # what deliveries show

    def asked(self, request: Request) -> Page | None:
        """Take note of a request; its page view, `None` for one that no connection of ours carries (TCP)."""
        if isinstance(request.page_view, Page):
            return request.page_view
        if request.http_version != "3":
            return None
        tied = request.tied
        visitor: Visitor | None = tied.get(self)
        if visitor is None:
            visitor = tied[self] = Visitor(self._router, asyncio.get_running_loop().time)
        if visitor.authority is None:
            visitor.authority = request.authority
        if request.authority != visitor.authority:
            return None
        if request.fulfils is not None:
            page = self._page_of(request.initiator)
            if page is not None:
                visitor.answer(request, page)
        else:
            page, begins = visitor.place(request, _round_trip(request.connection))
            if begins:
                self._open.add(page)
        request.page_view = page
        return page

    @staticmethod
    def _page_of(request: Request | None) -> Page | None:
        view = None if request is None else request.page_view
        return view if isinstance(view, Page) else None

    def answered(self, request: Request, fields: Iterable[Field]) -> None:
        """The final header section of a response goes out. What is for this client alone is not learned."""
        page = self._page_of(request)
        if page is None or request.fulfils is not None:
            return
        if request.path == page.path:
            page.think = asyncio.get_running_loop().time() - page.began
        elif any(_is_personal(name.lower(), value.lower()) for name, value in fields):
            page.responses.pop(request.path, None)

    def promised(self, request: Request, push: Push, *, deferred: bool) -> None:
        """A push was promised with a page; a deferred one is sent a round trip later, or when the client has the page."""
        page = self._page_of(request)
        if page is None:
            push.start()
            return
        route = self.model.routes.get(page.match.route)
        known = None if route is None else route.candidates.get(page.match.generalized(push.path))
        share = 0.0 if known is None else self.model.share(known, page.kind)
        pushed = PushedResponse(push, share, 0.0 if known is None else known.size)
        request.tied[self].promised(page, pushed)
        if deferred:
            asyncio.get_running_loop().call_later(page.round_trip / 1000, push.start)

    # decisions

    def plan(self, request: Request) -> PushPlan | None:
        """Plan what clients were seen to need with a page (a `Planner`), in the order in which they need it."""
        page = self.asked(request)
        route = None if page is None else self.model.routes.get(page.match.route)
        if page is None or route is None or request.fulfils is not None or request.path != page.path:
            return None
        likely = [
            page.match.filled(one.path)
            for one in route.ordered
            if self.model.known(one, page.kind) + one.tally(page.kind).trials >= MIN_TRIALS
            and self.model.share(one, page.kind) >= MIN_SHARE
        ]
        if not likely:
            return None
        path = request.path
        return PushPlan(path, PlanSource.LEARNED, tuple(planned(one, None, path) for one in likely))

    def judge(
        self,
        request: Request,
        resources: Sequence[PlannedResource],
        *,
        named: bool,
        arm: str | None,
        holds: Callable[[PlannedResource], bool],
    ) -> list[tuple[PlannedResource, Action, Verdict | None]] | None:
        """Decide for the resources of a plan; each resource of a page is decided for once.

        Args:
            request: the page's request, or that of something on it.
            resources: what its source says that the page needs.
            named: True unless the controller itself made the plan.
            arm: the group of the connection; `None` when none is held out.
            holds: tells whether the connection was given a resource before.

        Returns: resource, action and verdict; no verdict for what the client holds. `None` when the controller has no say here.
        """
        page = self.asked(request)
        if page is None:
            return None
        began = _now() if self.measure else _NEVER
        path = self._path(request, page)
        idle = path.idle
        visitor: Visitor = request.tied[self]
        is_unclaimed = visitor.is_unclaimed
        room = self._max_unclaimed - visitor.unclaimed_bytes
        decided: list[tuple[PlannedResource, Action, Verdict | None]] = []
        for resource in resources:
            if resource.path in page.held or not self._is_open(page, resource, named=named):
                continue
            if holds(resource):
                page.held.add(resource.path)
                decided.append((resource, Action.PUSH, None))
                continue
            judgement = self._judge(page, resource, path, idle, is_unclaimed=is_unclaimed, room=room)
            action = action_of(judgement, named=named)
            page.hints |= action is Action.HINT
            page.judged[resource.path] = (action, judgement)
            decided.append((resource, action, judgement.verdict))
        if page.hints:
            decided = [
                (resource, self._beside_hints(page, resource, action), verdict) for resource, action, verdict in decided
            ]
        if arm is not None and any(action in _PUSHES and verdict is not None for _, action, verdict in decided):
            page.arm, page.share = Arm(arm), request.settings.push_hold_out
        self._note_decision(began)
        if logger.isEnabledFor(logging.DEBUG):
            self._explain(page, decided)
        return decided

    @staticmethod
    def _beside_hints(page: Page, resource: PlannedResource, action: Action) -> Action:
        """Hint at what would be deferred, where others are hinted at: they would be asked for, and sent before it."""
        if action is not Action.DEFER:
            return action
        page.judged[resource.path] = (Action.HINT, page.judged[resource.path][1])
        return Action.HINT

    @staticmethod
    def _is_open(page: Page, resource: PlannedResource, *, named: bool) -> bool:
        """False when a resource was decided for. What was left, and is named now, may be hinted at after all."""
        decided = page.judged.get(resource.path)
        return decided is None or (named and decided[0] is Action.NONE)

    def _judge(
        self, page: Page, resource: PlannedResource, path: Path, idle: float, *, is_unclaimed: bool, room: float
    ) -> Judgement:
        route = self.model.routes.get(page.match.route)
        candidate = None if route is None else route.candidates.get(page.match.generalized(resource.path))
        if route is None or candidate is None:
            return Judgement(Verdict.TOO_FEW, 0.0, 0.0, 1.0)
        tally = candidate.tally(page.kind)
        bound = self.model.bound(candidate, page.kind)
        judged = judge(
            candidate.size,
            uses=tally.uses,
            trials=tally.trials,
            bound=bound,
            path=path,
            idle=idle,
            taken=page.taken,
            price=self.model.price,
            toll=self.model.toll,
            known=self.model.known(candidate, page.kind),
        )
        if judged.verdict in {Verdict.PUSH, Verdict.NO_ROOM}:
            other = None
            if route.effect.since_demoted:
                other = Verdict.DEMOTED
            elif is_unclaimed or page.taken + candidate.size > room:
                other = Verdict.UNCLAIMED
            if other is not None:
                return Judgement(other, bound, judged.saved_ms, judged.break_even, tally.uses, tally.trials)
        if judged.verdict is Verdict.PUSH:
            page.taken += candidate.size
        return judged

    def _path(self, request: Request, page: Page) -> Path:
        """The link as QUIC knows it at this moment, and the page as its route knows it."""
        route = self.model.routes.get(page.match.route) or Route(page.match.route)
        stats = request.connection.stats
        whole = stats.get("congestion_window", INITIAL_WINDOW)
        window = max(1.0, whole - stats.get("buffered_bytes", 0))
        shortest = max(0.01, stats.get("min_rtt", 0.0) * 1000) if "min_rtt" in stats else page.round_trip
        passed = (asyncio.get_running_loop().time() - page.began) * 1000
        return Path(
            round_trip=shortest,
            rate=rate_of(whole, page.round_trip, shortest),
            window=window,
            think=max(0.0, route.think_ms - passed),
            page=route.page_bytes,
        )

    def _note_decision(self, began: tuple[float, float]) -> None:
        self.counters.decisions += 1
        if self.measure:
            self.counters.seconds.append(time.perf_counter() - began[0])
            self.counters.cpu_seconds.append(time.thread_time() - began[1])

    def _explain(self, page: Page, decided: Sequence[tuple[PlannedResource, Action, Verdict | None]]) -> None:
        for resource, action, verdict in decided:
            if verdict is None:
                logger.debug("%s: leave %s: the client has it", page.path, resource.path)
            else:
                _, judgement = page.judged[resource.path]
                logger.debug("%s: %s %s: %s", page.path, action.value, resource.path, reason(judgement))

    # learning

    def _learn(self, page: Page) -> None:
        """Learn what a page view tells that is over."""
        if not page.counts:
            return
        view = page.seen()
        counters = self.counters
        counters.views += 1
        counters.pushed += len(page.pushes)
        for pushed in page.pushes.values():
            counters.used += pushed.said is True
            counters.unused += pushed.said is False or pushed.called_off
        self.model.learn(view)
        if self.on_view is not None:
            self.on_view(view)

    def close(self) -> None:
        """Learn from the page views that are open: the server stops."""
        self._open.close()


_PUSHES = frozenset({Action.PUSH, Action.DEFER})
_NEVER = (0.0, 0.0)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.thread_time()


def _is_personal(name: bytes, value: bytes) -> bool:
    """True for a field that says that the response is for one client, and would be another one without its cookies."""
    if name == b"cache-control":
        return b"private" in value or b"no-store" in value
    return name == b"set-cookie" or (name == b"vary" and (b"cookie" in value or b"*" in value))


def _round_trip(connection: Channel) -> float:
    """The round trip in milliseconds, as QUIC measured it."""
    return max(0.01, connection.stats.get("rtt", ROUND_TRIP_MS / 1000) * 1000)
