"""The encoding half of QPACK: fields and the peer's decoder stream in, field sections and our encoder stream out.

Theory of operation
===================

pylsqpack encodes; this class adds three things.

*Secrets.* Whoever can make us encode guesses next to a secret, and sees sizes, can find the secret out byte by byte if both
share a dynamic table (RFC 9204 section 7.1). So secret fields never come near the table: they are encoded one by one by an
encoder that has none, get the never-indexed bit (section 4.5.4), and are spliced in where they belong, so that the order of
fields is kept. Such lines do not depend on the section's prefix.

*Our own limit.* A peer may allow a table of any size; ours takes `capacity_limit` at most. pylsqpack has one number for both,
and the wrapped Required Insert Count in a prefix depends on the peer's (section 4.5.1.1), so it is wrapped again here.

*The peer's decoder stream.* Acknowledgments move the Known Received Count (section 2.1.4); increments count from there and
may not pass what was inserted. pylsqpack counts them from the increment before, so both counts are kept here and increments
are translated.
"""

from collections import deque

import pylsqpack

from h3push.errors import ErrorCode, H3ConnectionError, LocalProtocolError
from h3push.http.fields import Field, Fields, holds_secret, is_secret
from h3push.wire.qpack.instructions import (
    ENTRY_OVERHEAD,
    NotDecodableError,
    decode_integer,
    encode_integer,
    field_line_end,
    integer_at,
    prefix_end,
)
from h3push.wire.qpack.table import TableMirror

_MAX_BLOCKED_STREAMS = 0xFFFF
_STATIC_SECTION_PREFIX = b"\0\0"
_static_encoder = pylsqpack.Encoder()
"""Encodes secrets, for every connection: without a table it has no state."""


class FieldEncoder:
    """Encodes one connection's field sections (RFC 9204). Until `apply_settings` it uses the static table only.

    Args:
        capacity_limit: dynamic table that we use at most, in bytes, whatever the peer allows.
    """

    def __init__(self, capacity_limit: int) -> None:
        self._capacity_limit = capacity_limit
        self._encoder = pylsqpack.Encoder()
        self._mirror = TableMirror(0)
        self.uses_table = False
        """True once sections may refer to a dynamic table; until then the same fields always give the same bytes."""
        self._own_range = 0
        """2 * MaxEntries as pylsqpack counts it, 0 while there is no dynamic table ..."""
        self._peer_range = 0
        """... and as the peer does."""
        self._unacknowledged: dict[int, deque[int]] = {}
        """Required Insert Counts of sections that used the table, by stream, oldest first."""
        self._known_received = 0
        self._last_increment = 0
        """The insert count from which pylsqpack counts increments."""
        self._unread = b""

    def apply_settings(self, max_table_capacity: int, blocked_streams: int) -> bytes:
        """Use a dynamic table as far as the peer's settings and our own limit allow.

        A table is turned on once; later calls change nothing, as SETTINGS come once (and remembered ones of 0-RTT may not be
        changed, RFC 9204 section 3.2.3).

        Args:
            max_table_capacity: the peer's SETTINGS_QPACK_MAX_TABLE_CAPACITY, in bytes.
            blocked_streams: the peer's SETTINGS_QPACK_BLOCKED_STREAMS.

        Returns:
            Bytes for our encoder stream; empty when no table is used.
        """
        capacity = min(self._capacity_limit, max_table_capacity)
        if self._own_range or capacity < ENTRY_OVERHEAD:
            return b""
        self.uses_table = True
        self._own_range = capacity // ENTRY_OVERHEAD * 2
        self._peer_range = max_table_capacity // ENTRY_OVERHEAD * 2
        instructions = self._encoder.apply_settings(capacity, min(blocked_streams, _MAX_BLOCKED_STREAMS))
        self._mirror = TableMirror(capacity)
        self._mirror.receive(instructions)
        return instructions

    def encode(self, stream_id: int, fields: Fields) -> tuple[bytes, bytes]:
        """Encode a field section for a stream; the order of fields is kept.

        Returns:
            Bytes for our encoder stream, which must be sent, and the encoded field section.

        Raises:
            LocalProtocolError: an empty name, or a name or value longer than 65,535 bytes.
        """
        try:
            if not holds_secret(fields):
                instructions, section = self._encoder.encode(stream_id, fields)
            else:
                public = [field for field in fields if not is_secret(field[0])]
                instructions, section = self._encoder.encode(stream_id, public)
                section = self._splice_secrets(section, fields)
        except ValueError as error:
            raise LocalProtocolError(f"the fields cannot be encoded: {error}") from None
        if instructions:
            self._mirror.receive(instructions)
        if section[0]:
            section = self._register(stream_id, section)
        return instructions, section

    def receive_decoder_stream(self, data: bytes) -> None:
        """Take the next bytes of the peer's decoder stream.

        Raises:
            H3ConnectionError: QPACK_DECODER_STREAM_ERROR: an acknowledgment of nothing, an increment of 0 or beyond what was
                inserted (RFC 9204 sections 4.4.1, 4.4.3), or a number that cannot be.
        """
        data = self._unread + data
        offset, forward = 0, b""
        try:
            while offset < len(data):
                first = data[offset]
                decoded = decode_integer(data, offset, 7 if first >= 0x80 else 6)
                if decoded is None:
                    break
                value, end = decoded
                if first < 0x40:
                    forward += self._inserts_received(value)
                else:
                    if first >= 0x80:
                        self._section_acknowledged(value)
                    else:
                        self._unacknowledged.pop(value, None)
                    forward += data[offset:end]
                offset = end
            if forward and self._own_range:
                self._encoder.feed_decoder(forward)
        except NotDecodableError as error:
            raise _decoder_stream_error(str(error)) from None
        except pylsqpack.DecoderStreamError:
            raise _decoder_stream_error("an instruction that does not fit what was sent") from None
        self._unread = data[offset:]

    def _splice_secrets(self, section: bytes, fields: Fields) -> bytes:
        """Put the secret fields' lines between the others, which `section` holds, in the order of `fields`."""
        public_left = len(fields) - sum(is_secret(field[0]) for field in fields)
        copied = at = prefix_end(section)
        pieces = [section[:at]]
        to_skip = 0
        for field in fields:
            if not is_secret(field[0]):
                to_skip += 1
                continue
            public_left -= to_skip
            if not public_left:  # nothing public follows: no need to look for the place
                at = len(section)
            else:
                for _ in range(to_skip):
                    at = field_line_end(section, at)
            to_skip = 0
            pieces += section[copied:at], self._encode_secret(field)
            copied = at
        pieces.append(section[copied:])
        return b"".join(pieces)

    def _encode_secret(self, field: Field) -> bytes:
        """A literal field line with the never-indexed bit (RFC 9204 sections 4.5.4 and 4.5.6)."""
        line = _static_encoder.encode(0, [field])[1][len(_STATIC_SECTION_PREFIX) :]
        if line[0] >= 0x80:
            return line  # an empty value, which the static table has
        return bytes((line[0] | (0x20 if line[0] >= 0x40 else 0x10),)) + line[1:]

    def _register(self, stream_id: int, section: bytes) -> bytes:
        """Note what a section requires; returns it with its Required Insert Count wrapped as the peer unwraps it."""
        encoded, end = (section[0], 1) if section[0] < 0xFF else integer_at(section, 0, 8)  # of one byte, nearly always
        inserts = self._mirror.inserts
        required = inserts - (inserts - (encoded - 1)) % self._own_range
        self._unacknowledged.setdefault(stream_id, deque()).append(required)
        if self._peer_range == self._own_range:
            return section
        return encode_integer(0, 8, required % self._peer_range + 1) + section[end:]

    def _section_acknowledged(self, stream_id: int) -> None:
        waiting = self._unacknowledged.get(stream_id)
        if waiting is None:
            raise _decoder_stream_error(f"stream {stream_id} has no section to acknowledge")
        required = waiting.popleft()
        if required > self._known_received:
            self._known_received = required
        if not waiting:
            del self._unacknowledged[stream_id]

    def _inserts_received(self, increment: int) -> bytes:
        """Check an increment; returns it as pylsqpack counts."""
        if not increment or increment > self._mirror.inserts - self._known_received:
            raise _decoder_stream_error(
                f"Insert Count Increment {increment}; {self._mirror.inserts - self._known_received} are outstanding"
            )
        self._known_received += increment
        translated = encode_integer(0, 6, self._known_received - self._last_increment)
        self._last_increment = self._known_received
        return translated


def _decoder_stream_error(sentence: str) -> H3ConnectionError:
    return H3ConnectionError(ErrorCode.QPACK_DECODER_STREAM_ERROR, f"on the decoder stream: {sentence}")
