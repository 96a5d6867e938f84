"""A request as a server reads it, and the response that it sends: one half of a stream each."""

from typing import Protocol

from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, TrailersReceived
from h3push.h3.known import MAX_ENCODED, requests
from h3push.h3.message import MessageInput, MessageSender
from h3push.h3.message_receiver import MessageReceiver, SectionDecoder
from h3push.h3.sections import FieldSections
from h3push.h3.urgency import requested_priority
from h3push.http.fields import Fields, RequestHead, parse_request, parse_trailers
from h3push.http.priority import Priority
from h3push.wire.qpack import STATIC_PREFIX
from h3push.wire.reader import FrameReader
from h3push.wire.registry import FrameType, Role, StreamKind
from h3push.wire.varint import decode_varint, encode_varint


class ServerOwner(SectionDecoder, Protocol):
    """The connection, as a request that is read uses it."""

    @property
    def config(self) -> H3Config:
        """Bounds and switches."""

    def request_received(self, stream_id: int, request: RequestHead, end: bool) -> None:
        """The header section is complete."""

    def emit(self, event: DataReceived | TrailersReceived) -> None:
        """Add an event."""


class RequestReceiver(MessageReceiver):
    """Reads one request."""

    __slots__ = ("_connection", "_trailers", "request")

    def __init__(self, stream_id: int, connection: "ServerOwner") -> None:
        reader = FrameReader(
            Role.SERVER, StreamKind.REQUEST, max_buffered=connection.config.max_encoded_field_section_size
        )
        super().__init__(stream_id, reader, connection)
        self._connection = connection
        self._trailers: Fields | None = None
        self.request: RequestHead | None = None
        """The header section, once it is complete."""

    def header_section(self, fields: Fields, end: bool) -> None:
        extended = self._connection.config.connect_protocol
        request = self.request = parse_request(fields, connect_protocol=extended)
        self.content_length.expected = request.content_length
        self.advance(MessageInput.HEADERS)
        if end:
            self.check_end()
        self._connection.request_received(self.stream_id, request, end)

    def content(self, data: bytes, end: bool) -> None:
        self._connection.emit(DataReceived(self.stream_id, data, end, None))

    def trailer_section(self, fields: Fields) -> None:
        self._trailers = parse_trailers(fields)

    def ended(self) -> None:
        if self._trailers is not None:
            self._connection.emit(TrailersReceived(self.stream_id, self._trailers, None))
        else:
            self._connection.emit(DataReceived(self.stream_id, b"", True, None))

    def ended_early(self) -> None:
        raise H3StreamError(ErrorCode.H3_REQUEST_INCOMPLETE, "the stream ended before the request was complete")

    def promise(self, payload: bytes) -> bool:
        raise H3ConnectionError(ErrorCode.H3_FRAME_UNEXPECTED, "a client cannot promise")


class ResponseSender(MessageSender):
    """Sends one response, on a request stream or a push stream.

    Args:
        request: the request that is answered; `None` when it was too large to be read.
        priority: RFC 9218 priority in force.
        order: position among the streams of one urgency: the older first.
        push_id: the push, on a push stream.
    """

    __slots__ = ("order", "priority", "push_id", "request")

    def __init__(self, request: RequestHead | None, priority: Priority, order: int, push_id: int | None = None) -> None:
        super().__init__()
        self.request = request
        self.priority = priority
        self.order = order
        self.push_id = push_id


_HEADERS = encode_varint(FrameType.HEADERS)


def parse_whole_request(
    stream_id: int, data: bytes, sections: FieldSections, config: H3Config
) -> tuple[RequestHead, Priority] | None:
    """A request that is one HEADERS frame, can be read now and has no content, and its priority; remembered if it may be.

    None: it is something else, or something is wrong with it; nothing has happened then.
    """
    header = decode_varint(data, 1) if data[:1] == _HEADERS else None
    if header is None:
        return None
    length, offset = header
    if offset + length != len(data) or length > config.max_encoded_field_section_size:
        return None
    section = data[offset:]
    is_static = section[:2] == STATIC_PREFIX
    try:
        if is_static:
            fields, required_inserts = sections.decoder.decode_static(stream_id, section), 0
        else:
            decoded = sections.decoder.decode_at_once(stream_id, section)
            if decoded is None:
                return None
            fields, required_inserts = decoded
        request = parse_request(fields)
    except (H3ConnectionError, H3StreamError):
        return None
    if request.content_length or request.method == b"CONNECT":
        return None
    if required_inserts:
        sections.decoder.acknowledge(stream_id, required_inserts)
        sections.write_decoder_stream()
    known = request, requested_priority(request)
    if (
        is_static and len(data) <= MAX_ENCODED and requests.comes_again(data)
    ):  # with a dynamic table the same bytes mean something else elsewhere
        requests.remember(data, fields, known)
    return known
