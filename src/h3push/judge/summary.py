"""The outcome in words: one line for all of it, one for each route, and the same as JSON."""

import math
from typing import Any

from h3push.control.kinds import Arm
from h3push.judge.bounds import Interval
from h3push.judge.outcome import Comparison, Fates, RouteOutcome, SiteOutcome, Standing

BESIDE = {Arm.NONE: "no push", Arm.HINT: "hints"}
"""The name of each comparison."""


def headline(outcome: SiteOutcome) -> str:
    """Say in one line whether push pays."""
    fates = outcome.fates
    waste = f"{fates.wasted_share:.1%} of all bytes wasted"
    told = [one for one in outcome.routes if one.decisive is not None]
    if not told:
        return (
            f"Not enough seen: no page view was part of an experiment, so nobody can say what {fates.pushed:,} pushes saved"
            f" ({waste})."
        )
    whole = overall(outcome)
    if whole is None:
        return f"Not enough seen: at least {_missing(outcome):,} more page views in each arm are missing ({waste})."
    span = interval(whole)
    paying = sum(one.standing is Standing.PAYS for one in outcome.routes)
    where = f"on {paying} of {len(told)} {'route' if len(told) == 1 else 'routes'}"
    if whole.low > 0:
        return f"Push pays: {span} saved per page view, {where} beyond doubt; {waste}."
    if whole.high <= 0:
        return f"Push does not pay: {span} saved per page view; {waste}."
    return (
        f"Not enough seen: {span} saved per page view, so far; about {_missing(outcome):,} more page views in each arm"
        f" would tell ({waste})."
    )


def overall(outcome: SiteOutcome) -> Interval | None:
    """The saving per page view over all routes that tell, each with the weight of its views; `None` when none does."""
    parts = [
        (one.fates.views, one.decisive.saved)
        for one in outcome.routes
        if one.decisive is not None and one.decisive.saved is not None
    ]
    weight = sum(views for views, _ in parts)
    if not weight:
        return None
    estimate = sum(views * saved.estimate for views, saved in parts) / weight
    half = math.sqrt(sum((views * (saved.high - saved.low) / 2) ** 2 for views, saved in parts)) / weight
    return Interval(estimate, estimate - half, estimate + half)


def _missing(outcome: SiteOutcome) -> int:
    """Views that are missing until the route that is nearest to an answer has one."""
    return min(one.decisive.missing for one in outcome.routes if one.decisive is not None and one.decisive.missing)


def interval(saved: Interval) -> str:
    """An interval for people."""
    return f"{saved.estimate:.0f} ms [{saved.low:.0f} to {saved.high:.0f}]"


def reason(route: RouteOutcome) -> str:
    """Why a route's pushes pay, or not."""
    decisive = route.decisive
    if decisive is None:
        return "not enough seen: none of its views was part of an experiment"
    against = f"beside {BESIDE[decisive.other]}, {decisive.pushed_views:,} views with {decisive.other_views:,}"
    if decisive.saved is None:
        return f"not enough seen: {decisive.missing:,} more views in the smaller arm are missing ({against})"
    span = interval(decisive.saved)
    match decisive.standing:
        case Standing.PAYS:
            return f"pays: {span} saved, all of it above 0 ({against})"
        case Standing.DOES_NOT_PAY:
            return f"does not pay: {span} saved, none of it above 0, so a hint is better ({against})"
        case _:
            return f"not enough seen: {span} saved, which may be nothing; {decisive.missing:,} more views would tell ({against})"


def fates_line(fates: Fates) -> str:
    """Say in one line what became of pushes."""
    return (
        f"{fates.views:,} views, {fates.pushed:,} pushed: {fates.used:,} used, {fates.unused:,} unused,"
        f" {fates.cancelled:,} cancelled, {fates.unreported:,} not reported; {fates.wasted_share:.1%} of the bytes wasted"
    )


def to_document(outcome: SiteOutcome) -> dict[str, Any]:
    """All of it as one JSON object."""
    whole = overall(outcome)
    return {
        "headline": headline(outcome),
        "saved_ms": None if whole is None else _interval(whole),
        **_fates(outcome.fates),
        "routes": [
            {
                "route": one.route,
                "standing": one.standing.value,
                "reason": reason(one),
                **_fates(one.fates),
                "beside": {arm.value: _comparison(found) for arm, found in one.comparisons.items()},
            }
            for one in outcome.routes
        ],
        "days": [
            {
                "day": day.day,
                **_fates(day.fates),
                "beside": None
                if day.comparison is None
                else {"arm": day.comparison.other.value} | _comparison(day.comparison),
            }
            for day in outcome.days
        ],
    }


def _fates(fates: Fates) -> dict[str, Any]:
    names = ("views", "pushed", "used", "unused", "cancelled", "unreported", "wasted_bytes", "bytes")
    return {name: getattr(fates, name) for name in names} | {"wasted_share": round(fates.wasted_share, 6)}


def _comparison(comparison: Comparison) -> dict[str, Any]:
    saved = comparison.saved
    return {
        "pushed_views": comparison.pushed_views,
        "other_views": comparison.other_views,
        "saved_ms": None if saved is None else _interval(saved),
        "missing": comparison.missing,
    }


def _interval(saved: Interval) -> dict[str, float]:
    return {"estimate": round(saved.estimate, 3), "low": round(saved.low, 3), "high": round(saved.high, 3)}
