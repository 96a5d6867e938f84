"""A server's pushes, as handlers see them: views of the core's book (`h3.push.server_book`).

A push begins with a promise on the request stream of the page that it goes with (RFC 9114 section 4.6). Then the handler is
called again, with the promised request; its answer goes out on a push stream, which is opened when the response begins.

        push()              start of the response          end of it              acknowledged
    ─┬──────────▶ PROMISED ───────────────────────▶ OPEN ─────────────▶ SENT ──────────────────▶ FULFILLED
     │                │                               │                  │
     │                └── cancel(), CANCEL_PUSH, GOAWAY, STOP_SENDING, handler failed ──▶ CANCELLED
     └──▶ UNPROMISED  no credit, not agreed, going away, too late, too many: nothing went out
"""

from typing import Protocol

from h3push.errors import ErrorCode
from h3push.h3.events import CancelledBy
from h3push.h3.push.rules import PushRefusal
from h3push.h3.push.states import ServerPushState
from h3push.http.fields import RequestHead
from h3push.http.priority import Priority
from h3push.runtime.signal import Signal

PushState = ServerPushState
"""How far a push has come. FULFILLED means acknowledged; until then a push can be called off. A refused one is UNPROMISED."""

_OVER = (PushState.UNPROMISED, PushState.FULFILLED, PushState.CANCELLED)


class PromisedRequest(Protocol):
    """A promised request, as its push shows it; the handler gets the same object."""

    @property
    def method(self) -> str:
        """The method: GET or HEAD."""

    @property
    def path(self) -> str:
        """The path with its query."""

    @property
    def initiator(self) -> "PromisedRequest | None":
        """The request whose handler pushed this one."""


class Push:
    """One push, promised or refused. What is said here is that of a refused one; `server.promised` has the others."""

    # Class attributes are the defaults, so that a push that needs none of this pays for none of it.
    refusal: PushRefusal | None = None
    """Why nothing was promised; `None` when something was."""
    bytes_sent: int = 0
    """Content handed to QUIC so far, in bytes."""
    _ended: Signal | None = None

    def __init__(self, path: str, refusal: PushRefusal | None, priority: Priority | None = None) -> None:
        self.path = path
        """The path that was promised, percent-encoded, with its query."""
        self.refusal = refusal
        self.priority = priority
        """As given to `push`; pushes always come after what was requested."""

    @property
    def request(self) -> PromisedRequest | None:
        """The promised request, which the handler gets; `None` when nothing was promised."""
        return None

    @property
    def head(self) -> RequestHead | None:
        """The same as it is on the wire."""
        return None

    @property
    def push_id(self) -> int | None:
        """The push ID; `None` when the push was refused."""
        return None

    @property
    def state(self) -> ServerPushState:
        """How far it has come; UNPROMISED when it was refused."""
        return PushState.UNPROMISED

    @property
    def cancelled_by(self) -> CancelledBy | None:
        """The side that ended it early, and how; `None` when nobody did. FAILED: its handler failed, or a file of it."""
        return None

    def cancel(self, code: int = ErrorCode.H3_REQUEST_CANCELLED) -> None:
        """Call it off: CANCEL_PUSH goes out, an open push stream is reset, the handler is told. Harmless when it is over.

        With another code than H3_REQUEST_CANCELLED the push counts as failed, at both ends.
        """
        if self.state not in _OVER:
            self._call_off(code)

    def _call_off(self, code: int) -> None:
        """Have the connection call it off; there is nothing to be called off of what was refused."""

    def start(self) -> None:
        """Answer a push that was promised with `deferred`. Harmless when that was done, or when it is over."""

    async def done(self) -> ServerPushState:
        """Wait until it is FULFILLED, CANCELLED or refused (UNPROMISED), and return which."""
        if self.state not in _OVER:
            if self._ended is None:
                self._ended = Signal()
            await self._ended.wait()
        return self.state

    def end(self) -> None:
        """Wake those who wait for its end (called when the book says so)."""
        if self._ended is not None:
            self._ended.set()

    def __repr__(self) -> str:
        why = self.refusal.name if self.refusal else self.cancelled_by.name if self.cancelled_by else ""
        return f"<Push {self.push_id} {self.path} {self.state.name}{' ' + why if why else ''}>"
