"""The server's pushes: what the client allows, what was promised, and where each push stands.

This module decides and remembers; `h3.push.server` puts on the wire what it decides.
"""

from collections import OrderedDict
from dataclasses import dataclass

from h3push.errors import (
    ErrorCode,
    H3ConnectionError,
    NoPushCredit,
    PushNotAllowed,
    StreamStateError,
)
from h3push.h3.config import H3Config
from h3push.h3.push.states import SERVER_PUSH, ServerPushAction, ServerPushInput, ServerPushState
from h3push.http.fields import Fields, RequestHead

PUSHABLE_METHODS = frozenset({b"GET", b"HEAD"})
"""Safe and cacheable (RFC 9110 sections 9.2.1 and 9.2.3); RFC 9114 section 4.6 allows no others."""

CONTENT_FIELDS = frozenset({b"expect", b"content-encoding", b"transfer-encoding", b"trailer"})
"""Fields that say that a request has content or trailers, which a promised request never has (RFC 9114 section 4.6)."""

_PROMISE = ServerPushInput.PROMISE
_PROMISED = ServerPushState.PROMISED
_FULFILLED = ServerPushState.FULFILLED
"""FULFILLED and what is behind it, CANCELLED, are the ends."""
_TELLING = frozenset(
    {ServerPushAction.TELL, ServerPushAction.RESET_AND_TELL, ServerPushAction.SEND_CANCEL_PUSH_AND_TELL}
)


@dataclass(slots=True)
class PushCounters:
    """What became of the pushes of one connection, either role."""

    promised: int = 0
    """Push IDs that were promised."""
    fulfilled: int = 0
    """Pushes whose whole response arrived (server: was acknowledged)."""
    cancelled: int = 0
    """Pushes called off by us."""
    cancelled_by_peer: int = 0
    """Pushes called off by the peer (CANCEL_PUSH, STOP_SENDING, RESET_STREAM, GOAWAY)."""
    refused_for_credit: int = 0
    """Server: pushes that were not promised because a limit of the client was reached."""
    content_bytes: int = 0
    """Content of pushed responses, sent or received."""


@dataclass(slots=True)
class ServerPush:
    """One promised push."""

    push_id: int
    """Its push ID."""
    request: RequestHead
    """The promised request."""
    fields: Fields
    """The field section of the promise, for repeats."""
    state: ServerPushState = ServerPushState.UNPROMISED
    """Where it stands."""
    stream_id: int | None = None
    """Its push stream, once open."""
    promises: int = 0
    """How often it was promised."""


class ServerPushes:
    """All pushes of one connection, on the server."""

    def __init__(self, config: H3Config) -> None:
        self.max_push_id: int | None = None
        """The client's limit, inclusive; None: the client has allowed nothing."""
        self.limit_moves = False
        """True when the client has raised its limit: it will do so again as pushes end."""
        self.next_push_id = 0
        """The push ID that the next promise takes; IDs are never used again (RFC 9114 section 4.6)."""
        self.counters = PushCounters()
        """What became of the pushes."""
        self.unopened = 0
        """Pushes that are promised and have no stream yet: so much stream credit is spoken for."""
        self._config = config
        self._live: dict[int, ServerPush] = {}
        self._finished: OrderedDict[int, ServerPush] = OrderedDict()
        self._remembered = max(1, config.remembered_pushes)  # the last one that ended is still to be acted on
        self._by_stream: dict[int, int] = {}

    def __len__(self) -> int:
        """How many pushes are promised or under way."""
        return len(self._live)

    def receive_max_push_id(self, push_id: int) -> bool:
        """The client's MAX_PUSH_ID; False when it says nothing new. Raises H3_ID_ERROR when it goes back (section 7.2.7)."""
        if self.max_push_id is not None and push_id < self.max_push_id:
            raise H3ConnectionError(
                ErrorCode.H3_ID_ERROR, f"MAX_PUSH_ID went back from {self.max_push_id} to {push_id}"
            )
        raised = push_id != self.max_push_id
        self.limit_moves = self.limit_moves or (raised and self.max_push_id is not None)
        self.max_push_id = push_id
        return raised

    @property
    def allowance(self) -> int:
        """How many further push IDs the client allows."""
        if self.max_push_id is None or not self._config.enable_push:
            return 0
        return self.max_push_id + 1 - self.next_push_id

    def check_request(self, request: RequestHead, authority: bytes | None) -> None:
        """Check that a request may be promised (RFC 9114 section 4.6); `authority` is that of the initiating request.

        Raises:
            PushNotAllowed: method, content, scheme or authority do not fit.
        """
        if request.method not in PUSHABLE_METHODS:
            raise PushNotAllowed(f"{request.method.decode('latin-1')} is not safe and cacheable: push GET or HEAD only")
        if request.content_length or (request.fields and any(name in CONTENT_FIELDS for name, _ in request.fields)):
            raise PushNotAllowed("a promised request has no content and no trailers")
        if request.scheme != b"https":
            raise PushNotAllowed("a promised request has the scheme https")
        if request.authority is None or (
            request.authority != authority and request.authority not in self._config.push_authorities
        ):
            given = (request.authority or b"").decode("latin-1")
            raise PushNotAllowed(f"this server was not asked as {given!r} and may not push for it")

    def check_credit(self) -> None:
        """Raise `NoPushCredit` with the reason when no further push ID may be used now."""
        if not self._config.enable_push:
            raise NoPushCredit("push is switched off on this server")
        if self.max_push_id is None:
            raise NoPushCredit("the client has not allowed any push (no MAX_PUSH_ID)")
        if self.next_push_id > self.max_push_id:
            raise NoPushCredit(f"the client's limit is used up: MAX_PUSH_ID {self.max_push_id}")

    def promise(self, request: RequestHead, fields: Fields) -> ServerPush:
        """Use the next push ID for a new promise; the caller has asked for credit and sends it."""
        push = ServerPush(self.next_push_id, request, fields)
        self.next_push_id += 1
        self._live[push.push_id] = push
        self.counters.promised += 1
        self.advance(push, ServerPushInput.PROMISE)
        return push

    def repeat_promise(self, push_id: int) -> ServerPush:
        """Promise a push again; raises `StreamStateError` when that is too late or was done too often."""
        push = self.get(push_id)
        if push.promises >= self._config.max_repeated_promises:
            raise StreamStateError(f"push {push_id} was promised {push.promises} times already")
        self.advance(push, ServerPushInput.PROMISE)
        return push

    def get(self, push_id: int) -> ServerPush:
        """The push with that ID; raises `StreamStateError` for one that was never promised or is long finished."""
        push = self._live.get(push_id) or self._finished.get(push_id)
        if push is None:
            raise StreamStateError(f"push {push_id} was not promised, or ended too long ago")
        return push

    def opened(self, push: ServerPush, stream_id: int) -> None:
        """Its push stream is open."""
        push.stream_id = stream_id
        self._by_stream[stream_id] = push.push_id

    def push_of(self, stream_id: int) -> int | None:
        """The push under way whose push stream this is, or None."""
        return self._by_stream.get(stream_id)

    def apply(self, push_id: int, happened: ServerPushInput) -> ServerPushAction:
        """Something of our own doing happened to a push; raises `StreamStateError` when the table has no row for it."""
        push = self._live.get(push_id)
        if push is None:
            if push_id < self.next_push_id and push_id not in self._finished:
                return ServerPushAction.NOTHING
            push = self.get(push_id)
        return self.advance(push, happened)

    def receive_cancel_push(self, push_id: int) -> ServerPushAction:
        """The client's CANCEL_PUSH; raises H3_ID_ERROR for a push that was not promised (section 7.2.3)."""
        if self.max_push_id is None or push_id > self.max_push_id or push_id >= self.next_push_id:
            raise H3ConnectionError(ErrorCode.H3_ID_ERROR, f"CANCEL_PUSH for push {push_id}, which was not promised")
        return self.apply(push_id, ServerPushInput.RECEIVE_CANCEL_PUSH)

    def check_priority_update(self, push_id: int) -> ServerPush | None:
        """The push that a PRIORITY_UPDATE means, or None when it is over; raises H3_ID_ERROR (RFC 9218 section 7.2)."""
        if self.max_push_id is None or push_id > self.max_push_id or push_id >= self.next_push_id:
            raise H3ConnectionError(
                ErrorCode.H3_ID_ERROR, f"PRIORITY_UPDATE for push {push_id}, which was not promised"
            )
        return self._live.get(push_id)

    def excluded_by(self, goaway: int) -> list[int]:
        """Pushes under way that the client's GOAWAY excludes."""
        return [push_id for push_id in self._live if push_id >= goaway]

    def check(self, push: ServerPush, happened: ServerPushInput) -> None:
        """Raise `StreamStateError` when the table has no row for this."""
        if (push.state, happened) not in SERVER_PUSH:
            raise _impossible(push, happened)

    def advance(self, push: ServerPush, happened: ServerPushInput) -> ServerPushAction:
        """What `apply` does, for a push that is at hand."""
        before = push.state
        row = SERVER_PUSH.get((before, happened))
        if row is None:
            raise _impossible(push, happened)
        state, action = row
        push.state = state
        if happened is _PROMISE:
            push.promises += 1
        if state is not before:
            if state is _PROMISED:
                self.unopened += 1
            elif before is _PROMISED:
                self.unopened -= 1
            if state >= _FULFILLED:
                self._over(push, action)
        return action

    def _over(self, push: ServerPush, action: ServerPushAction) -> None:
        if push.state is _FULFILLED:
            self.counters.fulfilled += 1
        elif action in _TELLING:
            self.counters.cancelled_by_peer += 1
        else:
            self.counters.cancelled += 1
        self._finished[push.push_id] = self._live.pop(push.push_id)
        if push.stream_id is not None:
            self._by_stream.pop(push.stream_id, None)
        while len(self._finished) > self._remembered:
            self._finished.popitem(last=False)


def _impossible(push: ServerPush, happened: ServerPushInput) -> StreamStateError:
    return StreamStateError(f"push {push.push_id} is {push.state.name}: {happened.name} is not possible")
