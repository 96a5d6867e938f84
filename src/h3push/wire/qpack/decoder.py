"""The decoding half of QPACK: the peer's field sections and its encoder stream in, fields and our decoder stream out.

Theory of operation
===================

pylsqpack decodes; this class stands before and behind it.

*Before.* A section's prefix is always checked. Its field lines are walked when they could do harm: when they may refer to the
dynamic table, or when the section is so long that, were each of its bytes the costliest line there is, the result could pass
`max_expansion` times the size limit. The walk adds up an upper bound of the decoded size. A bound beyond that, of a section
that grows, is a decompression bomb and ends the connection; a smaller section is decoded and measured, and one over the limit
is the stream's problem alone, so that a server can answer 431 and the table stays in step.

*Behind.* The peer's encoder learns what we have from three instructions on our decoder stream: a Section Acknowledgment for
each decoded section that needed the table, a Stream Cancellation, and an Insert Count Increment for insertions that no
acknowledgment has covered. `take_decoder_stream` puts them together.

*Again.* Sections repeat: a client asks the same thing of the same server. As long as the encoder stream is silent the same
bytes mean the same fields, so a few results are kept. Sections that need no dynamic table always mean the same; who remembers
what came of them calls `decode_static`, which keeps nothing.
"""

import pylsqpack

from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError
from h3push.http.fields import Fields
from h3push.wire.qpack.instructions import (
    ENTRY_OVERHEAD,
    LARGEST_STATIC,
    STATIC_SIZES,
    STATIC_TABLE_SIZE,
    LongStringError,
    NotDecodableError,
    Prefix,
    WireFormatError,
    decode_prefix,
    encode_integer,
    read_field_line,
    read_string,
    split_field_lines,
)
from h3push.wire.qpack.size import FieldSectionTooLarge, check_size
from h3push.wire.qpack.table import TableMirror

GROWTH_OF_LITERALS = 2
"""Growth up to this factor is no decompression bomb: Huffman code alone grows by 8/5."""
STATIC_PREFIX = b"\0\0"
"""Prefix of a section that refers to no dynamic table, as encoders write it: Required Insert Count and Base are 0."""
_REMEMBERED_SECTIONS = 32
_REMEMBERED_SIZE = 512
_STATIC_PREFIX = Prefix(0, 0, 2)
_static_decoder = pylsqpack.Decoder(0, 0)
"""Decodes what refers to no dynamic table, for every connection: it has no state."""


class FieldDecoder:
    """Decodes one connection's field sections (RFC 9204).

    Args:
        max_table_capacity: SETTINGS_QPACK_MAX_TABLE_CAPACITY that we announce, in bytes.
        blocked_streams: SETTINGS_QPACK_BLOCKED_STREAMS that we announce.
        max_field_section_size: SETTINGS_MAX_FIELD_SECTION_SIZE that we announce, in bytes.
        max_expansion: how many times that size a section may at worst decode to and still be decoded.
    """

    def __init__(
        self, *, max_table_capacity: int, blocked_streams: int, max_field_section_size: int, max_expansion: int = 16
    ) -> None:
        self._blocked_streams = blocked_streams
        self._own_decoder: pylsqpack.Decoder | None = None
        self._mirror = TableMirror(max_table_capacity)
        self._max_entries = max_table_capacity // ENTRY_OVERHEAD
        self._max_size = max_field_section_size
        self._max_bound = max_expansion * max_field_section_size
        self._blocked: dict[int, tuple[bytes, Prefix]] = {}
        self._acknowledged = 0
        """The encoder's Known Received Count (RFC 9204 section 2.1.4), once it has read what we wrote."""
        self._outgoing: list[bytes] = []
        self.may_have_instructions = False
        """False when there is certainly nothing to say on our decoder stream, which is asked at every event of a connection."""
        self._remembered: dict[bytes, tuple[Fields, int]] = {}

    def decode(self, stream_id: int, section: bytes) -> Fields | None:
        """Decode an encoded field section of a stream that is not blocked.

        Returns:
            The fields in order, a list of the caller's own; or None: the section needs insertions that have not arrived.
            `receive_encoder_stream` will name the stream, then `resume` gives the fields.

        Raises:
            H3ConnectionError: QPACK_DECOMPRESSION_FAILED for what is not a section, refers to what is not there, or blocks more
                streams than announced (RFC 9204 sections 2.1.2, 2.2.1, 2.2.3); H3_EXCESSIVE_LOAD for a decompression bomb.
            FieldSectionTooLarge: H3_EXCESSIVE_LOAD when it was decoded, measured and thrown away; QPACK_DECOMPRESSION_FAILED for
                a string larger than we can decode (RFC 9204 section 7.4).
            H3StreamError: QPACK_DECOMPRESSION_FAILED for a number larger than we can decode.
        """
        remembered = self._remembered.get(section)
        if remembered is not None:
            fields, required_inserts = remembered
            self.acknowledge(stream_id, required_inserts)
            return fields.copy()
        if section[:2] == STATIC_PREFIX:
            fields = self.decode_static(stream_id, section)
            self._remember(section, fields, 0)
            return fields
        prefix = self._check_prefix(section)
        if prefix.required_inserts > self._mirror.inserts:
            self._block(stream_id, section, prefix)
            return None
        size_bound = self._check_lines(section, prefix)
        try:
            instructions, fields = self._decoder_of(prefix).feed_header(stream_id, section)
        except pylsqpack.DecompressionFailed:
            fields = self._decode_oddity(stream_id, section, prefix)
            instructions = encode_integer(0x80, 7, stream_id) if prefix.required_inserts else b""
        return self._finish(section, prefix, instructions, fields, size_bound)

    def decode_static(self, stream_id: int, section: bytes) -> Fields:
        """Decode a section that begins with `STATIC_PREFIX`. Returns and raises what `decode` does, and remembers nothing."""
        size_bound = len(section) * LARGEST_STATIC
        if size_bound > self._max_bound:
            size_bound = self._check_lines(section, _STATIC_PREFIX)
        try:
            fields = _static_decoder.feed_header(stream_id, section)[1]
        except pylsqpack.DecompressionFailed:
            fields = self._decode_oddity(stream_id, section, _STATIC_PREFIX)
        if size_bound > self._max_size:
            check_size(fields, self._max_size)
        return fields

    def decode_at_once(self, stream_id: int, section: bytes) -> tuple[Fields, int] | None:
        """Decode a section that waits for nothing and has nothing wrong with it, without saying so to the peer's encoder.

        Returns:
            The fields and the Required Insert Count, for `acknowledge` when they were of use; or None: `decode` has to judge. It
            also may when they were of no use, for nothing has happened.
        """
        remembered = self._remembered.get(section)
        if remembered is not None:
            return remembered[0].copy(), remembered[1]
        try:
            prefix = self._check_prefix(section)
            if prefix.required_inserts > self._mirror.inserts or self._check_lines(section, prefix) > self._max_size:
                return None
            fields = self._decoder_of(prefix).feed_header(stream_id, section)[1]
        except (H3ConnectionError, H3StreamError, pylsqpack.DecompressionFailed):
            return None
        self._remember(section, fields, prefix.required_inserts)
        return fields, prefix.required_inserts

    def acknowledge(self, stream_id: int, required_inserts: int) -> None:
        """Acknowledge a section that `decode_at_once` decoded (RFC 9204 section 4.4.1)."""
        if required_inserts:
            self._acknowledge(encode_integer(0x80, 7, stream_id), required_inserts)

    def resume(self, stream_id: int) -> Fields:
        """Decode the section of a stream that `receive_encoder_stream` named; returns and raises what `decode` does."""
        section, prefix = self._blocked.pop(stream_id)
        try:
            size_bound = self._check_lines(section, prefix)
            instructions, fields = self._decoder.resume_header(stream_id)
        except pylsqpack.DecompressionFailed:
            self._read_lines(stream_id, section, prefix)
            raise _failed("its field lines cannot be decoded") from None
        return self._finish(section, prefix, instructions, fields, size_bound)

    def receive_encoder_stream(self, data: bytes) -> list[int]:
        """Take the next bytes of the peer's encoder stream.

        Returns:
            Streams that are no longer blocked; each is to be resumed.

        Raises:
            H3ConnectionError: QPACK_ENCODER_STREAM_ERROR (RFC 9204 sections 2.2.3, 3.2.2, 3.2.3, 4.3).
        """
        self._remembered.clear()
        try:
            self._mirror.receive(data)
            self.may_have_instructions = True
            unblocked = self._decoder.feed_encoder(data)
        except WireFormatError as error:
            raise H3ConnectionError(ErrorCode.QPACK_ENCODER_STREAM_ERROR, f"on the encoder stream: {error}") from None
        except pylsqpack.EncoderStreamError:
            raise H3ConnectionError(
                ErrorCode.QPACK_ENCODER_STREAM_ERROR, "on the encoder stream: bytes that make no instruction"
            ) from None
        return unblocked

    def cancel(self, stream_id: int) -> None:
        """A stream was reset or abandoned before its last section was decoded: tell the peer's encoder (section 2.2.2.2)."""
        self._blocked.pop(stream_id, None)
        if self._mirror.max_capacity:
            self._outgoing.append(self._decoder.cancel_stream(stream_id))
            self.may_have_instructions = True

    def take_decoder_stream(self) -> bytes:
        """Bytes that have to go out on our decoder stream now (RFC 9204 section 4.4); empty when there is nothing to say."""
        self.may_have_instructions = False
        if self._acknowledged < self._mirror.inserts:
            self._outgoing.append(encode_integer(0x00, 6, self._mirror.inserts - self._acknowledged))
            self._acknowledged = self._mirror.inserts
        elif not self._outgoing:
            return b""
        taken = b"".join(self._outgoing)
        self._outgoing.clear()
        return taken

    @property
    def _decoder(self) -> pylsqpack.Decoder:
        """The decoder of this connection; made when a dynamic table is first of interest, for it is 4 kB."""
        if self._own_decoder is None:
            self._own_decoder = pylsqpack.Decoder(self._mirror.max_capacity, self._blocked_streams)
        return self._own_decoder

    def _decoder_of(self, prefix: Prefix) -> pylsqpack.Decoder:
        return self._decoder if prefix.required_inserts else _static_decoder

    def _check_prefix(self, section: bytes) -> Prefix:
        try:
            return decode_prefix(section, self._mirror.inserts, self._max_entries)
        except NotDecodableError as refusal:
            raise H3StreamError(ErrorCode.QPACK_DECOMPRESSION_FAILED, f"a field section: {refusal}") from None
        except WireFormatError as error:
            raise _failed(str(error)) from None

    def _block(self, stream_id: int, section: bytes, prefix: Prefix) -> None:
        try:
            self._decoder.feed_header(stream_id, section)
        except pylsqpack.StreamBlocked:
            self._blocked[stream_id] = (section, prefix)
        except pylsqpack.DecompressionFailed:
            raise _failed("more streams wait for the encoder stream than we announced") from None

    def _check_lines(self, section: bytes, prefix: Prefix) -> int:
        """Upper bound of the decoded size; refuses a bomb, and references that cannot be."""
        bound = len(section) * LARGEST_STATIC
        if not prefix.required_inserts and bound <= self._max_bound:
            return bound
        try:
            bound = self._walk_lines(section, prefix)
        except NotDecodableError as refusal:
            raise H3StreamError(ErrorCode.QPACK_DECOMPRESSION_FAILED, f"a field section: {refusal}") from None
        except WireFormatError as error:
            raise _failed(str(error)) from None
        if bound > max(self._max_bound, GROWTH_OF_LITERALS * len(section)):
            raise H3ConnectionError(
                ErrorCode.H3_EXCESSIVE_LOAD,
                f"a field section of {len(section)} bytes could grow to {bound}; we decode {self._max_bound} at most",
            )
        return bound

    def _walk_lines(self, section: bytes, prefix: Prefix) -> int:
        """Upper bound of the decoded size; raises `WireFormatError` for a reference that cannot be."""
        required, base, offset = prefix
        nearest = required - base
        """References go from here ..."""
        farthest = self._mirror.inserts - self._max_entries - base
        """... down to here, as distances from Base; entries further back were evicted long ago."""
        entry_bound = self._mirror.largest
        bound, end = 0, len(section)
        while offset < end:
            first = section[offset]
            if first >= 0x80 and first & 0x3F != 0x3F:  # indexed, one byte: by far the most frequent
                offset += 1
                if first & 0x40:
                    bound += STATIC_SIZES[first & 0x3F][1]
                    continue
                relative: int | None = -1 - (first & 0x3F)
            elif first & 0xD0 == 0x50 and first & 0x0F != 0x0F:  # a literal with a static name, such as :path
                literal, offset = read_string(section, offset + 1, 7)
                bound += literal + ENTRY_OVERHEAD + LARGEST_STATIC
                continue
            else:
                offset, static, relative, literal, _, _ = read_field_line(section, offset)
                bound += literal + ENTRY_OVERHEAD
                if static is not None:
                    bound += LARGEST_STATIC
                    if static >= STATIC_TABLE_SIZE:
                        raise WireFormatError(f"there is no static entry {static}")
            if relative is not None:
                bound += entry_bound
                if not farthest <= relative < nearest or base + relative < 0:
                    raise WireFormatError("it refers to a dynamic entry that is not there")
        return bound

    def _decode_oddity(self, stream_id: int, section: bytes, prefix: Prefix) -> Fields:
        """Decode what pylsqpack fails at although it is legal, or say what is wrong.

        That is a section without field lines (RFC 9204 asks for none), and literal names of no bytes: those make a malformed
        message, which is an error of the stream, not of QPACK.
        """
        try:
            lines, nameless = self._read_lines(stream_id, section, prefix)
            if not lines and not prefix.required_inserts:
                return []
            if not nameless:
                raise WireFormatError("its field lines cannot be decoded")
            fields = self._decoder_of(prefix).feed_header(stream_id, section[: prefix.end] + b"".join(lines))[1]
        except NotDecodableError as refusal:
            raise H3StreamError(ErrorCode.QPACK_DECOMPRESSION_FAILED, f"a field section: {refusal}") from None
        except WireFormatError as error:
            raise _failed(str(error)) from None
        except pylsqpack.DecompressionFailed:
            raise _failed("its field lines cannot be decoded") from None
        for index in nameless:
            fields[index] = (b"", fields[index][1])
        return fields

    def _read_lines(self, stream_id: int, section: bytes, prefix: Prefix) -> tuple[list[bytes], list[int]]:
        """The field lines as `split_field_lines` gives them. `FieldSectionTooLarge` for a string that cannot be decoded."""
        try:
            return split_field_lines(section, prefix.end)
        except LongStringError as error:
            self.acknowledge(stream_id, prefix.required_inserts)  # we are done with it
            reason = f"a field section: {error}"
            raise FieldSectionTooLarge(ErrorCode.QPACK_DECOMPRESSION_FAILED, reason, path=error.path) from None

    def _finish(self, section: bytes, prefix: Prefix, instructions: bytes, fields: Fields, size_bound: int) -> Fields:
        if instructions:
            self._acknowledge(instructions, prefix.required_inserts)
        if size_bound > self._max_size:
            check_size(fields, self._max_size)
        self._remember(section, fields, prefix.required_inserts)
        return fields

    def _remember(self, section: bytes, fields: Fields, required_inserts: int) -> None:
        if len(section) <= _REMEMBERED_SIZE:
            if len(self._remembered) >= _REMEMBERED_SECTIONS:
                self._remembered.clear()
            self._remembered[section] = (fields.copy(), required_inserts)

    def _acknowledge(self, instruction: bytes, required_inserts: int) -> None:
        self._outgoing.append(instruction)
        self.may_have_instructions = True
        self._acknowledged = max(self._acknowledged, required_inserts)


def _failed(sentence: str) -> H3ConnectionError:
    return H3ConnectionError(ErrorCode.QPACK_DECOMPRESSION_FAILED, f"a field section cannot be decoded: {sentence}")
