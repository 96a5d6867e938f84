"""The findings as plots (Vega-Lite): time over round trip, waste over cached share, and waterfalls side by side."""

from typing import Any

from h3push.lab.findings import Cell, Findings, Goal
from h3push.lab.intervals import Interval
from h3push.lab.scenarios import Scenario
from h3push.lab.ways import ORDER

COLOURS = {"none": "#6b7785", "preload": "#d98324", "103": "#b23a48", "push planned": "#2a7f62", "push all": "#34568b"}
"""Of each way."""
ARRIVALS = {"requested": "#6b7785", "hinted": "#d98324", "pushed": "#2a7f62", "cached": "#c9d1d9"}
"""Of each way in which a resource comes."""

Specification = dict[str, Any]


def plots_of(findings: Findings) -> dict[str, Specification]:
    """Give the plots by heading; those that there are no figures for are left out. The extra `report` must be installed."""
    plots: dict[str, Specification] = {}
    if not findings.cells:
        return plots
    plots[f"Milliseconds until {findings.goal.value}, over the round trip"] = _times(findings)
    if len({cell.scenario.cache.share for cell in findings.cells if not cell.scenario.cache.warm}) > 1:
        plots["Bytes wasted, over the share of resources that the client has"] = _waste(findings)
    example = _example(findings)
    plots[f"Waterfalls: {example.scenario}"] = _waterfalls(example)
    return plots


def times_picture(findings: Findings) -> str:
    """Draw the times over the round trip as SVG. The extra `report` must be installed."""
    import vl_convert

    picture: str = vl_convert.vegalite_to_svg({**_times(findings), "config": {"aria": False}})
    return picture


def _colour() -> Any:
    import altair as alt

    scale = alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    return alt.Color("way:N", title=None, sort=list(COLOURS), scale=scale, legend=alt.Legend(orient="top"))


def _link(scenario: Scenario) -> str:
    loss = f", {scenario.loss * 100:g} % lost" if scenario.loss else ""
    return f"{scenario.rate / 1e6:g} Mbit/s{loss}"


def _times(findings: Findings) -> Specification:
    """A line for each way; a column for each link, a row for each cache."""
    import altair as alt

    rows = [
        {
            "round_trip": cell.scenario.round_trip * 1000,
            "link": _link(cell.scenario),
            "cache": str(cell.scenario.cache),
            "way": way.value,
            **_interval(cell.measured[way].interval(findings.goal)),
        }
        for cell in findings.cells
        for way in ORDER
    ]
    base = alt.Chart().encode(x=alt.X("round_trip:Q", title="round trip, ms"), color=_colour())
    lines = base.mark_line(point=True).encode(
        y=alt.Y("ms:Q", title=f"{findings.goal.value}, ms"),
        tooltip=["way:N", "round_trip:Q", "ms:Q", "low:Q", "high:Q"],
    )
    spread = base.mark_rule(strokeWidth=2, opacity=0.5).encode(y="low:Q", y2="high:Q")
    plot = alt.layer(spread, lines, data=alt.InlineData(values=rows)).properties(width=220, height=160)
    links = list(dict.fromkeys(_link(cell.scenario) for cell in findings.cells))
    caches = list(dict.fromkeys(str(cell.scenario.cache) for cell in findings.cells))
    faceted = plot.facet(
        column=alt.Column("link:N", title=None, sort=links), row=alt.Row("cache:N", title=None, sort=caches)
    ).resolve_scale(y="independent")
    specification: Specification = faceted.to_dict()
    return specification


def _interval(interval: Interval) -> dict[str, float]:
    return {"ms": interval.median * 1000, "low": interval.low * 1000, "high": interval.high * 1000}


def _waste(findings: Findings) -> Specification:
    """A line for each way on new connections without loss, or with the least loss that was measured."""
    import altair as alt

    least = min(cell.scenario.loss for cell in findings.cells)
    cells = [one for one in findings.cells if not one.scenario.cache.warm and one.scenario.loss == least]
    rows = [
        {
            "cached": cell.scenario.cache.share,
            "kB": cell.measured[way].wasted_bytes / 1000,
            "way": way.value,
            "link": _link(cell.scenario),
            "round trip": f"{cell.scenario.round_trip * 1000:g} ms",
        }
        for cell in cells
        for way in ORDER
    ]
    trips = [f"{trip * 1000:g} ms" for trip in dict.fromkeys(cell.scenario.round_trip for cell in cells)]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("cached:Q", title="cached", axis=alt.Axis(format="%")),
            y=alt.Y("kB:Q", title="kB more than without"),
            color=_colour(),
            tooltip=["way:N", "cached:Q", "kB:Q"],
            column=alt.Column("round trip:N", title=None, sort=trips),
            row=alt.Row("link:N", title=None),
        )
        .properties(width=260, height=150)
    )
    specification: Specification = chart.to_dict()
    return specification


def _example(findings: Findings) -> Cell:
    """The scenario whose waterfalls differ the most: the one in which the best way gains most; without loss if there is one."""
    least = min(cell.scenario.loss for cell in findings.cells)
    return max((cell for cell in findings.cells if cell.scenario.loss == least), key=lambda cell: cell.gain)


def _waterfalls(cell: Cell) -> Specification:
    import altair as alt

    rows = [
        {
            "way": way.value,
            "path": resource.path,
            "order": order,
            "from": resource.started * 1000,
            "to": resource.ended * 1000,
            "arrival": resource.arrival.value,
            "shown": cell.measured[way].sample.shown * 1000,
        }
        for way in ORDER
        for order, resource in enumerate(cell.measured[way].sample.resources)
    ]
    base = alt.Chart().encode(
        y=alt.Y("path:N", title=None, sort=alt.EncodingSortField("order", op="min"), axis=alt.Axis(labelLimit=150))
    )
    scale = alt.Scale(domain=list(ARRIVALS), range=list(ARRIVALS.values()))
    bars = base.mark_bar().encode(
        x=alt.X("from:Q", title="ms"),
        x2="to:Q",
        color=alt.Color("arrival:N", title=None, scale=scale, sort=list(ARRIVALS), legend=alt.Legend(orient="top")),
        tooltip=["path:N", "arrival:N", "from:Q", "to:Q"],
    )
    shown = alt.Chart().mark_rule(color="#b23a48", strokeDash=[4, 3]).encode(x="max(shown):Q")
    layers = [bars, shown] if cell.goal is Goal.SHOWN else [bars]
    plot = alt.layer(*layers, data=alt.InlineData(values=rows)).properties(width=170, height=alt.Step(12))
    faceted = plot.facet(column=alt.Column("way:N", title=None, sort=[way.value for way in ORDER]))
    specification: Specification = faceted.configure_axisY(labelFontSize=9).to_dict()
    return specification
