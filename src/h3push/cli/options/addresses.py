"""Where to connect instead, as `--resolve` and `--connect-to` mean it."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import rich_click as click

from h3push.client.handshake import Address, look_up
from h3push.http.url import Origin


class Detour:
    """The rules of both flags. A rule of `--connect-to` is followed first, and its host may have one of `--resolve`."""

    def __init__(self, resolve: Sequence[str], connect_to: Sequence[str]) -> None:
        self._resolve = [_resolve_rule(rule) for rule in resolve]
        self._connect_to = [_connect_rule(rule) for rule in connect_to]

    async def resolve(self, origin: Origin) -> Sequence[Address]:
        """Find the addresses of an origin, as the rules have it. Raises: ConnectFailed: there is no such host."""
        if (addresses := self.of(origin)) and _is_address(addresses[0][0]):
            return addresses
        return await look_up(Origin(*addresses[0]) if addresses else origin)

    def of(self, origin: Origin) -> list[Address]:
        """Give the hosts or addresses to try for an origin, in order; none: look the name up as usual."""
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


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


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
