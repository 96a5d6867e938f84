"""The server's pushes: what the client allows, what was promised, and where each push stands.

This module decides and remembers; `h3.push.server` puts on the wire what it decides.
"""

from typing import Final

from mypy_extensions import mypyc_attr

from h3push.errors import ErrorCode, H3ConnectionError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.events import FAILURES, CancelledBy
from h3push.h3.known import KnownPromise
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.rules import PushRefusal
from h3push.h3.push.states import SERVER_PUSH, ServerPushAction, ServerPushInput, ServerPushState
from h3push.http.fields import RequestHead
from h3push.wire.varint import encode_varint

_PROMISE: Final = ServerPushInput.PROMISE
_OPEN_STREAM: Final = ServerPushInput.OPEN_STREAM
_END: Final = ServerPushInput.END
_ACKNOWLEDGED: Final = ServerPushInput.ACKNOWLEDGED
_UNPROMISED: Final = ServerPushState.UNPROMISED
_PROMISED: Final = ServerPushState.PROMISED
_FULFILLED: Final = ServerPushState.FULFILLED
"""FULFILLED and what is behind it, CANCELLED, are the ends."""
_FIRST_PROMISE: Final = SERVER_PUSH[_UNPROMISED, _PROMISE][0]
_SENT_WHOLE: Final = SERVER_PUSH[SERVER_PUSH[_PROMISED, _OPEN_STREAM][0], _END][0]
"""Two steps of the table at once, for nearly every push: from PROMISED by OPEN_STREAM and END ..."""
assert SERVER_PUSH[_SENT_WHOLE, _ACKNOWLEDGED][0] is _FULFILLED
"""... and from there by ACKNOWLEDGED."""
_BY_CLIENT: Final = (CancelledBy.PEER, CancelledBy.GOAWAY)


@mypyc_attr(acyclic=True)
class ServerPush:
    """One promised push. What it holds leads back to no push, so the garbage collector need not look at it.

    Args:
        push_id: its push ID.
        promise: the promised request, and its header section for repeats.
        encoded_id: its push ID as it is on the wire, in the promise and on the push stream.
    """

    __slots__ = ("cancelled_by", "encoded_id", "promise", "promises", "push_id", "state", "stream_id")

    def __init__(self, push_id: int, promise: KnownPromise, encoded_id: bytes = b"") -> None:
        self.push_id = push_id
        self.promise = promise
        self.encoded_id = encoded_id
        self.state = _UNPROMISED
        """Where it stands."""
        self.stream_id: int | None = None
        """Its push stream, once open."""
        self.promises = 0
        """How often it was promised."""
        self.cancelled_by: CancelledBy | None = None
        """The side that ended it early, and how; `None` while nobody has."""

    @property
    def request(self) -> RequestHead:
        """The promised request."""
        return self.promise.request

    def __repr__(self) -> str:
        return f"<ServerPush {self.push_id} {self.state.name}>"


class ServerPushBook:
    """All pushes of one connection, on the server."""

    def __init__(self, config: H3Config, counters: PushCounters | None = None) -> None:
        self.max_push_id: int | None = None
        """The client's limit, inclusive; None: the client has allowed nothing."""
        self.limit_moves = False
        """True when the client has raised its limit: it will do so again as pushes end."""
        self.next_push_id = 0
        """The push ID that the next promise takes; IDs are never used again (RFC 9114 section 4.6)."""
        self.counters = PushCounters() if counters is None else counters
        """Outcomes of the pushes."""
        self.unopened = 0
        """Pushes that are promised and have no stream yet: so much stream credit is spoken for."""
        self._config = config
        self._by_id: dict[int, ServerPush] = {}
        """Those under way, and the last ones that ended."""
        self._under_way = 0
        self._remembered = max(1, config.remembered_pushes)  # the last one that ended is still to be acted on
        self._endings: list[int] = []
        self._oldest = 0
        """Push IDs of the last ones that ended, as a ring, and where in it the oldest stands."""
        self._by_stream: dict[int, ServerPush] = {}

    def __len__(self) -> int:
        """How many pushes are promised or under way."""
        return self._under_way

    def under_way(self) -> list[ServerPush]:
        """The pushes that are promised or under way."""
        return [push for push in self._by_id.values() if push.state < _FULFILLED]

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

    def speaks_for(self, authority: bytes | None, asked: bytes | None) -> bool:
        """True when this server may push for `authority` on a connection that was `asked` for another, or the same."""
        return authority is not None and (authority == asked or authority in self._config.push_authorities)

    def why_no_id(self) -> PushRefusal | None:
        """Why no further push ID may be used now."""
        if not self._config.enable_push:
            return PushRefusal.DISABLED
        if self.max_push_id is None:
            return PushRefusal.NOT_ALLOWED_BY_CLIENT
        if self.next_push_id > self.max_push_id:
            return PushRefusal.NO_PUSH_CREDIT
        return None

    def state(self, push_id: int) -> ServerPushState:
        """Where a push stands; one that ended too long ago to be remembered counts as CANCELLED."""
        push = self._by_id.get(push_id)
        if push is not None:
            return push.state
        return ServerPushState.CANCELLED if push_id < self.next_push_id else ServerPushState.UNPROMISED

    def promise(self, promise: KnownPromise) -> ServerPush:
        """Use the next push ID for a new promise; the caller has asked for credit and sends it."""
        push_id = self.next_push_id
        push = self._by_id[push_id] = ServerPush(push_id, promise, encode_varint(push_id))
        self._under_way += 1
        push.state, push.promises = _FIRST_PROMISE, 1
        self.next_push_id = push_id + 1
        self.counters.promised += 1
        self.unopened += 1
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
        push = self._by_id.get(push_id)
        if push is None:
            raise StreamStateError(f"push {push_id} was not promised, or ended too long ago")
        return push

    def opened(self, push: ServerPush, stream_id: int) -> None:
        """Its push stream is open."""
        push.stream_id = stream_id
        self._by_stream[stream_id] = push

    def sent_whole(self, push: ServerPush, stream_id: int, content: int) -> None:
        """Its push stream is open, and its response written to the end, `content` bytes of it; `check_opening` was asked."""
        push.state = _SENT_WHOLE
        push.stream_id = stream_id
        self._by_stream[stream_id] = push
        self.unopened -= 1
        self.counters.content_bytes += content

    def acknowledged(self, stream_id: int) -> ServerPush | None:
        """Everything on a stream was acknowledged; the push that this ends, or None."""
        push = self._by_stream.get(stream_id)
        if push is None:
            return None
        if push.state is not _SENT_WHOLE:
            self.advance(push, _ACKNOWLEDGED)
            return push
        push.state = _FULFILLED
        self.counters.fulfilled += 1
        self._finish(push)
        return push

    def push_of(self, stream_id: int) -> int | None:
        """The push under way whose push stream this is, or None."""
        push = self._by_stream.get(stream_id)
        return None if push is None else push.push_id

    def apply(self, push_id: int, happened: ServerPushInput, by: CancelledBy | None = None) -> ServerPushAction:
        """Move a push; `by` says who ends it, if this ends it. Raises `StreamStateError` when the table has no row."""
        push = self._by_id.get(push_id)
        if push is None:
            if push_id < self.next_push_id:
                return ServerPushAction.NOTHING
            push = self.get(push_id)
        return self.advance(push, happened, by)

    def receive_cancel_push(self, push_id: int) -> ServerPushAction:
        """The client's CANCEL_PUSH; raises H3_ID_ERROR for a push that was not promised (section 7.2.3)."""
        if self.max_push_id is None or push_id > self.max_push_id or push_id >= self.next_push_id:
            raise H3ConnectionError(ErrorCode.H3_ID_ERROR, f"CANCEL_PUSH for push {push_id}, which was not promised")
        return self.apply(push_id, ServerPushInput.RECEIVE_CANCEL_PUSH, CancelledBy.PEER)

    def check_priority_update(self, push_id: int) -> ServerPush | None:
        """The push that a PRIORITY_UPDATE means, or None when it is over; raises H3_ID_ERROR (RFC 9218 section 7.2)."""
        if self.max_push_id is None or push_id > self.max_push_id or push_id >= self.next_push_id:
            raise H3ConnectionError(
                ErrorCode.H3_ID_ERROR, f"PRIORITY_UPDATE for push {push_id}, which was not promised"
            )
        push = self._by_id.get(push_id)
        return push if push is not None and push.state < _FULFILLED else None

    def excluded_by(self, goaway: int) -> list[int]:
        """Pushes under way that the client's GOAWAY excludes."""
        return [push.push_id for push in self.under_way() if push.push_id >= goaway]

    def terminate(self, by: CancelledBy) -> None:
        """The connection is over, and every push with it."""
        for push in self.under_way():
            push.state = ServerPushState.CANCELLED
            push.cancelled_by = by
            del self._by_id[push.push_id]
        if by is CancelledBy.PEER:
            self.counters.cancelled_by_peer += self._under_way
        else:
            self.counters.cancelled += self._under_way
        self._by_stream.clear()
        self._under_way = self.unopened = 0

    def check_opening(self, push: ServerPush) -> None:
        """Raise `StreamStateError` when a push has no stream to be opened."""
        if push.state is not _PROMISED:
            raise _impossible(push, _OPEN_STREAM)

    def advance(self, push: ServerPush, happened: ServerPushInput, by: CancelledBy | None = None) -> ServerPushAction:
        """Move a push that is at hand; otherwise as `apply`."""
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
                self._over(push, by)
        return action

    def _over(self, push: ServerPush, by: CancelledBy | None) -> None:
        push.cancelled_by = by
        if push.state is _FULFILLED:
            self.counters.fulfilled += 1
        elif by in FAILURES:
            self.counters.failed += 1
        elif by in _BY_CLIENT:
            self.counters.cancelled_by_peer += 1
        else:
            self.counters.cancelled += 1
        self._finish(push)

    def _finish(self, push: ServerPush) -> None:
        push_id, stream_id, endings = push.push_id, push.stream_id, self._endings
        self._under_way -= 1
        if stream_id is not None:
            del self._by_stream[stream_id]
        if len(endings) < self._remembered:
            endings.append(push_id)
        else:
            oldest = self._oldest
            del self._by_id[endings[oldest]]
            endings[oldest] = push_id
            self._oldest = 0 if oldest + 1 == self._remembered else oldest + 1


def _impossible(push: ServerPush, happened: ServerPushInput) -> StreamStateError:
    return StreamStateError(f"push {push.push_id} is {push.state.name}: {happened.name} is not possible")
