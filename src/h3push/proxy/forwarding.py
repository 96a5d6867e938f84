"""The rules for fields that an intermediary forwards, in either direction (RFC 9110 section 7.6).

What belongs to one connection stays there: the fields that RFC 9110 names, and those that `Connection` names. Where a message
came from (`Forwarded`, `X-Forwarded-*`) is written anew for the next server: a client may claim anything, so only what a trusted
sender says is kept and added to.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from h3push.http.fields import CONNECTION_SPECIFIC, Field, Fields
from h3push.http.fields.received import joined

MAX_HOPS = 20
"""Intermediaries that a request may have gone through. One that went in a circle passes this soon."""

OF_A_CONNECTION = CONNECTION_SPECIFIC | {b"te", b"proxy-authenticate", b"proxy-authorization", b"http2-settings"}
"""Fields that are never forwarded (RFC 9110 section 7.6.1, RFC 9113 section 8.2.2)."""

_OF_THE_WAY = frozenset(
    b"forwarded x-forwarded-for x-forwarded-proto x-forwarded-host x-forwarded-port x-real-ip".split()
)
"""Fields that say where a request came from."""

_NOT_A_REQUEST_S_OWN = OF_A_CONNECTION | _OF_THE_WAY | {b"host", b"expect", b"via"}
"""Fields of a request that do not simply go on. Expect is answered by the server that the client speaks to."""
_NOT_A_RESPONSE_S_OWN = OF_A_CONNECTION | {b"via"}
"""The same of a response."""

_LONGEST_REMEMBERED = 255
"""Characters of an authority, the longest name that DNS has: what a client makes us remember has a bound."""


class Hop(NamedTuple):
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
    kept, others = _sorted_out(fields, OF_A_CONNECTION)
    options = _connection_options(others)
    return [field for field in kept if field[0] not in options] if options else kept


def request_fields(fields: Iterable[Field], hop: Hop, *, via: str = "h3push", trusted: bool = False) -> Fields:
    """The fields of a request as it goes on, without Host.

    Args:
        fields: as they came.
        hop: how it came.
        via: the name by which this intermediary calls itself in `Via`.
        trusted: keep and add to what the sender says of the way before it.
    """
    kept, others = _sorted_out(fields, _NOT_A_REQUEST_S_OWN)
    added = _told(hop, via) if len(hop.authority) <= _LONGEST_REMEMBERED else _tell(hop, via)
    if not others or (len(others) == 1 and others[0][0] == b"host"):
        kept.extend(added)
        return kept
    options = _connection_options(others)
    said = [
        field
        for field in others
        if (field[0] == b"via" or (trusted and field[0] in _OF_THE_WAY)) and field[0] not in options
    ]
    named = {name for name, _ in said}
    # Of scheme and authority, who stands nearer to the client knows better.
    own = [field for field in added if not (field[0] in _OF_THE_CLIENT and field[0] in named)]
    wants_trailers = any(name == b"te" and b"trailers" in value.lower() for name, value in others)
    if wants_trailers:
        own.append((b"te", b"trailers"))
    return _joined([field for field in kept if field[0] not in options] + said, own)


def response_fields(fields: Iterable[Field], version: str, *, via: str = "h3push") -> Fields:
    """The fields of a response as it goes on. `version`: the one of HTTP that it came by."""
    kept, others = _sorted_out(fields, _NOT_A_RESPONSE_S_OWN)
    own = (b"via", f"{version} {via}".encode("latin-1"))
    options = _connection_options(others)
    said = [field for field in others if field[0] == b"via"]
    if options or said:
        return _joined([field for field in kept + said if field[0] not in options], [own])
    kept.append(own)
    return kept


def hops(fields: Sequence[Field]) -> int:
    """Count the intermediaries that a message has gone through, by its `Via`."""
    return sum(value.count(b",") + 1 for name, value in fields if name.lower() == b"via")


def is_trusted(address: str, trusted: Sequence[str]) -> bool:
    """True when an address is one of `trusted`: addresses, networks, or "*" for all."""
    if not trusted:
        return False
    return "*" in trusted or _is_within(address, tuple(trusted))


@lru_cache(1024)
def _is_within(address: str, networks: tuple[str, ...]) -> bool:
    try:
        own = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(own in ipaddress.ip_network(one, strict=False) for one in networks)


def _sorted_out(fields: Iterable[Field], special: frozenset[bytes]) -> tuple[Fields, Fields]:
    """The fields that go on as they are, and those with a name in `special`; names in lower case."""
    kept: Fields = []
    others: Fields = []
    for given, value in fields:
        name = given.lower()
        (others if name in special else kept).append((name, value))
    return kept, others


def _connection_options(fields: Fields) -> set[bytes]:
    """The names in `Connection`, in lower case."""
    return {option.strip().lower() for name, value in fields if name == b"connection" for option in value.split(b",")}


def _tell(hop: Hop, via: str) -> tuple[Field, ...]:
    """Return the fields that tell the next server of a hop."""
    return (
        (b"via", f"{hop.version} {via}".encode("latin-1")),
        (b"forwarded", _forwarded(hop)),
        (b"x-forwarded-for", hop.client.encode("latin-1")),
        (b"x-forwarded-proto", hop.scheme.encode("latin-1")),
        (b"x-forwarded-host", hop.authority.encode("latin-1")),
    )


_told = lru_cache(256)(_tell)
"""The same of a hop that comes again, as each request of a connection does."""
_OF_THE_CLIENT = frozenset({b"x-forwarded-proto", b"x-forwarded-host"})


def _forwarded(hop: Hop) -> bytes:
    """One element of Forwarded (RFC 7239 section 4)."""
    node = f'"[{hop.client}]"' if ":" in hop.client else hop.client
    host = hop.authority.replace("\\", "\\\\").replace('"', '\\"')  # else a client could write parameters of its own
    return f'for={node};host="{host}";proto={hop.scheme}'.encode("latin-1")


def _joined(kept: Fields, added: Iterable[Field]) -> Fields:
    """Fields with others that are lists: what was said before stands first, in one field."""
    joined = list(kept)
    for name, value in added:
        before = [one for field, one in joined if field == name]
        if before:
            joined = [field for field in joined if field[0] != name]
        joined.append((name, b", ".join([*before, value])))
    return joined


def one_length(fields: Fields, status: int) -> Fields:
    """The fields with Content-Length once, and with none in a 204 (RFC 9110 section 8.6): clients refuse both."""
    lengths = [name for name, _ in fields].count(b"content-length")
    if lengths and status == 204:
        return [field for field in fields if field[0] != b"content-length"]
    return joined(fields) if lengths > 1 else fields  # zttp and h2 have seen to it that all say the same
