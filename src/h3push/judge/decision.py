"""The decision: which candidates of a route are pushed, and why the others are not.

Candidates are taken in the order in which the page needs them. One is pushed when enough page views were seen, the 5 % lower
bound of its probability of use is at least the break-even of `saving.break_even`, a push saves time over a hint, and its bytes
fit into the idle room that those before it left. The bound is counting, the saving is arithmetic of the link; neither knows of
the other.

What ties the routes together is the budget: the price of a wasted byte rises until all of them together waste no larger share of
all bytes than that. So bytes are spent where they save most, and no threshold has to be guessed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from h3push.judge.bounds import lower_bound
from h3push.judge.evidence import Candidate, Count, EvidenceClass, Route
from h3push.judge.saving import INITIAL_WINDOW, PRICE_MS_PER_KB, RATE, ROUND_TRIP_MS, Path, break_even

MIN_TRIALS = 5
"""Page views below which nothing is pushed."""


DEAREST = 1e9
"""Milliseconds a kilobyte at which nothing is pushed that was ever in vain."""
STEPS = 12
"""Bisections of the price: within a thousandth of what keeps the budget."""


class Verdict(Enum):
    """The verdict on a candidate: pushed, or why not."""

    PUSH = "push"
    """It is pushed."""
    TOO_FEW = "too few views"
    """Fewer than `MIN_TRIALS` views tell of it."""
    SAVES_NOTHING = "saves nothing"
    """A hint brings it as early: the link is busy in the round trip that a push would use."""
    TOO_UNLIKELY = "too unlikely"
    """The bound of its probability is below the break-even."""
    NO_ROOM = "no room"
    """It would be sent before what was asked for: what goes before it fills the idle time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The assumptions of a decision where the log does not tell, and the price of waste."""

    round_trip_ms: float | None = None
    """Round trip in milliseconds; `None`: what the log says of the route, or else `ROUND_TRIP_MS`."""
    rate: float = RATE
    """Bits per second."""
    price: float = PRICE_MS_PER_KB
    """Milliseconds that a kilobyte in vain is worth, at least."""
    waste: float = 0.02
    """Share of all bytes that may be pushed in vain: the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One candidate with everything that was decided by."""

    candidate: Candidate
    """As it was seen."""
    verdict: Verdict
    """The decision."""
    bound: float
    """The 5 % lower bound of its probability, over all classes."""
    bounds: Mapping[EvidenceClass, float] = field(default_factory=dict)
    """The same for each class."""
    saved_ms: float
    """The saving of a push over a hint when it is used."""
    break_even: float
    """The probability from which on it pays."""

    @property
    def expected_ms(self) -> float:
        """The least that a push of it saves over a hint in the mean: the saving times the bound."""
        return self.saved_ms * self.bound


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions for one route."""

    route: Route
    """As it was seen."""
    path: Path
    """The link that was calculated with."""
    judged: tuple[Judged, ...]
    """In the order in which the page needs them."""

    @property
    def pushed(self) -> tuple[Judged, ...]:
        """Those that are pushed."""
        return tuple(one for one in self.judged if one.verdict is Verdict.PUSH)


def decide_all(routes: Sequence[Route], terms: Terms | None = None) -> tuple[list[Plan], float]:
    """Decide for all routes within the budget: the plans, and the price of waste that keeps it."""
    terms = terms or Terms()
    plans = [decide(route, terms) for route in routes]
    if wasted_share(plans) <= terms.waste:
        return plans, terms.price
    low = high = max(terms.price, 0.001)
    while wasted_share(plans) > terms.waste and high < DEAREST:
        low, high = high, high * 2
        plans = [decide(route, replace(terms, price=high)) for route in routes]
    for _ in range(STEPS):
        price = math.sqrt(low * high)
        tried = [decide(route, replace(terms, price=price)) for route in routes]
        if wasted_share(tried) > terms.waste:
            low = price
        else:
            high, plans = price, tried
    return plans, high


def wasted_share(plans: Iterable[Plan]) -> float:
    """The share of all bytes that pushes of these plans waste, by the counts."""
    wasted = wanted = 0.0
    for plan in plans:
        views = plan.route.views
        wanted += views * plan.route.page_bytes
        for one in plan.judged:
            count, size = one.candidate.total, one.candidate.size
            if count.trials:
                use = count.uses / count.trials
                wanted += views * use * size
                wasted += views * (1 - use) * size * (one.verdict is Verdict.PUSH)
    return wasted / (wanted + wasted) if wanted + wasted else 0.0


def decide(route: Route, terms: Terms | None = None) -> Plan:
    """Decide for each candidate of a route."""
    terms = terms or Terms()
    path = Path(
        round_trip=terms.round_trip_ms or route.rtt_ms or ROUND_TRIP_MS,
        rate=terms.rate / 8000,
        window=route.window or INITIAL_WINDOW,
        think=route.think_ms or 0.0,
        page=route.page_bytes,
    )
    judged, taken = [], 0.0
    for candidate in route.candidates:
        one = _judge(candidate, path, taken, terms)
        judged.append(one)
        if one.verdict is Verdict.PUSH:
            taken += candidate.size
    return Plan(route, path, tuple(judged))


def _judge(candidate: Candidate, path: Path, taken: float, terms: Terms) -> Judged:
    bound = _bound(candidate.total)
    saved = path.saved(taken + candidate.size)
    fits = taken + candidate.size <= path.idle
    threshold = break_even(saved, candidate.size, 0.0 if fits else candidate.size / path.rate, terms.price)
    if candidate.total.trials < MIN_TRIALS:
        verdict = Verdict.TOO_FEW
    elif saved <= 0:
        verdict = Verdict.SAVES_NOTHING
    elif bound < threshold:
        verdict = Verdict.TOO_UNLIKELY
    else:
        verdict = Verdict.PUSH if fits else Verdict.NO_ROOM
    return Judged(
        candidate=candidate,
        verdict=verdict,
        bound=bound,
        bounds={kind: _bound(count) for kind, count in candidate.by_class.items()},
        saved_ms=saved,
        break_even=threshold,
    )


def _bound(count: Count) -> float:
    return lower_bound(count.uses, count.trials)
