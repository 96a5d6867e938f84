"""QPACK's wire format, as far as it takes to judge it (RFC 9204 section 4).

Nothing here makes a header out of bytes; pylsqpack does that. This module knows where things begin and end, what they refer
to and how large they can become.
"""

from typing import NamedTuple

import pylsqpack

from h3push.wire.varint import VARINT_MAX

ENTRY_OVERHEAD = 32
"""Bytes that an entry counts beyond name and value (RFC 9204 section 3.2.1); a field section counts the same for a field."""
STATIC_TABLE_SIZE = 99
"""RFC 9204 appendix A."""
STATIC_PATH = 1
"""Where `:path` stands in the static table; encoders name it by this index."""
SPELLED_PATH = (b":path", bytes.fromhex("b958d33f"))
"""The name as it is, and in Huffman code (RFC 7541 appendix B)."""
MAX_STRING = 65_535
"""Longest name or value that pylsqpack decodes, in bytes."""


class WireFormatError(Exception):
    """Bytes that no correct peer sends; whoever reads knows which error code that is on the stream in question."""


class NotDecodableError(WireFormatError):
    """Legal, but larger than we are able to decode (RFC 9204 section 7.4)."""


class LongStringError(NotDecodableError):
    """A string that is longer than `MAX_STRING`, or may be.

    Attributes:
        path: True when it is the path.
    """

    def __init__(self, longest: int, *, path: bool) -> None:
        super().__init__(f"a string of up to {longest} bytes")
        self.path = path


def huffman_bound(length: int) -> int:
    """Most bytes that `length` bytes of Huffman code stand for: the shortest code has 5 bits (RFC 7541 appendix B)."""
    return length * 8 // 5


# Prefixed integer (RFC 9204 section 4.1.1, RFC 7541 section 5.1): what is left of the first byte after some flag bits, and if
# those bits are all ones, more bytes of 7 bits each, low bits first, the top bit set on all but the last.


def encode_integer(flags: int, prefix_bits: int, value: int) -> bytes:
    """Encode `value` behind `flags`, which holds the first byte's other bits."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((flags | value,))
    encoded = bytearray((flags | limit,))
    value -= limit
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_integer(data: bytes, offset: int, prefix_bits: int) -> tuple[int, int] | None:
    """Value of the integer at `offset` and the offset after it; None when `data` ends before.

    Raises:
        NotDecodableError: more than 62 bits, or more than 10 bytes, which no value of 62 bits needs.
    """
    limit = (1 << prefix_bits) - 1
    try:
        value = data[offset] & limit
    except IndexError:
        return None
    if value < limit:
        return value, offset + 1
    for shift in range(0, 70, 7):
        offset += 1
        if offset >= len(data):
            return None
        byte = data[offset]
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise NotDecodableError("an integer of more than 10 bytes")
    if value > VARINT_MAX:
        raise NotDecodableError("an integer of more than 62 bits")
    return value, offset + 1


def integer_at(data: bytes, offset: int, prefix_bits: int) -> tuple[int, int]:
    """Decode like `decode_integer`, where the end of `data` is an error (`WireFormatError`)."""
    decoded = decode_integer(data, offset, prefix_bits)
    if decoded is None:
        raise WireFormatError("it ends in the middle of a number")
    return decoded


# Encoded field section prefix (RFC 9204 section 4.5.1):
#
#       0   1   2   3   4   5   6   7
#     +---+---+---+---+---+---+---+---+
#     |   Required Insert Count (8+)  |
#     +---+---------------------------+
#     | S |      Delta Base (7+)      |
#     +---+---------------------------+


class Prefix(NamedTuple):
    """A section's prefix, decoded."""

    required_inserts: int
    """Required Insert Count: how many insertions the decoder must have seen; 0 for a section without dynamic references."""
    base: int
    """Base, which relative indices count from."""
    end: int
    """Offset of the first field line."""


def decode_prefix(section: bytes, inserts: int, max_entries: int) -> Prefix:
    """Decode a section's prefix (RFC 9204 sections 4.5.1.1 and 4.5.1.2).

    Args:
        section: the encoded field section.
        inserts: insertions into the decoder's table so far.
        max_entries: maximum table capacity that the decoder announced, divided by 32.

    Raises:
        WireFormatError: no correct encoder makes this prefix.
    """
    encoded, at = integer_at(section, 0, 8)
    required = _required_inserts(encoded, inserts, max_entries)
    delta, end = integer_at(section, at, 7)
    if section[at] < 0x80:
        return Prefix(required, required + delta, end)
    if required <= delta:
        raise WireFormatError("its Base is negative")
    return Prefix(required, required - delta - 1, end)


def prefix_end(section: bytes) -> int:
    """Offset of the first field line."""
    return integer_at(section, integer_at(section, 0, 8)[1], 7)[1]


def _required_inserts(encoded: int, inserts: int, max_entries: int) -> int:
    """RFC 9204 section 4.5.1.1, the algorithm given there."""
    if encoded == 0:
        return 0
    full_range = 2 * max_entries
    if encoded > full_range:
        raise WireFormatError("its Required Insert Count is impossible")
    max_value = inserts + max_entries
    required = max_value // full_range * full_range + encoded - 1
    if required > max_value:
        required -= full_range
    if required <= 0:
        raise WireFormatError("its Required Insert Count is impossible")
    return required


# Field lines (RFC 9204 sections 4.5.2 to 4.5.6), by their first bits:
#
#     1 T index (6+)                                  indexed: static (T = 1) or relative to Base
#     0 1 N T index (4+), value                       literal with that name
#     0 0 1 N H name length (3+), name, value         literal with its own name
#     0 0 0 1 index (4+)                              indexed, post-Base
#     0 0 0 0 N index (3+), value                     literal with a post-Base name
#
#     value = H length (7+), string


class FieldLine(NamedTuple):
    """One field line, not decoded."""

    end: int
    """Offset after it."""
    static: int | None
    """Index into the static table, where it refers to that."""
    relative: int | None
    """Distance of a referenced dynamic entry from Base: -1 - index before it, index behind it."""
    literal: int
    """Upper bound of its own strings' decoded bytes."""
    longest: int
    """The larger of the two bounds: what has to fit `MAX_STRING`."""
    nameless: bool
    """A literal name of no bytes."""


def read_field_line(section: bytes, offset: int) -> FieldLine:
    """Read the field line at `offset`; raises `WireFormatError` when it goes beyond the section."""
    first = section[offset]
    static: int | None = None
    relative: int | None = None
    name = 0
    if first >= 0x80:
        index, offset = integer_at(section, offset, 6)
        if first & 0x40:
            return FieldLine(offset, index, None, 0, 0, False)
        return FieldLine(offset, None, -1 - index, 0, 0, False)
    if first >= 0x40:
        index, offset = integer_at(section, offset, 4)
        if first & 0x10:
            static = index
        else:
            relative = -1 - index
    elif first >= 0x20:
        name, offset = read_string(section, offset, 3)
    elif first >= 0x10:
        relative, offset = integer_at(section, offset, 4)
        return FieldLine(offset, None, relative, 0, 0, False)
    else:
        relative, offset = integer_at(section, offset, 3)
    value, offset = read_string(section, offset, 7)
    return FieldLine(offset, static, relative, name + value, max(name, value), 0x20 <= first < 0x40 and not name)


def split_field_lines(section: bytes, offset: int) -> tuple[list[bytes], list[int]]:
    """Cut a section into its field lines from `offset` on. A line without a name gets the name "?".

    Returns: the lines, and the indexes of those that had no name. Raises `LongStringError`, `WireFormatError`.
    """
    lines: list[bytes] = []
    nameless: list[int] = []
    while offset < len(section):
        line = read_field_line(section, offset)
        if line.longest > MAX_STRING:
            raise LongStringError(line.longest, path=names_path(section, offset))
        lines.append(b"\x21?" + section[offset + 1 : line.end] if line.nameless else section[offset : line.end])
        if line.nameless:
            nameless.append(len(lines) - 1)
        offset = line.end
    return lines, nameless


def names_path(section: bytes, offset: int) -> bool:
    """True when the literal field line at `offset` is about `:path`: by its static index, or spelled out."""
    first = section[offset]
    if first & 0xD0 == 0x50:
        return integer_at(section, offset, 4)[0] == STATIC_PATH
    length = first & 0x07
    return first & 0xE0 == 0x20 and section[offset + 1 : offset + 1 + length] in SPELLED_PATH


def field_line_end(section: bytes, offset: int) -> int:
    """Offset after the field line at `offset`; like `read_field_line`, faster for the most frequent forms."""
    first = section[offset]
    if first >= 0x80 and first & 0x3F != 0x3F:
        return offset + 1
    if 0x40 <= first < 0x80 and first & 0x0F != 0x0F:
        length = section[offset + 1] & 0x7F
        if length != 0x7F:
            return offset + 2 + length
    return read_field_line(section, offset).end


def read_string(section: bytes, offset: int, prefix_bits: int) -> tuple[int, int]:
    """Upper bound of a string's decoded length and the offset after it."""
    if offset >= len(section):
        raise WireFormatError("it ends before a value")
    huffman = section[offset] & (1 << prefix_bits)
    length, offset = integer_at(section, offset, prefix_bits)
    if length > len(section) - offset:
        raise WireFormatError("it ends in the middle of a string")
    return huffman_bound(length) if huffman else length, offset + length


def _static_sizes() -> tuple[tuple[int, int], ...]:
    """Name length and size of every static entry, as pylsqpack has them (a test compares them with the RFC)."""
    decoder = pylsqpack.Decoder(0, 0)
    section = b"\0\0" + b"".join(encode_integer(0xC0, 6, index) for index in range(STATIC_TABLE_SIZE))
    fields = decoder.feed_header(0, section)[1]
    return tuple((len(name), len(name) + len(value) + ENTRY_OVERHEAD) for name, value in fields)


STATIC_SIZES = _static_sizes()
"""Name length, and size as RFC 9204 section 3.2.1 counts it, of each static entry."""
LARGEST_STATIC = max(size for _, size in STATIC_SIZES)
"""Size of the largest static entry."""
