"""`h3push serve`: a directory over HTTP/3, pushing what its pages need."""

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed, bind_failure, file_failure

if TYPE_CHECKING:
    from h3push import _quic
    from h3push.aio.connection import Handler

MAX_PUSH_BYTES = 1 << 30
"""Pushed content that one page may cause: 1 GiB. The files are the user's own; what bounds them is `--push-limit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line said."""

    directory: Path
    """What to serve."""
    host: str
    """Address to listen on."""
    port: int
    """UDP port; 0 takes a free one."""
    certfile: Path
    """Certificate chain, PEM."""
    keyfile: Path
    """Its key, PEM."""
    cafile: Path | None
    """What a client must trust, where we know."""
    push: bool
    """Whether pages push what they need."""
    push_limit: int
    """Resources that one page may push."""
    push_wait: float
    """Seconds that a page is held open for more push credit."""
    access_log: bool
    """Whether to print a line for each response."""


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push serve public/ --dev",
)
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 or :: for all.")
@click.option("--port", default=4433, type=click.IntRange(0, 65535), help="UDP port; 0 takes a free one.")
@click.option(
    "--certfile", "--ssl-certfile", type=click.Path(path_type=Path), metavar="FILE", help="Certificate chain (PEM)."
)
@click.option(
    "--keyfile", "--ssl-keyfile", type=click.Path(path_type=Path), metavar="FILE", help="Its private key (PEM)."
)
@click.option("--dev", is_flag=True, help="Make a CA and a certificate once, and use them again from then on.")
@click.option("--dev-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Where --dev keeps them.  [default: $XDG_STATE_HOME/h3push]")  # fmt: skip
@click.option("--push", type=click.Choice(["auto", "off"]), default="auto",
              help="auto: push what a page and its style sheets need.")  # fmt: skip
@click.option(
    "--push-limit", type=click.IntRange(1), default=128, metavar="N", help="Resources that one page may push."
)
@click.option("--push-wait", type=click.FloatRange(0), default=0.0, metavar="SECONDS",
              help="Hold a page's stream open for this long while more push credit may come.")  # fmt: skip
@click.option("--access-log/--no-access-log", default=True, help="Print a line for each response to stdout.")
@click.option("-q", "--quiet", is_flag=True, help="The same as --no-access-log.")
def serve(
    directory: Path,
    host: str,
    port: int,
    certfile: Path | None,
    keyfile: Path | None,
    dev: bool,
    dev_dir: Path | None,
    push: str,
    push_limit: int,
    push_wait: float,
    access_log: bool,
    quiet: bool,
) -> None:
    """Serve the files of DIR over HTTP/3.

    To clients that take pushes, a page's style sheets, scripts, fonts and images are pushed with it, in the order in which
    it needs them, each at most once on a connection. Ctrl-C stops gracefully: what is under way is finished first.
    """
    if dev_dir is not None and not dev:
        raise click.UsageError("--dev-dir goes with --dev.")
    if dev and (certfile or keyfile):
        raise click.UsageError("Give --dev or --certfile and --keyfile, not both.")
    if not dev and not (certfile and keyfile):
        raise click.UsageError("HTTP/3 needs a certificate: give --dev, or --certfile and --keyfile.")
    if not directory.is_dir():
        raise CommandFailed(
            f"{directory} is not a directory" if directory.exists() else f"there is no directory {directory}"
        )
    cafile = None
    if certfile is None or keyfile is None:
        cafile, certfile, keyfile = _development_files(dev_dir, host)
    options = ServeOptions(
        directory=directory,
        host=host,
        port=port,
        certfile=certfile,
        keyfile=keyfile,
        cafile=cafile,
        push=push == "auto",
        push_limit=push_limit,
        push_wait=push_wait,
        access_log=access_log and not quiet,
    )
    asyncio.run(_serve(options))


def _development_files(directory: Path | None, host: str) -> tuple[Path, Path, Path]:
    from h3push.server.certificates import development_certificates, state_directory

    directory = directory or state_directory()
    try:
        made = development_certificates(directory, [host])
    except OSError as error:
        raise file_failure(error, "keep certificates in", directory) from None
    except ValueError as error:
        raise CommandFailed(f"no certificate can be made for the host {host!r}: {error}") from None
    return made.cafile, made.certfile, made.keyfile


def load_tls(certfile: Path, keyfile: Path) -> "_quic.ServerTls":
    """A server's TLS settings from its two files, with the key log that `SSLKEYLOGFILE` asks for."""
    from h3push import _quic

    pems = []
    for what, path in (("certificate", certfile), ("private key", keyfile)):
        try:
            pems.append(path.read_bytes())
        except OSError as error:
            raise file_failure(error, f"read the {what}", path) from None
    try:
        return _quic.ServerTls([(pems[0], pems[1])], key_log_file=os.environ.get("SSLKEYLOGFILE") or None)
    except ValueError as error:
        raise CommandFailed(f"{certfile} and {keyfile} cannot be used: {error}") from None


def make_handler(options: ServeOptions) -> "Handler":
    """What answers requests."""
    from h3push.policy.page_scan import PageScanSettings
    from h3push.server.pushing import PushingDirectory
    from h3push.server.static import Directory

    directory = Directory(options.directory)
    handler: Handler = directory
    if options.push:
        scan = PageScanSettings(max_resources=options.push_limit)
        handler = PushingDirectory(directory, scan_settings=scan, promise_wait=options.push_wait)
    if options.access_log:
        from h3push.cli.access_log import LoggedHandler
        from h3push.server.access_log import AccessLog

        handler = LoggedHandler(handler, AccessLog(sys.stdout))
    return handler


async def _serve(options: ServeOptions) -> None:
    from h3push.aio.server import serve as make_server
    from h3push.aio.settings import ServerSettings

    settings = ServerSettings(max_pushes_per_request=options.push_limit, max_push_bytes=MAX_PUSH_BYTES)
    tls = load_tls(options.certfile, options.keyfile)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(options.host, options.port, type=socket.SOCK_DGRAM)
        server = make_server(make_handler(options), str(found[0][4][0]), options.port, tls=tls, settings=settings)
        await server.open()
    except OSError as error:
        raise bind_failure(error, options.host, options.port) from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    click.echo(ready_line(options, server.address[1]), err=True)
    await stop.wait()
    stopping = asyncio.create_task(server.shutdown())
    for number in (signal.SIGINT, signal.SIGTERM):
        # A second signal: do not wait for what is under way.
        loop.add_signal_handler(number, stopping.cancel)
    with suppress(asyncio.CancelledError):
        await stopping


def ready_line(options: ServeOptions, port: int) -> str:
    """Tell what is served where, and what to trust."""
    trust = f"CA file {options.cafile}" if options.cafile is not None else f"certificate {options.certfile}"
    return f"h3push: serving {options.directory} at {server_url(options.host, port)} ({trust})"


def server_url(host: str, port: int) -> str:
    """The URL at which a server on `host` is reached from this machine."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"https://{f'[{host}]' if ':' in host else host}:{port}/"
