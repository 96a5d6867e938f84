"""`h3push learn`: from access logs to a push manifest, with what was counted and calculated for each entry."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure, say

if TYPE_CHECKING:
    from h3push.judge.decision import Plan, Terms


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push learn access.jsonl -o plan.json, then h3push serve site --push-manifest plan.json",
)
@click.argument("logs", metavar="[LOGS]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", default="plan.json", type=click.Path(path_type=Path), metavar="FILE",
              help="The plan: what --push-manifest reads.")  # fmt: skip
@click.option("--explain", metavar="URL",
              help="Say why each candidate of this page is pushed or left; without LOGS, from the plan.")  # fmt: skip
@click.option("--route", "routes", multiple=True, metavar="TEMPLATE",
              help="Pages that count as one, such as /orders/{id}; may be repeated. Others are found.")  # fmt: skip
@click.option("--rtt", type=click.FloatRange(0, min_open=True), metavar="MS",
              help="Round trip to calculate with.  [default: what the log says, or else 100]")  # fmt: skip
@click.option("--rate", default=10.0, type=click.FloatRange(0, min_open=True), metavar="MBIT",
              help="Rate to assume, in Mbit/s.")  # fmt: skip
@click.option("--waste", default=2.0, type=click.FloatRange(0, 100), metavar="PERCENT",
              help="Share of all bytes that pushes may waste.")  # fmt: skip
@click.option("--max-routes", default=10_000, type=click.IntRange(1), metavar="N",
              help="Routes in the plan, those with the most views first.")  # fmt: skip
@click.option("--engine", type=click.Choice(["duckdb", "spark"]), default="duckdb",
              help="What counts: DuckDB in this process, or Spark.")  # fmt: skip
def learn(
    logs: Sequence[Path],
    output: Path,
    explain: str | None,
    routes: Sequence[str],
    rtt: float | None,
    rate: float,
    waste: float,
    max_routes: int,
    engine: str,
) -> int:
    """Learn from access logs which resources to push with which page.

    LOGS are JSON lines of h3push serve, common or combined logs of other servers, or HAR files, also compressed. What is
    pushed was used so often that the 5 % lower bound of its probability pays, saves time over a hint, and fits into the idle
    time of the link; all of it together keeps the budget of --waste. Needs the extra learn: pip install 'h3push[learn]'.
    """
    from h3push.judge.decision import Terms

    if not logs:
        return _explain_plan(output, explain)
    plans, interrupted = _learn(logs, Terms(rtt, rate * 1e6, waste=waste / 100), engine, routes, max_routes)
    from h3push.judge.plan_file import write_plan

    try:
        write_plan(plans, output)
    except OSError as error:
        raise file_failure(error, "write", output, ExitCode.WRITE_ERROR) from None
    if explain is not None:
        _explain_plan(output, explain)
    else:
        _show(plans, output)
    return ExitCode.INTERRUPTED if interrupted else ExitCode.DONE


def _learn(
    logs: Sequence[Path], terms: "Terms", engine: str, routes: Sequence[str], max_routes: int
) -> tuple[list["Plan"], bool]:
    """The plans, and whether Ctrl-C cut the reading short."""
    from h3push.cli.evidence import progress, read_evidence
    from h3push.judge.decision import decide_all
    from h3push.judge.learning import learn

    with progress() as announce, read_evidence(logs, engine, routes, announce) as evidence:
        announce("counting")
        plans, _ = decide_all(learn(evidence.tables, max_routes), terms)
        return plans, evidence.interrupted


def _explain_plan(path: Path, url: str | None) -> int:
    from h3push.control.seed import PlanError
    from h3push.judge.plan_file import explain_file

    if url is None:
        raise click.UsageError("Give log files to learn from, or --explain URL with a plan that is there.")
    parts = urlsplit(url)
    try:
        click.echo(explain_file(path, parts.path or "/"))
    except PlanError as error:
        raise CommandFailed(str(error), ExitCode.READ_ERROR) from None
    return ExitCode.DONE


def _show(plans: Sequence["Plan"], output: Path) -> None:
    """Print a line for each route with candidates, the first twenty, and where the rest is."""
    from h3push.judge.decision import wasted_share

    shown = [plan for plan in plans if plan.judged]
    width = max((len(plan.route.route) for plan in shown[:20]), default=5)
    click.echo(f"{'route':<{width}}  {'views':>10}  {'push':>5}  {'leave':>5}  {'bytes':>9}  at least saved")
    for plan in shown[:20]:
        pushed = plan.pushed
        size = sum(one.candidate.size for one in pushed)
        saved = max((one.expected_ms for one in pushed), default=0.0)
        click.echo(
            f"{plan.route.route:<{width}}  {plan.route.views:>10,}  {len(pushed):>5}  {len(plan.judged) - len(pushed):>5}"
            f"  {size:>9,.0f}  {saved:>11.0f} ms"
        )
    if len(shown) > 20:
        click.echo(f"and {len(shown) - 20:,} more routes")
    total = sum(len(plan.pushed) for plan in plans)
    say(
        f"h3push: {output} pushes {total:,} resources with {sum(bool(plan.pushed) for plan in plans):,} routes;"
        f" by these counts {wasted_share(plans):.1%} of all bytes are wasted"
    )
