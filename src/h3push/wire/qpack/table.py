"""The dynamic table as far as sizes go, read off an encoder stream (RFC 9204 sections 3.2 and 4.3).

pylsqpack keeps the table itself, in C and out of sight. What it does not check, or does not tell, is found out here: what an
instruction may do, how many insertions there were, how large the largest entry is.
"""

from collections import deque

import pylsqpack

from h3push.wire.qpack.instructions import (
    ENTRY_OVERHEAD,
    STATIC_SIZES,
    STATIC_TABLE_SIZE,
    WireFormatError,
    decode_integer,
    encode_integer,
)

# Encoder instructions (RFC 9204 section 4.3), by their first bits:
#
#     1 T index (6+), value                insert with name reference: static (T = 1) or relative to the newest entry
#     0 1 H name length (5+), name, value  insert with literal name
#     0 0 1 capacity (5+)                  set dynamic table capacity
#     0 0 0 index (5+)                     duplicate


_NOTHING: deque[tuple[int, int]] = deque()
"""The entries of every table that never had one: an empty deque of its own would be half a kilobyte a connection."""


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
        self._entries = _NOTHING
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
        if self._entries is _NOTHING:
            self._entries = deque()
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
