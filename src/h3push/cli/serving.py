"""What `h3push serve` does once its arguments are understood: build the server, run it, stop it.

Imports are inside the functions, so that `h3push --help` does not wait for them.
"""

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
    from h3push.asgi.handler import ASGIHandler, Planner
    from h3push.asgi.serve import ASGIServer
    from h3push.server.access_log import AccessLog, LogFormat

MAX_PUSH_BYTES = 1 << 30
"""Pushed content that one page may cause: 1 GiB. The content is the user's own; what bounds it is `--push-limit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the command line said."""

    target: str
    """What to serve: a directory, or `module:app`."""
    factory: bool
    """Whether `app` is a function that makes the application."""
    app_dir: Path | None
    """Where the application's module is; `None`: in the working directory."""
    manifest: Path | None
    """A push manifest."""
    host: str
    """Address to listen on."""
    port: int
    """UDP port; 0 takes a free one."""
    certfile: Path | None
    """Certificate chain, PEM; `None` until the development certificate is made."""
    keyfile: Path | None
    """Its key, PEM."""
    cafile: Path | None = None
    """What a client must trust, where we know."""
    push: bool
    """Whether anything is pushed; when not, a directory's pages are sent alone, and applications' pushes become hints."""
    push_limit: int
    """Resources that one page may push."""
    push_wait: float
    """Seconds that a page is held open for more push credit."""
    charset: str | None
    """What the directory's text is in; `None`: what each file says of itself."""
    follow_symlinks: bool
    """Whether links out of the directory are followed."""
    access_log: bool
    """Whether to print a line for each response."""
    log_format: "LogFormat"
    """How such a line looks."""

    @property
    def directory(self) -> Path | None:
        """The directory to serve; `None` for an application. A directory is what exists as one, or cannot be a module."""
        path = Path(self.target)
        module = self.target.partition(":")[0]
        is_module = all(part.isidentifier() for part in module.split("."))
        return None if is_module and not path.is_dir() and (":" in self.target or self.factory) else path


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


def make_handler(options: ServeOptions) -> "ASGIHandler":
    """What answers requests."""
    planners = _planners(options)
    if options.directory is not None:
        return _directory_handler(options.directory, options, planners)
    from h3push.asgi.handler import ASGIHandler, ASGISettings
    from h3push.asgi.loading import LoadError, load_app, own_lines, survives_push_event

    try:
        app = load_app(options.target, factory=options.factory, app_dir=options.app_dir)
    except LoadError as error:
        raise CommandFailed(str(error)) from None
    except Exception as error:
        raise CommandFailed(f"{options.target} cannot be loaded:\n{own_lines(error)}") from None
    settings = ASGISettings(planners=planners, push_event=survives_push_event(app), push_wait=options.push_wait)
    return ASGIHandler(app, settings)


def _directory_handler(root: Path, options: ServeOptions, planners: "tuple[Planner, ...]") -> "ASGIHandler":
    from h3push.files.directory import Directory
    from h3push.files.handler import DirectoryHandler
    from h3push.files.plans import PushingDirectory
    from h3push.plans.page import PageScanSettings

    try:
        directory = Directory(root, charset=options.charset, follow_symlinks=options.follow_symlinks)
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    if not options.push:
        return DirectoryHandler(directory, planners=planners)
    scan = PageScanSettings(max_resources=options.push_limit)
    return PushingDirectory(directory, scan_settings=scan, promise_wait=options.push_wait, planners=planners)


def _planners(options: ServeOptions) -> "tuple[Planner, ...]":
    from h3push.asgi.serve import manifest_planner
    from h3push.plans.manifest import ManifestError, load_manifest

    if options.manifest is None:
        return ()
    try:
        return (manifest_planner(load_manifest(options.manifest)),)
    except ManifestError as error:
        raise CommandFailed(str(error)) from None


def _access_log(options: ServeOptions) -> "AccessLog | None":
    import io

    from h3push.server.access_log import AccessLog

    if not options.access_log or sys.stdout is None:
        return None
    # Without a buffer: what could not be written is gone, and is not tried again with the next row or at the end.
    stdout = io.FileIO(sys.stdout.fileno(), "w", closefd=False)
    return AccessLog(io.TextIOWrapper(stdout, encoding="utf-8", write_through=True), options.log_format)


def make_server(options: ServeOptions, handler: "ASGIHandler", address: str) -> "ASGIServer":
    """The server, not yet listening, and for an application its lifespan."""
    from h3push.asgi.handler import for_applications
    from h3push.asgi.lifespan import Lifespan
    from h3push.asgi.serve import ASGIServer
    from h3push.h3.config import H3Config
    from h3push.runtime.settings import ServerSettings
    from h3push.server.server import serve as serve_handler

    assert options.certfile is not None
    assert options.keyfile is not None
    settings = ServerSettings(max_pushes_per_request=options.push_limit, max_push_bytes=MAX_PUSH_BYTES)
    server = serve_handler(
        handler,
        address,
        options.port,
        tls=load_tls(options.certfile, options.keyfile),
        config=H3Config(enable_push=options.push),
        settings=settings if options.directory is not None else for_applications(settings),
        access_log=_access_log(options),
    )
    return ASGIServer(server, handler, Lifespan(handler.app) if options.directory is None else None)


async def _open(options: ServeOptions, handler: "ASGIHandler") -> "ASGIServer":
    """Start the application and listen."""
    from h3push.asgi.lifespan import LifespanFailedError

    try:
        found = await asyncio.get_running_loop().getaddrinfo(options.host, options.port, type=socket.SOCK_DGRAM)
        server = make_server(options, handler, str(found[0][4][0]))
        await server.open()
    except LifespanFailedError as error:
        raise CommandFailed(f"the application did not start: {error}") from None
    except OSError as error:
        raise bind_failure(error, options.host, options.port) from None
    return server


def run(options: ServeOptions) -> None:
    """Serve until a signal comes."""
    # An application is imported before the loop runs: what it raises is its own, and it may use a loop of its own.
    handler = make_handler(options)
    asyncio.run(_serve(options, handler))


async def _serve(options: ServeOptions, handler: "ASGIHandler") -> None:
    server = await _open(options, handler)
    loop = asyncio.get_running_loop()
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
    return f"h3push: serving {options.target} at {server_url(options.host, port)} ({trust})"


def server_url(host: str, port: int) -> str:
    """The URL at which a server on `host` is reached from this machine."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"https://{f'[{host}]' if ':' in host else host}:{port}/"
