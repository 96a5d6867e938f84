"""Where to connect instead, as `--resolve` and `--connect-to` mean it."""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode
from h3push.http.url import Origin

Address = tuple[str, int]
"""Host and UDP port; an IPv6 address without brackets."""


class Detour:
    """The rules of both flags. A rule of `--connect-to` is followed first, and its host may have one of `--resolve`."""

    def __init__(self, resolve: Sequence[str], connect_to: Sequence[str]) -> None:
        self._resolve = [_resolve_rule(rule) for rule in resolve]
        self._connect_to = [_connect_rule(rule) for rule in connect_to]

    def of(self, origin: Origin) -> list[Address]:
        """Give the addresses to try for an origin, in order; none: look the name up as ever."""
        host, port = origin.host, origin.port
        moved = False
        for from_host, from_port, to_host, to_port in self._connect_to:
            if from_host in {"", host} and from_port in {None, port}:
                host, port, moved = to_host or host, to_port or port, True
                break
        for rule_host, rule_port, addresses in self._resolve:
            if rule_host in {"*", host} and rule_port == port:
                return [(address, port) for address in addresses]
        return [(host, port)] if moved else []


async def look_up(address: Address) -> Address:
    """Find the IP address of a host that a rule named."""
    host, port = address
    try:
        return str(ip_address(host)), port
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise CommandFailed(f"cannot find host {host}: {error.strerror or error}", ExitCode.DNS) from None
    return str(found[0][4][0]), port


def _resolve_rule(rule: str) -> tuple[str, int, list[str]]:
    try:
        host, port, addresses = _split(rule.removeprefix("+"), 2)
        found = [address.strip("[]") for address in addresses.split(",")]
        return host.strip("[]").lower(), _port(port) or 0, [str(ip_address(address)) for address in found]
    except ValueError:
        raise click.BadParameter(f"{rule!r} is not of the form HOST:PORT:ADDRESS.", param_hint="--resolve") from None


def _connect_rule(rule: str) -> tuple[str, int | None, str, int | None]:
    try:
        host, port, to_host, to_port = _split(rule, 3)
        return host.strip("[]").lower(), _port(port), to_host.strip("[]"), _port(to_port)
    except ValueError:
        sentence = f"{rule!r} is not of the form HOST:PORT:TO:PORT."
        raise click.BadParameter(sentence, param_hint="--connect-to") from None


def _split(rule: str, colons: int) -> list[str]:
    """Split at so many colons, but for those within brackets."""
    return list(_pieces(rule, colons))


def _pieces(rule: str, colons: int) -> Iterator[str]:
    for _ in range(colons):
        end = rule.index(":", rule.find("]") if rule.startswith("[") else 0)
        yield rule[:end]
        rule = rule[end + 1 :]
    yield rule


def _port(text: str) -> int | None:
    """A port, or `None` for any; `ValueError` for what is none."""
    if not text:
        return None
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError(text)
    return port
