"""Plots of an outcome, as Vega-Lite specifications."""

from typing import Any

from h3push.judge.outcome import RouteOutcome, SiteOutcome
from h3push.judge.summary import BESIDE

MAX_ROUTES = 30
"""Routes in a plot, those with the most views."""
FATES = (("used", "#2a7f62"), ("not reported", "#9aa5b1"), ("unused", "#d98324"), ("cancelled", "#b23a48"))
"""The fates of a push, with their colours."""


def plots_of(outcome: SiteOutcome) -> dict[str, dict[str, Any]]:
    """Specifications by title; those without data are left out."""
    found = {
        "Milliseconds saved per page view, by route": _saved_by_route(outcome.routes[:MAX_ROUTES]),
        "Milliseconds saved per page view, over time": _saved_by_day(outcome),
        "What became of the pushes, over time": _fates_by_day(outcome),
        "Bytes wasted, over time": _waste_by_day(outcome),
    }
    return {title: spec for title, spec in found.items() if spec is not None}


def _chart(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Chart(alt.InlineData(values=rows)).properties(width=720)


def _days(field: str = "day:T") -> Any:
    """The axis of days, in UTC as in the logs."""
    import altair as alt

    axis = alt.Axis(format="%d %b", tickCount="day", labelOverlap=True)
    return alt.X(field, title=None, scale=alt.Scale(type="utc"), axis=axis)


def _saved_by_route(routes: tuple[RouteOutcome, ...]) -> dict[str, Any] | None:
    import altair as alt

    rows = [
        {
            "route": one.route,
            "beside": f"beside {BESIDE[arm]}",
            "saved": found.saved.estimate,
            "low": found.saved.low,
            "high": found.saved.high,
        }
        for one in routes
        for arm, found in one.comparisons.items()
        if found.saved is not None
    ]
    if not rows:
        return None
    base = _chart(rows).encode(
        y=alt.Y("route:N", title=None, sort=None, axis=alt.Axis(labelLimit=300)),
        yOffset=alt.YOffset("beside:N"),
        color=alt.Color("beside:N", title=None, scale=alt.Scale(range=["#34568b", "#2a7f62"])),
    )
    bars = base.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q", title="ms, with the 90 % interval"), x2="high:Q")
    dots = base.mark_point(filled=True, size=70).encode(x="saved:Q")
    zero = _chart([{"zero": 0}]).mark_rule(strokeDash=[4, 4]).encode(x="zero:Q")
    chart: dict[str, Any] = (bars + dots + zero).to_dict()
    return chart


def _saved_by_day(outcome: SiteOutcome) -> dict[str, Any] | None:
    import altair as alt

    rows = [
        {
            "day": day.day,
            "saved": day.comparison.saved.estimate,
            "low": day.comparison.saved.low,
            "high": day.comparison.saved.high,
        }
        for day in outcome.days
        if day.comparison is not None and day.comparison.saved is not None
    ]
    if not rows:
        return None
    base = _chart(rows).encode(x=_days())
    band = base.mark_errorbar(thickness=2, color="#34568b").encode(y=alt.Y("low:Q", title="ms saved"), y2="high:Q")
    line = base.mark_line(point=True, color="#34568b").encode(y="saved:Q")
    chart: dict[str, Any] = (band + line).to_dict()
    return chart


def _fates_by_day(outcome: SiteOutcome) -> dict[str, Any] | None:
    import altair as alt

    rows = [
        {"day": day.day, "fate": fate, "pushes": getattr(day.fates, fate.replace("not reported", "unreported"))}
        for day in outcome.days
        for fate, _ in FATES
        if day.fates.pushed
    ]
    if not rows:
        return None
    names, colours = zip(*FATES, strict=True)
    chart = _chart(rows).mark_bar()
    encoded: dict[str, Any] = chart.encode(
        x=_days("utcyearmonthdate(day):T"),
        y=alt.Y("pushes:Q", title="pushes"),
        color=alt.Color("fate:N", title=None, scale=alt.Scale(domain=list(names), range=list(colours))),
    ).to_dict()
    return encoded


def _waste_by_day(outcome: SiteOutcome) -> dict[str, Any] | None:
    import altair as alt

    rows = [{"day": day.day, "share": day.fates.wasted_share} for day in outcome.days if day.fates.pushed]
    if not rows:
        return None
    base = _chart(rows).mark_line(point=True, color="#b23a48")
    chart: dict[str, Any] = base.encode(
        x=_days(),
        y=alt.Y("share:Q", title="share of all bytes", axis=alt.Axis(format=".1%")),
    ).to_dict()
    return chart
