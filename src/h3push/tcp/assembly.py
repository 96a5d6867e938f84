"""Gives a server of HTTP/3 its TCP side: from what it serves to how that is run over HTTP/1.1 and HTTP/2."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from h3push.asgi.serve import ASGIServer
from h3push.asgi.types import ASGIApplication
from h3push.delivery.state import DeliveryState
from h3push.files.app import DirectoryApp
from h3push.files.handler import DirectoryHandler
from h3push.server.identities import Identities
from h3push.server.inherited import InheritedSockets
from h3push.server.server import Server
from h3push.server.tls import TrustedClients
from h3push.tcp.backend import BackendKind
from h3push.tcp.settings import TcpSettings
from h3push.tcp.side import TcpSide
from h3push.tcp.tls import TcpTls


def serve_tcp_too(
    service: Server | ASGIServer,
    kind: BackendKind,
    identities: Identities,
    *,
    clients: TrustedClients | None = None,
    given: InheritedSockets | None = None,
    proxies: str | None = None,
    alt_svc: str | None = None,
    redirect_port: int | None = None,
    key_log_file: str | None = None,
    ciphers: str | None = None,
    oldest_tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
) -> TcpSide:
    """Have a server that does not listen yet answer over TCP as well, on the port of the same number.

    Args:
        service: of an application (`serve_asgi`), or of a directory.
        kind: the server for TCP, as `find_backend` found it.
        identities: the certificates; those that HTTP/3 shows.
        clients: whose certificates are taken, where clients are asked for them.
        given: open sockets, instead of those at the addresses of UDP.
        proxies: proxies that are believed, as `forwarded.behind_proxies` takes them.
        alt_svc: the value of Alt-Svc; `None`: HTTP/3 at this very port; "" sends none.
        redirect_port: plain HTTP on this port is answered with a redirect.
        key_log_file: the secrets of all connections are appended to it (NSS key log).
        ciphers: OpenSSL's list for TLS 1.2; `None`: its default.
        oldest_tls: the oldest version of TLS that is spoken.

    Raises:
        ValueError: the certificate or the ciphers cannot be used.
        TypeError: a plain handler, which is written for HTTP/3 alone.
    """
    tls = TcpTls(list(kind.abilities.versions), key_log_file, ciphers=ciphers, oldest=oldest_tls)
    tls.load(identities, clients)
    place = (service.server if isinstance(service, ASGIServer) else service).place
    tls.visits.is_split = place is not None and place.has_others
    served = _of_application(service, kind) if isinstance(service, ASGIServer) else _of_directory(service, kind)
    return TcpSide(
        served.server,
        served.app,
        served.delivery,
        kind,
        tls,
        served.settings,
        state=served.state,
        given=given,
        proxies=proxies,
        alt_svc=alt_svc,
        redirect_port=redirect_port,
    )


@dataclass(frozen=True, slots=True)
class _Served:
    """The part of a server of HTTP/3 that answers over TCP too."""

    server: Server
    app: ASGIApplication
    delivery: DeliveryState
    settings: TcpSettings
    state: Callable[[], dict[str, Any] | None]
    """The lifespan's; it is there when the application has started."""


def _of_application(service: ASGIServer, kind: BackendKind) -> _Served:
    run = service.handler
    settings = TcpSettings(
        root_path=run.settings.root_path,
        planners=run.settings.planners,
        push_event=run.settings.push_event,
        takes_pushes=kind.takes_pushes,
        tls=kind.tls,
        path=kind.path,
    )
    return _Served(service.server, run.app, run.delivery, settings, lambda: run.state)


def _of_directory(server: Server, kind: BackendKind) -> _Served:
    handler = server.handler
    if not isinstance(handler, DirectoryHandler):
        raise TypeError("over TCP, an ASGI application or a directory can be served, not a plain handler")
    settings = TcpSettings(
        planners=handler.planners, whole_pages=True, takes_pushes=kind.takes_pushes, tls=kind.tls, path=kind.path
    )
    return _Served(server, DirectoryApp(handler.directory), handler.delivery, settings, _no_state)


def _no_state() -> None:
    """A directory has no lifespan."""
