"""The report as one HTML page that needs nothing else."""

from html import escape

from h3push.judge.outcome import Fates, RouteOutcome, SiteOutcome
from h3push.judge.plots import plots_of
from h3push.judge.summary import BESIDE, fates_line, headline, interval, reason
from h3push.lab.plot_page import PlotsMissing, plot_page

ReportMissing = PlotsMissing
"""A library that the page needs is not installed; the sentence says how to install it."""


def to_html(outcome: SiteOutcome) -> str:
    """The page. Raises `ReportMissing`."""
    return plot_page(
        "Does push pay?",
        headline(outcome),
        lambda: plots_of(outcome),
        before=f"<p>{escape(fates_line(outcome.fates))}.</p>",
        after=(
            f"<h2>Routes</h2>{_table(outcome.routes)}"
            "<p>Milliseconds are measured: page views that were given pushes at random, beside those that were not. In brackets"
            " the interval that holds the truth nine times in ten.</p>"
        ),
    )


def _table(routes: tuple[RouteOutcome, ...]) -> str:
    heads = ("route", "views", "pushed", "used", "unused", "cancelled", "not reported", "wasted", "saved", "decision")
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
