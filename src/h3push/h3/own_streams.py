"""The unidirectional streams that we open for the connection itself: control, and two for QPACK (RFC 9114 section 6.2).

Theory of operation
===================

The three critical streams are opened together, or not at all while the peer's limit has no room for all of them. SETTINGS is the
first frame on the control stream. What others want to say there before it is open waits in a backlog and goes out right behind
SETTINGS and the first frames of the role. Nothing is ever written to QPACK's streams before `open`: the encoder uses no table
until then, and acknowledgments are left with the decoder.

Reserved numbers ("grease", section 7.2.8) are sent so that peers keep ignoring what they do not know: a setting and a frame on
every connection, a stream on one in eight. Push streams, which are ours too, belong to `h3.push.server`.
"""

from functools import lru_cache

from h3push.errors import LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.control import closed_critical_stream
from h3push.h3.transport import Transport
from h3push.h3.urgency import CRITICAL_PRIORITY
from h3push.wire.frames import encode_frame
from h3push.wire.registry import FrameType, StreamType, reserved_number
from h3push.wire.settings import Settings, encode_settings
from h3push.wire.varint import encode_varint

OWN_STREAMS = 3
"""Unidirectional streams that each side needs: control and two for QPACK (RFC 9114 section 6.2)."""


class OwnStreams:
    """Our control and QPACK streams.

    Args:
        transport: the QUIC connection.
        config: what SETTINGS says, and whether reserved numbers are sent.
    """

    __slots__ = ("_backlog", "_config", "_seed", "_transport", "control", "decoder", "encoder")

    def __init__(self, transport: Transport, config: H3Config) -> None:
        self.control: int | None = None
        """The control stream, once it is open."""
        self.encoder: int | None = None
        """The stream for what our encoder says, once it is open."""
        self.decoder: int | None = None
        """The stream for what our decoder says, once it is open."""
        self._transport = transport
        self._config = config
        self._seed = config.grease_seed or 0
        self._backlog = b""

    def can_be_opened(self) -> bool:
        """True when they are not open, and could be."""
        return self.control is None and self._transport.stream_credit(True, OWN_STREAMS) >= OWN_STREAMS

    def open(self, first_frames: bytes) -> None:
        """Open all three; SETTINGS, then `first_frames`, then what has waited goes out on the control stream."""
        greeting = self._settings_frame() + first_frames + self._backlog
        if self._config.grease:
            greeting += encode_frame(reserved_number(self._seed % 64), b"")
        self.control = self._open(StreamType.CONTROL, greeting)
        self.encoder = self._open(StreamType.QPACK_ENCODER, b"")
        self.decoder = self._open(StreamType.QPACK_DECODER, b"")

    def open_reserved_stream(self) -> None:
        """One connection in eight opens a stream of a reserved type, so that peers keep ignoring them (section 6.2.3)."""
        if self._config.grease and self._seed % 8 == 7 and self._transport.stream_credit(True, 2) == 2:
            stream_id = self._transport.open_stream(True)
            if stream_id is not None:
                self._transport.write(stream_id, encode_varint(reserved_number(self._seed % 64)), True)

    def write_control(self, frame: bytes) -> None:
        """Send a frame on the control stream, as soon as that is open."""
        if self.control is None:
            self._backlog += frame
        else:
            self._transport.write(self.control, frame, False)

    def check_stopped(self, stream_id: int) -> None:
        """The peer does not want to read a stream: raises H3_CLOSED_CRITICAL_STREAM when it is one of these."""
        for kind, known in (
            (StreamType.CONTROL, self.control),
            (StreamType.QPACK_ENCODER, self.encoder),
            (StreamType.QPACK_DECODER, self.decoder),
        ):
            if known == stream_id:
                raise closed_critical_stream(kind.name)

    def _open(self, stream_type: StreamType, data: bytes) -> int:
        stream_id = self._transport.open_stream(True)
        if stream_id is None:
            raise LocalProtocolError("the transport gave less stream credit than it told")
        self._transport.set_priority(stream_id, CRITICAL_PRIORITY)
        self._transport.write(stream_id, encode_varint(stream_type) + data, False)
        return stream_id

    def _settings_frame(self) -> bytes:
        config = self._config
        return _settings_frame(
            config.qpack_max_table_capacity,
            config.max_field_section_size,
            config.qpack_blocked_streams,
            config.connect_protocol,
            self._seed if config.grease else None,
        )


@lru_cache(maxsize=1024)  # connections of one endpoint differ in their seed alone
def _settings_frame(
    table_capacity: int, section_size: int, blocked_streams: int, connect_protocol: bool, seed: int | None
) -> bytes:
    settings = Settings(
        qpack_max_table_capacity=table_capacity,
        max_field_section_size=section_size,
        qpack_blocked_streams=blocked_streams,
        enable_connect_protocol=connect_protocol,
    )
    grease = None if seed is None else (reserved_number(seed % 64), seed % 251)
    return encode_frame(FrameType.SETTINGS, encode_settings(settings, grease))
