"""The decision for a plan: which candidates of a route are pushed, and why the others are not.

Each candidate is judged as `control.decision` says. What ties the routes together is the budget: the price of a wasted byte rises
until all of them together waste no larger share of all bytes than that. So bytes are spent where they save most, and no threshold
has to be guessed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from h3push.control.bounds import lower_bound
from h3push.control.decision import Judgement, Verdict, judge
from h3push.control.kinds import EvidenceClass
from h3push.control.saving import INITIAL_WINDOW, PRICE_MS_PER_KB, RATE, ROUND_TRIP_MS, Path
from h3push.judge.evidence import Candidate, Count, Route

DEAREST = 1e9
"""Milliseconds a kilobyte at which nothing is pushed that was ever wasted."""
STEPS = 12
"""Bisections of the price: within a thousandth of what keeps the budget."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The assumptions of a decision where the log does not tell, and the price of waste."""

    round_trip_ms: float | None = None
    """Round trip in milliseconds; `None`: what the log says of the route, or else `ROUND_TRIP_MS`."""
    rate: float = RATE
    """Bits per second."""
    price: float = PRICE_MS_PER_KB
    """Milliseconds that a wasted kilobyte is worth, at least."""
    waste: float = 0.02
    """Share of all bytes that may be wasted on pushes: the budget."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One candidate with everything that was decided by."""

    candidate: Candidate
    """As it was seen."""
    judgement: Judgement
    """The decision, over all classes of clients."""
    bounds: Mapping[EvidenceClass, float] = field(default_factory=dict)
    """The 5 % lower bound of its probability for each class."""

    @property
    def verdict(self) -> Verdict:
        """The verdict."""
        return self.judgement.verdict

    @property
    def bound(self) -> float:
        """The 5 % lower bound of its probability, over all classes."""
        return self.judgement.bound

    @property
    def saved_ms(self) -> float:
        """The saving of a push over a hint when it is used."""
        return self.judgement.saved_ms

    @property
    def break_even(self) -> float:
        """The probability from which on it pays."""
        return self.judgement.break_even

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
    count = candidate.total
    judgement = judge(
        candidate.size,
        uses=count.uses,
        trials=count.trials,
        bound=_bound(count),
        path=path,
        idle=path.idle,
        taken=taken,
        price=terms.price,
    )
    return Judged(candidate, judgement, {kind: _bound(count) for kind, count in candidate.by_class.items()})


def _bound(count: Count) -> float:
    return lower_bound(count.uses, count.trials)
