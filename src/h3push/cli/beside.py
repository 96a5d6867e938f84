"""The TCP side of `h3push serve`, beside HTTP/3: the same directory or application, with the same certificate."""

import os
from typing import TYPE_CHECKING

from h3push.cli.failures import CommandFailed
from h3push.cli.service import trusted_clients
from h3push.cli.serving.options import ServeOptions

if TYPE_CHECKING:
    from h3push.asgi.serve import ASGIServer
    from h3push.server.identities import Identities
    from h3push.server.inherited import InheritedSockets
    from h3push.server.server import Server
    from h3push.tcp.backend import BackendKind

HTTP3_ALONE = (
    "over UDP alone, so no browser finds it: pip install 'h3push[tcp]' for HTTP/1.1 and HTTP/2 on the same port"
)
"""Said at start when there is no server for TCP, though none was refused."""


def tcp_line(options: ServeOptions) -> tuple[bool, str | None]:
    """True when there is to be a TCP side, with the line to say of it at start."""
    from h3push.tcp.side import TcpUnavailable, find_backend

    try:
        kind = find_backend(options.over_tcp.tcp)
    except TcpUnavailable as error:
        raise CommandFailed(str(error)) from None
    if kind is None:
        return False, None if options.over_tcp.tcp == "off" else HTTP3_ALONE
    return True, _line(options, kind)


def add_tcp(
    service: "Server | ASGIServer", options: ServeOptions, identities: "Identities", given: "InheritedSockets"
) -> str | None:
    """Give a server its TCP side, as the options say; the line to say at start, if any."""
    from h3push.tcp.assembly import serve_tcp_too
    from h3push.tcp.side import TcpUnavailable, find_backend

    try:
        kind = find_backend(options.over_tcp.tcp)
        if kind is None:
            return None if options.over_tcp.tcp == "off" else HTTP3_ALONE
        serve_tcp_too(
            service,
            kind,
            identities,
            clients=trusted_clients(options),
            given=given,
            proxies=options.over_tcp.forwarded_allow_ips if options.over_tcp.proxy_headers else None,
            alt_svc=options.over_tcp.alt_svc,
            redirect_port=options.over_tcp.redirect_http,
            key_log_file=os.environ.get("SSLKEYLOGFILE") or None,
        )
    except (TcpUnavailable, ValueError) as error:
        raise CommandFailed(str(error)) from None
    return _line(options, kind)


def _line(options: ServeOptions, kind: "BackendKind") -> str:
    if options.binding.uds is not None:
        return f"for a proxy, at {options.binding.uds}: plain HTTP/1.1 by {kind.abilities.name}"
    return str(kind.abilities)
