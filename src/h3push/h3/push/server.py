"""The server's pushes on the wire: credit, promises, push streams, cancellation, and what the client says about pushes.

Theory of operation
===================

`h3.push.server_book` decides and remembers: which push IDs there are, where each push stands, what may be promised. This module
carries that out: every action of the push table has its frames, resets and events in `_act`.

A promise needs two credits, a push ID and a unidirectional stream, and both are asked for before anything is written. Promised
pushes that have no stream yet have theirs spoken for (`ServerPushBook.unopened`), so that opening it cannot fail later. QUIC is
asked for some streams at a time: credit is never taken back, so what is left of it is known here.

Promises that are held back (`HeldPromises`) are written in front of whatever is written to their stream next: a page and all of
its promises are one write then.

A push stream that is open is a sender of the connection like that of a response: content, end and acknowledgment come from there.

A priority that the client gives to a promised push waits until its stream is open; one for an open stream goes to the transport
at once.
"""

from typing import Final, Protocol

from h3push.errors import ErrorCode, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy, Event, MaxPushIdReceived, PriorityUpdated, PushCancelled
from h3push.h3.known import KnownPromise, KnownSection
from h3push.h3.own_streams import OwnStreams
from h3push.h3.push.rules import PushRefusal, error_of
from h3push.h3.push.server_book import ServerPush, ServerPushBook
from h3push.h3.push.states import ServerPushAction, ServerPushInput, ServerPushState
from h3push.h3.request_receiver import ResponseSender
from h3push.h3.response_streams import HeldPromises
from h3push.h3.sections import FieldSections
from h3push.h3.shutdown import Shutdown
from h3push.h3.transport import Transport
from h3push.h3.urgency import transport_priority
from h3push.http.fields import RequestHead, request_fields
from h3push.http.priority import Priority, priority_or_default
from h3push.wire.frames import (
    PUSH_STREAM,
    encode_push_promise,
    encode_single_varint,
    parse_priority_update,
    parse_single_varint,
    push_promise_frame,
    push_stream_header,
)
from h3push.wire.registry import FrameType

STREAM_CREDIT_AHEAD = 8
"""Push streams that QUIC is asked for beyond what is needed now, so that a page's pushes do not ask one by one."""


class PushSenderOwner(Protocol):
    """The connection, as its pushes use it."""

    @property
    def config(self) -> H3Config:
        """Bounds and switches."""

    def charge(self, what: str) -> None:
        """Count what brought no progress; raises H3_EXCESSIVE_LOAD when there is too much."""

    def emit(self, event: Event) -> None:
        """Add an event."""

    def begin_push(self, stream_id: int, sender: ResponseSender) -> None:
        """Take the response of a push, which is sent on this stream from now on."""

    def drop_push(self, stream_id: int) -> None:
        """Forget the response of a push: nothing more is sent on its stream."""


class PushSender:
    """Carries out what becomes of the pushes of one server connection. Raises what `H3ServerConnection` says of its methods.

    Args:
        owner: the connection.
        transport: the QUIC connection.
        pushes: where each push stands.
        own_streams: the control stream is for CANCEL_PUSH.
        sections: encodes promises.
        shutdown: after the client's GOAWAY nothing more is promised.
        held: takes the promises of a stream whose promises are held back.
    """

    __slots__ = (
        "_asked_for",
        "_held",
        "_own_streams",
        "_owner",
        "_pushes",
        "_sections",
        "_shutdown",
        "_stream_credit",
        "_transport",
        "priorities",
    )

    def __init__(
        self,
        owner: PushSenderOwner,
        transport: Transport,
        pushes: ServerPushBook,
        *,
        own_streams: OwnStreams,
        sections: FieldSections,
        shutdown: Shutdown,
        held: HeldPromises,
    ) -> None:
        self.priorities: dict[int, Priority] = {}
        """Priorities that the client asked for, by push ID, of pushes whose streams are not open."""
        self._owner = owner
        self._transport = transport
        self._pushes = pushes
        self._own_streams = own_streams
        self._sections = sections
        self._shutdown = shutdown
        self._stream_credit = 0
        self._asked_for = 0
        self._held = held

    # ---------------------------------------------------------------- credit

    def allowance(self, wanted: int) -> int:
        """How many of `wanted` further pushes push IDs and stream credit allow."""
        if self._shutdown.received is not None:
            return 0
        wanted = min(wanted, self._pushes.allowance)
        if wanted <= 0:
            return 0
        unopened = self._pushes.unopened
        return self._transport.stream_credit(True, wanted + unopened) - unopened

    def why_no_credit(self) -> PushRefusal | None:
        """Why no push at all could be promised now."""
        if self._shutdown.received is not None:
            return PushRefusal.GOING_AWAY
        refusal = self._pushes.why_no_id()
        if refusal is None and not self._has_stream_credit(self._pushes.unopened + 1):
            return PushRefusal.NO_STREAM_CREDIT
        return refusal

    def _ask_for_credit(self) -> PushRefusal | None:
        """Ask for the credit of the next promises, all that is known to be there; why there is none for a single one.

        It is not taken back while neither side goes away: push IDs are never, and nobody else opens streams.
        """
        refusal = self.why_no_credit()
        if refusal is None:
            self._asked_for = min(self._pushes.allowance, self._stream_credit - self._pushes.unopened)
        return refusal

    def _has_stream_credit(self, needed: int) -> bool:
        """True when so many push streams can be opened now.

        QUIC is asked for some more than needed, and not again before these are used: it never takes credit back, and nobody else
        opens streams meanwhile (`forget_credit`).
        """
        if self._stream_credit < needed:
            self._stream_credit = self._transport.stream_credit(True, needed + STREAM_CREDIT_AHEAD)
        return self._stream_credit >= needed

    def forget_credit(self) -> None:
        """Other streams may be opened now: ask QUIC again."""
        self._stream_credit = self._asked_for = 0

    # ---------------------------------------------------------------- promises and push streams

    def promise(self, stream_id: int, known: KnownPromise, asked: bytes | None) -> ServerPush | PushRefusal:
        """Promise a request on a stream whose own request names the authority `asked`.

        Returns the push, or why nothing was promised.
        """
        pushes = self._pushes
        refusal, authority = known.refusal, known.request.authority
        if refusal is None:
            if (authority is None or authority != asked) and not pushes.speaks_for(authority, asked):
                refusal = _AUTHORITY
            elif self._asked_for <= 0:
                refusal = self._ask_for_credit()
        if refusal is not None:
            pushes.counters.refused[refusal] += 1
            return refusal
        section = self._sections.encode_known(stream_id, known)
        self._asked_for -= 1
        push = pushes.promise(known)
        frame = push_promise_frame(push.encoded_id, section)
        if stream_id == self._held.stream_id:
            self._held.frames.append(frame)
        else:
            self._transport.write(stream_id, frame, False)
        return push

    def repeat_promise(self, stream_id: int, request: RequestHead, push_id: int) -> int:
        """Promise a push again, on a further stream; returns the push ID."""
        push = self._pushes.get(push_id)
        if request_fields(request) != push.promise.fields:
            raise LocalProtocolError(f"push {push_id} was promised with other fields (RFC 9114 section 7.2.5)")
        fields = push.promise.fields
        self._sections.check_size(fields)
        self._pushes.repeat_promise(push_id)
        section = self._sections.encode(stream_id, fields)
        self._transport.write(stream_id, encode_push_promise(push_id, section), False)
        return push_id

    def open_stream(self, push_id: int, priority: Priority | None) -> int:
        """Open the stream of a push for a response to be sent on it; returns the stream ID."""
        push = self._pushes.get(push_id)
        self._pushes.check_opening(push)
        priority = self._priority_of(push, priority)
        stream_id = self._open(push, priority)
        self._pushes.advance(push, ServerPushInput.OPEN_STREAM)
        self._pushes.opened(push, stream_id)
        self._owner.begin_push(stream_id, ResponseSender(push.request, priority, push_id, push_id))
        self._transport.write(stream_id, push_stream_header(push_id), False)
        return stream_id

    def send_whole(self, push: ServerPush, known: KnownSection, content: bytes, priority: Priority | None) -> int:
        """Open the stream of a push, send all of its response and the end; returns the stream ID.

        Nothing has been opened when it raises for what is wrong with the response.
        """
        pushes, sections, size = self._pushes, self._sections, len(content)
        if push.state is not _PROMISED:
            pushes.check_opening(push)
        if sections.encoder.uses_table:
            return self._send_whole_by_table(push, known, content, priority)
        head = sections.head_of_whole(0, known, size)  # without a table the stream does not matter
        if self.priorities:
            priority = self._priority_of(push, priority)
        number = transport_priority(
            push.promise.priority if priority is None else priority, order=push.push_id, pushed=True
        )
        stream_id = self._transport.send_stream(number, PUSH_STREAM + push.encoded_id + head + content)
        if stream_id is None:
            raise _no_stream(push)
        self._stream_credit -= 1
        pushes.sent_whole(push, stream_id, size)
        return stream_id

    def _send_whole_by_table(
        self, push: ServerPush, known: KnownSection, content: bytes, priority: Priority | None
    ) -> int:
        """The same where a section is encoded for its stream."""
        pushes, sections = self._pushes, self._sections
        sections.check_whole(known, len(content))
        stream_id = self._open(push, self._priority_of(push, priority))
        pushes.advance(push, ServerPushInput.OPEN_STREAM)
        pushes.opened(push, stream_id)
        head = sections.head_of_whole(stream_id, known, len(content))
        self._transport.write(stream_id, PUSH_STREAM + push.encoded_id + head + content, True)
        pushes.counters.content_bytes += len(content)
        pushes.advance(push, ServerPushInput.END)
        return stream_id

    def _priority_of(self, push: ServerPush, priority: Priority | None) -> Priority:
        """The priority of a push: what the client asked for, what our caller gave, what the promised request says."""
        if self.priorities:
            asked = self.priorities.pop(push.push_id, None)
            if asked is not None:
                return asked
        return push.promise.priority if priority is None else priority

    def _open(self, push: ServerPush, priority: Priority) -> int:
        """Open a stream for a push; nothing is written to it yet, and the book does not know of it."""
        transport = self._transport
        stream_id = transport.open_stream(True) if self._stream_credit > 0 or self._has_stream_credit(1) else None
        if stream_id is None:
            raise _no_stream(push)
        self._stream_credit -= 1
        transport.set_priority(stream_id, transport_priority(priority, order=push.push_id, pushed=True))
        return stream_id

    # ---------------------------------------------------------------- calling off

    def cancel(self, push_id: int, error_code: int) -> None:
        """Call a push off, or give it up: the code says which, to the client too."""
        by = CancelledBy.LOCAL if error_code == ErrorCode.H3_REQUEST_CANCELLED else CancelledBy.FAILED
        self._act(push_id, self._pushes.apply(push_id, ServerPushInput.CANCEL, by), error_code)

    def stop_received(self, push_id: int, error_code: int) -> None:
        """The client does not want the rest of a push stream (STOP_SENDING)."""
        action = self._pushes.apply(push_id, ServerPushInput.RECEIVE_STOP_SENDING, CancelledBy.PEER)
        self._act(push_id, action, error_code)

    def goaway_received(self, identifier: int) -> None:
        """The client takes no push with that ID or a higher one."""
        self._asked_for = 0
        for push_id in self._pushes.excluded_by(identifier):
            action = self._pushes.apply(push_id, ServerPushInput.RECEIVE_GOAWAY, CancelledBy.GOAWAY)
            self._act(push_id, action, ErrorCode.H3_REQUEST_CANCELLED)

    def _act(self, push_id: int, action: ServerPushAction, error_code: int) -> None:
        """Put on the wire, and tell, what the push table says."""
        self.priorities.pop(push_id, None)
        if action is ServerPushAction.NOTHING:
            return
        push = self._pushes.get(push_id)
        if action & ServerPushAction.SEND_CANCEL_PUSH:
            self._own_streams.write_control(encode_single_varint(FrameType.CANCEL_PUSH, push_id))
        if action & ServerPushAction.RESET and push.stream_id is not None:
            self._owner.drop_push(push.stream_id)
            self._transport.reset(push.stream_id, error_code)
        if action & ServerPushAction.TELL and push.cancelled_by is not None:
            code = error_code if push.stream_id is not None else None
            self._owner.emit(PushCancelled(push_id, push.cancelled_by, code))

    # ---------------------------------------------------------------- frames on the client's control stream

    def cancel_push_received(self, payload: bytes) -> None:
        """CANCEL_PUSH (RFC 9114 section 7.2.3)."""
        push_id = parse_single_varint(FrameType.CANCEL_PUSH, payload)
        action = self._pushes.receive_cancel_push(push_id)
        self._owner.charge("CANCEL_PUSH frames")
        self._act(push_id, action, ErrorCode.H3_REQUEST_CANCELLED)

    def max_push_id_received(self, payload: bytes) -> None:
        """MAX_PUSH_ID (RFC 9114 section 7.2.7)."""
        push_id = parse_single_varint(FrameType.MAX_PUSH_ID, payload)
        raised = self._pushes.receive_max_push_id(push_id)
        self._owner.charge("MAX_PUSH_ID frames")
        if raised and self._owner.config.enable_push:
            self._owner.emit(MaxPushIdReceived(push_id))

    def priority_update_received(self, payload: bytes) -> None:
        """PRIORITY_UPDATE for a push (RFC 9218 section 7.2)."""
        push_id, value = parse_priority_update(payload)
        push = self._pushes.check_priority_update(push_id)
        self._owner.charge("PRIORITY_UPDATE frames")
        if push is None:
            return
        priority = priority_or_default(value)
        if push.stream_id is None:
            self.priorities[push_id] = priority
        else:
            number = transport_priority(priority, order=push_id, pushed=True)
            self._transport.set_priority(push.stream_id, number)
        self._owner.emit(PriorityUpdated(None, push_id, priority))


def _no_stream(push: ServerPush) -> Exception:
    """There is none for a push that was promised in time: the connection is over, and we are about to be told."""
    return error_of(PushRefusal.NO_STREAM_CREDIT, push.request)


_AUTHORITY: Final = PushRefusal.AUTHORITY
_PROMISED: Final = ServerPushState.PROMISED
