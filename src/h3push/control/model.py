"""The model: everything that the controller has learned, and how a page view that was seen changes it.

There is one way in, `Model.learn`, and it takes a `ViewSeen`: a value without any person in it that can be written down. So the
workers of a server share what they learn by telling each other what they saw (`store`), and a restart repeats it.

What the routes have in common are two budgets, of bytes and of pushes. After each view the price of a wasted byte moves: up while
the share of bytes that was wasted lies above the budget, down while it lies below. So bytes are spent where they save
most, and no threshold has to be guessed.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum

from h3push.control.bounds import PRIOR_VIEWS
from h3push.control.effect import Effect
from h3push.control.kinds import Arm, EvidenceClass
from h3push.control.saving import PRICE_MS_PER_KB
from h3push.control.tally import Tally
from h3push.plans.links import guess_destination, stage_of

MAX_ROUTES = 2_000
"""Routes that are known; the one that was seen longest ago is forgotten first."""
MAX_CANDIDATES = 100
"""Candidates of a route; the one that is used least is forgotten first."""
MAX_PATHS = 20_000
"""Paths that are counted over all routes; the one that was met first is forgotten first."""
ENOUGH_ELSEWHERE = 20
"""Views of other routes from which on they say something of this one."""
FORGET_AFTER = 500
"""Views of a route after which what none of them used is no candidate any more."""
BLEND = 0.1
"""Weight of a new size, place or time in its running mean."""
THINK_TIMES = 32
"""Think times of a route that are kept; the tenth percentile of them is what one can count on."""
LEDGER_FADING = 1 - 1 / 200
"""Weight in the ledger of a view's bytes when the next one has come."""
MAX_UNUSED = 0.08
"""The share of pushes that may be wasted, beside the budget of bytes: small ones cost a push ID, a promise and work, too."""
LOWEST_TOLL, HIGHEST_TOLL = 0.5, 10_000.0
"""Bounds of the toll, in milliseconds."""
FORGIVING = 0.995
"""Factor of the toll in a view without pushes: where nothing is pushed, nothing would ever lower it."""
STEP = 0.2
"""Speed of the price: at twice the budget, each view raises it by this fraction."""
STEEPEST = (-0.1, 0.3)
"""Bounds of a view's change of the price, as a logarithm."""
CHEAPEST, DEAREST = 0.02, 10_000.0
"""Bounds of the price, in milliseconds a kilobyte."""


class Fate(Enum):
    """The fate of a candidate in one page view."""

    USED = "used"
    """The client asked for it, or said that it used the push."""
    UNUSED = "unused"
    """It was pushed, and the client called it off or said that it did not use it."""
    UNKNOWN = "unknown"
    """It was pushed, and nobody says; or the client had it already. The view is no trial of it."""
    GONE = "gone"
    """It no longer exists: the answer was an error."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One candidate in one view."""

    path: str
    """Its path, with the route's placeholders."""
    fate: Fate
    """Its fate."""
    size: float = 0.0
    """Its bytes."""
    position: float = 0.0
    """Its place behind the page; 0: not known."""
    since_ms: float = 0.0
    """From the page's request to its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSeen:
    """One page view, when everything of it is known that will be."""

    route: str
    """The route of the page."""
    kind: EvidenceClass
    """The server's knowledge of the client when the page was asked for."""
    page_bytes: float
    """Bytes of the page."""
    think_ms: float = 0.0
    """From the page's request to its first byte."""
    members: tuple[Seen, ...] = ()
    """The candidates of which the view tells. Any other that the route has was not used."""
    bytes: float = 0.0
    """All bytes that it took."""
    wasted: float = 0.0
    """Those of them that were wasted; an estimate where no report says."""
    pushes: int = 0
    """Pushes."""
    unused: float = 0.0
    """The wasted ones, counted likewise."""
    arm: Arm | None = None
    """The group, when something would be pushed and some connections are held out."""
    share: float = 0.0
    """The share of connections that is held out."""
    complete_ms: float | None = None
    """From the page's request until the client had everything that it needed; `None`: not known."""
    stratum: str = ""
    """The kind of client and link, for the comparison of the arms."""


@dataclass(slots=True)
class Candidate:
    """Something that may go with a route's pages."""

    path: str
    """Its path, with the route's placeholders."""
    destination: str
    """Its role, as of a preload link."""
    size: float = 0.0
    """Running mean of its bytes."""
    position: float = 0.0
    """Running mean of its place behind the page."""
    since_ms: float = 0.0
    """Running mean of the time from the page's request to its own."""
    tallies: dict[EvidenceClass, Tally] = field(default_factory=dict)
    """Uses and trials for each class."""
    seen_at: int = 0
    """The number of the route's last view that used it."""

    def tally(self, kind: EvidenceClass) -> Tally:
        """Uses and trials for a class."""
        tally = self.tallies.get(kind)
        if tally is None:
            tally = self.tallies[kind] = Tally()
        return tally

    def note(self, seen: Seen, view: int) -> None:
        """Take the figures of a view that used it."""
        weight = BLEND if self.seen_at else 1.0
        self.seen_at = view
        self.size += weight * (seen.size - self.size)
        if seen.position:
            weight = weight if self.position else 1.0
            self.position += weight * (seen.position - self.position)
            self.since_ms += weight * (seen.since_ms - self.since_ms)


@dataclass(slots=True)
class Route:
    """The pages of one route."""

    name: str
    """Path or template."""
    views: int = 0
    """Page views."""
    page_bytes: float = 0.0
    """Running mean of the page's bytes."""
    think_times: list[float] = field(default_factory=list)
    """The last ones, in milliseconds."""
    candidates: dict[str, Candidate] = field(default_factory=dict)
    """By path."""
    effect: Effect = field(default_factory=Effect)
    """The saving of its pushes, measured."""
    _ordered: list[Candidate] | None = field(default=None, repr=False)

    @property
    def think_ms(self) -> float:
        """Tenth percentile of the think time: the time that one can count on."""
        times = sorted(self.think_times)
        return times[len(times) // 10] if times else 0.0

    @property
    def ordered(self) -> list[Candidate]:
        """The candidates in the order in which the page needs them: by stage, then by place.

        Places alone would mislead: where a client had the script, the data that the script asks for comes first.
        """
        if self._ordered is None:
            self._ordered = sorted(
                self.candidates.values(),
                key=lambda one: (stage_of(one.destination), one.position, one.since_ms, one.path),
            )
        return self._ordered

    def learn(self, view: ViewSeen, expected: "Model") -> None:
        """Take a view."""
        self.views += 1
        self._ordered = None
        self.page_bytes += (BLEND if self.page_bytes else 1.0) * (view.page_bytes - self.page_bytes)
        self.think_times = [*self.think_times[1 - THINK_TIMES :], view.think_ms]
        members = {seen.path: seen for seen in view.members}
        for path in [
            path for path, candidate in self.candidates.items() if self._is_over(candidate, members.get(path))
        ]:
            del self.candidates[path]
        for seen in view.members:
            if seen.fate is Fate.USED and seen.path not in self.candidates:
                self._add(Candidate(seen.path, guess_destination(seen.path)))
        for path, candidate in self.candidates.items():
            found = members.get(path)
            fate = Fate.UNUSED if found is None else found.fate
            if fate is Fate.UNKNOWN:
                continue
            tally = candidate.tally(view.kind)
            tally.add(fate is Fate.USED)
            expected.elsewhere(path, view.kind).add(fate is Fate.USED)
            if tally.uses:  # what is used no longer says nothing of what comes in its place
                expected.expectation(candidate.destination, view.kind).count(fate is Fate.USED)
            if found is not None and fate is Fate.USED:
                candidate.note(found, self.views)
        self.effect.pass_view()
        if view.arm is not None and view.complete_ms is not None:
            self.effect.add(view.arm, view.complete_ms, view.share, view.stratum)

    def _is_over(self, candidate: Candidate, seen: Seen | None) -> bool:
        return (seen is not None and seen.fate is Fate.GONE) or self.views - candidate.seen_at > FORGET_AFTER

    def _add(self, candidate: Candidate) -> None:
        if len(self.candidates) >= MAX_CANDIDATES:
            least = min(
                self.candidates.values(), key=lambda one: (sum(t.uses for t in one.tallies.values()), one.seen_at)
            )
            del self.candidates[least.path]
        self.candidates[candidate.path] = candidate


@dataclass(slots=True)
class Model:
    """All routes, and what they share."""

    waste: float = 0.02
    """The share of all bytes that may be wasted on pushes."""
    routes: OrderedDict[str, Route] = field(default_factory=OrderedDict)
    """By name; the one that was seen last stands last."""
    expectations: dict[tuple[str, EvidenceClass], Tally] = field(default_factory=dict)
    """By role and class: uses and trials over all routes, where a new candidate begins."""
    paths: dict[tuple[str, EvidenceClass], Tally] = field(default_factory=dict)
    """By path and class: the same for what several routes have."""
    price: float = PRICE_MS_PER_KB
    """Milliseconds of saving that a wasted kilobyte has to be worth."""
    bytes: float = 0.0
    """Bytes that clients took, faded."""
    wasted: float = 0.0
    """Bytes that were wasted on pushes, faded."""
    toll: float = LOWEST_TOLL
    """Milliseconds of saving that an unused push has to be worth, whatever its size."""
    pushes: float = 0.0
    """Pushes, faded."""
    unused: float = 0.0
    """Wasted pushes, faded."""

    def route(self, name: str) -> Route:
        """A route; a new one when it is not known."""
        route = self.routes.get(name)
        if route is None:
            route = self.routes[name] = Route(name)
            if len(self.routes) > MAX_ROUTES:
                self.routes.popitem(last=False)
        return route

    def expectation(self, destination: str, kind: EvidenceClass) -> Tally:
        """Uses and trials of all candidates of a role by a class of clients."""
        key = (destination, kind)
        tally = self.expectations.get(key)
        if tally is None:
            tally = self.expectations[key] = Tally()
        return tally

    def elsewhere(self, path: str, kind: EvidenceClass) -> Tally:
        """Uses and trials of one path over all routes that have it."""
        key = (path, kind)
        tally = self.paths.get(key)
        if tally is None:
            tally = self.paths[key] = Tally()
            if len(self.paths) > MAX_PATHS:
                del self.paths[next(iter(self.paths))]
        return tally

    def share(self, candidate: Candidate, kind: EvidenceClass) -> float:
        """The share of views that use a candidate: its own, and what is expected of such things before it was seen much."""
        tally = candidate.tally(kind)
        expected = self.expected(candidate, kind)
        return (tally.uses + PRIOR_VIEWS * expected) / (tally.trials + PRIOR_VIEWS)

    def known(self, candidate: Candidate, kind: EvidenceClass) -> float:
        """The views that other routes' knowledge of the same path is worth: a page that is new has style sheets that are not."""
        tally = self.paths.get((candidate.path, kind))
        return PRIOR_VIEWS if tally is not None and tally.trials >= ENOUGH_ELSEWHERE else 0.0

    def expected(self, candidate: Candidate, kind: EvidenceClass) -> float:
        """The share of views that use such a thing: the very path, where it was seen often enough, or all of its role."""
        tally = self.paths.get((candidate.path, kind))
        if tally is not None and tally.trials >= ENOUGH_ELSEWHERE:
            return tally.share
        return self.expectation(candidate.destination, kind).share

    def bound(self, candidate: Candidate, kind: EvidenceClass) -> float:
        """The 5 % lower bound of the probability that a client of this class uses a candidate."""
        return candidate.tally(kind).bound(self.expected(candidate, kind))

    def learn(self, view: ViewSeen) -> None:
        """Take a page view."""
        route = self.route(view.route)
        self.routes.move_to_end(view.route)
        route.learn(view, self)
        self.bytes = self.bytes * LEDGER_FADING + view.bytes
        self.wasted = self.wasted * LEDGER_FADING + view.wasted
        self.pushes = self.pushes * LEDGER_FADING + view.pushes
        self.unused = self.unused * LEDGER_FADING + view.unused
        self.price = min(DEAREST, max(CHEAPEST, self.price * _change(self.wasted_share, self.waste)))
        change = _change(self.unused / self.pushes, MAX_UNUSED) if view.pushes else FORGIVING
        self.toll = min(HIGHEST_TOLL, max(LOWEST_TOLL, self.toll * change))

    @property
    def wasted_share(self) -> float:
        """The recent share of bytes that was wasted on pushes."""
        return self.wasted / self.bytes if self.bytes else 0.0


def _change(share: float, budget: float) -> float:
    """The factor by which a price moves, once the wasted share is compared with the budget."""
    if budget <= 0:
        return math.inf
    return math.exp(min(STEEPEST[1], max(STEEPEST[0], STEP * (share - budget) / budget)))
