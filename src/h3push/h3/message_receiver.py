"""The receiving half of a stream: frames to header sections and content, held to the shape of a message and its length.

Theory of operation
===================

A received field section may have to wait for the peer's QPACK encoder stream. Then the stream is *blocked*: the frame and all
frames behind it queue up in order, the transport is asked to pause the stream, and `unblock` goes on where it stopped. What
queues up is what had already arrived, so it is bounded by the stream's flow-control window; pieces of content are joined and
the other frames count against the flood budget, so that small frames cost no more than large ones.

The end of a message is told with its last event. To know that an event is the last one, the frames of one delivery are cut
first and then worked off; a delivery that ends in an error has its good frames worked off before the error is raised.
"""

from typing import Protocol

from mypy_extensions import mypyc_attr

from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError
from h3push.h3.message import ENDED, MESSAGE, MessageInput, MessageState
from h3push.http.fields import Fields
from h3push.wire.reader import FrameReader
from h3push.wire.registry import FrameType

Frame = tuple[int, bytes]

_DATA, _HEADERS, _PUSH_PROMISE = FrameType.DATA, FrameType.HEADERS, FrameType.PUSH_PROMISE
_ABORTED = MessageState.ABORTED


class SectionDecoder(Protocol):
    """The connection, as a message that is read uses it."""

    def decode_section(self, stream_id: int, section: bytes) -> Fields | None:
        """Decode a field section; `None` while it waits for the peer's encoder stream."""

    def resume_section(self, stream_id: int) -> Fields:
        """Decode the field section that waited."""

    def charge(self, what: str) -> None:
        """Count a frame that brought no progress; raises H3_EXCESSIVE_LOAD when there are too many."""

    def pause_stream(self, stream_id: int, reason: str) -> None:
        """Stop taking data of the stream for one more reason."""

    def resume_stream(self, stream_id: int, reason: str) -> None:
        """Take data again if no other reason is left."""


class ContentLength:
    """Holds a received message to its Content-Length (RFC 9114 section 4.1.2)."""

    __slots__ = ("expected", "seen")

    def __init__(self) -> None:
        self.expected: int | None = None
        self.seen = 0

    def add(self, size: int) -> bool:
        """Count content; False when it is more than announced."""
        self.seen += size
        return self.expected is None or self.seen <= self.expected

    @property
    def met(self) -> bool:
        """True when the end may come now."""
        return self.expected is None or self.seen == self.expected


@mypyc_attr(allow_interpreted_subclasses=True)
class MessageReceiver:
    """The receiving half of a stream. Subclasses say what a header section, a promise, data and the end mean."""

    __slots__ = ("_decoder", "_reader", "_resuming", "_waiting", "_waiting_end", "content_length", "state", "stream_id")

    def __init__(self, stream_id: int, reader: FrameReader, decoder: SectionDecoder) -> None:
        self.stream_id = stream_id
        self.state = MessageState.START
        self.content_length = ContentLength()
        self._reader = reader
        self._decoder = decoder
        self._waiting: list[Frame] | None = None
        self._waiting_end = False
        self._resuming = False

    # What a subclass says.

    def header_section(self, fields: Fields, end: bool) -> None:
        """The next header section in state START; calls `advance` with INTERIM, HEADERS or CONNECT."""
        raise NotImplementedError

    def content(self, data: bytes, end: bool) -> None:
        """A piece of content."""
        raise NotImplementedError

    def trailer_section(self, fields: Fields) -> None:
        """The trailer section; it is told at the end."""
        raise NotImplementedError

    def ended_early(self) -> None:
        """FIN came before a final header section."""
        raise NotImplementedError

    def ended(self) -> None:
        """FIN came alone, after what was told already (or after the trailer section)."""
        raise NotImplementedError

    def promise(self, payload: bytes) -> bool:
        """A PUSH_PROMISE; False while its field section waits for the encoder stream."""
        raise NotImplementedError

    # What the connection calls.

    def receive(self, data: bytes, end: bool) -> None:
        """Take what arrived on the stream.

        Raises:
            H3ConnectionError: the peer broke a rule that ends the connection.
            H3StreamError: the message is malformed; only this stream is concerned.
        """
        if self.state in ENDED:
            return
        frames: list[Frame] = []
        failure: H3ConnectionError | None = None
        try:
            for frame in self._reader.receive(data):
                frames.append(frame)  # noqa: PERF402 - mypyc's extend() forgets what came before an exception
        except H3ConnectionError as error:
            failure = error
        if end and failure is None and not self._reader.at_frame_boundary:
            failure = H3ConnectionError(ErrorCode.H3_FRAME_ERROR, "the stream ended inside a frame")
        if self._waiting is None:
            self._work_off(frames, end and failure is None)
        else:
            self._waiting += self._held(frames)
            self._waiting_end = end
        if failure is not None:
            raise failure

    def unblock(self) -> None:
        """The encoder stream caught up: go on with the frame that waited. Raises what `receive` raises."""
        frames, self._waiting = self._waiting, None
        if frames is None or self.state in ENDED:
            return
        self._decoder.resume_stream(self.stream_id, "blocked")
        self._resuming = True
        self._work_off(frames, self._waiting_end)

    @property
    def blocked(self) -> bool:
        """True while a field section waits for the peer's encoder stream."""
        return self._waiting is not None

    def abort(self) -> None:
        """Nothing further counts."""
        self.state = MessageState.ABORTED
        self._waiting = None

    def advance(self, happened: MessageInput) -> None:
        """Move along `MESSAGE`; what is not in it is H3_FRAME_UNEXPECTED."""
        state = MESSAGE.get((self.state, happened))
        if state is None:
            raise H3ConnectionError(
                ErrorCode.H3_FRAME_UNEXPECTED,
                f"{happened.name} is not permitted in state {self.state.name} of a message",
            )
        self.state = state

    def section(self, encoded: bytes) -> Fields | None:
        """Decode a field section of this stream; `None` when it has to wait (or take the one that has waited)."""
        if self._resuming:
            self._resuming = False
            return self._decoder.resume_section(self.stream_id)
        return self._decoder.decode_section(self.stream_id, encoded)

    def _work_off(self, frames: list[Frame], end: bool) -> None:
        last = len(frames) - 1
        told_end = False
        for index, (frame_type, payload) in enumerate(frames):
            final = end and index == last
            if frame_type == _DATA:
                self._data(payload, final)
                told_end = final
            elif frame_type == _HEADERS:
                if not self._headers(payload, final):
                    self._block(frames[index:], end)
                    return
                told_end = final
            elif frame_type == _PUSH_PROMISE:
                if not self._promise(payload):
                    self._block(frames[index:], end)
                    return
            else:
                self._decoder.charge("frames of unknown types")
            if self.state is _ABORTED:
                return
        if end and not told_end:
            self._end()

    def _block(self, frames: list[Frame], end: bool) -> None:
        self._waiting = [frames[0], *self._held(frames[1:])]
        self._waiting_end = end
        self._decoder.pause_stream(self.stream_id, "blocked")

    def _held(self, frames: list[Frame]) -> list[Frame]:
        """Frames behind a section that waits, as they are kept: not many, however finely the peer cut them."""
        kept: list[Frame] = []
        content: list[bytes] = []
        for frame_type, payload in frames:
            if frame_type == FrameType.DATA:
                if not payload:
                    self._decoder.charge("empty DATA frames")
                content.append(payload)
            elif frame_type in (FrameType.HEADERS, FrameType.PUSH_PROMISE):
                self._decoder.charge("frames behind a field section that waits")
                if content:
                    kept.append((FrameType.DATA, b"".join(content)))
                    content = []
                kept.append((frame_type, payload))
            else:
                self._decoder.charge("frames of unknown types")
        if content:
            kept.append((FrameType.DATA, b"".join(content)))
        return kept

    def _data(self, data: bytes, end: bool) -> None:
        self.advance(MessageInput.DATA)
        if not data:
            self._decoder.charge("empty DATA frames")
        elif not self.content_length.add(len(data)):
            raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, "more content than Content-Length announced")
        if end:
            self.check_end()
        self.content(data, end)

    def _headers(self, section: bytes, end: bool) -> bool:
        if self.state > MessageState.CONTENT:
            self.advance(MessageInput.TRAILERS)
        fields = self.section(section)
        if fields is None:
            return False
        if self.state == MessageState.START:
            self.header_section(fields, end)
            if end and self.state == MessageState.START:
                self._end()
        else:
            self.trailer_section(fields)
            self.advance(MessageInput.TRAILERS)
            if end:
                self._end()
        return True

    def _promise(self, payload: bytes) -> bool:
        if self.state == MessageState.TUNNEL:
            raise H3ConnectionError(ErrorCode.H3_FRAME_UNEXPECTED, "PUSH_PROMISE on a CONNECT tunnel")
        return self.promise(payload)

    def check_end(self) -> None:
        """The message ends with the event that is about to be told: hold it to its length."""
        if not self.content_length.met:
            raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, "less content than Content-Length announced")
        self.advance(MessageInput.END)

    def _end(self) -> None:
        if self.state == MessageState.START:
            self.ended_early()
            return
        self.check_end()
        self.ended()
