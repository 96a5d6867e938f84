"""The client's pushes on the wire: promises judged, push streams joined with them, credit granted, pushes called off.

Theory of operation
===================

`h3.push.client_book` decides and remembers where each push ID stands. This module carries that out: every action of the push
table has its frames and events in `_move`.

A promise and its push stream come in either order, on two streams. A push stream without its promise is an *orphan*: what came
of it is held, its stream stays paused. Once both are there, the connection reads the stream as the response to the promised
request (`PushReceiverOwner.receive_push`).

A promise that may not be used (`h3.push.rules`, authority, GOAWAY, size) is answered with CANCEL_PUSH, or with STOP_SENDING when
its stream is there already, and told as `PushRefused` with the reason.
"""

from collections.abc import Callable
from typing import Protocol

from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy, Event, PushCancelled, PushPromiseReceived, PushRefused
from h3push.h3.own_streams import OwnStreams
from h3push.h3.push.client_book import ClientPush, ClientPushBook
from h3push.h3.push.rules import PushRefusal, refusal_of
from h3push.h3.push.states import ClientPushAction, ClientPushInput, ClientPushState
from h3push.h3.shutdown import Shutdown
from h3push.http.fields import Fields, RequestHead, parse_promised_request
from h3push.wire.frames import encode_single_varint, parse_push_promise, parse_single_varint
from h3push.wire.qpack import FieldSectionTooLarge
from h3push.wire.registry import FrameType

_REFUSED_BY = {PushRefusal.GOING_AWAY: CancelledBy.GOAWAY, PushRefusal.MALFORMED: CancelledBy.MALFORMED}
"""Ends a push that was promised before, and again in a way that is refused."""


class PushReceiverOwner(Protocol):
    """The connection, as its pushes use it."""

    is_closed: bool
    """True when the connection is over."""
    now: float
    """Time of the call that is being dealt with, in seconds."""

    @property
    def config(self) -> H3Config:
        """Bounds and switches."""

    def charge(self, what: str) -> None:
        """Count what brought no progress; raises H3_EXCESSIVE_LOAD when there is too much."""

    def emit(self, event: Event) -> None:
        """Add an event."""

    def receive_push(self, push: ClientPush, data: bytes, end: bool) -> None:
        """Read a push stream, of which `data` is the beginning, as the response to its promised request."""

    def hold_push(self, push: ClientPush) -> None:
        """Keep what comes on a push stream in the push, and pause it."""

    def stop_push(self, stream_id: int, error_code: int) -> None:
        """Take no more of a push stream (STOP_SENDING)."""


class PromiseSection(Protocol):
    """The stream that carries a promise, as it decodes the promised field section."""

    @property
    def stream_id(self) -> int:
        """Its stream ID."""

    def section(self, encoded: bytes) -> Fields | None:
        """Decode the section; `None` while it waits for the encoder stream."""


class PushReceiver:
    """Carries out what becomes of the pushes of one client connection. Raises what `H3ClientConnection` says of its methods.

    Args:
        owner: the connection.
        pushes: where each push stands.
        own_streams: the control stream is for CANCEL_PUSH and MAX_PUSH_ID.
        shutdown: our GOAWAY excludes pushes, and ends the granting of credit.
        is_authoritative: may the server speak for an authority that no request of the connection named? None: it may not.
    """

    __slots__ = ("_is_authoritative", "_own_streams", "_owner", "_pushes", "_shutdown", "authorities")

    def __init__(
        self,
        owner: PushReceiverOwner,
        pushes: ClientPushBook,
        own_streams: OwnStreams,
        shutdown: Shutdown,
        is_authoritative: Callable[[bytes], bool] | None,
    ) -> None:
        self.authorities: set[bytes] = set()
        """Authorities that the server was asked for, and so may push for."""
        self._owner = owner
        self._pushes = pushes
        self._own_streams = own_streams
        self._shutdown = shutdown
        self._is_authoritative = is_authoritative

    # ---------------------------------------------------------------- credit

    def first_grant(self) -> bytes:
        """MAX_PUSH_ID frames that go out behind SETTINGS."""
        limit = self._pushes.grant()
        if limit is None:
            return b""
        steps = range(max(0, limit - 1) if self._owner.config.grant_in_two_steps else limit, limit + 1)
        return b"".join(encode_single_varint(FrameType.MAX_PUSH_ID, step) for step in steps)

    def release(self, push_id: int) -> None:
        """The application is done with a push."""
        self._pushes.release(push_id)
        self._grant()

    def _grant(self) -> None:
        """Raise MAX_PUSH_ID by what has been finished (section 7.2.7); after our GOAWAY nothing more is granted."""
        if self._owner.is_closed or self._shutdown.sent is not None:
            return
        limit = self._pushes.grant()
        if limit is not None:
            self._own_streams.write_control(encode_single_varint(FrameType.MAX_PUSH_ID, limit))

    # ---------------------------------------------------------------- promises

    def promise_received(self, carrier: PromiseSection, payload: bytes) -> bool:
        """A PUSH_PROMISE arrived on a request stream. False while it waits for the encoder stream."""
        push_id, section = parse_push_promise(payload)
        self._pushes.check_push_id(push_id, "PUSH_PROMISE")
        try:
            fields = carrier.section(section)
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
            self._promised(carrier.stream_id, push_id, request, fields)
        return True

    def _why_not_use(self, push_id: int, request: RequestHead, named: bool) -> PushRefusal | None:
        if self._shutdown.excludes(push_id):
            return PushRefusal.GOING_AWAY
        refusal = refusal_of(request)
        if refusal is None and not (named and self._speaks_for(request.authority)):
            refusal = PushRefusal.AUTHORITY
        return refusal

    def _speaks_for(self, authority: bytes | None) -> bool:
        if authority is None or authority in self.authorities:
            return authority is not None
        return self._is_authoritative is not None and self._is_authoritative(authority)

    def _promised(self, stream_id: int, push_id: int, request: RequestHead, fields: Fields) -> None:
        action, push = self._pushes.apply(push_id, ClientPushInput.RECEIVE_PROMISE, self._owner.now)
        if action is ClientPushAction.NOTHING:
            self._owner.charge("promises of pushes that are over")
            return
        repeated = push.promises > 1
        if repeated:
            self._owner.charge("promises that are repeated")
        push.request, push.fields = request, fields
        self._pushes.mark_told(push)
        self._owner.emit(PushPromiseReceived(stream_id, push_id, request, repeated))
        if action is not ClientPushAction.TELL_PROMISE:  # its stream is there already
            held, push.held = push.held, b""
            self._owner.receive_push(push, held, push.held_end)

    def _refuse(self, push_id: int, request: RequestHead | None, refusal: PushRefusal) -> None:
        self._owner.charge("promises that cannot be used")
        by = _REFUSED_BY.get(refusal, CancelledBy.REFUSED)
        self._move(push_id, ClientPushInput.REFUSE, by, refusal=refusal, request=request)

    # ---------------------------------------------------------------- push streams

    def stream_announced(self) -> None:
        """A stream is of type push; its push ID may not be there yet."""
        if self._pushes.max_push_id is None:
            raise H3ConnectionError(ErrorCode.H3_ID_ERROR, "a push stream, and no push was allowed")

    def stream_opened(self, stream_id: int, push_id: int, data: bytes, end: bool) -> None:
        """The header of a push stream is complete; `data` is what came after it."""
        self._pushes.check_push_id(push_id, "a push stream")
        action, push = self._pushes.apply(push_id, ClientPushInput.RECEIVE_STREAM, self._owner.now)
        push.stream_id = stream_id
        if action is ClientPushAction.STOP:
            self._owner.stop_push(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
            self._grant()
        elif self._shutdown.excludes(push_id):
            self._move(
                push_id,
                ClientPushInput.REFUSE,
                CancelledBy.GOAWAY,
                refusal=PushRefusal.GOING_AWAY,
                request=push.request,
            )
        elif action is ClientPushAction.DELIVER:
            self._owner.receive_push(push, data, end)
        else:
            push.held, push.held_end = data, end
            self._owner.hold_push(push)

    def ended(self, push_id: int) -> None:
        """A pushed response is complete."""
        self._move(push_id, ClientPushInput.RECEIVE_END, None)

    def reset(self, push_id: int, error_code: int) -> None:
        """The server reset a push stream."""
        self._move(push_id, ClientPushInput.RECEIVE_RESET, CancelledBy.FAILED, error_code)

    def failed(self, push_id: int, error_code: int) -> None:
        """A pushed response was malformed."""
        self._move(push_id, ClientPushInput.FAIL, CancelledBy.MALFORMED, error_code)

    # ---------------------------------------------------------------- calling off

    def cancel(self, push_id: int) -> None:
        """The application calls a push off."""
        self._move(push_id, ClientPushInput.CANCEL, CancelledBy.LOCAL)

    def cancel_push_received(self, payload: bytes) -> None:
        """CANCEL_PUSH (RFC 9114 section 7.2.3)."""
        push_id = parse_single_varint(FrameType.CANCEL_PUSH, payload)
        self._pushes.check_push_id(push_id, "CANCEL_PUSH")
        self._owner.charge("CANCEL_PUSH frames")
        begun = self._pushes.state(push_id) is ClientPushState.OPEN
        self._move(push_id, ClientPushInput.RECEIVE_CANCEL_PUSH, CancelledBy.FAILED if begun else CancelledBy.PEER)

    def expire(self, now: float) -> None:
        """Give up the pushes whose other half did not come in time."""
        for push_id in self._pushes.expired(now):
            self._move(push_id, ClientPushInput.EXPIRE, CancelledBy.TIMEOUT, refusal=PushRefusal.NO_PROMISE)

    def check_reprioritised(self, push_id: int) -> None:
        """Raise `LocalProtocolError` unless a PRIORITY_UPDATE may name this push: promised, and under way."""
        push = self._pushes.find(push_id)
        if push is None or push.state is ClientPushState.ORPHAN:
            raise LocalProtocolError(f"push {push_id} is not a promised push under way")

    def _move(
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
        action, push = self._pushes.apply(push_id, happened, self._owner.now, by)
        if action is not ClientPushAction.NOTHING:
            if action & ClientPushAction.SEND_CANCEL_PUSH:
                self._own_streams.write_control(encode_single_varint(FrameType.CANCEL_PUSH, push_id))
            if action & ClientPushAction.STOP and push.stream_id is not None:
                self._owner.stop_push(push.stream_id, error_code or ErrorCode.H3_REQUEST_CANCELLED)
            if action & ClientPushAction.TELL and by is not None:
                self._owner.emit(PushCancelled(push_id, by, error_code))
            if action & ClientPushAction.TELL_REFUSED:
                self._pushes.counters.refused[refusal] += 1
                self._owner.emit(PushRefused(push_id, request, refusal))
        self._grant()


class OrphanStream:
    """Bytes of a push stream without a promise: held.

    The transport gives no more than the first few until `resume`; when those cut the header, one delivery more, which the
    stream's window bounds.
    """

    __slots__ = ("_push", "push_id")

    def __init__(self, push: ClientPush) -> None:
        self._push = push
        self.push_id = push.push_id

    def receive(self, data: bytes, end: bool) -> None:
        self._push.held += data
        self._push.held_end = end
