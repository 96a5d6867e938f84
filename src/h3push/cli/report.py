"""`h3push report`: what pushes saved and what they wasted, as access logs show."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure

if TYPE_CHECKING:
    from h3push.judge.outcome import SiteOutcome


@click.command(context_settings={"show_default": True}, epilog="Example: h3push report access.jsonl --html report.html")
@click.argument("logs", metavar="LOGS...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the report as one page with plots, which loads nothing. Needs the extra report.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--route", "routes", multiple=True, metavar="TEMPLATE",
              help="Pages that count as one, such as /orders/{id}; may be repeated. Others are found.")  # fmt: skip
@click.option("--max-routes", default=1000, type=click.IntRange(1), metavar="N",
              help="Routes that are told of, those with the most views first.")  # fmt: skip
@click.option("--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb",
              help="What counts: DuckDB in this process, or Spark.")  # fmt: skip
def report(
    logs: Sequence[Path], html: Path | None, as_json: bool, routes: Sequence[str], max_routes: int, engine: str
) -> int:
    """Report what pushes saved and what they wasted: first one line that says whether they pay.

    LOGS are those that h3push learn reads. Milliseconds come from page views of an experiment (arm in the log), never from a
    model; without one, the report says what was used and wasted, and what is missing. Needs the extra learn: pip install
    'h3push[learn]'.
    """
    from h3push.cli.evidence import progress, read_evidence
    from h3push.judge.outcome import outcome_of

    with progress() as announce, read_evidence(logs, engine, routes, announce) as evidence:
        announce("comparing")
        outcome, interrupted = outcome_of(evidence.tables, max_routes), evidence.interrupted
    if html is not None:
        _write_html(outcome, html)
    _show(outcome, as_json=as_json)
    return ExitCode.INTERRUPTED if interrupted else ExitCode.DONE


def _write_html(outcome: "SiteOutcome", path: Path) -> None:
    from h3push.judge.page import ReportMissing, to_html

    try:
        path.write_text(to_html(outcome), encoding="utf-8")
    except ReportMissing as error:
        raise CommandFailed(str(error)) from None
    except OSError as error:
        raise file_failure(error, "write", path, ExitCode.WRITE_ERROR) from None


def _show(outcome: "SiteOutcome", *, as_json: bool) -> None:
    from h3push.judge.summary import fates_line, headline, reason, to_document

    if as_json:
        click.echo(json.dumps(to_document(outcome), ensure_ascii=False))
        return
    click.echo(headline(outcome))
    for one in outcome.routes:
        click.echo(f"\n{one.route}\n  {fates_line(one.fates)}\n  {reason(one)}")
