"""`h3push serve`: a directory or an ASGI application over HTTP/3, pushing what its pages need."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed, file_failure
from h3push.cli.service import CertificateFiles, ServeOptions
from h3push.cli.workers import run

if TYPE_CHECKING:
    from h3push.server.access_log import LogFormat
    from h3push.tcp.side import TcpChoice


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push serve public/ --dev, or h3push serve package.module:app --dev",
)
@click.argument("target", metavar="DIR_OR_APP")
@click.option("--factory", is_flag=True, help="APP is a function that makes the application.")
@click.option(
    "--app-dir", type=click.Path(path_type=Path), metavar="DIR", help="Directory of APP's module.  [default: .]"
)
@click.option("--push-manifest", type=click.Path(path_type=Path), metavar="FILE",
              help="What goes with which page: the JSON that push-manifest tools write.")  # fmt: skip
@click.option("--host", default="localhost", metavar="HOST",
              help="Address to listen on, or a name for all of its addresses; :: for every address of this machine.")  # fmt: skip
@click.option("--port", default=4433, type=click.IntRange(0, 65535),
              help="Port, of UDP and of TCP; 0 takes a free one.")  # fmt: skip
@click.option("--tcp", type=click.Choice(["auto", "uvicorn", "hypercorn", "off"]), default="auto",
              help="Server for HTTP/1.1 and HTTP/2 on the same port; auto: uvicorn, where it is installed.")  # fmt: skip
@click.option("--alt-svc", metavar="VALUE",
              help="Alt-Svc of responses over TCP; '' sends none.  [default: h3=\":PORT\"; ma=86400]")  # fmt: skip
@click.option("--redirect-http", type=click.IntRange(1, 65535), metavar="PORT",
              help="Answer plain HTTP on this port with a redirect.")  # fmt: skip
@click.option("--workers", default=1, type=click.IntRange(1, 127), envvar="WEB_CONCURRENCY", show_envvar=True, metavar="N",
              help="Processes that serve. SIGHUP renews them all, with application and certificates.")  # fmt: skip
@click.option("--limit-max-requests", "--max-requests", type=click.IntRange(1), metavar="N",
              help="A worker that has answered so many requests gives way to a new one.")  # fmt: skip
@click.option("--limit-max-requests-jitter", "--max-requests-jitter", type=click.IntRange(0), default=0, metavar="N",
              help="Up to N more, so that workers do not give way all at once.")  # fmt: skip
@click.option(
    "--certfile", "--ssl-certfile", type=click.Path(path_type=Path), metavar="FILE", help="Certificate chain (PEM)."
)
@click.option(
    "--keyfile", "--ssl-keyfile", type=click.Path(path_type=Path), metavar="FILE", help="Its private key (PEM)."
)
@click.option("--dev", is_flag=True, help="Make a development CA and a certificate, once, and use them.")
@click.option("--name", "names", multiple=True, metavar="HOST",
              help="Add a name to the certificate of --dev; may be repeated.")  # fmt: skip
@click.option("--dev-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Where --dev keeps them.  [default: $XDG_STATE_HOME/h3push]")  # fmt: skip
@click.option("--push", type=click.Choice(["auto", "off"]), default="auto",
              help="auto: push what a page and its style sheets need.")  # fmt: skip
@click.option(
    "--push-limit", type=click.IntRange(1), default=1000, metavar="N", help="Resources that one page may push."
)
@click.option("--push-wait", type=click.FloatRange(0), default=5.0, metavar="SECONDS",
              help="Hold a page's stream open, behind its content, for more push credit.")  # fmt: skip
@click.option("--push-hold-out", default=0.0, type=click.FloatRange(0, 100), metavar="PERCENT",
              help="Give so many connections hints or nothing instead of pushes, so that a report can measure.")  # fmt: skip
@click.option("--charset", metavar="NAME",
              help="Encoding of the text in DIR.  [default: each file says its own]")  # fmt: skip
@click.option("--browse", is_flag=True, help="List directories that have no index.html.")
@click.option("--spa", is_flag=True, help="Answer paths of pages that are not there with /index.html.")
@click.option("--cache-control", "cache_rules", multiple=True, metavar="PATTERN=VALUE",
              help="Cache-Control of paths, as '/assets/*=max-age=60'; 'hashed': a year for names with a hash.")  # fmt: skip
@click.option("--follow-symlinks", is_flag=True, help="Serve what symbolic links out of DIR lead to.")
@click.option("--access-log/--no-access-log", default=True, help="Print a line for each response to stdout.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Format of these lines.")
@click.option("-q", "--quiet", is_flag=True, help="The same as --no-access-log.")
def serve(
    target: str,
    factory: bool,
    app_dir: Path | None,
    push_manifest: Path | None,
    host: str,
    port: int,
    tcp: "TcpChoice",
    alt_svc: str | None,
    redirect_http: int | None,
    workers: int,
    limit_max_requests: int | None,
    limit_max_requests_jitter: int,
    certfile: Path | None,
    keyfile: Path | None,
    dev: bool,
    names: tuple[str, ...],
    dev_dir: Path | None,
    push: str,
    push_limit: int,
    push_wait: float,
    push_hold_out: float,
    charset: str | None,
    browse: bool,
    spa: bool,
    cache_rules: tuple[str, ...],
    follow_symlinks: bool,
    access_log: bool,
    log_format: "LogFormat",
    quiet: bool,
) -> int:
    """Serve the files of a directory, or an ASGI application given as module:app, over HTTP/3, HTTP/2 and HTTP/1.1.

    Clients that take pushes get a page's style sheets, scripts, fonts and images pushed with it, in the order in which the
    page needs them and each at most once on a connection. All other clients get 103 Early Hints. An application says itself
    what goes with a page, or --push-manifest does. Ctrl-C stops gracefully: responses under way are finished first. SIGHUP
    reads the certificate anew; with --workers, the application too.
    """
    if (dev_dir is not None or names) and not dev:
        raise click.UsageError("--dev-dir and --name go with --dev.")
    if dev and (certfile or keyfile):
        raise click.UsageError("Give --dev or --certfile and --keyfile, not both.")
    if tcp == "off" and (alt_svc is not None or redirect_http is not None):
        raise click.UsageError("--alt-svc and --redirect-http go with TCP: leave out --tcp off.")
    if alt_svc is not None and not (alt_svc.isascii() and alt_svc.isprintable()):
        raise click.UsageError("--alt-svc takes the value of a header field, in printable ASCII.")
    if certfile is not None and keyfile is not None:
        certificates = partial(CertificateFiles, certfile, keyfile)
    elif dev:
        certificates = partial(_development_files, dev_dir, (host, *names))
    else:
        raise click.UsageError("HTTP/3 needs a certificate: give --dev, or --certfile and --keyfile.")
    options = ServeOptions(
        target=target,
        factory=factory,
        app_dir=app_dir,
        manifest=push_manifest,
        host=host,
        port=port,
        tcp=tcp,
        alt_svc=alt_svc,
        redirect_port=redirect_http,
        workers=workers,
        max_requests=limit_max_requests,
        max_requests_jitter=limit_max_requests_jitter,
        certificates=certificates,
        push=push == "auto",
        push_limit=push_limit,
        push_wait=push_wait,
        push_hold_out=push_hold_out / 100,
        charset=charset,
        browse=browse,
        spa=spa,
        cache_rules=cache_rules,
        follow_symlinks=follow_symlinks,
        access_log=access_log and not quiet,
        log_format=log_format,
    )
    _check_target(options)
    return run(options)


def _check_target(options: ServeOptions) -> None:
    """Refuse a target that is no directory and does not look like `module:app`, before any certificate is made."""
    directory = options.directory
    if directory is None:
        if options.charset is not None or options.follow_symlinks:
            raise click.UsageError("--charset and --follow-symlinks go with a directory.")
        if options.browse or options.spa or options.cache_rules:
            raise click.UsageError("--browse, --spa and --cache-control go with a directory.")
        return
    if options.factory or options.app_dir is not None:
        raise click.UsageError("--factory and --app-dir go with an application: h3push serve module:app")
    if not directory.is_dir():
        if directory.exists():
            raise CommandFailed(f"{directory} is not a directory")
        hint = "" if len(directory.parts) > 1 else " (an application is given as module:app)"
        raise CommandFailed(f"there is no directory {directory}{hint}")


def _development_files(directory: Path | None, names: Sequence[str]) -> CertificateFiles:
    from h3push.server.certificates import AuthorityError, development_certificates, state_directory

    directory = directory or state_directory()
    try:
        made = development_certificates(directory, names)
    except OSError as error:
        raise file_failure(error, "keep certificates in", directory) from None
    except AuthorityError as error:
        raise CommandFailed(str(error)) from None
    except ValueError as error:
        raise CommandFailed(f"no certificate can be made for {', '.join(names)}: {error}") from None
    return CertificateFiles(made.certfile, made.keyfile, made.cafile)
