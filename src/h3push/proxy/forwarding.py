"""The rules for fields that an intermediary forwards, in either direction (RFC 9110 section 7.6).

What belongs to one connection stays there: the fields that RFC 9110 names, and those that `Connection` names. Where a message
came from (`Forwarded`, `X-Forwarded-*`) is written anew for the next server: a client may claim anything, so only what a trusted
sender says is kept and added to.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from h3push.http.fields import CONNECTION_SPECIFIC, Field, Fields

MAX_HOPS = 20
"""Intermediaries that a request may have gone through. One that went in a circle passes this soon."""

OF_A_CONNECTION = CONNECTION_SPECIFIC | {b"te", b"proxy-authenticate", b"proxy-authorization", b"http2-settings"}
"""Fields that are never forwarded (RFC 9110 section 7.6.1, RFC 9113 section 8.2.2)."""

_OF_THE_WAY = frozenset(
    b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip".split()
)
"""Fields that say where a request came from."""

_EXPECT = b"expect"
"""Answered by the server that the client speaks to."""


@dataclass(frozen=True, slots=True)
class Hop:
    """The hop by which a request came."""

    client: str
    """The address of whoever sent it."""
    scheme: str
    """"https", or "http"."""
    authority: str
    """The authority that was asked for."""
    version: str
    """The version of HTTP, as Via names it: "3", "2", "1.1"."""


def end_to_end(fields: Iterable[Field]) -> Fields:
    """The fields of a message that are not of its connection, with names in lower case."""
    given = [(name.lower(), value) for name, value in fields]
    named = OF_A_CONNECTION | {
        option.strip().lower() for name, value in given if name == b"connection" for option in value.split(b",")
    }
    return [field for field in given if field[0] not in named]


def request_fields(fields: Iterable[Field], hop: Hop, *, via: str = "h3push", trusted: bool = False) -> Fields:
    """The fields of a request as it goes on, without Host.

    Args:
        fields: as they came.
        hop: how it came.
        via: the name by which this intermediary calls itself in `Via`.
        trusted: keep and add to what the sender says of the way before it.
    """
    given = list(fields)
    wants_trailers = any(name.lower() == b"te" and b"trailers" in value.lower() for name, value in given)
    kept = [
        field
        for field in end_to_end(given)
        if field[0] != b"host" and field[0] != _EXPECT and (trusted or field[0] not in _OF_THE_WAY)
    ]
    added: list[Field] = [
        (b"via", f"{hop.version} {via}".encode("latin-1")),
        (b"forwarded", _forwarded(hop)),
        (b"x-forwarded-for", hop.client.encode("latin-1")),
    ]
    named = {name for name, _ in kept}
    for name, value in ((b"x-forwarded-proto", hop.scheme), (b"x-forwarded-host", hop.authority)):
        if name not in named:  # who stands nearer to the client knows better
            added.append((name, value.encode("latin-1")))
    if wants_trailers:
        added.append((b"te", b"trailers"))
    return _joined(kept, added)


def response_fields(fields: Iterable[Field], version: str, *, via: str = "h3push") -> Fields:
    """The fields of a response as it goes on. `version`: the one of HTTP that it came by."""
    return _joined(end_to_end(fields), [(b"via", f"{version} {via}".encode("latin-1"))])


def hops(fields: Sequence[Field]) -> int:
    """Count the intermediaries that a message has gone through, by its `Via`."""
    return sum(value.count(b",") + 1 for name, value in fields if name.lower() == b"via")


def is_trusted(address: str, trusted: Sequence[str]) -> bool:
    """True when an address is one of `trusted`: addresses, networks, or "*" for all."""
    if "*" in trusted:
        return True
    try:
        own = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(own in ipaddress.ip_network(one, strict=False) for one in trusted)


def _forwarded(hop: Hop) -> bytes:
    """One element of Forwarded (RFC 7239 section 4)."""
    node = f'"[{hop.client}]"' if ":" in hop.client else hop.client
    return f'for={node};host="{hop.authority}";proto={hop.scheme}'.encode("latin-1")


def _joined(kept: Fields, added: Iterable[Field]) -> Fields:
    """Fields with others that are lists: what was said before stands first, in one field."""
    joined = list(kept)
    for name, value in added:
        before = [one for field, one in joined if field == name]
        if before:
            joined = [field for field in joined if field[0] != name]
        joined.append((name, b", ".join([*before, value])))
    return joined
