"""The findings as one HTML page: the verdict, the plots, and the table of every scenario."""

from html import escape

from h3push.lab.findings import Cell, Findings, Goal
from h3push.lab.plot_page import plot_page, table
from h3push.lab.plots import plots_of
from h3push.lab.verdict import verdict_sentence
from h3push.lab.ways import ORDER


def lab_page(findings: Findings) -> str:
    """Make the page.

    Raises: PlotsMissing: the extra `report` is not installed.
    """
    site = findings.site
    about = (
        f"<p>{escape(site.name)}, {escape(site.path)}: {len(site.resources)} resources, {site.content_bytes:,} bytes,"
        f" depth {site.depth}. Real client, server and QUIC over an emulated link, in virtual time.</p>"
    )
    stopped = f"<p>{findings.missing} visits were not made.</p>" if findings.missing else ""
    heads = ["scenario", *(f"{way.value}, ms" for way in ORDER), "best", "gain", "wasted by best, kB"]
    after = f"<h2>Every scenario: shown / complete</h2>{table(heads, [_row(cell) for cell in findings.cells])}"
    return plot_page(
        "Does push pay for this site?",
        verdict_sentence(findings),
        lambda: plots_of(findings),
        before=about + stopped + (_LINE if findings.goal is Goal.SHOWN else ""),
        after=after,
    )


_LINE = "<p>The dashed line of a waterfall is where the page is shown.</p>"


def _row(cell: Cell) -> list[tuple[str, bool]]:
    best = cell.best
    times = [
        (
            f"{cell.measured[way].shown.median * 1000:,.0f} / {cell.measured[way].complete.median * 1000:,.0f}",
            way is best,
        )
        for way in ORDER
    ]
    wasted = f"{cell.measured[best].wasted_bytes / 1000:,.1f}"
    return [(str(cell.scenario), False), *times, (best.value, False), (f"{cell.gain:.0%}", False), (wasted, False)]
