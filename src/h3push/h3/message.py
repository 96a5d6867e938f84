"""One HTTP message in each direction of a stream: framing, content length, blocked field sections.

Theory of operation
===================

A request stream carries a request one way and a response the other; a push stream carries a response one way only. RFC 9114
section 4.1 gives every message the same shape::

    message  = *interim header-section [content] [trailer-section] END
    frames   =  HEADERS*    HEADERS     *DATA       [HEADERS]       FIN

(`interim` is for responses only; unknown frames may stand anywhere and mean nothing; PUSH_PROMISE may stand anywhere on a
response and is no part of it.) `MESSAGE` is that shape as a table, and both directions obey it: what is not in the table, the
peer is told as H3_FRAME_UNEXPECTED and our caller as `StreamStateError`.

A received field section may have to wait for the peer's QPACK encoder stream. Then the stream is *blocked*: the frame and all
frames behind it queue up in order, the transport is asked to pause the stream, and `unblock` goes on where it stopped. What
queues up is what had already arrived, so it is bounded by the stream's flow-control window; pieces of content are joined and
the other frames count against the flood budget, so that small frames cost no more than large ones.

The end of a message is told with its last event. To know that an event is the last one, the frames of one delivery are cut
first and then worked off; a delivery that ends in an error has its good frames worked off before the error is raised.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from mypy_extensions import mypyc_attr

from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError, StreamStateError
from h3push.http.fields import Fields
from h3push.wire.reader import FrameReader
from h3push.wire.registry import FrameType


class MessageState(IntEnum):
    """How far a message has come."""

    START = 0
    """No final header section yet; interim responses may have passed."""
    CONTENT = 1
    """The final header section is through; content, trailers or the end may follow."""
    TUNNEL = 2
    """CONNECT was answered with 2xx: only DATA follows (RFC 9114 section 4.4)."""
    TRAILERS = 3
    """The trailer section is through; only the end may follow."""
    COMPLETE = 4
    """The end is through."""
    ABORTED = 5
    """Reset, stopped or malformed: nothing further counts."""


class MessageInput(IntEnum):
    """A step of a message."""

    INTERIM = 0
    """A 1xx header section."""
    HEADERS = 1
    """The request's header section, or the final response's."""
    CONNECT = 2
    """The header section that turns the stream into a tunnel."""
    DATA = 3
    """A piece of content."""
    TRAILERS = 4
    """A trailer section."""
    END = 5
    """FIN."""


MESSAGE: dict[tuple[int, int], MessageState] = {
    (MessageState.START, MessageInput.INTERIM): MessageState.START,
    (MessageState.START, MessageInput.HEADERS): MessageState.CONTENT,
    (MessageState.START, MessageInput.CONNECT): MessageState.TUNNEL,
    (MessageState.CONTENT, MessageInput.CONNECT): MessageState.TUNNEL,
    (MessageState.CONTENT, MessageInput.DATA): MessageState.CONTENT,
    (MessageState.CONTENT, MessageInput.TRAILERS): MessageState.TRAILERS,
    (MessageState.CONTENT, MessageInput.END): MessageState.COMPLETE,
    (MessageState.TUNNEL, MessageInput.DATA): MessageState.TUNNEL,
    (MessageState.TUNNEL, MessageInput.END): MessageState.COMPLETE,
    (MessageState.TRAILERS, MessageInput.END): MessageState.COMPLETE,
}
"""RFC 9114 section 4.1 (and 4.4 for tunnels): (state, input) to the next state; absence is an error."""

ENDED = (MessageState.COMPLETE, MessageState.ABORTED)
"""States in which a direction of a stream needs nothing more."""

Frame = tuple[int, bytes]


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
            if frame_type == FrameType.DATA:
                self._data(payload, final)
                told_end = final
            elif frame_type == FrameType.HEADERS:
                if not self._headers(payload, final):
                    self._block(frames[index:], end)
                    return
                told_end = final
            elif frame_type == FrameType.PUSH_PROMISE:
                if not self._promise(payload):
                    self._block(frames[index:], end)
                    return
            else:
                self._decoder.charge("frames of unknown types")
            if self.state == MessageState.ABORTED:
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


@dataclass(slots=True, eq=False, kw_only=True)
class MessageSender:
    """The sending half of a stream: holds our own caller to `MESSAGE` and to the announced length."""

    state: MessageState = MessageState.START
    """How far the message has come."""
    content_length: int | None = None
    """Content-Length, in bytes; `None`: not announced."""
    content_sent: int = 0
    """Content so far, in bytes."""
    no_content: bool = False
    """The message never has content: HEAD, 204, 304 (RFC 9110 section 6.4.1)."""

    def advance(self, *happened: MessageInput, size: int = 0) -> None:
        """Account for what is about to be sent: moves along `MESSAGE`, with `size` bytes of content among them.

        Raises:
            StreamStateError: it cannot be sent now, or is more or less than announced. The message stays where it was.
        """
        state = self.state
        for step in happened:
            following = MESSAGE.get((state, step))
            if following is None:
                raise StreamStateError(f"cannot send {step.name} now: the message is in state {self.state.name}")
            state = following
        announced = self.content_length
        sent = self.content_sent + size
        if announced is not None and not self.no_content:
            if sent > announced:
                raise StreamStateError(f"more content than the Content-Length of {announced} that was sent")
            if state is MessageState.COMPLETE and sent < announced:
                raise StreamStateError(
                    f"the content ends after {sent} bytes, but a Content-Length of {announced} was sent"
                )
        self.state = state
        self.content_sent = sent

    @property
    def ended(self) -> bool:
        """True when nothing more can be sent."""
        return self.state in ENDED
