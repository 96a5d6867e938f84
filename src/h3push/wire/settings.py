"""SETTINGS (RFC 9114 section 7.2.4): what each side tells the other once, first on its control stream.

The payload is a sequence of pairs::

    Identifier (varint), Value (varint), Identifier, Value, ...

Each identifier comes at most once. Absent means the default. Unknown identifiers mean nothing and are kept only to be seen.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.registry import HTTP2_SETTINGS, Setting
from h3push.wire.varint import decode_varint, encode_varint

MAX_UNKNOWN_KEPT = 16
"""Unknown settings that `Settings.unknown` keeps; the rest is read and forgotten."""

_SHORT = 64
"""Bytes of a payload whose meaning is remembered; a client says the same on each connection."""

_KNOWN = frozenset(Setting)
_BOOLEAN = frozenset({Setting.ENABLE_CONNECT_PROTOCOL, Setting.H3_DATAGRAM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One side's settings; the defaults are those of the RFCs."""

    qpack_max_table_capacity: int = 0
    """Largest dynamic table the peer's encoder may use, in bytes (RFC 9204 section 5)."""
    max_field_section_size: int | None = None
    """Largest field section that is accepted, in bytes: name + value + 32 a field (RFC 9114 section 4.2.2). None: no limit."""
    qpack_blocked_streams: int = 0
    """Streams that may wait for the encoder stream (RFC 9204 section 5)."""
    enable_connect_protocol: bool = False
    """Extended CONNECT is understood (RFC 9220 section 3)."""
    h3_datagram: bool = False
    """HTTP datagrams are understood (RFC 9297 section 2.1.1)."""
    unknown: tuple[tuple[int, int], ...] = ()
    """Further identifiers and values, in order; when parsed, the first `MAX_UNKNOWN_KEPT` of them."""


def parse_settings(payload: bytes) -> Settings:
    """Parse the payload of SETTINGS (RFC 9114 section 7.2.4).

    Raises:
        H3ConnectionError: H3_FRAME_ERROR for a pair that is cut off; H3_SETTINGS_ERROR for an identifier that comes twice or
            is reserved, and for a value other than 0 or 1 where only those have a meaning.
    """
    return _parse_known(payload) if len(payload) <= _SHORT else _parse(payload)


def _parse(payload: bytes) -> Settings:
    values: dict[int, int] = {}
    for identifier, value in _pairs(payload):
        if identifier in HTTP2_SETTINGS:
            raise _settings_error(f"setting {identifier:#x} is reserved")
        if identifier in values:
            raise _settings_error(f"setting {identifier:#x} comes twice")
        if identifier in _BOOLEAN and value > 1:
            raise _settings_error(f"setting {Setting(identifier).name} is {value}; it may be 0 or 1")
        values[identifier] = value
    unknown = [pair for pair in values.items() if pair[0] not in _KNOWN]
    return Settings(
        qpack_max_table_capacity=values.get(Setting.QPACK_MAX_TABLE_CAPACITY, 0),
        max_field_section_size=values.get(Setting.MAX_FIELD_SECTION_SIZE),
        qpack_blocked_streams=values.get(Setting.QPACK_BLOCKED_STREAMS, 0),
        enable_connect_protocol=values.get(Setting.ENABLE_CONNECT_PROTOCOL) == 1,
        h3_datagram=values.get(Setting.H3_DATAGRAM) == 1,
        unknown=tuple(unknown[:MAX_UNKNOWN_KEPT]),
    )


_parse_known = lru_cache(maxsize=128)(_parse)


def encode_settings(settings: Settings, grease: tuple[int, int] | None = None) -> bytes:
    """Encode the payload of SETTINGS: every value that is not the default, `settings.unknown`, then `grease`.

    Args:
        settings: what to say.
        grease: a reserved identifier (`registry.reserved_number`) and any value, which peers must ignore.

    Raises:
        ValueError: an identifier in `unknown` or `grease` is reserved for HTTP/2, is one that has its own attribute, comes
            twice, or some number fits no varint.
    """
    pairs = dict(_known_pairs(settings))
    for identifier, value in (*settings.unknown, *((grease,) if grease is not None else ())):
        if identifier in HTTP2_SETTINGS:
            raise ValueError(f"setting {identifier:#x} is reserved and never sent")
        if identifier in _KNOWN or identifier in pairs:
            raise ValueError(f"setting {identifier:#x} is given twice")
        pairs[identifier] = value
    return b"".join(encode_varint(identifier) + encode_varint(value) for identifier, value in pairs.items())


def _known_pairs(settings: Settings) -> Iterator[tuple[int, int]]:
    if settings.qpack_max_table_capacity:
        yield Setting.QPACK_MAX_TABLE_CAPACITY, settings.qpack_max_table_capacity
    if settings.max_field_section_size is not None:
        yield Setting.MAX_FIELD_SECTION_SIZE, settings.max_field_section_size
    if settings.qpack_blocked_streams:
        yield Setting.QPACK_BLOCKED_STREAMS, settings.qpack_blocked_streams
    if settings.enable_connect_protocol:
        yield Setting.ENABLE_CONNECT_PROTOCOL, 1
    if settings.h3_datagram:
        yield Setting.H3_DATAGRAM, 1


def _pairs(payload: bytes) -> Iterator[tuple[int, int]]:
    offset = 0
    while offset < len(payload):
        identifier = decode_varint(payload, offset)
        value = decode_varint(payload, identifier[1]) if identifier is not None else None
        if identifier is None or value is None:
            raise H3ConnectionError(ErrorCode.H3_FRAME_ERROR, "SETTINGS ends in the middle of a setting")
        yield identifier[0], value[0]
        offset = value[1]


def _settings_error(sentence: str) -> H3ConnectionError:
    return H3ConnectionError(ErrorCode.H3_SETTINGS_ERROR, sentence)
