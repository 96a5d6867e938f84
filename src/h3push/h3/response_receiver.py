"""A response as a client reads it, on a request stream or a push stream."""

from typing import Protocol

from h3push.errors import ErrorCode, H3StreamError
from h3push.h3.config import H3Config
from h3push.h3.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    TrailersReceived,
)
from h3push.h3.message import MessageInput
from h3push.h3.message_receiver import MessageReceiver, SectionDecoder
from h3push.h3.push.counters import PushCounters
from h3push.http.fields import Fields, RequestHead, parse_response, parse_trailers
from h3push.http.semantics import has_no_content
from h3push.wire.reader import FrameReader
from h3push.wire.registry import Role, StreamKind


class ClientOwner(SectionDecoder, Protocol):
    """The connection, as a response that is read uses it."""

    @property
    def config(self) -> H3Config:
        """Bounds and switches."""

    @property
    def push_counters(self) -> PushCounters:
        """Outcomes of the pushes."""

    def emit(self, event: Event) -> None:
        """Add an event."""

    def tunnel_opened(self, stream_id: int) -> None:
        """CONNECT was answered with 2xx."""

    def promise_received(self, receiver: "ResponseReceiver", payload: bytes) -> bool:
        """A PUSH_PROMISE came; False while it waits for the encoder stream."""

    def receive_message(self, receiver: MessageReceiver, data: bytes, end: bool) -> None:
        """Give data to a message, and see to its stream errors and its end."""


class ResponseReceiver(MessageReceiver):
    """Reads one response, on a request stream or a push stream."""

    __slots__ = ("_connection", "_interim", "_trailers", "push_id", "request")

    def __init__(
        self, stream_id: int, request: RequestHead, connection: "ClientOwner", push_id: int | None = None
    ) -> None:
        kind = StreamKind.REQUEST if push_id is None else StreamKind.PUSH
        reader = FrameReader(Role.CLIENT, kind, max_buffered=connection.config.max_encoded_field_section_size)
        super().__init__(stream_id, reader, connection)
        self.request = request
        """The request that is answered: ours, or the promised one."""
        self.push_id = push_id
        """The push, on a push stream."""
        self._connection = connection
        self._interim = 0
        self._trailers: Fields | None = None

    def header_section(self, fields: Fields, end: bool) -> None:
        response = parse_response(fields)
        if response.status < 200:
            self._count_interim()
            self.advance(MessageInput.INTERIM)
            self._connection.emit(InformationalResponseReceived(self.stream_id, response, self.push_id))
            return
        if self.request.method == b"CONNECT" and response.status < 300:
            self.advance(MessageInput.CONNECT)
            self._connection.tunnel_opened(self.stream_id)
        else:
            no_content = has_no_content(self.request.method, response.status)
            self.content_length.expected = 0 if no_content else response.content_length
            self.advance(MessageInput.HEADERS)
        if end:
            self.check_end()
        self._connection.emit(ResponseReceived(self.stream_id, response, end, self.push_id))

    def content(self, data: bytes, end: bool) -> None:
        if self.push_id is not None:
            self._connection.push_counters.content_bytes += len(data)
        self._connection.emit(DataReceived(self.stream_id, data, end, self.push_id))

    def trailer_section(self, fields: Fields) -> None:
        self._trailers = parse_trailers(fields)

    def ended(self) -> None:
        if self._trailers is not None:
            self._connection.emit(TrailersReceived(self.stream_id, self._trailers, self.push_id))
        else:
            self._connection.emit(DataReceived(self.stream_id, b"", True, self.push_id))

    def ended_early(self) -> None:
        raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, "the stream ended without a final response")

    def promise(self, payload: bytes) -> bool:
        return self._connection.promise_received(self, payload)

    def _count_interim(self) -> None:
        self._interim += 1
        if self._interim > self._connection.config.max_interim_responses:
            raise H3StreamError(ErrorCode.H3_EXCESSIVE_LOAD, "too many interim responses")


class PushStream:
    """Bytes of a push stream whose promise is known: a response."""

    __slots__ = ("_connection", "_receiver")

    def __init__(self, connection: "ClientOwner", receiver: ResponseReceiver) -> None:
        self._connection = connection
        self._receiver = receiver

    def receive(self, data: bytes, end: bool) -> None:
        self._connection.receive_message(self._receiver, data, end)
