"""Variable-length integers (RFC 9000 section 16).

The two top bits of the first byte say how long the integer is::

    00xxxxxx                                 1 byte,  0 to 63
    01xxxxxx xxxxxxxx                        2 bytes, 0 to 16383
    10xxxxxx ... (3 more)                    4 bytes, 0 to 2^30 - 1
    11xxxxxx ... (7 more)                    8 bytes, 0 to 2^62 - 1

HTTP/3 does not ask for the shortest form (only QUIC's own frame types do), so every form is accepted. We send the shortest.
"""

from typing import Final

VARINT_MAX: Final = (1 << 62) - 1
"""The largest value that a varint holds, 2^62 - 1."""

_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(0x40))
_VALUE_BITS: Final = {4: (1 << 30) - 1, 8: VARINT_MAX}


def encode_varint(value: int) -> bytes:
    """Shortest encoding of `value` (RFC 9000 section 16).

    Raises:
        ValueError: `value` is negative or larger than `VARINT_MAX`.
    """
    if 0 <= value < 0x4000_0000:
        if value < 0x40:
            return _ONE_BYTE[value]
        if value < 0x4000:
            return (value | 0x4000).to_bytes(2, "big")
        return (value | 0x8000_0000).to_bytes(4, "big")
    if 0 <= value <= VARINT_MAX:
        return (value | 0xC000_0000_0000_0000).to_bytes(8, "big")
    raise ValueError(f"a varint holds 0 to 2^62 - 1, not {value}")


def decode_varint(data: bytes, offset: int) -> tuple[int, int] | None:
    """Decode the varint at `offset` (RFC 9000 section 16).

    Returns:
        The value and the offset after it, or `None` when `data` ends before the varint does.
    """
    try:
        first = data[offset]
    except IndexError:
        return None
    if first < 0x40:
        return first, offset + 1
    length = 1 << (first >> 6)
    end = offset + length
    if end > len(data):
        return None
    if length == 2:
        return (first & 0x3F) << 8 | data[offset + 1], end
    return int.from_bytes(data[offset:end], "big") & _VALUE_BITS[length], end
