"""The server's end of an HTTP/3 connection: requests in, responses and pushes out.

A push is three separate steps, because each can fail or wait on its own (RFC 9114 section 4.6)::

    push_id = connection.send_push_promise(stream_id, request)     # PUSH_PROMISE on the request stream
    stream = connection.open_push_stream(push_id)                  # a unidirectional stream: 0x01, push ID
    connection.send_response(stream, 200, fields)                  # then as on any stream

and `cancel_push` calls it off at any point. What these do is in `h3.push.server`; requests and responses are here.
"""

from collections.abc import Callable

from h3push.errors import (
    ErrorCode,
    H3ConnectionError,
    H3StreamError,
)
from h3push.h3.arrivals import RequestArrivals
from h3push.h3.config import H3Config
from h3push.h3.events import (
    CancelledBy,
    ConnectionTerminated,
    GoawayReceived,
    PriorityUpdated,
    PushFulfilled,
    RequestReceived,
    RequestTooLarge,
    StopSendingReceived,
    StreamReset,
)
from h3push.h3.known import may_look_up, requests
from h3push.h3.message import MessageState
from h3push.h3.message_receiver import MessageReceiver
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.states import ServerPushInput
from h3push.h3.push_streams import PushStreams
from h3push.h3.request_receiver import RequestReceiver, ResponseSender, parse_whole_request
from h3push.h3.transport import Transport
from h3push.h3.urgency import requested_priority, transport_priority
from h3push.http.fields import (
    RequestHead,
)
from h3push.http.priority import Priority, priority_or_default
from h3push.wire.frames import parse_priority_update
from h3push.wire.qpack import FieldSectionTooLarge
from h3push.wire.registry import FrameType


class H3ServerConnection(PushStreams):
    """The server's end of an HTTP/3 connection (RFC 9114). Every `send_*` acts on the transport at once."""

    def __init__(
        self, transport: Transport, config: H3Config | None = None, push_counters: PushCounters | None = None
    ) -> None:
        """`push_counters`: counts the pushes of several connections together; one's own when `None`."""
        super().__init__(transport, config, PushCounters() if push_counters is None else push_counters)
        self._arrivals = RequestArrivals(self.config.max_request_streams_buffered_priorities)
        self._remembers = may_look_up(self.config)

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

    # ---------------------------------------------------------------- requests

    def _receive_whole(self, stream_id: int, data: bytes) -> RequestReceived | None:
        """Take a request that came whole and has no content: one HEADERS frame that can be read now. Most are so.

        None: it is something else, or something is wrong with it; nothing has happened then, and `RequestReceiver` judges.
        """
        arrivals = self._arrivals
        if self._shutdown.sent is not None or (stream_id != arrivals.next_request and not arrivals.awaits(stream_id)):
            return None
        known = requests.kept.get(data) if self._remembers else None
        if known is None:
            known = parse_whole_request(stream_id, data, self._sections, self.config)
            if known is None:
                return None
        request, priority = known
        if stream_id == arrivals.next_request:
            arrivals.next_request += 4
        else:
            arrivals.note(stream_id)
        self._answerable(stream_id, request, priority)
        return RequestReceived(stream_id, request, True)

    def request_received(self, stream_id: int, request: RequestHead, end: bool) -> None:
        """A request's header section is complete (called by its receiver)."""
        self._answerable(stream_id, request, requested_priority(request))
        self._events.append(RequestReceived(stream_id, request, end))

    def _answerable(self, stream_id: int, request: RequestHead, asked: Priority) -> None:
        """A request can be answered now, with the priority that it asks for, or what PRIORITY_UPDATE said before it came."""
        early = self._arrivals.early_priorities
        priority = early.pop(stream_id, asked) if early else asked
        order = stream_id >> 2
        self._senders[stream_id] = ResponseSender(request, priority, order)
        self._transport.set_priority(stream_id, transport_priority(priority, order=order, pushed=False))

    def _accept_bidirectional(self, stream_id: int) -> MessageReceiver | None:
        if self._shutdown.excludes(stream_id):
            self._transport.stop(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self._transport.reset(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self.charge("requests after GOAWAY")
            return None
        if not self._arrivals.awaits(stream_id):
            return None  # handed out by the transport before it knew that the stream was stopped
        self._arrivals.note(stream_id)
        receiver = self._receivers[stream_id] = RequestReceiver(stream_id, self)
        return receiver

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

    def push_acknowledged(self, stream_id: int) -> int | None:
        """Take the acknowledgment of a stream as `receive_acknowledged` does; the ID of the push that this fulfils."""
        push = None if self.is_closed else self._pushes.acknowledged(stream_id)
        if push is None:
            return None
        self._flood.earn()
        return push.push_id

    def _acknowledged(self, stream_id: int) -> None:
        push_id = self.push_acknowledged(stream_id)
        if push_id is not None:
            self._events.append(PushFulfilled(push_id))

    def _message_reset(self, receiver: MessageReceiver, error_code: int) -> None:
        if receiver.stream_id in self._senders:
            self._events.append(StreamReset(receiver.stream_id, error_code, None))
        elif isinstance(receiver, RequestReceiver) and receiver.request is None:
            self._transport.reset(receiver.stream_id, ErrorCode.H3_REQUEST_INCOMPLETE)

    def _reset_received(self, stream_id: int, error_code: int) -> None:
        is_new = not stream_id & 2 and stream_id not in self._receivers and stream_id not in self._senders
        super()._reset_received(stream_id, error_code)
        if is_new:
            self._arrivals.note(stream_id)
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
        self.charge("malformed requests")
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
        self.charge("PRIORITY_UPDATE frames")
        priority = priority_or_default(value)
        sender = self._senders.get(stream_id)
        if sender is not None:
            sender.priority = priority
            self._apply_priority(stream_id, sender)
            self._events.append(PriorityUpdated(stream_id, None, priority))
        elif stream_id in self._receivers or self._arrivals.awaits(stream_id):
            self._arrivals.keep_priority(stream_id, priority)

    # ---------------------------------------------------------------- shutdown

    def _terminate(self, event: ConnectionTerminated) -> None:
        self._pushes.terminate(CancelledBy.PEER if event.by_peer else CancelledBy.LOCAL)
        super()._terminate(event)

    def _first_unseen(self) -> int:
        return self._arrivals.next_request
