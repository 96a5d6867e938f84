"""`h3push lab`: would push pay for this site? Page loads on the real stack, over an emulated network, in virtual time."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure

if TYPE_CHECKING:
    from h3push.lab.experiment import Experiment, Outcome
    from h3push.lab.findings import Findings
    from h3push.lab.scenarios import Cache, Grid
    from h3push.lab.site import Site
    from h3push.plans.manifest import Manifest


def numbers(low: float, high: float, unit: str) -> Callable[[click.Context, click.Parameter, str], tuple[float, ...]]:
    """Make the reader of an option with several numbers: `20,100,300`."""

    def read(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[float, ...]:
        try:
            found = tuple(dict.fromkeys(float(word) for word in value.split(",")))
        except ValueError:
            raise click.BadParameter(f"{value!r} is no list of numbers such as 20,100,300") from None
        wrong = [number for number in found if not low <= number <= high]
        if wrong:
            raise click.BadParameter(f"{wrong[0]:g} is not between {low:g} and {high:g} {unit}")
        return found

    return read


class LabCommand(click.RichCommand):
    """`h3push lab SITE`, and `h3push lab link`, the emulation between real programs. A site of that name is `./link`."""

    @property
    def below(self) -> dict[str, click.Command]:
        """The commands that are called by a second word."""
        from h3push.cli.link import link

        return {"link": link}

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments, of whichever of the two it is."""
        if args and args[0] in self.below:
            return self.below[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    cls=LabCommand, context_settings={"show_default": True}, epilog="Example: h3push lab public/ --html lab.html"
)
@click.argument("target", metavar="SITE")
@click.option("--page", default="/", metavar="PATH", help="The page of a directory.")
@click.option("--rtt", default="20,100,300", metavar="MS,...", callback=numbers(0.1, 10_000, "ms"),
              help="Round trips, in milliseconds.")  # fmt: skip
@click.option("--rate", default="5,50", metavar="MBIT,...", callback=numbers(0.05, 10_000, "Mbit/s"),
              help="Rates of the link, in Mbit/s.")  # fmt: skip
@click.option("--loss", default="0,1", metavar="PERCENT,...", callback=numbers(0, 50, "per cent"),
              help="Packets lost, in per cent.")  # fmt: skip
@click.option("--cache", default="cold,warm,50,100", metavar="STATE,...",
              help="What the client has: cold, warm (an open connection), per cent of the resources, or warm+50.")  # fmt: skip
@click.option("--seeds", default=3, type=click.IntRange(1, 1000), metavar="N",
              help="Visits where chance has a part: for medians, and with 6 or more for intervals of 95 %.")  # fmt: skip
@click.option("--push-manifest", type=click.Path(path_type=Path), metavar="FILE",
              help="What 'push planned' pushes.  [default: what h3push serve pushes]")  # fmt: skip
@click.option("--think", type=click.FloatRange(0, 60_000), metavar="MS",
              help="Time that the server takes for the page.  [default: as recorded; 0 for a directory]")  # fmt: skip
@click.option("-j", "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes.  [default: one a processor]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE",
              help="Write one page with plots, which loads nothing. Needs the extra report.")  # fmt: skip
@click.option("--svg", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the plot of times as a picture. Needs the extra report.")  # fmt: skip
@click.option("-k", "--insecure", is_flag=True, help="Accept any certificate of a URL.")
@click.option("--cacert", type=click.Path(path_type=Path), metavar="FILE",
              help="Trust these authorities (PEM), not the system's.")  # fmt: skip
def lab(target: str, as_json: bool, html: Path | None, svg: Path | None, jobs: int | None, **given: Any) -> int:
    """Measure whether push would pay for SITE: without push, with preload links, with 103 and with pushes.

    SITE is a directory, an https URL (fetched over HTTP/3, with what the page names), or a HAR file that a browser recorded.
    The real client, server and QUIC load it over emulated links, in virtual time; the same seeds give the same figures. Ctrl-C
    keeps what was measured. For an emulated link in real time, between programs of yours: h3push lab link --help.
    """
    from h3push.lab.experiment import default_jobs
    from h3push.lab.findings import findings_of

    for path in filter(None, (html, svg)):
        check_plots(path)
    experiment = experiment_of(target, given)
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        run_all(experiment, jobs or default_jobs(), outcomes)
    except KeyboardInterrupt:
        interrupted = True
    planned = len(experiment.visits())
    findings = findings_of(experiment.site, outcomes, order=experiment.grid, planned=planned)
    show(findings, as_json=as_json)
    write_plots(findings, html, svg)
    if interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE if findings.cells else ExitCode.FAILED


def experiment_of(target: str, given: dict[str, Any]) -> "Experiment":
    """Read everything that the command line names."""
    from dataclasses import replace

    from h3push.lab.experiment import Experiment
    from h3push.lab.place import with_planned
    from h3push.lab.site import SiteError

    grid = grid_of(given["rtt"], given["rate"], given["loss"], given["cache"])
    manifest = None if given["push_manifest"] is None else read_manifest(given["push_manifest"])
    try:
        site = read_site(target, given["page"], cafile=given["cacert"], verify=not given["insecure"])
    except SiteError as error:
        raise CommandFailed(str(error)) from None
    if manifest is not None and Path(target).is_dir():
        site = with_planned(site, Path(target), manifest.plan(site.path))
    if given["think"] is not None:
        site = replace(site, thinking=given["think"] / 1000)
    return Experiment(site=site, grid=grid, seeds=given["seeds"], manifest=manifest)


def read_site(target: str, page: str, *, cafile: Path | None, verify: bool) -> "Site":
    """Read SITE, whatever it is."""
    from h3push.lab.archive import site_of_archive
    from h3push.lab.place import fetch_site, site_of_directory

    if "://" in target:
        return fetch_site(target, cafile=cafile, verify=verify)
    path = Path(target)
    if path.is_dir():
        return site_of_directory(path, page)
    if not path.exists():
        raise CommandFailed(f"there is no {target}: give a directory, an https URL, or a HAR file")
    return site_of_archive(path)


def read_manifest(path: Path) -> "Manifest":
    """Read the plan of what is pushed."""
    from h3push.plans.manifest import ManifestError, load_manifest

    try:
        return load_manifest(path)
    except ManifestError as error:
        raise CommandFailed(str(error)) from None


def grid_of(rtt: tuple[float, ...], rate: tuple[float, ...], loss: tuple[float, ...], cache: str) -> "Grid":
    """Make the grid, of milliseconds, Mbit/s and per cent."""
    from h3push.lab.scenarios import Grid

    return Grid(
        round_trips=tuple(one / 1000 for one in rtt),
        rates=tuple(round(one * 1e6) for one in rate),
        losses=tuple(one / 100 for one in loss),
        caches=tuple(dict.fromkeys(cache_of(word.strip()) for word in cache.split(","))),
    )


def cache_of(word: str) -> "Cache":
    """Read `cold`, `warm`, `50` or `warm+50`."""
    from h3push.lab.scenarios import Cache

    warm, rest = word.startswith("warm"), word.removeprefix("warm").removeprefix("+")
    if rest in {"", "cold"} and word not in {"", "+"}:
        return Cache(warm=warm)
    try:
        share = float(rest.removesuffix("%")) / 100
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise click.UsageError(f"--cache: {word!r} is neither cold, nor warm, nor a percentage such as 50 or warm+50")
    return Cache(warm=warm, share=share)


def run_all(experiment: "Experiment", jobs: int, outcomes: "list[Outcome]") -> None:
    """Make every visit; `outcomes` holds those that were made, whatever ends it."""
    from h3push.lab.experiment import run_experiment

    with progress(len(experiment.visits())) as advance:
        for outcome in run_experiment(experiment, jobs):
            outcomes.append(outcome)
            advance()


@contextmanager
def progress(total: int) -> Iterator[Callable[[], None]]:
    """Show how far it is, on a terminal; the function says that one more visit is made."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.completed} of {task.total} visits"),
        bars.BarColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda: shown.advance(task)


def show(findings: "Findings", *, as_json: bool) -> None:
    """Print what was found."""
    from h3push.lab.record import record

    if as_json:
        click.echo(json.dumps(record(findings), indent=1))
        return
    from rich.console import Console

    from h3push.lab.table import print_findings

    console = Console() if sys.stdout.isatty() else Console(width=240)
    print_findings(findings, console)


def check_plots(path: Path) -> None:
    """Fail before the work, not behind it, when plots could not be made."""
    from importlib.util import find_spec

    for name in ("altair", "vl_convert"):
        if find_spec(name) is None:
            raise CommandFailed(f"{name} is not installed, plots need it: pip install 'h3push[report]'")
    if not path.parent.is_dir():
        raise CommandFailed(f"cannot write {path}: there is no directory {path.parent}", ExitCode.WRITE_ERROR)


def write_plots(findings: "Findings", html: Path | None, svg: Path | None) -> None:
    """Write the page with the plots, and the picture of one; no picture when no scenario was measured."""
    if html is not None:
        from h3push.lab.page import lab_page

        write(html, lab_page(findings))
    if svg is not None and findings.cells:
        from h3push.lab.plots import times_picture

        write(svg, times_picture(findings))


def write(path: Path, text: str) -> None:
    """Write a file."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise file_failure(error, "write", path, ExitCode.WRITE_ERROR) from None
