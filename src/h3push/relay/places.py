"""Origins, and where on this machine each of them is."""

import ipaddress
import re
from dataclasses import dataclass

from h3push.http.url import Origin, parse_url

DEFAULT_PORT = 8080
"""Of the first origin that is given none; the next one has the next."""
_AT = re.compile(r"(?P<origin>[^=]*)(?:=(?P<listen>[^=/]+))?")
_LISTEN = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]/]+):)?(?P<port>\d{1,5})")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class RelayedOrigin:
    """An origin, and where programs find it."""

    origin: Origin
    """The server at the other end of the link."""
    host: str
    """Where the relay listens for it: a name or an address of this machine."""
    port: int
    """The TCP port there; 0 takes a free one."""
    names: frozenset[str] = frozenset()
    """Further names by which programs may call the relay."""

    def is_own(self, authority: str) -> bool:
        """True when a Host field names this relay, not something else that a name was made to lead to (DNS rebinding).

        Its own names are the loopback's, every name below `localhost` (RFC 6761: no DNS server can make one of them lead
        elsewhere), the host that it listens on, and those it was given. The port has to be its own; whoever forwards a port
        leads to loopback names anyway.
        """
        host, port = split_authority(authority)
        own = host in _LOCAL or host.endswith(".localhost") or host == self.host.lower() or host in self.names
        return own and port in {None, self.port}


def split_authority(authority: str) -> tuple[str, int | None]:
    """Host and port of a Host field; the host in lower case, an IPv6 address without brackets. ("", None) for nonsense."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", authority.strip())
    if found is None:
        return "", None
    return found[1].strip("[]").lower().removesuffix("."), None if found[2] is None else int(found[2])


def is_loopback(host: str) -> bool:
    """True for a name or address that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_listen(text: str) -> tuple[str, int]:
    """Take HOST:PORT apart; a port alone is one of "localhost". `ValueError` with a sentence."""
    found = _LISTEN.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise ValueError(f"{text!r} is neither HOST:PORT nor a port")
    return (found["host"] or "localhost").strip("[]"), int(found["port"])


def read_places(origins: tuple[str, ...], listen: str | None, names: tuple[str, ...] = ()) -> list[RelayedOrigin]:
    """The places of `ORIGIN` and `ORIGIN=HOST:PORT`, in order.

    An origin that is given no port has the first one that `listen` names, or the one after the last. `ValueError` with a
    sentence for what is no origin, and for a port that two of them want.
    """
    host, port = ("localhost", DEFAULT_PORT) if listen is None else read_listen(listen)
    known = frozenset(name.lower() for name in names)
    places: list[RelayedOrigin] = []
    taken: set[int] = {0}
    for text in origins:
        found = _AT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is neither ORIGIN nor ORIGIN=HOST:PORT")
        parsed = parse_url(found["origin"])
        if parsed.target != "/" or parsed.authorization is not None:
            raise ValueError(f"{found['origin']!r} is more than an origin: give https://{parsed.origin.authority}")
        if found["listen"] is not None:
            here = read_listen(found["listen"])
        else:
            while port in taken and port:
                port += 1
            here = host, port
        if here[1] and here[1] in taken:
            raise ValueError(f"two origins want port {here[1]}")
        taken.add(here[1])
        places.append(RelayedOrigin(parsed.origin, *here, known))
    return places
