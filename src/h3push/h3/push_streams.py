"""Pushes as a server asks for them: promise, push stream, response; credit, and calling off.

These are the calls; `h3.push.server` carries them out, and `h3.push.server_book` knows where each push stands.
"""

from typing import Final

from h3push.errors import ErrorCode, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.events import Event
from h3push.h3.known import KnownPromise, KnownSection, known_promise, known_response
from h3push.h3.message import MessageState
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.rules import PushRefusal, error_of
from h3push.h3.push.server import PushSender
from h3push.h3.push.server_book import ServerPush, ServerPushBook
from h3push.h3.push.states import ServerPushState
from h3push.h3.request_receiver import ResponseSender
from h3push.h3.response_streams import ResponseStreams, is_plain
from h3push.h3.transport import Transport
from h3push.http.fields import Fields, RequestHead
from h3push.http.priority import Priority
from h3push.wire.registry import Role


class PushStreams(ResponseStreams):
    """A server connection, as far as it sends responses and pushes; `H3ServerConnection` adds requests.

    Args:
        transport: the QUIC connection.
        config: bounds and switches.
        push_counters: counts what becomes of the pushes.
    """

    role = Role.SERVER

    def __init__(self, transport: Transport, config: H3Config | None, push_counters: PushCounters) -> None:
        super().__init__(transport, config, push_counters)
        self._pushes = ServerPushBook(self.config, push_counters)
        self._pushing = PushSender(
            self,
            transport,
            self._pushes,
            own_streams=self._own_streams,
            sections=self._sections,
            shutdown=self._shutdown,
            held=self._held,
        )

    def start(self, now: float) -> None:
        self._pushing.forget_credit()
        super().start(now)

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
    def takes_pushes(self) -> bool:
        """True when both sides have agreed to pushes and neither is going away; credit is another matter."""
        return (
            self._pushes.max_push_id is not None
            and self.config.enable_push
            and self._shutdown.received is None
            and not self.is_closed
        )

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
            if sender.push_id is not None or sender.state is MessageState.TUNNEL:
                raise _no_carrier(sender)
            return self._pushing.repeat_promise(stream_id, request, push_id)
        promised = self.try_push_promise(stream_id, request)
        if isinstance(promised, PushRefusal):
            raise error_of(promised, request)
        return promised.push_id

    def try_push_promise(
        self, stream_id: int, request: RequestHead | KnownPromise, *, held: bool = False
    ) -> ServerPush | PushRefusal:
        """Promise a request as `send_push_promise` does; what the client or the moment does not allow is an answer.

        Args:
            stream_id: as there.
            request: as there, or what `known_promise` made of it.
            held: have the promise written with what is written to that stream next, or by `write_promises`, which you then call
                in the same turn.

        Returns:
            The push, or why nothing was promised; `push_counters.refused` counts that.

        Raises:
            StreamStateError: the stream is a push stream or a tunnel.
            LocalProtocolError: the request's fields are invalid or larger than the client takes.
        """
        sender = self._senders.get(stream_id)
        if sender is None:
            refusal = PushRefusal.GOING_AWAY if self.is_closed else PushRefusal.RESPONSE_ENDED
            self._pushes.counters.refused[refusal] += 1
            return refusal
        if sender.push_id is not None or sender.state is _TUNNEL:
            raise _no_carrier(sender)
        initiating = sender.request
        asked = initiating.authority if initiating is not None else None
        if held and stream_id != self._held.stream_id:
            self.write_promises()
            self._held.stream_id = stream_id
        known = request if isinstance(request, KnownPromise) else known_promise(request)
        return self._pushing.promise(stream_id, known, asked)

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
        if not self._sections.encoder.uses_table and is_plain(push.request, status, len(content)):
            return self._pushing.send_whole(push, known_response(status, fields), content, priority)
        self._check_whole_response(push.request, status, fields, content)
        stream_id = self.open_push_stream(push_id, priority)
        self.send_whole_response(stream_id, status, fields, content)
        return stream_id

    def send_push_at_hand(
        self, push: ServerPush, status: int, known: KnownSection, content: bytes, priority: Priority | None = None
    ) -> int | None:
        """The same for a header section from `known_response`; `None`, and nothing done, when one write is not enough."""
        if not is_plain(push.request, status, len(content)):
            return None
        return self._pushing.send_whole(push, known, content, priority)

    def cancel_push(self, push_id: int, error_code: int = ErrorCode.H3_REQUEST_CANCELLED) -> None:
        """Call a push off: CANCEL_PUSH, and RESET_STREAM with `error_code` when its stream is open.

        Nothing happens when it is over already; raises `StreamStateError` for a push that was never promised.
        """
        if push_id >= self._pushes.next_push_id:
            raise StreamStateError(f"push {push_id} was not promised")
        self._pushing.cancel(push_id, error_code)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        """Abandon a response; that of a push is cancelled with CANCEL_PUSH as well (RFC 9114 section 7.2.3)."""
        sender = self._senders.get(stream_id)
        if sender is not None and sender.push_id is not None:
            self.cancel_push(sender.push_id, error_code)
        else:
            if stream_id == self._held.stream_id:
                self.write_promises()
            super().reset_stream(stream_id, error_code)

    # ---------------------------------------------------------------- what pushes ask of their connection

    def emit(self, event: Event) -> None:
        """Add an event (called by receivers and pushes)."""
        self._events.append(event)

    def begin_push(self, stream_id: int, sender: ResponseSender) -> None:
        """Take the response of a push (called by pushes)."""
        self._senders[stream_id] = sender

    def drop_push(self, stream_id: int) -> None:
        """Forget the response of a push (called by pushes)."""
        self._senders.pop(stream_id, None)


_TUNNEL: Final = MessageState.TUNNEL


def _no_carrier(sender: ResponseSender) -> StreamStateError:
    """The error of a promise on a stream that carries none."""
    if sender.push_id is not None:
        return StreamStateError("a promise goes on the stream of a request, not on a push stream")
    return StreamStateError("a promise cannot go on a CONNECT tunnel")
