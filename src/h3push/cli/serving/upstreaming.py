"""Flags about the upstreams of `h3push proxy`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed
from h3push.cli.serving.flag import FILE, Subject, flag

if TYPE_CHECKING:
    from h3push.proxy.reverse import ReverseProxy

SECONDS = click.FloatRange(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstreaming(Subject):
    """How upstreams are asked."""

    heading = "Upstreams"

    host_header: str | None = flag(
        "--host-header VALUE", "Host for upstreams; 'upstream': their own.  [default: the one that was asked for]"
    )
    upstream_http2: bool = flag("--upstream-http2", "Speak HTTP/2 to upstreams; h2c:// says the same without TLS.")
    upstream_cacert: Path | None = flag(
        "--upstream-cacert FILE", "Trust these authorities (PEM) for https upstreams.", type=FILE
    )
    upstream_insecure: bool = flag("--upstream-insecure", "Accept any certificate of https upstreams.")
    health_check: str | None = flag("--health-check PATH", "Leave out upstreams that fail at PATH, asked each 10 s.")
    cache: bool = flag("--cache/--no-cache", "Keep fresh answers for everybody, and give them again.", default=True)
    connect_timeout: float = flag("--upstream-connect-timeout SECONDS", "For a connection.", default=5.0, type=SECONDS)
    response_timeout: float = flag(
        "--upstream-response-timeout SECONDS", "For an answer to begin; 0: none.", default=60.0, type=SECONDS
    )
    idle_timeout_upstream: float = flag(
        "--upstream-read-timeout SECONDS", "For its next piece; 0: none.", default=60.0, type=SECONDS
    )
    max_requests_upstream: int = flag(
        "--upstream-max-requests N", "Requests at once to each upstream.", default=100, type=click.IntRange(1)
    )

    def check(self) -> None:
        """Refuse what is no path, or no value of a field."""
        if self.health_check is not None and not self.health_check.startswith("/"):
            raise click.UsageError("--health-check takes a path, such as /health.")
        if self.host_header is not None and not (self.host_header.isascii() and self.host_header.isprintable()):
            raise click.UsageError("--host-header takes a host, in printable ASCII.")

    def application(self, addresses: tuple[str, ...], trusted: tuple[str, ...], *, read_pages: bool) -> "ReverseProxy":
        """Make the proxy. `trusted`: whose `Forwarded` and `X-Forwarded-*` are believed. Raises `CommandFailed`."""
        from h3push.proxy.reverse import ReverseProxy
        from h3push.proxy.settings import ProxySettings, UpstreamSettings
        from h3push.proxy.upstream import make_context, parse_upstream
        from h3push.proxy.upstreams import Upstreams

        settings = UpstreamSettings(
            connect_timeout=self.connect_timeout or None,
            response_timeout=self.response_timeout or None,
            read_timeout=self.idle_timeout_upstream or None,
            max_requests=self.max_requests_upstream,
        )
        cafile = None if self.upstream_cacert is None else str(self.upstream_cacert)
        try:
            upstreams = [parse_upstream(one, http2=self.upstream_http2) for one in addresses]
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        try:
            context = make_context(cafile, not self.upstream_insecure, self.upstream_http2)
            tunnel = make_context(cafile, not self.upstream_insecure, http2=False) if self.upstream_http2 else context
        except ValueError as error:
            raise CommandFailed(str(error)) from None
        forwarding = ProxySettings(host=self.host_header, trusted=trusted, read_pages=read_pages)
        if not self.cache:
            forwarding = replace(forwarding, cached=0)
        return ReverseProxy(Upstreams(upstreams, settings, context, self.health_check, tunnel), forwarding)
