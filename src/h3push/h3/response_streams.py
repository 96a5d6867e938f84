"""Responses as a server sends them, on request streams and push streams: interim, final, in pieces or whole.

A response that is *plain* (content of one piece, nothing special about method or status) goes out in one write, from sections
that are remembered; every other one takes the way of `send_response` and `send_data`, with the same result.
"""

from typing import Final

from h3push.errors import LocalProtocolError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.connection import H3Connection
from h3push.h3.content import JOINED_WRITE
from h3push.h3.known import KnownSection, known_response
from h3push.h3.message import MessageInput, MessageState
from h3push.h3.push.counters import PushCounters
from h3push.h3.request_receiver import ResponseSender
from h3push.h3.transport import Transport
from h3push.h3.urgency import transport_priority
from h3push.http.fields import Fields, RequestHead, response_fields
from h3push.http.priority import Priority
from h3push.http.semantics import NO_CONTENT_STATUSES, RESET_CONTENT, has_no_content


class HeldPromises:
    """Promises that go out in front of whatever is written to their stream next. They are those of one stream at a time."""

    __slots__ = ("frames", "stream_id")

    def __init__(self) -> None:
        self.stream_id: int | None = None
        """Their stream; `None` while there are none."""
        self.frames: list[bytes] = []
        """In order."""

    def take(self) -> bytes:
        """All of them, for whoever writes to their stream now."""
        frames, self.frames, self.stream_id = self.frames, [], None
        return b"".join(frames)


class ResponseStreams(H3Connection[ResponseSender]):
    """A server connection, as far as it sends responses; `H3ServerConnection` adds requests and pushes.

    Args:
        transport: the QUIC connection.
        config: bounds and switches.
        push_counters: counts the content of pushed responses.
    """

    def __init__(self, transport: Transport, config: H3Config | None, push_counters: PushCounters) -> None:
        super().__init__(transport, config)
        self.push_counters = push_counters
        """Outcomes of the pushes of this connection, or of all that count together."""
        self._held = HeldPromises()

    def send_informational_response(self, stream_id: int, status: int, fields: Fields) -> int:
        """Send an interim response, 1xx but not 101 (RFC 9114 section 4.1). Returns and raises as `send_data`."""
        if not 100 <= status <= 199 or status == 101:
            raise LocalProtocolError(f"an interim response has a status of 100 to 199 but not 101, not {status}")
        sender = self._sender(stream_id)
        frame = self._sections.headers_frame(stream_id, sender, response_fields(status, fields), MessageInput.INTERIM)
        return self._transport.write(stream_id, frame, False)

    def send_response(self, stream_id: int, status: int, fields: Fields, end_stream: bool = False) -> int:
        """Send the final response's header section, and with `end_stream` the end of the message.

        Args:
            stream_id: a request stream, or a push stream from `open_push_stream`.
            status: 200 to 599.
            fields: names in any case; connection-specific ones are left out.
            end_stream: no content and no trailers follow.

        Returns:
            Bytes that wait on this stream.

        Raises:
            StreamStateError: a final response was sent already, or the stream is gone.
            LocalProtocolError: a field is invalid, or the section is larger than the client takes.
        """
        check_final(status)
        sender = self._sender(stream_id)
        request = sender.request
        is_tunnel = request is not None and request.method == b"CONNECT" and status < 300
        if is_tunnel:  # RFC 9110 section 8.6
            fields = [field for field in fields if field[0].lower() != b"content-length"]
        known = known_response(status, fields)
        section = known.fields
        if sender.state is MessageState.START:
            sender.content_length = known.content_length
            sender.no_content = has_no_content(b"" if request is None else request.method, status)
        happened = MessageInput.CONNECT if is_tunnel else MessageInput.HEADERS
        end = (MessageInput.END,) if end_stream else ()
        frame = self._sections.headers_frame(stream_id, sender, section, happened, *end)
        if is_tunnel and not end_stream:
            self._open_tunnel(stream_id)
        waiting = self._transport.write(stream_id, frame, end_stream)
        if end_stream:
            self._sending_ended(stream_id)
        return waiting

    def check_response(self, status: int, fields: Fields) -> KnownSection:
        """A response's header section, as `send_response_at_hand` takes it.

        Raises what `send_response` would say of a status and fields, whatever the stream (`LocalProtocolError`).
        """
        check_final(status)
        known = known_response(status, fields)
        self._sections.check_known_size(known)
        return known

    def send_whole_response(self, stream_id: int, status: int, fields: Fields, content: bytes) -> int:
        """Send a response with all of its content, and its end: `send_response` and `send_data` in one write.

        Returns and raises as those do.
        """
        sender = self._senders.get(stream_id)
        if (
            sender is None
            or sender.state is not MessageState.START
            or not is_plain(sender.request, status, len(content))
        ):
            if sender is not None and sender.state is MessageState.START and sender.request is not None:
                self._check_whole_response(sender.request, status, fields, content)  # before anything of it goes out
            waiting = self.send_response(stream_id, status, fields, not content)
            return self.send_data(stream_id, content, True) if content else waiting
        return self._send_plain(stream_id, sender, known_response(status, fields), content)

    def send_response_at_hand(self, stream_id: int, status: int, known: KnownSection, content: bytes) -> int | None:
        """The same for a header section from `known_response`; `None`, and nothing done, when one write is not enough."""
        sender = self._senders.get(stream_id)
        if sender is None or sender.state is not _START or not is_plain(sender.request, status, len(content)):
            return None
        return self._send_plain(stream_id, sender, known, content)

    def _send_plain(self, stream_id: int, sender: ResponseSender, known: KnownSection, content: bytes) -> int:
        head = self._sections.head_of_whole(stream_id, known, len(content))
        sender.state = _COMPLETE
        if sender.push_id is not None:
            self.push_counters.content_bytes += len(content)
        if stream_id == self._held.stream_id:
            head = self._held.take() + head
        waiting = self._transport.write(stream_id, head + content, True)
        self._sending_ended(stream_id)
        return waiting

    def _sender(self, stream_id: int) -> ResponseSender:
        if stream_id == self._held.stream_id:  # whoever asks is about to write
            self.write_promises()
        return super()._sender(stream_id)

    def write_promises(self) -> None:
        """Write the promises that were held back and that nothing has taken along."""
        stream_id, promises = self._held.stream_id, self._held.take()
        if stream_id is not None and promises:
            self._transport.write(stream_id, promises, False)

    def send_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> int:
        sender = self._senders.get(stream_id)
        waiting = super().send_data(stream_id, data, end_stream)
        self._count_content(sender, len(data))
        return waiting

    def send_data_header(self, stream_id: int, length: int, end_stream: bool = False) -> bool:
        sender = self._senders.get(stream_id)
        announced = super().send_data_header(stream_id, length, end_stream)
        if announced:
            self._count_content(sender, length)
        return announced

    def _count_content(self, sender: ResponseSender | None, size: int) -> None:
        if sender is not None and sender.push_id is not None and not sender.no_content:
            self.push_counters.content_bytes += size

    def set_priority(self, stream_id: int, priority: Priority) -> None:
        """Give a response another priority than the client asked for (RFC 9218 section 8)."""
        sender = self._sender(stream_id)
        sender.priority = priority
        self._apply_priority(stream_id, sender)

    def _check_whole_response(self, request: RequestHead, status: int, fields: Fields, content: bytes) -> None:
        """Raise what sending a whole response would raise."""
        check_final(status)
        known = known_response(status, fields)
        self._sections.check_size(known.fields)
        announced = known.content_length
        if announced not in (None, len(content)) and not has_no_content(request.method, status):
            raise StreamStateError(f"{len(content)} bytes of content, but Content-Length says {announced}")

    def _apply_priority(self, stream_id: int, sender: ResponseSender) -> None:
        number = transport_priority(sender.priority, order=sender.order, pushed=sender.push_id is not None)
        self._transport.set_priority(stream_id, number)

    def _open_tunnel(self, stream_id: int) -> None:
        receiver = self._receivers.get(stream_id)
        if receiver is not None and receiver.state is MessageState.CONTENT:
            receiver.advance(MessageInput.CONNECT)


_START: Final = MessageState.START
_COMPLETE: Final = MessageState.COMPLETE
_PLAIN_STATUSES: Final = frozenset(range(200, 600)) - NO_CONTENT_STATUSES - {RESET_CONTENT}
_SPECIAL_METHODS: Final = (b"HEAD", b"CONNECT")


def check_final(status: int) -> None:
    """Raise `LocalProtocolError` for a status that no final response of ours has."""
    if not 200 <= status <= 599:
        raise LocalProtocolError(f"a final response has a status of 200 to 599, not {status}")


def is_plain(request: RequestHead | None, status: int, size: int) -> bool:
    """True for a final response with content that nothing makes special, of a size that is written in one piece."""
    return (
        0 < size <= JOINED_WRITE
        and status in _PLAIN_STATUSES
        and request is not None
        and (request.method == b"GET" or request.method not in _SPECIAL_METHODS)
    )
