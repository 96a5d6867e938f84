"""Draw the pictures of "When push pays" from the functions that decide: `python tools/draw_judgement.py` rewrites them.

Needs the extra `report`.
"""

from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from h3push.control.bounds import lower_bound
from h3push.control.saving import Path as Link

DOCS = Path(__file__).parent.parent / "docs" / "explanation"
CASES = {
    "API, 2 kB and 6 kB": (2_000, 6_000, 12_000),
    "page of 22 kB and 60 kB, new connection": (22_000, 60_000, 12_000),
    "the same page, warm connection": (22_000, 60_000, 125_000),
}
"""Page, what goes with it, window."""


def savings() -> Any:
    rows = [
        {
            "think": think,
            "saved": Link(round_trip=100, rate=1_250, window=window, think=think, page=page).saved(size),
            "case": name,
        }
        for name, (page, size, window) in CASES.items()
        for think in range(0, 301, 2)
    ]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line()
        .encode(
            x=alt.X("think:Q", title="the server thinks, ms"),
            y=alt.Y("saved:Q", title="ms saved over a hint"),
            color=alt.Color("case:N", title=None, sort=list(CASES), legend=alt.Legend(labelLimit=300)),
        )
        .properties(width=520, height=260, title="What a push saves at 100 ms and 10 Mbit/s")
    )


def bounds() -> Any:
    rows = [
        {"views": views, "bound": lower_bound(round(share * views), views), "share": f"used in {share:.0%}"}
        for share in (1.0, 0.9, 0.5)
        for views in range(10, 310, 10)
    ]
    return (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line()
        .encode(
            x=alt.X("views:Q", title="page views seen"),
            y=alt.Y(
                "bound:Q", title="probability, at least", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])
            ),
            color=alt.Color("share:N", title=None, sort=None),
        )
        .properties(width=520, height=260, title="How sure a count makes us")
    )


def main() -> None:
    for name, chart in {"savings": savings(), "bounds": bounds()}.items():
        path = DOCS / f"judgement-{name}.svg"
        svg = vl_convert.vegalite_to_svg(chart.configure(background="white").to_dict())
        path.write_text(svg.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
