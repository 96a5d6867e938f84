"""The report as one HTML page that needs nothing else: Vega and Vega-Lite are in it, and its policy forbids every request."""

import json
from html import escape

from h3push.errors import H3PushError
from h3push.judge.outcome import Fates, Outcome, RouteOutcome
from h3push.judge.plots import plots_of
from h3push.judge.summary import BESIDE, fates_line, headline, interval, reason

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy of the page: Vega makes functions of its expressions, and nothing is loaded."""

STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1c2530; background: #fff }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.5rem }
.verdict { font-size: 1.2rem; padding: 1rem; border-left: .4rem solid #34568b; background: #eef2f7 }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d6dce3; text-align: right; vertical-align: top }
th:first-child, td:first-child, td.words, th.words { text-align: left; overflow-wrap: anywhere; min-width: 7rem }
"""


class ReportMissing(H3PushError):
    """What the page needs is not installed; the sentence says how to install it."""


def to_html(outcome: Outcome) -> str:
    """The page. Raises `ReportMissing`."""
    try:
        import altair as _  # noqa: F401
        import vl_convert
    except ImportError as error:
        raise ReportMissing(f"{error.name} is not installed: pip install 'h3push[report]'") from None
    plots = plots_of(outcome)
    figures = "".join(f'<h2>{escape(title)}</h2><div id="plot-{number}"></div>' for number, title in enumerate(plots))
    script = ""
    if plots:
        specs = json.dumps(list(plots.values())).replace("<", "\\u003c")
        bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed").replace("</script", "<\\/script")
        show = 'vegaEmbed("#plot-" + number, spec, {actions: false, renderer: "svg"})'
        script = f"<script>{bundle}</script><script>{specs}.forEach((spec, number) => {show})</script>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<link rel="icon" href="data:,">'
        f"<title>h3push report</title><style>{STYLE}</style></head><body>"
        f'<h1>Does push pay?</h1><p class="verdict">{escape(headline(outcome))}</p>'
        f"<p>{escape(fates_line(outcome.fates))}.</p>"
        f"{figures}<h2>Routes</h2>{_table(outcome.routes)}"
        "<p>Milliseconds are measured: page views that were given pushes at random, beside those that were not. In brackets the"
        " interval that holds the truth nine times in ten.</p>"
        f"{script}</body></html>\n"
    )


def _table(routes: tuple[RouteOutcome, ...]) -> str:
    heads = ("route", "views", "pushed", "used", "unused", "cancelled", "not reported", "in vain", "saved", "decision")
    head = "".join(f"<th{' class=words' if name == 'decision' else ''}>{name}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, routes))}</tbody></table>"


def _row(one: RouteOutcome) -> str:
    fates: Fates = one.fates
    counts = (fates.views, fates.pushed, fates.used, fates.unused, fates.cancelled, fates.unreported)
    saved = [
        f"{interval(found.saved)} beside {BESIDE[arm]}"
        for arm, found in one.comparisons.items()
        if found.saved is not None
    ]
    cells = [f"{count:,}" for count in counts] + [f"{fates.wasted_share:.1%}", ", ".join(saved) or "-"]
    numbers = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f'<tr><td>{escape(one.route)}</td>{numbers}<td class="words">{escape(reason(one))}</td></tr>'
