"""HTTP/1.1 and HTTP/2 beside HTTP/3."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.serving.flag import Subject, flag

if TYPE_CHECKING:
    from h3push.tcp.side import TcpChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTcp(Subject):
    """The TCP side."""

    heading = "HTTP/1.1 and HTTP/2"

    tcp: "TcpChoice" = flag(
        "--tcp SERVER",
        "Server on the TCP port; auto: uvicorn.",
        default="auto",
        type=click.Choice(["auto", "uvicorn", "hypercorn", "off"]),
    )
    alt_svc: str | None = flag("--alt-svc VALUE", "Alt-Svc; '' sends none.  [default: h3=\":PORT\"; ma=86400]")
    redirect_http: int | None = flag(
        "--redirect-http PORT", "Answer plain HTTP on this port with a redirect.", type=click.IntRange(1, 65535)
    )

    proxy_headers: bool = flag("--proxy-headers/--no-proxy-headers", "Believe X-Forwarded-*.", default=True)
    forwarded_allow_ips: str = flag(
        "--forwarded-allow-ips LIST",
        "These proxies; * is any.",
        default="127.0.0.1,::1",
        envvar="FORWARDED_ALLOW_IPS",
    )

    @property
    def believed(self) -> tuple[str, ...]:
        """Addresses and networks whose word is taken for where a request came from."""
        return tuple(filter(None, map(str.strip, self.forwarded_allow_ips.split(",")))) if self.proxy_headers else ()

    def check(self) -> None:
        """Refuse flags of TCP without TCP, an Alt-Svc that would end its header section, and proxies that are no addresses."""
        import ipaddress

        for one in self.believed if self.forwarded_allow_ips != "*" else ():
            try:
                ipaddress.ip_network(one)
            except ValueError as error:
                raise click.UsageError(
                    f"--forwarded-allow-ips takes addresses and networks, or * alone: {error}."
                ) from None
        if self.tcp == "off" and (self.alt_svc is not None or self.redirect_http is not None):
            raise click.UsageError("--alt-svc and --redirect-http go with TCP: leave out --tcp off.")
        if self.alt_svc is not None and not (self.alt_svc.isascii() and self.alt_svc.isprintable()):
            raise click.UsageError("--alt-svc takes the value of a header field, in printable ASCII.")
