"""Field sections of one connection: QPACK in both directions, and what the peer said about both in SETTINGS.

Theory of operation
===================

*Sending.* Encoding may write to our encoder stream first, so a section that was encoded has to be sent: QPACK waits for its
acknowledgment. Whatever can refuse a section (the state of its message, the size that the peer takes) is asked before.

As long as our encoder uses no table, what it makes of a section is the same at all times and on all connections; then a section
that `h3.known` remembers is encoded once. Its size is still held to the limit of each peer.

*Receiving.* Decoding may leave acknowledgments for our decoder stream. They are written once, at the end of whatever the peer
caused, and when a message is abandoned.
"""

from h3push.errors import LocalProtocolError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.known import KnownSection
from h3push.h3.message import MessageInput, MessageSender
from h3push.h3.own_streams import OwnStreams
from h3push.h3.transport import Transport
from h3push.http.fields import Fields, section_size
from h3push.wire.frames import frame_header
from h3push.wire.qpack import FieldDecoder, FieldEncoder
from h3push.wire.registry import FrameType
from h3push.wire.settings import Settings


class FieldSections:
    """Encodes and decodes the field sections of one connection.

    Args:
        transport: the QUIC connection.
        own_streams: where our encoder and decoder say what the peer's have to know.
        config: sizes of tables and sections.
    """

    __slots__ = ("_own_streams", "_peer_settings", "_size_limit", "_transport", "decoder", "encoder")

    def __init__(self, transport: Transport, own_streams: OwnStreams, config: H3Config) -> None:
        self.encoder = FieldEncoder(config.qpack_encoder_table_capacity)
        """The QPACK encoder."""
        self.decoder = FieldDecoder(
            max_table_capacity=config.qpack_max_table_capacity,
            blocked_streams=config.qpack_blocked_streams,
            max_field_section_size=config.max_field_section_size,
        )
        """The QPACK decoder."""
        self._transport = transport
        self._own_streams = own_streams
        self._peer_settings: Settings | None = None
        self._size_limit: int | None = None

    # ---------------------------------------------------------------- what the peer allows

    def settings_received(self, settings: Settings) -> None:
        """The peer's SETTINGS arrived."""
        self._peer_settings = settings
        self._size_limit = settings.max_field_section_size
        self.apply_settings()

    def apply_settings(self) -> None:
        """Let our encoder use what the peer allows, once both its SETTINGS and our encoder stream are there."""
        settings, encoder_stream = self._peer_settings, self._own_streams.encoder
        if settings is None or encoder_stream is None:
            return
        instructions = self.encoder.apply_settings(settings.qpack_max_table_capacity, settings.qpack_blocked_streams)
        if instructions:
            self._transport.write(encoder_stream, instructions, False)

    def check_size(self, fields: Fields) -> None:
        """Raise `LocalProtocolError` when the peer said that a field section is too large for it."""
        limit = self._size_limit
        if limit is not None:
            size = section_size(fields)
            if size > limit:
                raise LocalProtocolError(f"a field section of {size} bytes; the peer takes {limit} at most")

    def check_known_size(self, known: KnownSection) -> None:
        """The same for a section that may have been seen before."""
        if self._size_limit is not None and known.size > self._size_limit:
            self.check_size(known.fields)

    # ---------------------------------------------------------------- sending

    def encode(self, stream_id: int, fields: Fields) -> bytes:
        """Encode a section that is sent next; raises `LocalProtocolError` when it is too large for the peer."""
        self.check_size(fields)
        return self.encode_checked(stream_id, fields)

    def encode_checked(self, stream_id: int, fields: Fields) -> bytes:
        """The same for a section whose size has been checked."""
        instructions, section = self.encoder.encode(stream_id, fields)
        if instructions:
            assert self._own_streams.encoder is not None
            self._transport.write(self._own_streams.encoder, instructions, False)
        return section

    def encode_known(self, stream_id: int, known: KnownSection) -> bytes:
        """The same for a section that may have been sent before: where no dynamic table is in use, encoded once for all."""
        if self.encoder.uses_table:
            self.check_known_size(known)
            return self.encode_checked(stream_id, known.fields)
        if known.encoded is None:
            known.encoded = self.encode(stream_id, known.fields)
        elif self._size_limit is not None and known.size > self._size_limit:
            self.check_size(known.fields)
        return known.encoded

    def headers_frame(self, stream_id: int, sender: MessageSender, fields: Fields, *happened: MessageInput) -> bytes:
        """Account for a field section and encode it into a HEADERS frame; when that raises, nothing has changed.

        Raises:
            StreamStateError: the message is not at a point where this may come.
            LocalProtocolError: the peer said that this is too large.
        """
        before = sender.state
        sender.advance(*happened)
        try:
            section = self.encode(stream_id, fields)
        except LocalProtocolError:
            sender.state = before
            raise
        return frame_header(FrameType.HEADERS, len(section)) + section

    def check_whole(self, known: KnownSection, size: int) -> None:
        """Raise what `head_of_whole` would raise."""
        announced = known.content_length
        if announced is not None and announced != size:
            raise StreamStateError(f"{size} bytes of content, but Content-Length says {announced}")
        self.check_known_size(known)

    def head_of_whole(self, stream_id: int, known: KnownSection, size: int) -> bytes:
        """HEADERS frame and header of the DATA frame, for a message that goes out in one piece.

        Where no table is in use, it is made once for all messages of one size.

        Raises:
            StreamStateError: `size` is not what Content-Length says.
            LocalProtocolError: the peer said that this is too large.
        """
        announced = known.content_length
        if announced is not None and announced != size:
            raise StreamStateError(f"{size} bytes of content, but Content-Length says {announced}")
        head, limit = known.head_of_whole, self._size_limit
        if (
            head is None
            or known.head_size != size
            or self.encoder.uses_table
            or (limit is not None and known.size > limit)
        ):
            section = self.encode_known(stream_id, known)
            head = frame_header(FrameType.HEADERS, len(section)) + section + frame_header(FrameType.DATA, size)
            if not self.encoder.uses_table:
                known.head_of_whole, known.head_size = head, size
        return head

    # ---------------------------------------------------------------- receiving

    def write_decoder_stream(self) -> None:
        """Tell the peer's encoder what it has to know by now (RFC 9204 section 4.4)."""
        decoder_stream = self._own_streams.decoder
        if decoder_stream is not None:
            instructions = self.decoder.take_decoder_stream()
            if instructions:
                self._transport.write(decoder_stream, instructions, False)
