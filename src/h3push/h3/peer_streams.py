"""The unidirectional streams that the peer opens: which type each is of, and who takes its bytes (RFC 9114 section 6.2).

Theory of operation
===================

A unidirectional stream says what it is with its first bytes, and they may come one by one. So every new one is first read by a
`_StreamHeader`; what takes its place then depends on the type::

    control              ControlStream, with the handler table of the role
    QPACK encoder        QpackStream, for our decoder: sections that waited may go on
    QPACK decoder        QpackStream, for our encoder
    push                 the owner's business: refused by a server, a response on a client
    anything else        stopped and forgotten (section 6.2.3)

The first three are critical: one of each, and none may ever end. The type is judged as soon as it is there; a push stream's push
ID may come later. The transport delivers no more than the first bytes of a server's stream until `resume`, which is called when
the header is complete, or when it was not in what came first.

Every stream begins once. A transport that gives what arrived in batches may have handed out more of a stream that was stopped in
the middle of the batch: that is no new stream, and its bytes are nobody's.
"""

from collections.abc import Callable
from typing import Protocol

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.h3.config import H3Config
from h3push.h3.control import ControlStream, QpackStream, closed_critical_stream
from h3push.h3.push.id_ranges import IdRanges
from h3push.h3.transport import Transport
from h3push.wire.reader import StreamHeaderReader
from h3push.wire.registry import Role, StreamType

CRITICAL_TYPES = (StreamType.CONTROL, StreamType.QPACK_ENCODER, StreamType.QPACK_DECODER)
"""Streams that the connection cannot live without."""
_CRITICAL = {int(kind): kind for kind in CRITICAL_TYPES}


class IncomingStream(Protocol):
    """The reader of a unidirectional stream."""

    def receive(self, data: bytes, end: bool) -> None:
        """Take what arrived; raises the errors of the protocol."""


class PeerStreamsOwner(Protocol):
    """The connection, as the peer's unidirectional streams use it."""

    @property
    def role(self) -> Role:
        """Ours."""

    @property
    def config(self) -> H3Config:
        """Bounds and switches."""

    def charge(self, what: str) -> None:
        """Count what brought no progress; raises H3_EXCESSIVE_LOAD when there is too much."""

    def control_handlers(self) -> dict[int, Callable[[bytes], None]]:
        """Handlers of the frames on the control stream, by type; other types are unknown."""

    def encoder_stream_received(self, data: bytes) -> None:
        """Bytes of the encoder stream, for our decoder."""

    def decoder_stream_received(self, data: bytes) -> None:
        """Bytes of the decoder stream, for our encoder."""

    def push_stream_announced(self, stream_id: int) -> None:
        """A stream turned out to be of type push; its push ID may not be there yet. Raises when it must not be."""

    def push_stream_opened(self, stream_id: int, push_id: int, data: bytes, end: bool) -> None:
        """The header of a push stream is complete; `data` is what came after it."""


class PeerStreams(dict[int, IncomingStream]):
    """The peer's unidirectional streams that are open: by stream ID, what takes the bytes.

    Args:
        owner: the connection.
        transport: the QUIC connection.
    """

    def __init__(self, owner: PeerStreamsOwner, transport: Transport) -> None:
        super().__init__()
        self.critical: dict[StreamType, int] = {}
        """The peer's critical streams, as far as they have come."""
        self._owner = owner
        self._transport = transport
        self._begun = IdRanges()

    def begin(self, stream_id: int) -> IncomingStream:
        """Something arrived on a stream that is not open: what is to take it."""
        if not self._begun.add(stream_id >> 2):
            return _NOBODY
        stream = self[stream_id] = _StreamHeader(self, stream_id, self._owner.role)
        return stream

    def check_reset(self, stream_id: int) -> None:
        """The peer reset a stream: raises H3_CLOSED_CRITICAL_STREAM when that is a critical one."""
        for kind, known in self.critical.items():
            if known == stream_id:
                raise closed_critical_stream(kind.name)

    def type_known(self, stream_id: int, stream_type: int) -> bool:
        """Judge a stream on its type alone (called by its header). False: it is of no use to us and was stopped."""
        if stream_type == StreamType.PUSH:
            self._owner.push_stream_announced(stream_id)
            return True
        kind = _CRITICAL.get(stream_type)
        if kind is not None:
            if kind in self.critical:
                raise H3ConnectionError(ErrorCode.H3_STREAM_CREATION_ERROR, f"a second {kind.name} stream")
            self.critical[kind] = stream_id
            return True
        self._owner.charge("streams of unknown types")
        self._transport.stop(stream_id, ErrorCode.H3_STREAM_CREATION_ERROR)
        del self[stream_id]
        return False

    def header_complete(self, stream_id: int, stream_type: int, push_id: int | None, data: bytes, end: bool) -> None:
        """Hand a stream over (called by its header); `data` is what came after the header."""
        if push_id is not None:
            self._owner.push_stream_opened(stream_id, push_id, data, end)
            return
        stream = self[stream_id] = self._critical_stream(_CRITICAL[stream_type])
        self._transport.resume(stream_id)
        stream.receive(data, end)

    def header_incomplete(self, stream_id: int) -> None:
        """The first read did not hold the whole header (called by it): ask for more."""
        self._transport.resume(stream_id)

    def ended_early(self, stream_id: int) -> None:
        """A stream ended before its header was complete (called by it): tolerated (RFC 9114 section 6.2)."""
        self.pop(stream_id, None)
        self._owner.charge("streams that end before their header")

    def _critical_stream(self, stream_type: StreamType) -> IncomingStream:
        owner = self._owner
        if stream_type is StreamType.CONTROL:
            return ControlStream(
                owner.role,
                owner.control_handlers(),
                charge=owner.charge,
                max_frame_size=owner.config.max_control_frame_size,
            )
        if stream_type is StreamType.QPACK_ENCODER:
            return QpackStream("QPACK encoder stream", owner.encoder_stream_received)
        return QpackStream("QPACK decoder stream", owner.decoder_stream_received)


class _Nobody:
    """Takes what comes of a stream that was stopped, or is over."""

    def receive(self, data: bytes, end: bool) -> None:
        """Drop it."""


_NOBODY = _Nobody()


class _StreamHeader:
    """Reads type and push ID of a stream, then hands it over."""

    __slots__ = ("_reader", "_stream_id", "_streams", "_type_told")

    def __init__(self, streams: PeerStreams, stream_id: int, role: Role) -> None:
        self._streams = streams
        self._stream_id = stream_id
        self._reader = StreamHeaderReader(role)
        self._type_told = False

    def receive(self, data: bytes, end: bool) -> None:
        reader, streams = self._reader, self._streams
        rest = reader.receive(data)
        if reader.stream_type is not None and not self._type_told:
            self._type_told = True
            if not streams.type_known(self._stream_id, reader.stream_type):
                return
        if rest is not None and reader.stream_type is not None:
            streams.header_complete(self._stream_id, reader.stream_type, reader.push_id, rest, end)
        elif end:
            streams.ended_early(self._stream_id)
        else:
            streams.header_incomplete(self._stream_id)
