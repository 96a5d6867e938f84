"""The server that the options of `h3push serve` ask for: of a directory, or of an application.

Imports are inside the functions, so that `h3push --help` does not wait for them.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from h3push.cli.failures import CommandFailed

if TYPE_CHECKING:
    from h3push import _quic
    from h3push.asgi.serve import ASGIServer
    from h3push.asgi.types import ASGIApplication
    from h3push.files.handler import DirectoryHandler
    from h3push.plans.manifest import Manifest
    from h3push.server.access_log import AccessLog, LogFormat
    from h3push.server.server import Server
    from h3push.tcp.side import TcpChoice

MAX_PUSH_BYTES = 1 << 30
"""Pushed content that one page may cause: 1 GiB. It is the user's own content, and `--push-limit` bounds it already."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """The files of a certificate, of its key, and of the authority that a client has to trust."""

    certfile: Path
    """Certificate chain, PEM."""
    keyfile: Path
    """Its key, PEM."""
    cafile: Path | None = None
    """The authority's certificate, where we know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The command line, understood."""

    target: str
    """The directory to serve, or `module:app`."""
    factory: bool
    """True when the target names a function that makes the application."""
    app_dir: Path | None
    """The directory of the application's module; `None`: the working directory."""
    manifest: Path | None
    """A push manifest."""
    host: str
    """Address or name to listen on."""
    port: int
    """Port of UDP and TCP; 0 takes a free one."""
    tcp: "TcpChoice"
    """The server for HTTP/1.1 and HTTP/2 on the same port."""
    alt_svc: str | None
    """Alt-Svc of responses over TCP; `None`: HTTP/3 at the same port; "": none."""
    redirect_port: int | None
    """Plain HTTP on this port is answered with a redirect."""
    workers: int
    """Processes that serve."""
    max_requests: int | None
    """Requests after which a worker gives way to a new one."""
    max_requests_jitter: int
    """Up to so many more, by chance, so that workers do not all give way at one time."""
    certificates: Callable[[], CertificateFiles]
    """Finds the certificate; makes or renews one for development. Raises `CommandFailed`."""
    push: bool
    """False: a directory's pages are sent alone, and an application's pushes become hints."""
    push_limit: int
    """Resources that one page may push."""
    push_wait: float
    """Seconds that a page is held open for more push credit."""
    push_hold_out: float
    """Share of connections that are held out of pushes."""
    charset: str | None
    """Encoding of the directory's text; `None`: each file says its own."""
    browse: bool
    """True to list directories without index.html."""
    spa: bool
    """True to answer pages that are not there with index.html of the root."""
    cache_rules: tuple[str, ...]
    """Rules of Cache-Control, as typed."""
    follow_symlinks: bool
    """True when links out of the directory are followed."""
    access_log: bool
    """True to print a line for each response."""
    log_format: "LogFormat"
    """The format of these lines."""

    @property
    def directory(self) -> Path | None:
        """The directory to serve; `None` for an application. A directory is what exists as one, or cannot be a module."""
        path = Path(self.target)
        module = self.target.partition(":")[0]
        is_module = all(part.isidentifier() for part in module.split("."))
        return None if is_module and not path.is_dir() and (":" in self.target or self.factory) else path


def load_certificate(files: CertificateFiles, ticket_key: bytes | None = None) -> "_quic.ServerTls":
    """A server's TLS settings, with the key log that `SSLKEYLOGFILE` asks for."""
    from h3push.server.tls import load_tls

    try:
        log = os.environ.get("SSLKEYLOGFILE") or None
        return load_tls(files.certfile, files.keyfile, ticket_key=ticket_key, key_log_file=log)
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def make_service(options: ServeOptions, tls: "_quic.ServerTls") -> "Server | ASGIServer":
    """The server of a directory or of an application, which is imported here; it does not listen yet."""
    from h3push.asgi.serve import ServeArguments, serve_asgi
    from h3push.h3.config import H3Config
    from h3push.runtime.settings import ServerSettings
    from h3push.server.server import serve

    manifest = _manifest(options)
    settings = ServerSettings(
        max_pushes_per_request=options.push_limit, max_push_bytes=MAX_PUSH_BYTES, push_hold_out=options.push_hold_out
    )
    arguments: ServeArguments = {
        "tls": tls,
        "config": H3Config(enable_push=options.push),
        "access_log": _access_log(options),
    }
    if options.directory is not None:
        handler = _directory_handler(options.directory, options, manifest)
        return serve(handler, options.host, options.port, settings=settings, **arguments)
    return serve_asgi(
        _application(options),
        options.host,
        options.port,
        manifest=manifest,
        push_wait=options.push_wait,
        settings=settings,
        **arguments,
    )


def _application(options: ServeOptions) -> "ASGIApplication":
    from h3push.asgi.loader import LoadError, load_app, own_lines

    try:
        return load_app(options.target, factory=options.factory, app_dir=options.app_dir)
    except LoadError as error:
        raise CommandFailed(str(error)) from None
    except Exception as error:
        raise CommandFailed(f"{options.target} cannot be loaded:\n{own_lines(error)}") from None


def _directory_handler(root: Path, options: ServeOptions, manifest: "Manifest | None") -> "DirectoryHandler":
    from h3push.asgi.serve import manifest_planner
    from h3push.files.directory import Directory
    from h3push.files.handler import DirectoryHandler
    from h3push.files.rules import SiteRules, parse_cache_rule
    from h3push.plans.page import PageScanSettings

    planners = () if manifest is None else (manifest_planner(manifest),)
    try:
        cache = tuple(parse_cache_rule(text) for text in options.cache_rules)
        rules = SiteRules(browse=options.browse, spa=options.spa, cache=cache)
        directory = Directory(root, charset=options.charset, follow_symlinks=options.follow_symlinks, rules=rules)
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    scan_settings = PageScanSettings(max_resources=options.push_limit) if options.push else None
    push_wait = options.push_wait if options.push else 0.0
    return DirectoryHandler(directory, scan_settings=scan_settings, planners=planners, push_wait=push_wait)


def _manifest(options: ServeOptions) -> "Manifest | None":
    from h3push.plans.manifest import ManifestError, load_manifest

    try:
        return None if options.manifest is None else load_manifest(options.manifest)
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
