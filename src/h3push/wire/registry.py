"""The numbers that HTTP/3 registers: frame types, stream types, settings, and what may not be any of them.

Sources: RFC 9114 sections 11.2.1, 11.2.2 and 11.2.4 (registries), RFC 9204 section 8, RFC 9218 section 12, RFC 9220, RFC 9297.
What a frame type means for a receiver is in `frames`.
"""

from enum import Enum, IntEnum


class Role(Enum):
    """Which end of the connection somebody is."""

    CLIENT = "client"
    SERVER = "server"

    __hash__ = object.__hash__  # members are compared by identity; Enum's own hash is written in Python

    @property
    def peer(self) -> "Role":
        """The other end."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class StreamKind(Enum):
    """The three kinds of stream that carry frames (RFC 9114 section 7, table 1)."""

    CONTROL = "control"
    REQUEST = "request"
    PUSH = "push"

    __hash__ = object.__hash__


class FrameType(IntEnum):
    """Frame types that we know (RFC 9114 section 7.2, RFC 9218 section 7.2)."""

    DATA = 0x00
    HEADERS = 0x01
    CANCEL_PUSH = 0x03
    SETTINGS = 0x04
    PUSH_PROMISE = 0x05
    GOAWAY = 0x07
    MAX_PUSH_ID = 0x0D
    PRIORITY_UPDATE_REQUEST = 0xF0700
    PRIORITY_UPDATE_PUSH = 0xF0701


class StreamType(IntEnum):
    """Types of unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2)."""

    CONTROL = 0x00
    PUSH = 0x01
    QPACK_ENCODER = 0x02
    QPACK_DECODER = 0x03


class Setting(IntEnum):
    """Setting identifiers that we know (RFC 9114 section 7.2.4.1, RFC 9204 section 5, RFC 9220 section 3, RFC 9297)."""

    QPACK_MAX_TABLE_CAPACITY = 0x01
    MAX_FIELD_SECTION_SIZE = 0x06
    QPACK_BLOCKED_STREAMS = 0x07
    ENABLE_CONNECT_PROTOCOL = 0x08
    H3_DATAGRAM = 0x33


HTTP2_FRAME_TYPES = {0x02: "PRIORITY", 0x06: "PING", 0x08: "WINDOW_UPDATE", 0x09: "CONTINUATION"}
"""HTTP/2 frame types that HTTP/3 must not carry, with their HTTP/2 names (RFC 9114 section 7.2.8)."""

HTTP2_SETTINGS = frozenset({0x00, 0x02, 0x03, 0x04, 0x05})
"""Identifiers that are reserved: HTTP/2's settings without a meaning here, and 0x00 (RFC 9114 sections 7.2.4.1, 11.2.2).

0x08 is not among them: it is SETTINGS_ENABLE_CONNECT_PROTOCOL.
"""


def is_reserved(number: int) -> bool:
    """Tell whether `number` is kept free so that peers practise ignoring it: 0x1f * N + 0x21 (RFC 9114 section 7.2.8).

    The same formula holds for stream types, frame types, settings and error codes.
    """
    return number >= 0x21 and (number - 0x21) % 0x1F == 0


def reserved_number(n: int) -> int:
    """Return the `n`th reserved number, counted from 0."""
    return 0x1F * n + 0x21
