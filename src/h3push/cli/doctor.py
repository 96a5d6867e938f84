"""`h3push doctor`: what keeps clients from HTTP/3 and from pushes, and what to type against it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode

if TYPE_CHECKING:
    from h3push.doctor.finding import Finding

_FILE = click.Path(path_type=Path)


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push doctor https://example.com/, or h3push doctor --app package.module:app",
)
@click.argument("url", metavar="[URL]", required=False)
@click.option("--app", metavar="MODULE:APP", help="Look for middleware that eats pushes in this application.")
@click.option("--factory", is_flag=True, help="APP is a function that makes the application.")
@click.option("--app-dir", type=_FILE, metavar="DIR", help="Directory of APP's module.  [default: .]")
@click.option("--cacert", type=_FILE, metavar="FILE", help="Trust these authorities (PEM), not the system's.")
@click.option("--connect-timeout", default=5.0, type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="Give up an attempt to connect then.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(
    url: str | None,
    app: str | None,
    factory: bool,
    app_dir: Path | None,
    cacert: Path | None,
    connect_timeout: float,
    as_json: bool,
) -> int:
    """Find what keeps clients from HTTP/3 and from pushes, and say what to type against it.

    Looks at this machine (socket buffers, open files); with URL at that server: its certificate, whether UDP reaches it, and
    whether TCP tells of it (Alt-Svc); with --app at an application's middleware. Exits with 1 when something is wrong.
    """
    from h3push.doctor.machine import examine_buffers, examine_descriptors

    findings = [*examine_buffers(), examine_descriptors()]
    if url is not None:
        findings += _examine_server(url, cacert, connect_timeout)
    if app is not None:
        findings += _examine_app(app, factory=factory, app_dir=app_dir)
    return _show(findings, as_json=as_json)


def _examine_server(url: str, cacert: Path | None, seconds: float) -> "Sequence[Finding]":
    from h3push.doctor.reach import examine_reach
    from h3push.http.url import parse_url

    try:
        origin = parse_url(url if "://" in url else f"https://{url}").origin
        return asyncio.run(examine_reach(origin, cacert, seconds))
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def _examine_app(target: str, *, factory: bool, app_dir: Path | None) -> "Sequence[Finding]":
    from h3push.asgi.loader import LoadError, load_app, own_lines
    from h3push.doctor.middleware import examine_middleware

    try:
        loaded = load_app(target, factory=factory, app_dir=app_dir)
    except LoadError as error:
        raise CommandFailed(str(error)) from None
    except Exception as error:
        raise CommandFailed(f"{target} cannot be loaded:\n{own_lines(error)}") from None
    return examine_middleware(loaded)


def _show(findings: "Sequence[Finding]", *, as_json: bool) -> int:
    from h3push.doctor.finding import Level

    is_wrong = any(one.level is Level.WRONG for one in findings)
    if as_json:
        told = [{**asdict(one), "level": one.level.value} for one in findings]
        click.echo(json.dumps({"healthy": not is_wrong, "findings": told}, ensure_ascii=False))
    else:
        colours = {Level.GOOD: "green", Level.ADVICE: "yellow", Level.WRONG: "red"}
        for one in findings:
            click.echo(f"{click.style(f'{one.level.value:<6}', colours[one.level])}  {one.topic}: {one.message}")
            if one.remedy is not None:
                click.echo(f"          {one.remedy}")
    return ExitCode.FAILED if is_wrong else ExitCode.DONE
