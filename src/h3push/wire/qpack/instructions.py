"""QPACK's wire format, as far as it takes to judge it (RFC 9204 section 4).

Nothing here makes a header out of bytes; pylsqpack does that. This module knows where things begin and end, what they refer
to and how large they can become.
"""

from collections import deque
from typing import NamedTuple

import pylsqpack

from h3push.wire.varint import VARINT_MAX

ENTRY_OVERHEAD = 32
"""What an entry counts beyond name and value (RFC 9204 section 3.2.1); a field section counts the same for a field."""
STATIC_TABLE_SIZE = 99
"""RFC 9204 appendix A."""
MAX_STRING = 65_535
"""Longest name or value that pylsqpack decodes, in bytes."""


class WireFormatError(Exception):
    """Bytes that no correct peer sends; whoever reads knows which error code that is on the stream in question."""


class NotDecodableError(WireFormatError):
    """Legal, but larger than we are able to decode (RFC 9204 section 7.4)."""


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
    if offset >= len(data):
        return None
    limit = (1 << prefix_bits) - 1
    value = data[offset] & limit
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
    encoded, offset = integer_at(section, 0, 8)
    required = _required_inserts(encoded, inserts, max_entries)
    delta, end = integer_at(section, offset, 7)
    if section[offset] < 0x80:
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
    static = relative = None
    name = 0
    if first >= 0x80:
        index, offset = integer_at(section, offset, 6)
        static, relative = (index, None) if first & 0x40 else (None, -1 - index)
        return FieldLine(offset, static, relative, 0, 0, False)
    if first >= 0x40:
        index, offset = integer_at(section, offset, 4)
        static, relative = (index, None) if first & 0x10 else (None, -1 - index)
    elif first >= 0x20:
        name, offset = _string(section, offset, 3)
    elif first >= 0x10:
        relative, offset = integer_at(section, offset, 4)
        return FieldLine(offset, None, relative, 0, 0, False)
    else:
        relative, offset = integer_at(section, offset, 3)
    value, offset = _string(section, offset, 7)
    return FieldLine(offset, static, relative, name + value, max(name, value), 0x20 <= first < 0x40 and not name)


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


def _string(section: bytes, offset: int, prefix_bits: int) -> tuple[int, int]:
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


# Encoder instructions (RFC 9204 section 4.3), by their first bits:
#
#     1 T index (6+), value                insert with name reference: static (T = 1) or relative to the newest entry
#     0 1 H name length (5+), name, value  insert with literal name
#     0 0 1 capacity (5+)                  set dynamic table capacity
#     0 0 0 index (5+)                     duplicate


class TableMirror:
    """Follows an encoder stream, in either direction, and knows of the dynamic table what sizes can tell.

    Args:
        max_capacity: capacity that the decoder announced, in bytes.
    """

    def __init__(self, max_capacity: int) -> None:
        self.max_capacity = max_capacity
        self.capacity = 0
        """Bytes that the table may hold now: 0 until the encoder sets it (RFC 9204 section 3.2.2)."""
        self.inserts = 0
        """Entries ever inserted."""
        self.largest = 0
        """Size of the largest entry ever inserted."""
        self._entries: deque[tuple[int, int]] = deque()
        """Name length and size of each entry, newest first."""
        self._used = 0
        self._unread = b""

    def receive(self, data: bytes) -> None:
        """Follow the next bytes of the encoder stream; an instruction that is not complete waits, within the table's bounds.

        Raises:
            WireFormatError: no correct encoder sends this (RFC 9204 sections 2.2.3, 3.2.2, 3.2.3).
        """
        data = self._unread + data
        offset = 0
        while offset < len(data):
            end = self._instruction(data, offset)
            if end is None:
                break
            offset = end
        self._unread = data[offset:]

    def _instruction(self, data: bytes, offset: int) -> int | None:
        """Follow one instruction. Returns the offset after it, or None when it is not complete."""
        first = data[offset]
        if first >= 0x80:
            return self._insert_with_reference(data, offset)
        if first >= 0x40:
            return self._insert_with_literal(data, offset)
        decoded = decode_integer(data, offset, 5)
        if decoded is None:
            return None
        value, end = decoded
        if first >= 0x20:
            self._set_capacity(value)
        else:
            self._insert(*self._entry(value))
        return end

    def _insert_with_reference(self, data: bytes, offset: int) -> int | None:
        decoded = decode_integer(data, offset, 6)
        if decoded is None:
            return None
        index, end = decoded
        if not data[offset] & 0x40:
            name_length = self._entry(index)[0]
        elif index < STATIC_TABLE_SIZE:
            name_length = STATIC_SIZES[index][0]
        else:
            raise WireFormatError(f"there is no static entry {index}")
        value = self._measure_string(data, end, 7)
        if value is None:
            return None
        value_length, end = value
        self._insert(name_length, name_length + value_length + ENTRY_OVERHEAD)
        return end

    def _insert_with_literal(self, data: bytes, offset: int) -> int | None:
        name = self._measure_string(data, offset, 5)
        value = self._measure_string(data, name[1], 7) if name is not None else None
        if name is None or value is None:
            return None
        self._insert(name[0], name[0] + value[0] + ENTRY_OVERHEAD)
        return value[1]

    def _measure_string(self, data: bytes, offset: int, prefix_bits: int) -> tuple[int, int] | None:
        """Decoded length of a string and the offset after it; None when it is not complete."""
        decoded = decode_integer(data, offset, prefix_bits)
        if decoded is None:
            return None
        length, start = decoded
        huffman = data[offset] & (1 << prefix_bits)
        # The longest Huffman code has 30 bits, so that code of n bytes stands for n * 8 / 30 bytes at least.
        if (length * 8 // 30 if huffman else length) > self.capacity:
            raise WireFormatError(f"a string that no table of {self.capacity} bytes holds")
        end = start + length
        if end > len(data):
            return None
        return _huffman_length(data[start:end]) if huffman else length, end

    def _set_capacity(self, capacity: int) -> None:
        if capacity > self.max_capacity:
            raise WireFormatError(f"table capacity {capacity}; we announced {self.max_capacity} at most")
        self.capacity = capacity
        self._evict()

    def _insert(self, name_length: int, size: int) -> None:
        if size > self.capacity:
            raise WireFormatError(f"an entry of {size} bytes in a table of {self.capacity}")
        self._entries.appendleft((name_length, size))
        self._used += size
        self._evict()
        self.inserts += 1
        self.largest = max(self.largest, size)

    def _evict(self) -> None:
        while self._used > self.capacity:
            self._used -= self._entries.pop()[1]

    def _entry(self, index: int) -> tuple[int, int]:
        if index >= len(self._entries):
            raise WireFormatError(f"there is no dynamic entry {index}")
        return self._entries[index]


def _huffman_length(code: bytes) -> int:
    """How many bytes a Huffman code stands for; raises `WireFormatError` when it is none."""
    if not code:
        return 0
    section = b"\0\0\x21a" + encode_integer(0x80, 7, len(code)) + code
    try:
        return len(pylsqpack.Decoder(0, 0).feed_header(0, section)[1][0][1])
    except pylsqpack.DecompressionFailed:
        raise WireFormatError("a string that is not Huffman code") from None
