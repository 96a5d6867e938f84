"""One response on its way to a client: the state below `ClientResponse` and `ReceivedPush`, which are views of it.

`Exchange` belongs to a request of ours, `PushedExchange` to a promise of the server; the connection feeds both. The connection
holds them, the application holds the views: when the application drops its last view, what it could have had is given up.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol
from weakref import ref

from h3push.client.limits import Limits
from h3push.client.progress import ReceivedState, Timing
from h3push.errors import ErrorCode, PushCancelled
from h3push.h3.events import FAILURES, CancelledBy
from h3push.http.fields import RequestHead, ResponseHead
from h3push.http.headers import Headers, has_field
from h3push.http.priority import Priority
from h3push.http.request import RequestView
from h3push.runtime.drain import Drain
from h3push.runtime.inbox import FlowControl, Incoming, UnreadBudget
from h3push.runtime.settings import ClientSettings
from h3push.runtime.signal import Signal

OnInterim = Callable[[int, Headers], None]
"""Called with each interim response as it comes: its status and its fields."""


_NOT_BY_LENGTH = frozenset({b"HEAD", b"CONNECT"})
"""Methods whose responses can have a Content-Length that does not say what arrives (RFC 9110 section 8.6)."""


class SentRequest(RequestView):
    """A request: one of ours, or a promised one."""

    __slots__ = ("head",)

    def __init__(self, head: RequestHead) -> None:
        self.head = head

    def __repr__(self) -> str:
        return f"<SentRequest {self.method} {self.url}>"


class ExchangeOwner(FlowControl, Protocol):
    """The connection, as an exchange sees it."""

    @property
    def settings(self) -> ClientSettings:
        """Time-outs and bounds."""

    may_be_promised: bool
    """True when the server may push, so that a response may be kept open for promises."""

    @property
    def is_listened_to(self) -> bool:
        """True when somebody takes promises whatever response they come with."""

    def now(self) -> float:
        """The loop's clock, in seconds."""

    def run_later(self, action: Callable[[], None]) -> None:
        """Call `action` in a later turn of the loop. May be called at any time, from any thread: by the garbage collector."""

    def cancel(self, exchange: "Exchange", error: Exception | None = None) -> None:
        """The response is not wanted any more; whoever waits for it gets `error`."""

    def pushes_of(self, exchange: "Exchange") -> "list[PushedExchange]":
        """The pushes that came with a response and hold credit."""

    def cancel_push(self, push: "PushedExchange") -> None:
        """Call a push off on the wire."""

    def release_push(self, push: "PushedExchange") -> None:
        """Give the credit of a push back."""

    def push_resolved(self, push: "PushedExchange", *, claimed: bool) -> None:
        """The application used a push, or will not: for whoever watches the connection."""

    def report_push(self, push: "PushedExchange", *, used: bool) -> None:
        """Tell the server with the next request whether a push was used."""


class Exchange:
    """A request of ours and its response."""

    # Class attributes are the defaults, so that a request that needs none of this pays for none of it.
    head: ResponseHead | None = None
    """The final response's header section, once it is there."""
    content: Incoming
    """The response's content, once `head` is there."""
    error: Exception | None = None
    """The error that ended it before its response began."""
    over: bool = False
    """True when nothing further will arrive."""
    closed: bool = False
    """True when the application wants no more of it."""
    sending: bool = True
    """False when the server wants no more of the request's content, or all of it is sent."""
    early: bool = False
    """True when it was sent in early data (RFC 8470)."""
    is_tunnel: bool = False
    """True for an extended CONNECT: both directions stay open for as long as its two ends like."""
    priority: Priority | None = None
    """The priority of the request; kept for one that may have to be sent again."""
    upload: "asyncio.Task[None] | None" = None
    """Sends the request's content, where that takes a while."""
    drain: Drain | None = None
    """Where the upload waits."""
    budget: UnreadBudget | None = None
    """Bounds the unread content of several responses together, where somebody holds them unread."""
    content_sent: int = 0
    """Content of the request given to QUIC so far, in bytes."""
    content_taken: int = 0
    """How much of that QUIC had taken when `active_at` was noted, in bytes."""
    content_acknowledged: bool = False
    """True when the server has all of the request."""
    informational: Sequence[tuple[int, Headers]] = ()
    """Interim responses so far."""
    on_interim: OnInterim | None = None
    """Is told of each of them at once."""
    pushes_held: int = 0
    """Pushes that came with it and hold credit."""
    promises: "deque[PushedExchange] | None" = None
    """Promises that came with it and were not handed out."""
    _promised: asyncio.Event | None = None

    def __init__(
        self, owner: ExchangeOwner, request: SentRequest, stream_id: int | None, now: float, limits: Limits
    ) -> None:
        self.owner = owner
        self.request = request
        self.stream_id = stream_id
        """Request stream; or push stream, once it is there."""
        self.timing = Timing(now)
        self.active_at = now
        """When the server was last seen to take something of the request, in loop time."""
        self.limits = limits
        self.answered = Signal()
        """Set when the response has begun, or will not."""

    # what arrived

    def interim(self, head: ResponseHead) -> None:
        """A 1xx response."""
        fields = Headers.wrap(head.fields)
        self.informational = [*self.informational, (head.status, fields)]
        if self.on_interim is not None:
            self.on_interim(head.status, fields)

    def answer(self, stream_id: int, head: ResponseHead, now: float) -> None:
        """The final response's header section."""
        owner = self.owner
        content = self.content = Incoming(
            owner,
            stream_id,
            high_water=owner.settings.receive_high_water,
            timeout=self.limits.read,
            budget=self.budget,
        )
        if owner.may_be_promised and self._may_be_kept_open(head):
            content.expected = head.content_length
        self.stream_id = stream_id
        self.timing.first_byte = now
        self.head = head
        self.answered.set()

    def _may_be_kept_open(self, head: ResponseHead) -> bool:
        """Promises come on request streams alone; where trailers are announced, the reader waits for them."""
        return self.request.head.method not in _NOT_BY_LENGTH and not has_field(head.fields, b"trailer")

    def promise(self, push: "PushedExchange") -> None:
        """A promise came with it."""
        if self.promises is None:
            self.promises = deque()
        self.promises.append(push)
        if not push.released and self not in push.owners:
            self.pushes_held += 1
            push.owners.add(self)
        self._tell_promises()

    def end(self, now: float) -> None:
        """The response is complete."""
        self.over = True
        self.timing.ended = now
        self._tell_promises()

    def fail(self, error: Exception, now: float) -> None:
        """The response will not come, or not further."""
        if self.over:
            return
        self.end(now)
        self.stop_sending()
        if self.head is None:
            self.error = error
            self.answered.set()
        else:
            self.content.fail(error)

    def stop_sending(self) -> None:
        """The server wants no more of the request's content: whatever the upload waits for, it ends now."""
        self.sending = False
        if self.upload is not None:
            self.upload.cancel()
        self.drained()

    def drained(self) -> None:
        """The transport has taken (nearly) all that was queued of the request's content."""
        if self.drain is not None:
            self.drain.drained()

    def _tell_promises(self) -> None:
        if self._promised is not None:
            self._promised.set()

    # the application

    async def next_promise(self) -> "PushedExchange | None":
        """The next promise that came with it; `None` when there will be no more."""
        while not self.promises:
            if self.over or self.closed:
                return None
            if self._promised is None:
                self._promised = asyncio.Event()
            self._promised.clear()
            await self._promised.wait()
        return self.promises.popleft()

    async def wait_answer(self) -> None:
        """Return when the response's header section is there. Raises what ended it before."""
        if not self.answered.is_set:
            await self.answered.wait()
        if self.head is None:
            assert self.error is not None
            raise self.error

    def read_to_end(self) -> None:
        """The application has all of the content."""

    @property
    def is_unfinished(self) -> bool:
        """True while something of it is still to be sent, or to arrive and be read."""
        return self.sending or not (self.over or self.head is None or self.content.finished)

    @property
    def has_arrived(self) -> bool:
        """True when all content is here, although the stream may be kept open behind it for promises."""
        return self.over or (self.head is not None and self.content.received == self.content.expected)

    @property
    def progress(self) -> object | None:
        """Something that differs whenever more has arrived; `None` while the application holds it back itself."""
        if self.head is None:
            return len(self.informational)
        promised = len(self.promises) if self.promises is not None else 0
        return None if self.content.paused else (self.content.received, promised)

    def close(self) -> None:
        """The application wants no more of it, nor of the pushes that came with it and that it has not claimed."""
        self._close(wanted=False)
        for push in self.owner.pushes_of(self):
            push.owners.discard(self)
            if not push.owners and not push.claimed:
                push.cancel()

    def abandon(self) -> None:
        """The application has dropped its response: it is cancelled, and so are the pushes that nobody can take any more.

        One whose content has been read is left to bring further promises, if somebody takes these.
        """
        if self.closed:
            return
        self._close(wanted=not self.is_unfinished and self.owner.is_listened_to)
        for push in self.owner.pushes_of(self):
            push.owners.discard(self)
            push.forsake()

    def _close(self, wanted: bool) -> None:
        self.closed = True
        if (self.sending or not self.over) and not wanted:
            self.owner.cancel(self)
        self.promises = None
        self._tell_promises()


class PushedExchange(Exchange):
    """A promised request and its response. It holds one unit of push credit until it is released."""

    sending = False
    cancelled_by: CancelledBy | None = None
    """The side that ended it early, and how; `None` when neither did."""
    claimed: bool = False
    """True when it was taken for good: closing the response that it came with leaves it alone."""
    released: bool = False
    """True when its credit went back."""
    view: "ref[object] | None" = None
    """The application's view of it, while it has one."""
    on_end: "Callable[[PushedExchange], None] | None" = None
    """Called once, when its response is complete or will not be."""

    def __init__(
        self,
        owner: ExchangeOwner,
        request: SentRequest,
        now: float,
        limits: Limits,
        push_id: int,
        initiator: SentRequest,
    ) -> None:
        super().__init__(owner, request, None, now, limits)
        self.push_id = push_id
        """The push ID."""
        self.initiator = initiator
        """The request whose response carried the promise."""
        self.owners: set[Exchange] = set()
        """The responses that it came with and that the application still has."""

    @property
    def state(self) -> ReceivedState:
        """How far it has come. Nobody sets it: it follows from what the core has told of the push, whose book it is in."""
        if self.cancelled_by is not None:
            return ReceivedState.FAILED if self.cancelled_by in FAILURES else ReceivedState.CANCELLED
        if self.over:
            return ReceivedState.FULFILLED
        return ReceivedState.PROMISED if self.head is None else ReceivedState.OPEN

    @property
    def is_under_way(self) -> bool:
        """True until its response is complete, or will not be."""
        return not self.over and self.cancelled_by is None

    def end(self, now: float) -> None:
        super().end(now)
        if self.on_end is not None:
            on_end, self.on_end = self.on_end, None
            on_end(self)

    @property
    def received(self) -> int:
        """Bytes of content that have arrived."""
        return 0 if self.head is None else self.content.received

    def ended_early(self, by: CancelledBy, sentence: str, code: int) -> None:
        """It will not come, or not further."""
        self.cancelled_by = by
        error = PushCancelled(f"push {self.push_id} of {self.request.path}: {sentence}", code)
        self.fail(error, self.owner.now())

    def read_to_end(self) -> None:
        self.release()

    def close(self) -> None:
        self.cancel()

    def cancel(self) -> None:
        """It is not wanted: call it off on the wire where it is under way, and give its credit back."""
        if self.is_under_way:
            self.owner.cancel_push(self)
            self.ended_early(CancelledBy.LOCAL, "we called the push off", ErrorCode.H3_REQUEST_CANCELLED)
        self.release()

    def release(self) -> None:
        """The application is done with it: the server may push another one in its place."""
        if not self.released:
            self.released = True
            for response in self.owners:
                response.pushes_held -= 1
            self.owner.release_push(self)

    def forsake(self) -> None:
        """One who could have taken it is gone; call it off when it was the last."""
        if not self.owners and (self.view is None or self.view() is None):
            self.cancel()

    def _may_be_kept_open(self, head: ResponseHead) -> bool:
        return False  # promises come on request streams alone
