"""One self-contained HTML page with plots: Vega and Vega-Lite are in it, and its policy forbids every request."""

import json
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from h3push.errors import H3PushError

POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:"
"""Content-Security-Policy of the page: Vega makes functions of its expressions, and nothing is loaded."""

STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1c2530; background: #fff }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.5rem }
.verdict { font-size: 1.2rem; padding: 1rem; border-left: .4rem solid #34568b; background: #eef2f7 }
figure { margin: 0; overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #d6dce3; text-align: right; vertical-align: top }
th:first-child, td:first-child, td.words, th.words { text-align: left; overflow-wrap: anywhere; min-width: 7rem }
.best { font-weight: bold; background: #e5f3ea }
"""


class PlotsMissing(H3PushError):
    """A library that the page needs is not installed; the sentence says how to install it."""


def plot_page(
    title: str,
    verdict: str,
    make_plots: Callable[[], Mapping[str, Mapping[str, Any]]],
    *,
    before: str = "",
    after: str = "",
) -> str:
    """Make the page.

    Args:
        title: its heading.
        verdict: the sentence that stands out.
        make_plots: gives Vega-Lite specifications by heading; called when what they need is there.
        before: HTML between the verdict and the plots.
        after: HTML behind the plots.

    Raises: PlotsMissing: the extra `report` is not installed.
    """
    try:
        import altair as _  # noqa: F401
        import vl_convert
    except ImportError as error:
        raise PlotsMissing(f"{error.name} is not installed: pip install 'h3push[report]'") from None
    plots = make_plots()
    figures = "".join(
        f'<h2>{escape(heading)}</h2><figure id="plot-{number}"></figure>' for number, heading in enumerate(plots)
    )
    script = ""
    if plots:
        bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed").replace("</script", "<\\/script")
        specs = json.dumps(list(plots.values())).replace("<", "\\u003c")
        show = 'vegaEmbed("#plot-" + number, spec, {actions: false, renderer: "svg"})'
        script = f"<script>{bundle}</script><script>{specs}.forEach((spec, number) => {show})</script>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="verdict">{escape(verdict)}</p>'
        f"{before}{figures}{after}{script}</body></html>\n"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[tuple[str, bool]]]) -> str:
    """Make an HTML table of texts; True beside a text marks it as the best of its row."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(map(_row, rows))}</tbody></table>"


def _row(cells: Sequence[tuple[str, bool]]) -> str:
    return f"<tr>{''.join(f'<td{_MARK[marked]}>{escape(text)}</td>' for text, marked in cells)}</tr>"


_MARK = {True: ' class="best"', False: ""}
