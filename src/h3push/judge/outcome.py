"""The outcome: what was pushed and what became of it, and what it saved, as the page views of an experiment show.

What pushes saved is read off the experiment and nothing else: views that were given pushes at random are compared with those that
were given a hint, or nothing, by the time until the last response that the page needed had left. No model has a part in it. A
push of which nobody said whether it was used counts as needed here, which can only make pushing look slower than it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from h3push.control.kinds import Arm
from h3push.judge.bounds import Interval, difference, views_needed
from h3push.judge.learning import Tables

if TYPE_CHECKING:
    from ibis.expr.types import Table

MIN_ARM = 30
"""Views in each arm below which nothing is said: Student's quantiles need means that are nearly normal."""
SMALLEST_EFFECT = 0.01
"""Share of the time without pushes that is worth knowing of."""


class Standing(Enum):
    """The verdict on a route's pushes."""

    PAYS = "pays"
    """The whole interval of what is saved lies above 0."""
    DOES_NOT_PAY = "does not pay"
    """The whole interval lies at 0 or below."""
    NOT_ENOUGH = "not enough seen"
    """0 is within the interval, or an arm has too few views."""


@dataclass(frozen=True, slots=True)
class Fates:
    """The fate of pushes, in numbers of page views and resources, and in bytes."""

    views: int = 0
    """Page views."""
    pushed: int = 0
    """Resources that were pushed."""
    used: int = 0
    """Those that their client reported as used."""
    unused: int = 0
    """Those that it reported as unused."""
    cancelled: int = 0
    """Those that it called off."""
    wasted_bytes: int = 0
    """Bytes of the unused and of the cancelled ones, as far as they were sent."""
    bytes: int = 0
    """All bytes of pages and what went with them."""

    @property
    def unreported(self) -> int:
        """Pushes of which nobody said anything."""
        return self.pushed - self.used - self.unused - self.cancelled

    @property
    def wasted_share(self) -> float:
        """Wasted bytes of all bytes."""
        return self.wasted_bytes / self.bytes if self.bytes else 0.0

    def __add__(self, other: "Fates") -> "Fates":
        """Both together."""
        return Fates(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Pushes beside another arm."""

    other: Arm
    """The arm that they are compared with."""
    pushed_views: int
    """Views with pushes."""
    other_views: int
    """Views of the other arm."""
    saved: Interval | None
    """Milliseconds saved per page view, with the 90 % interval; `None` with too few views."""
    missing: int
    """Views that the smaller arm lacks until the interval is narrow enough to tell, by the scatter so far."""

    @property
    def standing(self) -> Standing:
        """The verdict of the interval."""
        if self.saved is None:
            return Standing.NOT_ENOUGH
        if self.saved.low > 0:
            return Standing.PAYS
        return Standing.DOES_NOT_PAY if self.saved.high <= 0 else Standing.NOT_ENOUGH


@dataclass(frozen=True, slots=True)
class RouteOutcome:
    """One route."""

    route: str
    """Its path or template."""
    fates: Fates
    """The fate of its pushes."""
    comparisons: Mapping[Arm, Comparison] = field(default_factory=dict)
    """By the other arm, those that occur."""

    @property
    def decisive(self) -> Comparison | None:
        """The comparison that decides: with a hint where there is one, since a hint wastes nothing; else with nothing."""
        return self.comparisons.get(Arm.HINT) or self.comparisons.get(Arm.NONE)

    @property
    def standing(self) -> Standing:
        """The verdict on its pushes."""
        return Standing.NOT_ENOUGH if self.decisive is None else self.decisive.standing


@dataclass(frozen=True, slots=True)
class Day:
    """One day of all routes."""

    day: str
    """Its date, UTC."""
    fates: Fates
    """The fate of its pushes."""
    comparison: Comparison | None
    """The comparison that decides."""


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """Everything that a report tells."""

    routes: tuple[RouteOutcome, ...]
    """Those with the most views first."""
    days: tuple[Day, ...]
    """In order."""

    @property
    def fates(self) -> Fates:
        """Over all routes."""
        return sum((one.fates for one in self.routes), Fates())


Times = dict[Arm, list[float]]
"""Milliseconds until a page view was complete, by arm."""


def outcome_of(tables: Tables, max_routes: int) -> SiteOutcome:
    """Count, and compare the arms."""
    fates_by_route, fates_by_day = _fates(tables, "route"), _fates(tables, "day")
    by_route: dict[str, Times] = {}
    by_day: dict[str, Times] = {}
    for row in _complete(tables):
        arm = Arm(row["arm"])
        for key, found in ((row["route"], by_route), (row["day"], by_day)):
            found.setdefault(key, {}).setdefault(arm, []).append(float(row["complete_ms"]))
    names = sorted(fates_by_route, key=lambda name: (-fates_by_route[name].views, name))[:max_routes]
    routes = (RouteOutcome(name, fates_by_route[name], _comparisons(by_route.get(name, {}))) for name in names)
    days = []
    for day in sorted(fates_by_day):
        comparisons = _comparisons(by_day.get(day, {}))
        days.append(Day(day, fates_by_day[day], comparisons.get(Arm.HINT) or comparisons.get(Arm.NONE)))
    return SiteOutcome(tuple(routes), tuple(days))


def _fates(tables: Tables, key: str) -> dict[str, Fates]:
    members, views = tables.members, tables.views
    counted: dict[str, dict[str, int]] = {}
    pages = views.group_by(key).aggregate(views=views.count(), page_bytes=views.page_bytes.sum())
    pushed = (members.is_push == 1).cast("int64")
    wasted = (members.waste == 1) & (members.is_push == 1)
    parts = members.group_by(key).aggregate(
        pushed=pushed.sum(),
        used=(pushed * members.use).sum(),
        cancelled=(members.cancelled.cast("int64") * (1 - members.use)).sum(),
        wasted=(wasted & (members.use == 0)).cast("int64").sum(),
        wasted_bytes=((wasted & (members.use == 0)).cast("int64") * members["size"]).sum(),
        bytes=members["size"].sum(),
    )
    for table in (pages, parts):
        for row in _rows(table):
            counted.setdefault(row.pop(key), {}).update({name: int(value or 0) for name, value in row.items()})
    return {name: _fates_of(row) for name, row in counted.items()}


def _fates_of(row: Mapping[str, int]) -> Fates:
    cancelled = row.get("cancelled", 0)
    return Fates(
        views=row.get("views", 0),
        pushed=row.get("pushed", 0),
        used=row.get("used", 0),
        unused=row.get("wasted", 0) - cancelled,
        cancelled=cancelled,
        wasted_bytes=row.get("wasted_bytes", 0),
        bytes=row.get("bytes", 0) + row.get("page_bytes", 0),
    )


def _complete(tables: Tables) -> Iterable[dict[str, Any]]:
    """Route, day, arm and the time until it was complete, for each view of an experiment."""
    import ibis

    arms = [arm.value for arm in Arm]
    views = tables.views.filter(tables.views.arm.isin(arms))
    needed = tables.members.filter((tables.members.waste == 0) & tables.members.arm.isin(arms))
    last = needed.group_by("key").aggregate(last=needed.ended.max()).rename(of="key")
    joined = views.left_join(last, views.key == last.of)
    complete = ibis.greatest(joined.page_ms.fill_null(0.0), joined["last"].fill_null(0.0))
    return _rows(joined.select("route", "day", "arm", complete_ms=complete))


def _comparisons(times: Times) -> dict[Arm, Comparison]:
    return {
        other: compare(other, times[other], times.get(Arm.PUSH, []))
        for other in (Arm.NONE, Arm.HINT)
        if times.get(other)
    }


def compare(other: Arm, without: Sequence[float], pushed: Sequence[float]) -> Comparison:
    """Compare pushes with another arm, by milliseconds for each view."""
    fewest = min(len(without), len(pushed))
    if fewest < MIN_ARM:
        return Comparison(other, len(pushed), len(without), None, MIN_ARM - fewest)
    saved = difference(without, pushed)
    missing = 0
    if saved.low <= 0 < saved.high:
        effect = max(abs(saved.estimate), SMALLEST_EFFECT * sum(without) / len(without), 1e-3)
        missing = max(1, views_needed(without, pushed, effect) - fewest)
    return Comparison(other, len(pushed), len(without), saved, missing)


def _rows(table: "Table") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows
