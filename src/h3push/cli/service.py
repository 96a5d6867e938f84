"""The server that the options of `h3push serve` ask for: of a directory, or of an application.

Imports are inside the functions, so that `h3push --help` does not wait for them.
"""

import os
import sys
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from h3push.cli.failures import CommandFailed
from h3push.cli.serving.certificates import CertificateFiles
from h3push.cli.serving.options import ProxyOptions, ServeOptions

if TYPE_CHECKING:
    from h3push import _quic
    from h3push.asgi.serve import ASGIServer
    from h3push.asgi.types import ASGIApplication
    from h3push.control.controller import Controller
    from h3push.control.sharing import SharedController
    from h3push.files.handler import DirectoryHandler
    from h3push.plans.manifest import Manifest
    from h3push.plans.planner import Planner
    from h3push.runtime.settings import ServerSettings
    from h3push.server.access_log import AccessLog
    from h3push.server.identities import Identities
    from h3push.server.server import Server
    from h3push.server.tls import TrustedClients


def read_certificates(options: ServeOptions, files: CertificateFiles) -> "Identities":
    """Read certificates and keys; a password that is needed and missing is asked for."""
    from h3push.server.identities import read_identities

    try:
        return read_identities(files.pairs, options.certificates.password)
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def trusted_clients(options: ServeOptions) -> "TrustedClients | None":
    """The clients whose certificates are taken; `None`: nobody is asked for one."""
    from h3push.server.tls import ClientAuth, TrustedClients

    given = options.certificates
    return (
        None
        if given.client_ca is None
        else TrustedClients(given.client_ca, ClientAuth(given.client_auth or "required"))
    )


def quic_tls(options: ServeOptions, identities: "Identities", ticket_key: bytes | None = None) -> "_quic.ServerTls":
    """A server's TLS settings, with the key log that `SSLKEYLOGFILE` asks for."""
    from h3push.server.tls import make_tls

    try:
        return make_tls(
            identities,
            clients=trusted_clients(options),
            early_data=options.certificates.early_data,
            ticket_key=ticket_key,
            key_log_file=os.environ.get("SSLKEYLOGFILE") or None,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from None


def server_settings(options: ServeOptions) -> "ServerSettings":
    """Time-outs and bounds, as the flags say. `CommandFailed` for some that QUIC cannot have."""
    from h3push.runtime.settings import ServerSettings

    settings = ServerSettings(
        max_pushes_per_request=options.delivery.push_limit,
        push_hold_out=options.delivery.hold_out,
        early_data=options.certificates.early_data,
        authorities=options.binding.server_name or None,
        send_date=options.responses.date_header,
        **options.timeouts.settings(),
        **options.limits.settings(),
        **options.websockets.settings(),
    )
    try:
        settings.transport()
    except (ValueError, OverflowError) as error:
        raise CommandFailed(f"these limits cannot be: {error}") from None
    return settings


def make_service(
    options: ServeOptions, tls: "_quic.ServerTls", shared: "SharedController | None" = None
) -> "Server | ASGIServer":
    """The server of a directory or of an application, which is imported here; it does not listen yet."""
    from h3push.asgi.serve import ServeArguments, serve_asgi
    from h3push.h3.config import H3Config
    from h3push.server.server import serve

    manifest = _manifest(options)
    settings = server_settings(options)
    arguments: ServeArguments = {
        "tls": tls,
        "config": H3Config(enable_push=options.delivery.is_on),
        "access_log": _access_log(options),
    }
    controller = None if shared is None else shared.controller
    if options.directory is not None:
        handler = _directory_handler(options.directory, options, manifest, controller)
        return serve(handler, options.binding.host, options.binding.port, settings=settings, **arguments)
    application, planners = _application(options)
    return serve_asgi(
        application,
        options.binding.host,
        options.binding.port,
        manifest=manifest,
        planners=planners,
        root_path=_root_path(options.application.root_path),
        lifespan=options.application.lifespan != "off",
        lifespan_required=options.application.lifespan == "on",
        headers=options.responses.header_fields,
        push_wait=options.delivery.push_wait,
        controller=controller,
        settings=settings,
        **arguments,
    )


def _root_path(given: str) -> str:
    """As ASGI has it: with a slash at its beginning and none at its end."""
    return "/" + given.strip("/") if given.strip("/") else ""


def _application(options: ServeOptions) -> "tuple[ASGIApplication, tuple[Planner, ...]]":
    """The application, and what knows of its pages beforehand."""
    from h3push.asgi.loader import LoadError, load_app, own_lines

    if isinstance(options, ProxyOptions):
        proxy = options.upstreaming.application(
            options.upstreams, options.over_tcp.believed, read_pages=options.delivery.is_on
        )
        return proxy, proxy.planners
    try:
        return load_app(options.target, factory=options.application.factory, app_dir=options.application.app_dir), ()
    except LoadError as error:
        raise CommandFailed(str(error)) from None
    except Exception as error:
        raise CommandFailed(f"{options.target} cannot be loaded:\n{own_lines(error)}") from None


def make_controller(options: ServeOptions) -> "SharedController | None":
    """The controller of `--push learned`, which has read what was learned before; `None`: none is wanted."""
    if not options.delivery.is_learned:
        return None
    if find_spec("scipy") is None:
        raise CommandFailed("--push learned needs scipy: pip install 'h3push[learned]'")
    from h3push.control.controller import Controller
    from h3push.control.model import Model
    from h3push.control.seed import PlanError, model_of_plan
    from h3push.control.sharing import SharedController
    from h3push.control.store import StoreError

    plan, waste = options.delivery.plan, options.delivery.waste
    try:
        model = Model(waste=waste) if plan is None else model_of_plan(plan, waste)
        return SharedController(Controller(model), options.delivery.push_state or _state_file(options))
    except (PlanError, StoreError) as error:
        raise CommandFailed(str(error)) from None


def _state_file(options: ServeOptions) -> Path:
    """The file for what is learned of this site."""
    from h3push.server.certificates import state_directory

    place = str(options.directory.resolve()) if options.directory is not None else f"{Path.cwd()} {options.target}"
    return state_directory() / f"learned-{sha256(place.encode()).hexdigest()[:16]}.sqlite"


def _directory_handler(
    root: Path, options: ServeOptions, manifest: "Manifest | None", controller: "Controller | None"
) -> "DirectoryHandler":
    from h3push.asgi.serve import manifest_planner
    from h3push.files.compression import CompressedFiles
    from h3push.files.directory import Directory
    from h3push.files.handler import DirectoryHandler
    from h3push.files.rules import SiteRules, parse_cache_rule
    from h3push.http.default_fields import DefaultFields
    from h3push.plans.page import PageScanSettings

    planners = () if manifest is None else (manifest_planner(manifest),)
    try:
        cache = tuple(parse_cache_rule(text) for text in options.site.cache_control)
        rules = SiteRules(
            browse=options.site.browse,
            spa=options.site.spa,
            cache=cache,
            fields=DefaultFields(options.responses.header_fields),
        )
        directory = Directory(
            root,
            charset=options.site.charset,
            follow_symlinks=options.site.follow_symlinks,
            rules=rules,
            compressed=CompressedFiles() if options.site.compress else None,
        )
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    scan_settings = PageScanSettings(max_resources=options.delivery.push_limit) if options.delivery.is_on else None
    push_wait = options.delivery.push_wait if options.delivery.is_on else 0.0
    return DirectoryHandler(
        directory, scan_settings=scan_settings, planners=planners, push_wait=push_wait, controller=controller
    )


def _manifest(options: ServeOptions) -> "Manifest | None":
    from h3push.plans.manifest import ManifestError, load_manifest

    try:
        return None if options.delivery.push_manifest is None else load_manifest(options.delivery.push_manifest)
    except ManifestError as error:
        raise CommandFailed(str(error)) from None


def _access_log(options: ServeOptions) -> "AccessLog | None":
    import io

    from h3push.server.access_log import AccessLog
    from h3push.server.log_format import coloured, row_format

    template = options.logs.access_log_format
    try:
        render = None if template is None else row_format(template)
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    if not options.logs.has_access_log or sys.stdout is None:
        return None
    if options.logs.has_colours(sys.stdout) and render is None and options.logs.log_format == "text":
        render = coloured
    # Without a buffer: what could not be written is gone, and is not tried again with the next row or at the end.
    stdout = io.FileIO(sys.stdout.fileno(), "w", closefd=False)
    stream = io.TextIOWrapper(stdout, encoding="utf-8", write_through=True)
    return AccessLog(stream, options.logs.log_format, render=render)
