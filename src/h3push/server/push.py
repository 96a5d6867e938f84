"""A server's pushes, as handlers see them.

A push begins with a promise on the request stream of the page that it goes with (RFC 9114 section 4.6). Then the handler is
called again, with the promised request; what it answers goes out on a push stream, which is opened when the response begins.

        push()                          start of the response              end of it
    ─┬──────────▶ PROMISED ───────────────────────▶ OPEN ───────────────────────▶ FULFILLED
     │                │                               │
     │                └── cancel(), CANCEL_PUSH, GOAWAY, STOP_SENDING, handler failed ──▶ CANCELLED
     └──▶ REFUSED     no credit, not agreed, going away, too late, too many: nothing went out
"""

import asyncio
import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from h3push.h3.events import CancelledBy
from h3push.h3.push.rules import PushRefusal
from h3push.http.priority import Priority
from h3push.runtime.signal import Signal

if TYPE_CHECKING:
    from h3push.server.connection import ServerConnection
    from h3push.server.request import Request


class PushState(Enum):
    """How far a push has come."""

    REFUSED = "refused"
    """Nothing was promised; `Push.refusal` says why."""
    PROMISED = "promised"
    """The promise went out; its response has not begun."""
    OPEN = "open"
    """The response is being sent on its push stream."""
    FULFILLED = "fulfilled"
    """The whole response was handed to QUIC."""
    CANCELLED = "cancelled"
    """It ended early; `Push.cancelled_by` says through whom."""


_UNDER_WAY = (PushState.PROMISED, PushState.OPEN)

WAITABLE = frozenset({PushRefusal.NO_PUSH_CREDIT, PushRefusal.NO_STREAM_CREDIT})
"""Refusals that end when the client gives more credit."""


class Push:
    """One push, promised or refused."""

    __slots__ = (
        "_connection",
        "_ended",
        "bytes_sent",
        "cancelled_by",
        "path",
        "priority",
        "push_id",
        "refusal",
        "request",
        "state",
    )

    def __init__(
        self, connection: "ServerConnection", path: str, push_id: int | None, refusal: PushRefusal | None
    ) -> None:
        self._connection = connection
        self._ended: Signal | None = None
        self.path = path
        """The path that was promised, percent-encoded, with its query."""
        self.push_id = push_id
        """The push ID; `None` when the push was refused."""
        self.refusal = refusal
        """Why nothing was promised; `None` when something was."""
        self.state = PushState.PROMISED if refusal is None else PushState.REFUSED
        """How far it has come."""
        self.cancelled_by: CancelledBy | None = None
        """Who ended it early."""
        self.bytes_sent = 0
        """Content handed to QUIC so far, in bytes."""
        self.priority: Priority | None = None
        """As given to `push`; pushes always come after what was requested."""
        self.request: Request | None = None
        """The promised request, which the handler gets."""

    def cancel(self) -> None:
        """Call it off: CANCEL_PUSH goes out, an open push stream is reset, the handler is told. Harmless when it is over."""
        if self.state in _UNDER_WAY:
            self._connection.pushes.cancel(self)

    async def done(self) -> PushState:
        """Wait until it is FULFILLED, CANCELLED or REFUSED, and return which."""
        if self.state in _UNDER_WAY:
            if self._ended is None:
                self._ended = Signal()
            await self._ended.wait()
        return self.state

    def end(self, state: PushState, by: CancelledBy | None = None) -> None:
        """It is over (called by the connection)."""
        self.state = state
        self.cancelled_by = by
        if self._ended is not None:
            self._ended.set()

    def __repr__(self) -> str:
        why = self.refusal.name if self.refusal else self.cancelled_by.name if self.cancelled_by else ""
        return f"<Push {self.push_id} {self.path} {self.state.name}{' ' + why if why else ''}>"


class CreditQueue:
    """Those who wait for push credit, first come first served."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Until there may be credit; the caller then tries again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(1)  # our turn had come: it goes to the next
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def release(self, count: int | None = None) -> None:
        """Let the first `count` try again, or all."""
        waiters = self._waiters
        if not waiters:
            return
        count = len(waiters) if count is None else count
        self._waiters = waiters[count:]
        for waiter in waiters[:count]:
            if not waiter.done():
                waiter.set_result(None)


SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._?[]"
"""Characters of a path with its query that stay as they are (RFC 3986 section 3.3, 3.4); "%" too, so that what is encoded
already is not encoded again. Square brackets are no path characters, but common in queries, and no server minds them."""


_PLAIN_PATH = re.compile("[A-Za-z0-9" + re.escape(SAFE_IN_PATH) + "]+")


@lru_cache(maxsize=1024)
def resolve_push_path(base: str, path: str) -> tuple[str, str | None]:
    """What may stand in `push(path)` as (path with query, authority or `None` for that of the request).

    Absolute paths, paths relative to the request's, and whole https URLs; characters that may not stand in a path are
    percent-encoded as UTF-8 (`/a b.css` as `/a%20b.css`), the fragment is dropped.
    """
    if path.startswith("/") and not path.startswith("//"):
        if _PLAIN_PATH.fullmatch(path):
            return path, None
        absolute, authority = path, None
    else:
        parts = urlsplit(urljoin("https://base" + base, path))
        if parts.scheme != "https":
            raise ValueError(f"only https can be pushed, not {path!r}")
        absolute = parts.path + ("?" + parts.query if parts.query else "")
        authority = urlsplit(path).netloc or None
    return quote(absolute.partition("#")[0] or "/", safe=SAFE_IN_PATH), authority
