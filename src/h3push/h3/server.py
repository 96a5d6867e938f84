"""The server's end of an HTTP/3 connection: requests in, responses and pushes out.

A push is three separate steps, because each can fail or wait on its own (RFC 9114 section 4.6)::

    push_id = connection.send_push_promise(stream_id, request)     # PUSH_PROMISE on the request stream
    stream = connection.open_push_stream(push_id)                  # a unidirectional stream: 0x01, push ID
    connection.send_response(stream, 200, fields)                  # then as on any stream

and `cancel_push` calls it off at any point. What these do is in `h3.push.server`; requests and responses are here.
"""

from collections import OrderedDict
from collections.abc import Callable

from h3push.errors import (
    ErrorCode,
    H3ConnectionError,
    H3StreamError,
    LocalProtocolError,
    StreamStateError,
)
from h3push.h3.config import H3Config
from h3push.h3.connection import H3Connection
from h3push.h3.content import JOINED_WRITE
from h3push.h3.events import (
    CancelledBy,
    ConnectionTerminated,
    Event,
    GoawayReceived,
    PriorityUpdated,
    PushFulfilled,
    RequestReceived,
    RequestTooLarge,
    StopSendingReceived,
    StreamReset,
)
from h3push.h3.known import known_response, may_look_up, requests
from h3push.h3.message import MessageInput, MessageReceiver, MessageState
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.rules import PushRefusal, error_of
from h3push.h3.push.server import PushSender
from h3push.h3.push.server_book import ServerPush, ServerPushBook
from h3push.h3.push.states import ServerPushInput, ServerPushState
from h3push.h3.request_receiver import RequestReceiver, ResponseSender, parse_whole_request
from h3push.h3.transport import Transport
from h3push.h3.urgency import requested_priority, transport_priority
from h3push.http.fields import (
    Fields,
    RequestHead,
    response_fields,
)
from h3push.http.priority import Priority, priority_or_default
from h3push.http.semantics import NO_CONTENT_STATUSES, has_no_content
from h3push.wire.frames import parse_priority_update
from h3push.wire.qpack import FieldSectionTooLarge
from h3push.wire.registry import FrameType, Role


class H3ServerConnection(H3Connection[ResponseSender]):
    """The server's end of an HTTP/3 connection (RFC 9114). Every `send_*` acts on the transport at once."""

    role = Role.SERVER

    def __init__(
        self, transport: Transport, config: H3Config | None = None, push_counters: PushCounters | None = None
    ) -> None:
        """`push_counters`: counts the pushes of several connections together; one's own when `None`."""
        super().__init__(transport, config)
        self._pushes = ServerPushBook(self.config, push_counters)
        self._pushing = PushSender(
            self,
            transport,
            self._pushes,
            own_streams=self._own_streams,
            sections=self._sections,
            shutdown=self._shutdown,
        )
        self._next_request = 0
        self._skipped: set[int] = set()
        self._early_priorities: OrderedDict[int, Priority] = OrderedDict()
        self._remembers = may_look_up(self.config)

    def start(self, now: float) -> None:
        self._pushing.forget_credit()
        super().start(now)

    # ---------------------------------------------------------------- responses

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
        _check_final(status)
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

    def check_response(self, status: int, fields: Fields) -> None:
        """Raise what `send_response` would say of a status and fields, whatever the stream (`LocalProtocolError`)."""
        _check_final(status)
        self._sections.check_known_size(known_response(status, fields))

    def send_whole_response(self, stream_id: int, status: int, fields: Fields, content: bytes) -> int:
        """Send a response with all of its content, and its end: `send_response` and `send_data` in one write.

        Returns and raises as those do.
        """
        sender = self._senders.get(stream_id)
        if sender is None or sender.state is not MessageState.START or not _is_plain(sender.request, status, content):
            if sender is not None and sender.state is MessageState.START and sender.request is not None:
                self._check_whole(sender.request, status, fields, content)  # before anything of it goes out
            waiting = self.send_response(stream_id, status, fields, not content)
            return self.send_data(stream_id, content, True) if content else waiting
        head = self._sections.head_of_whole(stream_id, known_response(status, fields), len(content))
        sender.state = MessageState.COMPLETE
        if sender.push_id is not None:
            self._pushes.counters.content_bytes += len(content)
        waiting = self._transport.write(stream_id, head + content, True)
        self._sending_ended(stream_id)
        return waiting

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
            self._pushes.counters.content_bytes += size

    def reject_request(self, stream_id: int) -> None:
        """Refuse a request that nothing was done with: H3_REQUEST_REJECTED tells the client that a retry is safe."""
        self.stop_stream(stream_id, ErrorCode.H3_REQUEST_REJECTED)
        self.reset_stream(stream_id, ErrorCode.H3_REQUEST_REJECTED)

    def stop_stream(self, stream_id: int, error_code: int) -> None:
        receiver = self._receivers.get(stream_id)
        super().stop_stream(stream_id, error_code)
        if isinstance(receiver, RequestReceiver) and receiver.request is None and stream_id not in self._senders:
            # Its header section is not complete, so nobody will answer: our side would stay open, and hold its credit.
            self._transport.reset(stream_id, error_code)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Abandon a response; that of a push is cancelled with CANCEL_PUSH as well (RFC 9114 section 7.2.3)."""
        sender = self._senders.get(stream_id)
        if sender is not None and sender.push_id is not None:
            self.cancel_push(sender.push_id, error_code)
        else:
            super().reset_stream(stream_id, error_code)

    def set_priority(self, stream_id: int, priority: Priority) -> None:
        """Give a response another priority than the client asked for (RFC 9218 section 8)."""
        sender = self._sender(stream_id)
        sender.priority = priority
        self._apply_priority(stream_id, sender)

    # ---------------------------------------------------------------- pushes

    @property
    def max_push_id(self) -> int | None:
        """The largest push ID that the client allows, inclusive; None: it allows no push (RFC 9114 section 7.2.7)."""
        return self._pushes.max_push_id

    @property
    def push_limit_moves(self) -> bool:
        """True when the client has raised its limit before: waiting for more credit is worth it.

        A client with a fixed number of pushes sends MAX_PUSH_ID once; ours, whose window moves, raises it in its first flight.
        """
        return self._pushes.limit_moves

    @property
    def push_counters(self) -> PushCounters:
        """What became of the pushes of this connection, or of all that count together."""
        return self._pushes.counters

    def push(self, push_id: int) -> ServerPush:
        """The record of a push: its state, and who called it off. Raises `StreamStateError` for one long finished, or none."""
        return self._pushes.get(push_id)

    @property
    def pushes_under_way(self) -> int:
        """Pushes that are promised and neither acknowledged nor cancelled."""
        return len(self._pushes)

    def push_allowance(self, wanted: int = 1_000) -> int:
        """How many of `wanted` further pushes could be promised now: push IDs and stream credit both."""
        return 0 if self.is_closed else self._pushing.allowance(wanted)

    def send_push_promise(self, stream_id: int, request: RequestHead, *, push_id: int | None = None) -> int:
        """Promise a request on the stream of the request that makes it useful (RFC 9114 sections 4.6 and 7.2.5).

        Credit for the push ID and for the push stream is asked for first; without it nothing goes out. Promise before you send
        the content that refers to the promised resource.

        Args:
            stream_id: a request stream whose response has not ended.
            request: the promised request. GET or HEAD, no content, for an authority of ours.
            push_id: repeat the promise of this push on a further request stream; `request` must be the same.

        Returns:
            The push ID.

        Raises:
            PushNotAllowed: such a request may never be promised.
            NoPushCredit: the client allows no further push ID, or is shutting down.
            NoStreamCredit: QUIC allows no further unidirectional stream.
            StreamStateError: the response on this stream has ended, is a push itself or a tunnel; or the push is over.
            LocalProtocolError: the request's fields are invalid or larger than the client takes.
        """
        sender = self._sender(stream_id)
        if push_id is not None:
            _check_carries_promises(sender)
            return self._pushing.repeat_promise(stream_id, request, push_id)
        promised = self.try_push_promise(stream_id, request)
        if isinstance(promised, PushRefusal):
            raise error_of(promised, request)
        return promised

    def try_push_promise(self, stream_id: int, request: RequestHead) -> int | PushRefusal:
        """Promise a request as `send_push_promise` does; what the client or the moment does not allow is an answer.

        Returns:
            The push ID, or why nothing was promised; `push_counters.refused` counts that.

        Raises:
            StreamStateError: the stream is a push stream or a tunnel.
            LocalProtocolError: the request's fields are invalid or larger than the client takes.
        """
        sender = self._senders.get(stream_id)
        if sender is None:
            refusal = PushRefusal.GOING_AWAY if self.is_closed else PushRefusal.RESPONSE_ENDED
            self._pushes.counters.refused[refusal] += 1
            return refusal
        _check_carries_promises(sender)
        initiating = sender.request
        return self._pushing.promise(stream_id, request, initiating.authority if initiating is not None else None)

    def why_not_push(self, stream_id: int) -> PushRefusal | None:
        """Why a promise on the stream of a request would be refused now, whatever it promises; None: it would go out."""
        if not self.config.enable_push:
            return PushRefusal.DISABLED
        if self.is_closed:
            return PushRefusal.GOING_AWAY
        if stream_id not in self._senders:
            return PushRefusal.RESPONSE_ENDED
        return self._pushing.why_no_credit()

    def push_state(self, push_id: int) -> ServerPushState:
        """Where a push stands; one that ended too long ago (`remembered_pushes`) counts as CANCELLED."""
        return self._pushes.state(push_id)

    def open_push_stream(self, push_id: int, priority: Priority | None = None) -> int:
        """Open the push stream of a promised push (RFC 9114 section 6.2.2).

        Args:
            push_id: from `send_push_promise`.
            priority: instead of the `priority` field of the promised request. Whatever it is, requested responses go first.

        Returns:
            The stream ID for `send_response` and what follows.

        Raises:
            StreamStateError: the push was not promised, is open already, or is over.
            NoStreamCredit: QUIC allows no further stream now (it was promised, so this does not last).
        """
        return self._pushing.open_stream(push_id, priority)

    def send_whole_push(
        self, push_id: int, status: int, fields: Fields, content: bytes, priority: Priority | None = None
    ) -> int:
        """Open a push stream and send the whole response on it, in one write if possible.

        Returns the stream ID; raises what `open_push_stream` and `send_whole_response` do, and then nothing has been opened.
        """
        push = self._pushes.get(push_id)
        if not _is_plain(push.request, status, content) or self._sections.encoder.uses_table:
            self._check_whole(push.request, status, fields, content)
            stream_id = self.open_push_stream(push_id, priority)
            self.send_whole_response(stream_id, status, fields, content)
            return stream_id
        # Without a table it does not matter which stream a section is encoded for.
        head = self._sections.head_of_whole(0, known_response(status, fields), len(content))
        return self._pushing.send_whole(push, head, content, priority)

    def _check_whole(self, request: RequestHead, status: int, fields: Fields, content: bytes) -> None:
        """Raise what sending a whole response would raise."""
        _check_final(status)
        known = known_response(status, fields)
        self._sections.check_size(known.fields)
        announced = known.content_length
        if announced not in (None, len(content)) and not has_no_content(request.method, status):
            raise StreamStateError(f"{len(content)} bytes of content, but Content-Length says {announced}")

    def cancel_push(self, push_id: int, error_code: int = ErrorCode.H3_REQUEST_CANCELLED) -> None:
        """Call a push off: CANCEL_PUSH, and RESET_STREAM with `error_code` when its stream is open.

        Nothing happens when it is over already; raises `StreamStateError` for a push that was never promised.
        """
        if push_id >= self._pushes.next_push_id:
            raise StreamStateError(f"push {push_id} was not promised")
        self._pushing.cancel(push_id, error_code)

    # ---------------------------------------------------------------- requests

    def _receive_whole(self, stream_id: int, data: bytes) -> RequestReceived | None:
        """Take a request that came whole and has no content: one HEADERS frame that can be read now. Most are so.

        None: it is something else, or something is wrong with it; nothing has happened then, and `RequestReceiver` judges.
        """
        if self._shutdown.sent is not None:
            return None
        request = requests.get(data) if self._remembers else None
        if request is None:
            request = parse_whole_request(stream_id, data, self._sections, self.config)
            if request is None:
                return None
        if stream_id == self._next_request:
            self._next_request += 4
        else:
            self._arrived_out_of_order(stream_id)
        self._answerable(stream_id, request)
        return RequestReceived(stream_id, request, True)

    def request_received(self, stream_id: int, request: RequestHead, end: bool) -> None:
        """A request's header section is complete (called by its receiver)."""
        self._answerable(stream_id, request)
        self._events.append(RequestReceived(stream_id, request, end))

    def _answerable(self, stream_id: int, request: RequestHead) -> None:
        """A request can be answered now, with the priority that the client asked for."""
        early = self._early_priorities.pop(stream_id, None) if self._early_priorities else None
        sender = ResponseSender(request, early or requested_priority(request), stream_id >> 2)
        self._senders[stream_id] = sender
        self._apply_priority(stream_id, sender)

    def tell(self, event: Event) -> None:
        """Add an event (called by receivers and pushes)."""
        self._events.append(event)

    def begin_push(self, stream_id: int, sender: ResponseSender) -> None:
        """Take the response of a push (called by pushes)."""
        self._senders[stream_id] = sender

    def drop_push(self, stream_id: int) -> None:
        """Forget the response of a push (called by pushes)."""
        self._senders.pop(stream_id, None)

    def _apply_priority(self, stream_id: int, sender: ResponseSender) -> None:
        number = transport_priority(sender.priority, order=sender.order, pushed=sender.push_id is not None)
        self._transport.set_priority(stream_id, number)

    def _accept_bidirectional(self, stream_id: int) -> MessageReceiver | None:
        if self._shutdown.excludes(stream_id):
            self._transport.stop(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self._transport.reset(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self.spend("requests after GOAWAY")
            return None
        self._arrived(stream_id)
        receiver = self._receivers[stream_id] = RequestReceiver(stream_id, self)
        return receiver

    def _arrived(self, stream_id: int) -> None:
        """A request stream is heard of for the first time."""
        if stream_id == self._next_request:
            self._next_request += 4
        else:
            self._arrived_out_of_order(stream_id)

    def _arrived_out_of_order(self, stream_id: int) -> None:
        """Remember which requests are still to come below the highest; QUIC's limit on streams bounds how many."""
        if stream_id > self._next_request:
            self._skipped.update(range(self._next_request, stream_id, 4))
            self._next_request = stream_id + 4
        else:
            self._skipped.discard(stream_id)

    def _open_tunnel(self, stream_id: int) -> None:
        receiver = self._receivers.get(stream_id)
        if receiver is not None and receiver.state is MessageState.CONTENT:
            receiver.advance(MessageInput.CONNECT)

    def _sending_ended(self, stream_id: int) -> None:
        sender = self._senders.pop(stream_id, None)
        if sender is not None and sender.push_id is not None:
            self._pushes.apply(sender.push_id, ServerPushInput.END)
            return
        self._flood.earn()
        receiver = self._receivers.get(stream_id)
        if receiver is not None and receiver.state is not MessageState.TUNNEL:
            # RFC 9114 section 4.1: the response is complete, the rest of the request is of no use.
            self._abandon(receiver, ErrorCode.H3_NO_ERROR)
        else:
            self._forget_if_done(stream_id)

    def _acknowledged(self, stream_id: int) -> None:
        push_id = self._pushes.push_of(stream_id)
        if push_id is not None:
            self._pushes.apply(push_id, ServerPushInput.ACKNOWLEDGED)
            self._events.append(PushFulfilled(push_id))
            self._flood.earn()

    def _message_reset(self, receiver: MessageReceiver, error_code: int) -> None:
        if receiver.stream_id in self._senders:
            self._events.append(StreamReset(receiver.stream_id, error_code, None))
        elif isinstance(receiver, RequestReceiver) and receiver.request is None:
            self._transport.reset(receiver.stream_id, ErrorCode.H3_REQUEST_INCOMPLETE)

    def _reset_received(self, stream_id: int, error_code: int) -> None:
        is_new = not stream_id & 2 and stream_id not in self._receivers and stream_id not in self._senders
        super()._reset_received(stream_id, error_code)
        if is_new:
            self._arrived(stream_id)
            # Else our side of the stream would stay open for good, and its credit would be lost.
            self._transport.reset(stream_id, ErrorCode.H3_REQUEST_INCOMPLETE)

    def _message_stopped(self, stream_id: int, error_code: int) -> None:
        push_id = self._pushes.push_of(stream_id)
        if push_id is not None:
            self._pushing.stop_received(push_id, error_code)
        elif stream_id in self._senders:
            self._events.append(StopSendingReceived(stream_id, error_code, None))

    def _message_failed(self, receiver: MessageReceiver, error: H3StreamError) -> None:
        if isinstance(error, FieldSectionTooLarge) and receiver.state is MessageState.START:
            self._abandon(receiver, ErrorCode.H3_NO_ERROR)
            self._senders[receiver.stream_id] = ResponseSender(None, Priority(), receiver.stream_id >> 2)
            self._events.append(RequestTooLarge(receiver.stream_id, error.path))
            return
        self.spend("malformed requests")
        if receiver.stream_id not in self._senders:
            self._transport.reset(receiver.stream_id, error.error_code)
        super()._message_failed(receiver, error)

    # ---------------------------------------------------------------- the client's control stream

    def control_handlers(self) -> dict[int, Callable[[bytes], None]]:
        return {
            **super().control_handlers(),
            FrameType.CANCEL_PUSH: self._pushing.cancel_push_received,
            FrameType.MAX_PUSH_ID: self._pushing.max_push_id_received,
            FrameType.PRIORITY_UPDATE_REQUEST: self._request_priority_received,
            FrameType.PRIORITY_UPDATE_PUSH: self._pushing.priority_update_received,
        }

    def push_stream_announced(self, stream_id: int) -> None:
        raise H3ConnectionError(ErrorCode.H3_STREAM_CREATION_ERROR, "a client cannot open a push stream")

    def push_stream_opened(self, stream_id: int, push_id: int, data: bytes, end: bool) -> None:
        raise H3ConnectionError(ErrorCode.H3_STREAM_CREATION_ERROR, "a client cannot open a push stream")

    def _goaway_received(self, payload: bytes) -> None:
        identifier = self._parse_goaway(payload)
        self._pushing.goaway_received(identifier)
        self._events.append(GoawayReceived(identifier))

    def _request_priority_received(self, payload: bytes) -> None:
        stream_id, value = parse_priority_update(payload)
        if stream_id % 4 != 0:
            raise H3ConnectionError(
                ErrorCode.H3_ID_ERROR, f"PRIORITY_UPDATE names stream {stream_id}, which cannot carry a request"
            )
        self.spend("PRIORITY_UPDATE frames")
        priority = priority_or_default(value)
        sender = self._senders.get(stream_id)
        if sender is not None:
            sender.priority = priority
            self._apply_priority(stream_id, sender)
            self._events.append(PriorityUpdated(stream_id, None, priority))
        elif stream_id >= self._next_request or stream_id in self._skipped or stream_id in self._receivers:
            self._keep_early_priority(stream_id, priority)

    def _keep_early_priority(self, stream_id: int, priority: Priority) -> None:
        self._early_priorities[stream_id] = priority
        self._early_priorities.move_to_end(stream_id)
        while len(self._early_priorities) > self.config.max_request_streams_buffered_priorities:
            self._early_priorities.popitem(last=False)

    # ---------------------------------------------------------------- shutdown

    def _terminate(self, event: ConnectionTerminated) -> None:
        self._pushes.terminate(CancelledBy.PEER if event.by_peer else CancelledBy.LOCAL)
        super()._terminate(event)

    def _first_unseen(self) -> int:
        return self._next_request


def _check_carries_promises(sender: ResponseSender) -> None:
    if sender.push_id is not None:
        raise StreamStateError("a promise goes on the stream of a request, not on a push stream")
    if sender.state is MessageState.TUNNEL:
        raise StreamStateError("a promise cannot go on a CONNECT tunnel")


_SPECIAL_METHODS = (b"HEAD", b"CONNECT")


def _check_final(status: int) -> None:
    if not 200 <= status <= 599:
        raise LocalProtocolError(f"a final response has a status of 200 to 599, not {status}")


def _is_plain(request: RequestHead | None, status: int, content: bytes) -> bool:
    """True for a final response with content that nothing makes special, of a size that is written in one piece."""
    return (
        0 < len(content) <= JOINED_WRITE
        and 200 <= status <= 599
        and status not in NO_CONTENT_STATUSES
        and request is not None
        and request.method not in _SPECIAL_METHODS
    )
