"""The TCP side of `h3push serve`, beside HTTP/3: the same directory or application, with the same certificate."""

import os
import ssl
from collections.abc import Mapping
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

_VERSIONS: Mapping[str, ssl.TLSVersion] = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def tcp_lines(options: ServeOptions) -> tuple[bool, list[str]]:
    """True when there is to be a TCP side, with the lines to say of it at start."""
    from h3push.tcp.side import TcpUnavailable, find_backend

    try:
        kind = find_backend(options.over_tcp.tcp)
    except TcpUnavailable as error:
        raise CommandFailed(str(error)) from None
    return kind is not None, _lines(options, kind)


def add_tcp(
    service: "Server | ASGIServer", options: ServeOptions, identities: "Identities", given: "InheritedSockets"
) -> list[str]:
    """Give a server its TCP side, as the options say; the lines to say at start."""
    from h3push.tcp.assembly import serve_tcp_too
    from h3push.tcp.side import TcpUnavailable, find_backend

    try:
        kind = find_backend(options.over_tcp.tcp)
        if kind is None:
            return _lines(options, kind)
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
            ciphers=options.certificates.ssl_ciphers,
            oldest_tls=_VERSIONS[options.certificates.ssl_version],
        )
    except (TcpUnavailable, ValueError) as error:
        raise CommandFailed(str(error)) from None
    return _lines(options, kind)


def _lines(options: ServeOptions, kind: "BackendKind | None") -> list[str]:
    if kind is None:
        return [] if options.over_tcp.tcp == "off" else [HTTP3_ALONE]
    abilities, uds = kind.abilities, options.binding.uds
    lines = [str(abilities) if uds is None else f"for a proxy, at {uds}: plain HTTP/1.1 by {abilities.name}"]
    if options.certificates.ssl_ciphers is not None:
        lines.append(
            "--ssl-ciphers counts for TLS 1.2, which is over TCP alone: HTTP/3 has TLS 1.3, and its own suites"
        )
    if abilities.unkept:
        lines.append(f"{abilities.name} has nothing for {abilities.unkept}")
    return lines
