"""Incremental reading: a stream's bytes in, frames out.

A frame is two varints and a payload. `FrameReader` judges it in three steps, each as early as the bytes allow:

1. the *type* is known: a frame that may not come here is an error now, whatever follows (RFC 9114 section 7.2.8; the
   order in which rules win is: first frame of a control stream, then permitted stream and sender, then length);
2. the *length* is known: a frame that has to be held whole is refused when it is too large to hold;
3. the *payload* comes: DATA is passed on piece by piece, unknown frames are dropped byte by byte, the others are held.

So what a peer can make a reader hold is `max_buffered` plus one frame header, never more.
"""

from collections.abc import Iterator

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.frames import Disposition, dispositions, frame_name
from h3push.wire.registry import FrameType, Role, StreamKind, StreamType
from h3push.wire.varint import decode_varint

_BUFFER = Disposition.BUFFER
_STREAM = Disposition.STREAM
_UNEXPECTED = Disposition.UNEXPECTED
_DATA = int(FrameType.DATA)


class FrameReader:
    """Cuts one stream into frames, as they arrive (RFC 9114 section 7.1).

    Args:
        receiver: which end we are.
        kind: what the stream is.
        max_buffered: largest payload, in bytes, of a frame that is held whole; DATA and unknown frames have no limit.
        first: type that the first frame must have, or None. RFC 9114 section 6.2.1: SETTINGS on the control stream.
    """

    __slots__ = ("_dispositions", "_first", "_frame_type", "_held", "_left", "_max_buffered", "_unread")

    def __init__(self, receiver: Role, kind: StreamKind, *, max_buffered: int, first: FrameType | None = None) -> None:
        self._dispositions = dispositions(receiver, kind)
        self._max_buffered = max_buffered
        self._first = first
        self._unread = b""
        """Bytes given to us that no frame has taken: the beginning of a frame header, at most 15 bytes, unless the iterator
        was left early."""
        self._frame_type = _DATA
        """The frame that we are inside of, while `_left` is not 0."""
        self._left = 0
        """Payload bytes that have not come."""
        self._held: bytearray | None = None
        """The payload so far, for a frame that is held whole."""

    @property
    def at_frame_boundary(self) -> bool:
        """True when every byte received belongs to a complete frame; a stream that ends elsewhere is H3_FRAME_ERROR."""
        return not self._left and not self._unread

    def receive(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Take the next bytes of the stream and yield, in order, what they complete.

        What is yielded is

        * `(frame_type, payload)` for a frame that is held whole;
        * `(DATA, piece)` for each piece of a DATA frame as it arrives, `(DATA, b"")` for a DATA frame of length 0;
        * `(frame_type, b"")` once for a frame of unknown type, as soon as its header is complete.

        An iterator that is left early and closed gives back the bytes it has not read: `receive(b"")` goes on with them.

        Raises:
            H3ConnectionError: H3_MISSING_SETTINGS or H3_FRAME_UNEXPECTED as soon as the type of a frame that may not come
                here is complete; H3_EXCESSIVE_LOAD as soon as the length of one that is too large is. Frames before it have
                been yielded.
        """
        if self._unread:
            data = self._unread + data
        offset, end = 0, len(data)
        frame: tuple[int, bytes] | None
        try:
            while offset < end:
                if self._left:
                    offset, frame = self._continue(data, offset)
                else:
                    header = self._read_header(data, offset)
                    if header is None:
                        return
                    frame_type, disposition, length, start = header
                    offset = start + length
                    if disposition is not None and offset <= end:
                        frame = (frame_type, data[start:offset])
                    else:
                        offset, frame = self._begin(frame_type, disposition, length, data, start)
                if frame is not None:
                    yield frame
        finally:
            self._unread = data[offset:]

    def _read_header(self, data: bytes, offset: int) -> tuple[int, Disposition | None, int, int] | None:
        """Type, disposition, length and start of the payload; None when the header is not complete."""
        decoded = decode_varint(data, offset)
        if decoded is None:
            return None
        frame_type, offset = decoded
        disposition = self._dispositions.get(frame_type)
        if self._first is not None and frame_type != self._first:
            raise H3ConnectionError(
                ErrorCode.H3_MISSING_SETTINGS, f"the control stream begins with {frame_name(frame_type)}, not SETTINGS"
            )
        if disposition is _UNEXPECTED:
            raise H3ConnectionError(ErrorCode.H3_FRAME_UNEXPECTED, f"{frame_name(frame_type)} may not be sent here")
        decoded = decode_varint(data, offset)
        if decoded is None:
            return None
        length, offset = decoded
        if disposition is _BUFFER and length > self._max_buffered:
            raise H3ConnectionError(
                ErrorCode.H3_EXCESSIVE_LOAD,
                f"{frame_name(frame_type)} of {length} bytes; we hold {self._max_buffered} at most",
            )
        self._first = None
        return frame_type, disposition, length, offset

    def _begin(
        self, frame_type: int, disposition: Disposition | None, length: int, data: bytes, start: int
    ) -> tuple[int, tuple[int, bytes] | None]:
        """Enter a frame that is not held whole, or whose payload is not all here. Returns the new offset and what to yield."""
        self._frame_type = frame_type
        self._left = length
        self._held = None
        if disposition is _BUFFER:
            self._held = bytearray()
            return self._continue(data, start)
        if disposition is _STREAM and length:
            return self._continue(data, start)
        return start, (frame_type, b"")

    def _continue(self, data: bytes, offset: int) -> tuple[int, tuple[int, bytes] | None]:
        """Take payload of the frame that we are inside of. Returns the new offset and what to yield."""
        left = self._left
        piece = (
            data[offset : offset + left] if offset or left < len(data) else data
        )  # a slice of all of it may be a copy
        self._left -= len(piece)
        offset += len(piece)
        if self._held is not None:
            self._held += piece
            if self._left:
                return offset, None
            payload = bytes(self._held)
            self._held = None
            return offset, (self._frame_type, payload)
        if self._frame_type == _DATA and piece:
            return offset, (_DATA, piece)
        return offset, None


class StreamHeaderReader:
    """Reads what a unidirectional stream begins with (RFC 9114 sections 6.2 and 6.2.2).

    ::

        Stream Type (varint), and on a push stream: Push ID (varint)

    Args:
        receiver: which end we are. A server reads no push ID: no push stream may come to it, and the type says enough.

    Attributes:
        stream_type: the type, as soon as it is read, even while the push ID is still missing; None before.
        push_id: the push ID of a push stream, once it is read.
    """

    __slots__ = ("_receiver", "_unread", "push_id", "stream_type")

    def __init__(self, receiver: Role) -> None:
        self.stream_type: int | None = None
        self.push_id: int | None = None
        self._receiver = receiver
        self._unread = b""

    def receive(self, data: bytes) -> bytes | None:
        """Take the next bytes of the stream.

        Returns:
            None while the header is not complete; then, once, the bytes behind it, which may be none. The stream's bytes
            belong to somebody else from there on.
        """
        data = self._unread + data
        offset = 0
        if self.stream_type is None:
            decoded = decode_varint(data, 0)
            if decoded is None:
                self._unread = data
                return None
            self.stream_type, offset = decoded
        if self.stream_type == StreamType.PUSH and self._receiver is Role.CLIENT:
            decoded = decode_varint(data, offset)
            if decoded is None:
                self._unread = data[offset:]
                return None
            self.push_id, offset = decoded
        self._unread = b""
        return data[offset:]
