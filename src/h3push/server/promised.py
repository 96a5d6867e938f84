"""A promised push that is not over: one object, which handlers see as a `Push` and the connection as a response on its way.

A push needs no more than this when its response is at hand: given with the promise, or known to the handler without a call of it
(`HandlerAtHand`). Any other is answered through the request that the handler gets; it is made when it is first asked for.
"""

from collections.abc import Callable
from typing import Protocol

from h3push.errors import H3PushError
from h3push.h3.events import CancelledBy
from h3push.h3.push.server_book import ServerPush
from h3push.h3.push.states import ServerPushState
from h3push.http.fields import RequestHead
from h3push.http.headers import Headers
from h3push.http.priority import Priority
from h3push.server.budget import PushBudget
from h3push.server.drain_guard import ResponseRow
from h3push.server.push import Push
from h3push.server.request import Request
from h3push.server.response import Response


class PushOwner(Protocol):
    """The pushes of a connection, as one of them uses them."""

    def cancel(self, push: "PromisedPush", code: int) -> None:
        """Call a push off, on the wire and in its handler."""

    def queue(self, push: "PromisedPush") -> None:
        """Have a push answered behind what was asked for."""

    def request_of(self, push: "PromisedPush") -> Request:
        """The promised request, for the handler."""


class HandlerAtHand(Protocol):
    """A handler that knows some responses without being called, such as files."""

    def at_hand(self, push: "PromisedPush") -> Response | None:
        """The response to a promised request, when it is known now and nothing else goes with it; `None`: call the handler."""


class PromisedPush(Push):
    """One promised push.

    Args:
        record: its record in the core's book.
        owner: the pushes of its connection.
        initiator: the request whose handler pushed it.
        budget: pays for it.
        path: as it was promised.
        priority: as it was given.
        response: its response, when that is at hand.
    """

    # Class attributes are the defaults, so that a push that needs none of this pays for none of it.
    made: Request | None = None
    """The promised request, once somebody has asked for it."""
    status: int | None = None
    """Status of the response; `None` before it was sent."""
    failed: bool = False
    """A response at hand is whole."""
    arm: str | None = None
    """No experiment asks for what was pushed."""
    taken: int = 0
    """The drain guard's note."""
    taken_at: float | None = None
    """When that was, in loop time."""
    on_acknowledged: Callable[[], None] | None = None
    """Called when the client has all of it."""
    is_deferred: bool = False
    """True until it may be answered."""
    _unwanted: bool = False

    def __init__(
        self,
        record: ServerPush,
        owner: PushOwner,
        initiator: Request,
        budget: PushBudget,
        path: str,
        priority: Priority | None,
        response: Response | None,
    ) -> None:
        self.record = record
        """Its record in the core's book."""
        self.row: ResponseRow | None = None  # here, since mypyc leaves out a class attribute whose type is a protocol
        """Its row in the access log."""
        self.path = path
        self.priority = priority
        self.initiator = initiator
        self.budget = budget
        self.response = response
        self._owner = owner

    # as its handler sees it

    @property
    def push_id(self) -> int:
        return self.record.push_id

    @property
    def state(self) -> ServerPushState:
        return self.record.state

    @property
    def cancelled_by(self) -> CancelledBy | None:
        return self.record.cancelled_by

    @property
    def request(self) -> Request:
        return self._owner.request_of(self)

    def start(self) -> None:
        if self.is_deferred:
            self.is_deferred = False
            self._owner.queue(self)

    def _call_off(self, code: int) -> None:
        self._owner.cancel(self, code)

    # as the drain guard and the access log see it

    @property
    def head(self) -> RequestHead:
        """The promised request, as it is on the wire."""
        return self.record.request

    @property
    def headers(self) -> Headers:
        """Its header fields."""
        return Headers.wrap(self.record.request.fields)

    @property
    def method(self) -> str:
        """Its method."""
        return self.record.request.method.decode("latin-1")

    @property
    def authority(self) -> str:
        """Its authority."""
        return (self.record.request.authority or b"").decode("latin-1")

    @property
    def client(self) -> tuple[str, int]:
        """The client's address and port."""
        return self.initiator.client

    @property
    def stream_id(self) -> int | None:
        """Its push stream, once open."""
        return self.record.stream_id

    @property
    def push(self) -> Push:
        """The push that the response fulfils: itself."""
        return self

    @property
    def fulfils(self) -> Push:
        """The same, in the words of a request."""
        return self

    @property
    def ended(self) -> bool:
        """True when the end of the response was handed to QUIC: what is at hand is sent whole."""
        return self.status is not None

    @property
    def response_ended(self) -> bool:
        """The same, in the words of a request."""
        return self.status is not None

    def drained(self) -> None:
        """Nobody waits to send more."""

    def send_held(self) -> None:
        """Nothing is held."""

    def give_up(self, error: H3PushError) -> bool:
        """It is about to be reset, for its client does not take it; nobody has to be told."""
        if self.row is not None:
            self.row.given_up()
        return False

    def disconnect(self, error: H3PushError) -> bool:
        """Nobody wants it any more. False when that was known."""
        if self._unwanted:
            return False
        self._unwanted = True
        if self.row is not None:
            self.row.unwanted(error)
        if self.made is not None:
            self.made.disconnect(error)
        return True


Logged = Request | PromisedPush
"""A request that has a row in the access log."""
