"""A request that came over TCP, as planners and deliveries see it, and what goes out beside its response.

Theory of operation. `delivery.page` decides for every version how a client learns of what goes with a page; over TCP it is shown
this request instead of one of HTTP/3. It says that the client takes pushes when the server beneath offers ASGI's push event and
the client agreed; it takes interim responses when the server offers early hints. What the delivery sends becomes events in an
`Outbox`, which takes them without waiting and hands them to the server in order, before anything that the application sends.
"""

import asyncio
from collections import deque
from typing import Any

from h3push.asgi.types import EARLY_HINT, PUSH, Message, Scope, Send
from h3push.errors import LocalProtocolError
from h3push.h3.push.rules import PushRefusal
from h3push.http.fields import Field, Fields, RequestHead
from h3push.http.headers import HeadersLike, declared_length, encode_headers
from h3push.http.priority import Priority
from h3push.runtime.settings import ServerSettings
from h3push.server.budget import PushBudget
from h3push.server.push import Push
from h3push.server.request import Request
from h3push.server.response import Response

EARLY_HINTS = 103
"""The one interim status that ASGI has an event for."""


class Outbox:
    """Events on their way to the server: those that are `put` go out as soon as the loop gets to it, `send` waits its turn."""

    __slots__ = ("_send", "_task", "_turn", "_waiting")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: deque[Message] = deque()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def put(self, message: Message) -> None:
        """Take an event without waiting."""
        self._waiting.append(message)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.flush())

    async def flush(self) -> None:
        """Hand on what was put."""
        async with self._turn:
            await self._hand_on()

    async def send(self, message: Message) -> None:
        """Hand on what was put, then this event."""
        async with self._turn:
            await self._hand_on()
            await self._send(message)

    async def _hand_on(self) -> None:
        while self._waiting:
            await self._send(self._waiting.popleft())


class Unnumbered:
    """The carrier of promises over TCP, where nobody asks for the stream."""

    stream_id: int | None = None


class TcpRequest(Request):
    """A request over HTTP/1.1 or HTTP/2. Planners may read it like any other; what answers it is an ASGI application.

    Args:
        scope: the request's scope, as the server made it.
        outbox: where events go.
        settings: bounds of pushes.
        takes_pushes: the server offers the push event, and the client has not refused pushes.
        takes_interim: the server offers early hints.
    """

    def __init__(
        self, scope: Scope, outbox: Outbox, settings: ServerSettings, *, takes_pushes: bool, takes_interim: bool = False
    ) -> None:
        # Not the constructor of Request: connection and writer, which that sets, belong to HTTP/3.
        self.http_version = scope["http_version"]
        self.head = head_of(scope)
        self.takes_interim = takes_interim
        self.client_address: tuple[str, int] = tuple((scope.get("client") or ("-", 0))[:2])
        self.final_status: int | None = None
        """Status of the final response; `None` before it began."""
        self.content_bytes = 0
        """Content of the response so far, in bytes."""
        self._outbox = outbox
        self._settings = settings
        self._takes_pushes = takes_pushes
        self._tied: dict[object, Any] = {}

    @property
    def settings(self) -> ServerSettings:
        return self._settings

    @property
    def tied(self) -> dict[object, Any]:
        """Tied to this request alone, for ASGI does not say which requests share a connection."""
        return self._tied

    @property
    def takes_pushes(self) -> bool:
        return self._takes_pushes

    @property
    def max_push_id(self) -> int | None:
        """Push IDs do not exist here: 0 where the client takes pushes."""
        return 0 if self._takes_pushes else None

    @property
    def push_limit_moves(self) -> bool:
        """HTTP/2 has no credit for promises that could move."""
        return False

    @property
    def stream_id(self) -> int | None:
        return None

    @property
    def client(self) -> tuple[str, int]:
        return self.client_address

    @property
    def status(self) -> int | None:
        return self.final_status

    @property
    def bytes_sent(self) -> int:
        return self.content_bytes

    @property
    def budget(self) -> PushBudget:
        if self._budget is None:
            head, settings = self.head, self._settings
            target = (head.method, head.authority or b"", head.path or b"")
            limit, size = settings.max_pushes_per_request, settings.max_push_bytes
            self._budget = PushBudget(Unnumbered(), target, limit, size)
        return self._budget

    @property
    def push_refusal(self) -> PushRefusal | None:
        if not self._takes_pushes:
            return PushRefusal.NOT_ALLOWED_BY_CLIENT
        return PushRefusal.LIMIT if self.budget.is_spent else None

    def send_interim(self, status: int, fields: Fields) -> None:
        """Send the Link fields of a 103. `LocalProtocolError` for any other status or field, which ASGI has no event for."""
        if status != EARLY_HINTS or any(name != b"link" for name, _ in fields):
            raise LocalProtocolError(f"over TCP, no interim response but a {EARLY_HINTS} with Link fields can be sent")
        self._outbox.put({"type": EARLY_HINT, "links": [value for _, value in fields]})

    def push_nowait(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,  # the page's own: the event has no place for another
        priority: Priority | None = None,
        response: Response | None = None,  # the server asks the application for it
        deferred: bool = False,  # the event knows no such thing
    ) -> Push:
        """Have the server promise a request (`http.response.push`); what becomes of it, HTTP/2 servers do not say."""
        refusal = PushRefusal.METHOD if method != "GET" else self.push_refusal
        if refusal is None:
            self.budget.promises += 1
            self._outbox.put({"type": PUSH, "path": path, "headers": encode_headers(headers)})
        return Push(path, refusal, priority)

    def push_head(self, path: str, head: RequestHead, priority: Priority | None, *, deferred: bool = False) -> Push:
        return self.push_nowait(path, headers=head.fields, priority=priority)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} HTTP/{self.http_version}>"


def head_of(scope: Scope) -> RequestHead:
    """A scope's header section."""
    fields: list[Field] = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    return RequestHead(
        method=scope.get("method", "GET").encode("latin-1"),
        scheme=scope.get("scheme", "https").encode("ascii"),
        authority=dict(fields).get(b"host"),
        path=path + b"?" + query if query else path,
        fields=tuple(fields),
        content_length=declared_length(fields),
    )
