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
    NoExtendedConnect,
    NoStreamCredit,
    RequestNotProcessed,
)
from h3push.h3.config import H3Config
from h3push.h3.connection import H3Connection
from h3push.h3.events import (
    Event,
    GoawayReceived,
    MessageFailed,
    RequestUnprocessed,
    StopSendingReceived,
    StreamReset,
)
from h3push.h3.known import known_request
from h3push.h3.message import MessageInput, MessageSender, MessageState
from h3push.h3.message_receiver import MessageReceiver
from h3push.h3.push.client import OrphanStream, PushReceiver
from h3push.h3.push.client_book import ClientPush, ClientPushBook
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.states import ClientPushState
from h3push.h3.response_receiver import PushStream, ResponseReceiver
from h3push.h3.transport import Transport
from h3push.http.fields import (
    RequestHead,
)
from h3push.http.priority import Priority, encode_priority
from h3push.wire.frames import (
    encode_priority_update,
    frame_header,
)
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
        self._pushes = ClientPushBook(self.config)
        self._pushing = PushReceiver(self, self._pushes, self._own_streams, self._shutdown, is_authoritative)

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
            NoExtendedConnect: it has a `:protocol`, and the server has not said that it takes one.
            LocalProtocolError: the request is invalid or larger than the server takes.
        """
        if self.is_closed or self._shutdown.received is not None:
            raise RequestNotProcessed("this connection is shutting down; open a new one for further requests")
        if request.protocol is not None and not (self.peer_settings and self.peer_settings.enable_connect_protocol):
            raise NoExtendedConnect("the server has not said that it takes extended CONNECT (RFC 9220 section 3)")
        if priority is not None:
            request = request._replace(fields=[*request.fields, (b"priority", encode_priority(priority))])
        known = known_request(request)
        sender = MessageSender(content_length=known.content_length)
        end = (MessageInput.END,) if end_stream else ()
        sender.advance(MessageInput.HEADERS, *end)
        self._sections.check_known_size(known)
        stream_id = self._transport.open_stream(False) if self._transport.stream_credit(False, 1) else None
        if stream_id is None:
            raise NoStreamCredit("the server's limit on concurrent requests is reached")
        try:
            section = self._sections.encode_known(stream_id, known)
        except LocalProtocolError:
            self._transport.stop(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            self._transport.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            raise
        frame = frame_header(FrameType.HEADERS, len(section)) + section
        self._senders[stream_id] = sender
        self._receivers[stream_id] = ResponseReceiver(stream_id, request, self)
        if request.authority is not None:
            self._pushing.authorities.add(request.authority)
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
            self._pushing.check_reprioritised(push_id)
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
        """Outcomes of the pushes of this connection."""
        return self._pushes.counters

    @property
    def pushes_granted_and_unfinished(self) -> int:
        """Push IDs that the server may use or is using; never more than `max_concurrent_pushes`."""
        return self._pushes.granted_and_unfinished

    @property
    def pushes_under_way(self) -> int:
        """Pushes of which the promise or the push stream is there and that have not ended."""
        return len(self._pushes)

    def push_state(self, push_id: int) -> ClientPushState:
        """How far a push has come, or how it ended; one that ended long ago counts as CANCELLED (`remembered_pushes`)."""
        return self._pushes.state(push_id)

    def push_resolved(self, push_id: int, *, claimed: bool) -> None:
        """The application used a push, or will not. Nothing follows from it here; observers want to know."""

    def cancel_push(self, push_id: int) -> None:
        """Call a promised push off: CANCEL_PUSH before its push stream came, STOP_SENDING after (RFC 9114 section 7.2.3).

        Nothing happens when it has ended. `PushCancelled` is returned by the next `receive_*` call.

        Raises:
            LocalProtocolError: no such push was promised.
        """
        self._pushing.cancel(push_id)

    def release_push(self, push_id: int) -> None:
        """With `release_pushes=False`: the application is done with a push, its credit goes back to the server."""
        self._pushing.release(push_id)

    def promise_received(self, receiver: ResponseReceiver, payload: bytes) -> bool:
        """A PUSH_PROMISE arrived on a request stream (called by its receiver). False while it waits for the encoder stream."""
        return self._pushing.promise_received(receiver, payload)

    def tunnel_opened(self, stream_id: int) -> None:
        """CONNECT was answered with 2xx: from now on we send DATA only (called by the receiver; RFC 9114 section 4.4)."""
        sender = self._senders.get(stream_id)
        if sender is not None and sender.state is MessageState.CONTENT:
            sender.advance(MessageInput.CONNECT)

    def emit(self, event: Event) -> None:
        """Add an event (called by receivers)."""
        self._events.append(event)

    def receive_push(self, push: ClientPush, data: bytes, end: bool) -> None:
        """Read a push stream, of which `data` is the beginning, as the response to its promised request (called by pushes)."""
        stream_id = push.stream_id
        assert stream_id is not None
        assert push.request is not None
        receiver = ResponseReceiver(stream_id, push.request, self, push.push_id)
        self._receivers[stream_id] = receiver
        self._unidirectional[stream_id] = PushStream(self, receiver)
        self._transport.resume(stream_id)
        self.receive_message(receiver, data, end)

    def hold_push(self, push: ClientPush) -> None:
        """Keep what comes on a push stream in the push, and pause it (called by pushes)."""
        assert push.stream_id is not None
        self._unidirectional[push.stream_id] = OrphanStream(push)
        self._transport.pause(push.stream_id)  # the header may have taken more than the first read

    def stop_push(self, stream_id: int, error_code: int) -> None:
        """Take no more of a push stream (called by pushes)."""
        receiver = self._receivers.get(stream_id)
        if receiver is not None:
            self._abandon(receiver, error_code)
        else:
            self._unidirectional.pop(stream_id, None)
            self._transport.stop(stream_id, error_code)
            self._sections.decoder.cancel(stream_id)

    def _first_control_frames(self) -> bytes:
        return self._pushing.first_grant()

    def push_stream_announced(self, stream_id: int) -> None:
        self._pushing.stream_announced()

    def push_stream_opened(self, stream_id: int, push_id: int, data: bytes, end: bool) -> None:
        self._pushing.stream_opened(stream_id, push_id, data, end)

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
            self._pushing.ended(receiver.push_id)

    def _message_reset(self, receiver: MessageReceiver, error_code: int) -> None:
        push_id = receiver.push_id if isinstance(receiver, ResponseReceiver) else None
        if push_id is None:
            self._events.append(StreamReset(receiver.stream_id, error_code, None))
        else:
            self._pushing.reset(push_id, error_code)

    def _reset_received(self, stream_id: int, error_code: int) -> None:
        stream = self._unidirectional.get(stream_id)
        super()._reset_received(stream_id, error_code)
        if isinstance(stream, OrphanStream):
            self._pushing.reset(stream.push_id, error_code)

    def _message_stopped(self, stream_id: int, error_code: int) -> None:
        if stream_id in self._senders:
            self._events.append(StopSendingReceived(stream_id, error_code, None))

    def _message_failed(self, receiver: MessageReceiver, error: H3StreamError) -> None:
        push_id = receiver.push_id if isinstance(receiver, ResponseReceiver) else None
        if push_id is None:
            super()._message_failed(receiver, error)
            return
        self._events.append(MessageFailed(receiver.stream_id, error, push_id))
        self._pushing.failed(push_id, error.error_code)

    # ---------------------------------------------------------------- the server's control stream

    def control_handlers(self) -> dict[int, Callable[[bytes], None]]:
        return {**super().control_handlers(), FrameType.CANCEL_PUSH: self._pushing.cancel_push_received}

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
        self._pushing.expire(self.now)

    def _first_unseen(self) -> int:
        return self._pushes.next_unseen
