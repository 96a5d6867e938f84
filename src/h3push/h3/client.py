"""The client's end of an HTTP/3 connection: requests out, responses and pushes in.

Nothing is pushed unless `H3Config.max_concurrent_pushes` is set; then the first MAX_PUSH_ID goes out with SETTINGS. Every promise
is checked before the application hears of it (RFC 9114 section 4.6): a method that is safe and cacheable, no content, https, and
an authority that the server may speak for. What fails is answered with CANCEL_PUSH and never used.
"""

from collections.abc import Callable

from h3push.errors import (
    ErrorCode,
    H3ConnectionError,
    H3StreamError,
    LocalProtocolError,
    NoStreamCredit,
    RequestNotProcessed,
)
from h3push.h3.config import H3Config
from h3push.h3.connection import H3Connection
from h3push.h3.events import (
    CancelledBy,
    Event,
    GoawayReceived,
    MessageFailed,
    PushCancelled,
    PushPromiseReceived,
    PushRefused,
    RequestUnprocessed,
    StopSendingReceived,
    StreamReset,
)
from h3push.h3.message import MessageInput, MessageReceiver, MessageSender, MessageState
from h3push.h3.push.client_book import ClientPush, ClientPushes
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.rules import PushRefusal, refusal_of
from h3push.h3.push.states import ClientPushAction, ClientPushInput, ClientPushState
from h3push.h3.response_receiver import OrphanStream, PushStream, ResponseReceiver
from h3push.h3.transport import Transport
from h3push.http.fields import (
    Fields,
    RequestHead,
    parse_promised_request,
    request_fields,
)
from h3push.http.priority import Priority, encode_priority
from h3push.wire.frames import (
    encode_priority_update,
    encode_single_varint,
    frame_header,
    parse_push_promise,
    parse_single_varint,
)
from h3push.wire.qpack import FieldSectionTooLarge
from h3push.wire.registry import FrameType, Role


class H3ClientConnection(H3Connection[MessageSender]):
    """The client's end of an HTTP/3 connection (RFC 9114). Every `send_*` acts on the transport at once.

    Args:
        transport: the QUIC connection.
        config: bounds and switches; `max_concurrent_pushes` allows pushes.
        is_authoritative: may the server speak for this authority (host or host:port)? Asked for promises that name another
            authority than the requests of this connection did; the caller looks at the certificate (RFC 9114 section 3.3). By
            default the answer is no.
    """

    role = Role.CLIENT

    def __init__(
        self,
        transport: Transport,
        config: H3Config | None = None,
        *,
        is_authoritative: Callable[[bytes], bool] | None = None,
    ) -> None:
        super().__init__(transport, config)
        self._pushes = ClientPushes(self.config)
        self._is_authoritative = is_authoritative
        self._authorities: set[bytes] = set()

    # ---------------------------------------------------------------- requests

    def send_request(self, request: RequestHead, *, end_stream: bool = True, priority: Priority | None = None) -> int:
        """Send a request's header section on a new stream (RFC 9114 section 4.1).

        Args:
            request: the request.
            end_stream: no content and no trailers follow.
            priority: adds a `priority` field (RFC 9218 section 5).

        Returns:
            The stream ID.

        Raises:
            NoStreamCredit: the server's limit on requests under way is reached; wait for `StreamCreditReceived`.
            RequestNotProcessed: the server is shutting down; use a new connection.
            LocalProtocolError: the request is invalid or larger than the server takes.
        """
        if self.is_closed or self._shutdown.received is not None:
            raise RequestNotProcessed("this connection is shutting down; open a new one for further requests")
        if request.protocol is not None and not (self.peer_settings and self.peer_settings.enable_connect_protocol):
            raise LocalProtocolError("the server has not said that it takes extended CONNECT (RFC 9220 section 3)")
        fields = request_fields(request)
        if priority is not None:
            fields.append((b"priority", encode_priority(priority)))
        sender = MessageSender(content_length=request.content_length)
        end = (MessageInput.END,) if end_stream else ()
        sender.advance(MessageInput.HEADERS, *end)
        self._sections.check_size(fields)
        stream_id = self._transport.open_stream(False) if self._transport.stream_credit(False, 1) else None
        if stream_id is None:
            raise NoStreamCredit("the server's limit on concurrent requests is reached")
        try:
            section = self._sections.encode(stream_id, fields)
        except LocalProtocolError:
            self._transport.stop(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            self._transport.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            raise
        frame = frame_header(FrameType.HEADERS, len(section)) + section
        self._senders[stream_id] = sender
        self._receivers[stream_id] = ResponseReceiver(stream_id, request, self)
        if request.authority is not None:
            self._authorities.add(request.authority)
        self._transport.write(stream_id, frame, end_stream)
        if end_stream:
            self._sending_ended(stream_id)
        return stream_id

    def cancel_request(self, stream_id: int, error_code: int = ErrorCode.H3_REQUEST_CANCELLED) -> None:
        """Cancel a request: RESET_STREAM if it is not all sent, STOP_SENDING if its response is not all here (4.1.1)."""
        self.stop_stream(stream_id, error_code)
        self.reset_stream(stream_id, error_code)

    def send_priority_update(
        self, priority: Priority, *, stream_id: int | None = None, push_id: int | None = None
    ) -> None:
        """Change the priority of a request or of a promised push (RFC 9218 section 7.2).

        Raises:
            LocalProtocolError: not exactly one of both is given, or the push was not promised.
        """
        if (stream_id is None) == (push_id is None):
            raise LocalProtocolError("give a stream ID or a push ID")
        if push_id is not None:
            push = self._pushes.find(push_id)
            if push is None or push.state is ClientPushState.ORPHAN:
                raise LocalProtocolError(f"push {push_id} is not a promised push under way")
        frame_type = FrameType.PRIORITY_UPDATE_REQUEST if push_id is None else FrameType.PRIORITY_UPDATE_PUSH
        element = stream_id if stream_id is not None else push_id
        assert element is not None
        self._own_streams.write_control(encode_priority_update(frame_type, element, encode_priority(priority)))

    # ---------------------------------------------------------------- pushes

    @property
    def max_push_id(self) -> int | None:
        """The largest push ID that we granted, inclusive; None: nothing may be pushed."""
        return self._pushes.max_push_id

    @property
    def push_counters(self) -> PushCounters:
        """What became of the pushes of this connection."""
        return self._pushes.counters

    @property
    def pushes_granted_and_unfinished(self) -> int:
        """Push IDs that the server may use or is using; never more than `max_concurrent_pushes`."""
        return self._pushes.granted_and_unfinished

    @property
    def pushes_under_way(self) -> int:
        """Pushes of which the promise or the push stream is there and that have not ended."""
        return len(self._pushes)

    def cancel_push(self, push_id: int) -> None:
        """Call a promised push off: CANCEL_PUSH before its push stream came, STOP_SENDING after (RFC 9114 section 7.2.3).

        Nothing happens when it has ended. `PushCancelled` is returned by the next `receive_*` call.

        Raises:
            LocalProtocolError: no such push was promised.
        """
        self._move_push(push_id, ClientPushInput.CANCEL, CancelledBy.LOCAL)

    def release_push(self, push_id: int) -> None:
        """With `release_pushes=False`: the application is done with a push, its credit goes back to the server."""
        self._pushes.release(push_id)
        self._grant()

    def promise_received(self, receiver: ResponseReceiver, payload: bytes) -> bool:
        """A PUSH_PROMISE arrived on a request stream (called by its receiver). False while it waits for the encoder stream."""
        push_id, section = parse_push_promise(payload)
        self._pushes.check_push_id(push_id, "PUSH_PROMISE")
        try:
            fields = receiver.section(section)
        except FieldSectionTooLarge:
            self._refuse(push_id, None, PushRefusal.TOO_LARGE)
            return True
        if fields is None:
            return False
        self._pushes.check_repeat(push_id, fields)
        try:
            request = parse_promised_request(fields)
        except H3StreamError:
            self._refuse(push_id, None, PushRefusal.MALFORMED)
            return True
        named = (b":authority", request.authority) in fields  # a Host field will not do (section 4.6)
        refusal = self._why_not_use(push_id, request, named)
        if refusal is not None:
            self._refuse(push_id, request, refusal)
        else:
            self._promised(receiver.stream_id, push_id, request, fields)
        return True

    def tunnel_opened(self, stream_id: int) -> None:
        """CONNECT was answered with 2xx: from now on we send DATA only (called by the receiver; RFC 9114 section 4.4)."""
        sender = self._senders.get(stream_id)
        if sender is not None and sender.state is MessageState.CONTENT:
            sender.advance(MessageInput.CONNECT)

    def tell(self, event: Event) -> None:
        """Add an event (called by receivers)."""
        self._events.append(event)

    def _why_not_use(self, push_id: int, request: RequestHead, named: bool) -> PushRefusal | None:
        if self._shutdown.excludes(push_id):
            return PushRefusal.GOING_AWAY
        refusal = refusal_of(request)
        if refusal is None and not (named and self._speaks_for(request.authority)):
            refusal = PushRefusal.AUTHORITY
        return refusal

    def _speaks_for(self, authority: bytes | None) -> bool:
        if authority is None or authority in self._authorities:
            return authority is not None
        return self._is_authoritative is not None and self._is_authoritative(authority)

    def _promised(self, stream_id: int, push_id: int, request: RequestHead, fields: Fields) -> None:
        action, push = self._pushes.apply(push_id, ClientPushInput.RECEIVE_PROMISE, self._now)
        if not action & ClientPushAction.TELL_PROMISE:
            self.spend("promises of pushes that are over")
            return
        repeated = push.promises > 1
        if repeated:
            self.spend("promises that are repeated")
        push.request, push.fields = request, fields
        self._pushes.tell(push)
        self._events.append(PushPromiseReceived(stream_id, push_id, request, repeated))
        if action & ClientPushAction.DELIVER:
            self._deliver(push, push.held, push.held_end)
            push.held = b""

    def _refuse(self, push_id: int, request: RequestHead | None, refusal: PushRefusal) -> None:
        self.spend("promises that cannot be used")
        by = _REFUSED_BY.get(refusal, CancelledBy.REFUSED)
        self._move_push(push_id, ClientPushInput.REFUSE, by, refusal=refusal, request=request)

    def _move_push(
        self,
        push_id: int,
        happened: ClientPushInput,
        by: CancelledBy | None,
        error_code: int | None = None,
        *,
        refusal: PushRefusal = PushRefusal.CALLED_OFF,
        request: RequestHead | None = None,
    ) -> None:
        """Move a push along its table, and put on the wire and tell what the table says.

        The application that has heard of the push is told who ended it (`by`, `error_code`), any other why there is none
        (`refusal`, `request`).
        """
        action, push = self._pushes.apply(push_id, happened, self._now, by)
        if action is not ClientPushAction.NOTHING:
            if action & ClientPushAction.SEND_CANCEL_PUSH:
                self._own_streams.write_control(encode_single_varint(FrameType.CANCEL_PUSH, push_id))
            if action & ClientPushAction.STOP and push.stream_id is not None:
                self._stop_push_stream(push.stream_id, error_code or ErrorCode.H3_REQUEST_CANCELLED)
            if action & ClientPushAction.TELL and by is not None:
                self._events.append(PushCancelled(push_id, by, error_code))
            if action & ClientPushAction.TELL_REFUSED:
                self._pushes.counters.refused[refusal] += 1
                self._events.append(PushRefused(push_id, request, refusal))
        self._grant()

    def _stop_push_stream(self, stream_id: int, error_code: int) -> None:
        receiver = self._receivers.get(stream_id)
        if receiver is not None:
            self._abandon(receiver, error_code)
        else:
            self._unidirectional.pop(stream_id, None)
            self._transport.stop(stream_id, error_code)
            self._sections.decoder.cancel(stream_id)

    def _deliver(self, push: ClientPush, data: bytes, end: bool) -> None:
        """Read a push stream as the response to its promised request."""
        stream_id = push.stream_id
        assert stream_id is not None
        assert push.request is not None
        receiver = ResponseReceiver(stream_id, push.request, self, push.push_id)
        self._receivers[stream_id] = receiver
        self._unidirectional[stream_id] = PushStream(self, receiver)
        self._transport.resume(stream_id)
        self.receive_message(receiver, data, end)

    def _grant(self) -> None:
        """Raise MAX_PUSH_ID by what has been finished (section 7.2.7); after our GOAWAY nothing more is granted."""
        if self.is_closed or self._shutdown.sent is not None:
            return
        limit = self._pushes.grant()
        if limit is not None:
            self._own_streams.write_control(encode_single_varint(FrameType.MAX_PUSH_ID, limit))

    def _first_control_frames(self) -> bytes:
        limit = self._pushes.grant()
        if limit is None:
            return b""
        steps = range(max(0, limit - 1) if self.config.grant_in_two_steps else limit, limit + 1)
        return b"".join(encode_single_varint(FrameType.MAX_PUSH_ID, step) for step in steps)

    # ---------------------------------------------------------------- push streams

    def push_stream_announced(self, stream_id: int) -> None:
        if self._pushes.max_push_id is None:
            raise H3ConnectionError(ErrorCode.H3_ID_ERROR, "a push stream, and no push was allowed")

    def push_stream_opened(self, stream_id: int, push_id: int, data: bytes, end: bool) -> None:
        self._pushes.check_push_id(push_id, "a push stream")
        action, push = self._pushes.apply(push_id, ClientPushInput.RECEIVE_STREAM, self._now)
        push.stream_id = stream_id
        if action is ClientPushAction.DELIVER and not self._shutdown.excludes(push_id):
            self._deliver(push, data, end)
        elif action is ClientPushAction.HOLD and not self._shutdown.excludes(push_id):
            push.held, push.held_end = data, end
            self._unidirectional[stream_id] = OrphanStream(push)
            self._transport.pause(stream_id)  # the header may have taken more than the first read
        elif action is ClientPushAction.STOP:
            self._stop_push_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            self._grant()
        else:
            going_away = PushRefusal.GOING_AWAY
            self._move_push(
                push_id, ClientPushInput.REFUSE, CancelledBy.GOAWAY, refusal=going_away, request=push.request
            )

    # ---------------------------------------------------------------- messages

    def _accept_bidirectional(self, stream_id: int) -> MessageReceiver | None:
        if stream_id & 1:
            raise H3ConnectionError(
                ErrorCode.H3_STREAM_CREATION_ERROR, "the server opened a bidirectional stream (RFC 9114 section 6.1)"
            )
        return None

    def _receiving_ended(self, receiver: MessageReceiver) -> None:
        super()._receiving_ended(receiver)
        self._flood.earn()
        if isinstance(receiver, ResponseReceiver) and receiver.push_id is not None:
            self._unidirectional.pop(receiver.stream_id, None)
            self._move_push(receiver.push_id, ClientPushInput.RECEIVE_END, None)

    def _message_reset(self, receiver: MessageReceiver, error_code: int) -> None:
        push_id = receiver.push_id if isinstance(receiver, ResponseReceiver) else None
        if push_id is None:
            self._events.append(StreamReset(receiver.stream_id, error_code, None))
        else:
            self._push_reset(push_id, error_code)

    def _push_reset(self, push_id: int, error_code: int) -> None:
        """The server reset a push stream: it called the push off if it says so, else it could not go on."""
        called_off = error_code == ErrorCode.H3_REQUEST_CANCELLED
        by = CancelledBy.PEER if called_off else CancelledBy.FAILED
        self._move_push(push_id, ClientPushInput.RECEIVE_RESET, by, error_code)

    def _reset_received(self, stream_id: int, error_code: int) -> None:
        stream = self._unidirectional.get(stream_id)
        super()._reset_received(stream_id, error_code)
        if isinstance(stream, OrphanStream):
            self._push_reset(stream.push_id, error_code)

    def _message_stopped(self, stream_id: int, error_code: int) -> None:
        if stream_id in self._senders:
            self._events.append(StopSendingReceived(stream_id, error_code, None))

    def _message_failed(self, receiver: MessageReceiver, error: H3StreamError) -> None:
        push_id = receiver.push_id if isinstance(receiver, ResponseReceiver) else None
        if push_id is None:
            super()._message_failed(receiver, error)
            return
        self._events.append(MessageFailed(receiver.stream_id, error, push_id))
        self._move_push(push_id, ClientPushInput.FAIL, CancelledBy.MALFORMED, error.error_code)

    # ---------------------------------------------------------------- the server's control stream

    def control_handlers(self) -> dict[int, Callable[[bytes], None]]:
        return {**super().control_handlers(), FrameType.CANCEL_PUSH: self._cancel_push_received}

    def _cancel_push_received(self, payload: bytes) -> None:
        push_id = parse_single_varint(FrameType.CANCEL_PUSH, payload)
        self._pushes.check_push_id(push_id, "CANCEL_PUSH")
        self.spend("CANCEL_PUSH frames")
        self._move_push(push_id, ClientPushInput.RECEIVE_CANCEL_PUSH, CancelledBy.PEER)

    def _goaway_received(self, payload: bytes) -> None:
        identifier = self._parse_goaway(payload)
        for stream_id in [known for known in self._receivers if known % 4 == 0 and known >= identifier]:
            self.cancel_request(stream_id)
            self._events.append(RequestUnprocessed(stream_id))
        self._events.append(GoawayReceived(identifier))

    # ---------------------------------------------------------------- time and shutdown

    def next_timeout(self) -> float | None:
        return self._pushes.next_deadline()

    def _expire(self) -> None:
        for push_id in self._pushes.expired(self._now):
            self._move_push(push_id, ClientPushInput.EXPIRE, CancelledBy.TIMEOUT, refusal=PushRefusal.NO_PROMISE)

    def _first_unseen(self) -> int:
        return self._pushes.next_unseen


_REFUSED_BY = {PushRefusal.GOING_AWAY: CancelledBy.GOAWAY, PushRefusal.MALFORMED: CancelledBy.MALFORMED}
"""How a push ends that was promised again in a way that is refused."""
