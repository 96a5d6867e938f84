"""A request of the program in front, from ASGI's events to a request that can be sent on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote_from_bytes

from h3push.asgi.scope import takes_trailers
from h3push.asgi.types import TRAILERS, ClientGoneError, Receive, Scope
from h3push.http.content import Content
from h3push.http.fields import Field, Fields, RequestHead
from h3push.relay.translation import Translation

_SAFE_IN_TARGET = "".join(map(chr, range(0x21, 0x7F)))
_WITHOUT_CONTENT = frozenset({"GET", "HEAD", "OPTIONS"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Incoming:
    """One request.

    Args:
        scope: ASGI's.
        receive: ASGI's.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        """ASGI's."""
        self.method: str = scope["method"] if scope["type"] == "http" else "GET"
        """Its method; a WebSocket's handshake, of which ASGI does not say it, has GET."""
        self.version: str = scope["http_version"]
        """The version of HTTP that it came by."""
        self.fields: list[Field] = [(name.lower(), value) for name, value in scope["headers"]]
        """Its fields, as they came."""
        self.path: str = _target(scope)
        """Path and query, percent-encoded."""
        self.client: str = (scope.get("client") or ("", 0))[0]
        """Address of the program."""
        self.takes_trailers = TRAILERS in (scope.get("extensions") or {}) and takes_trailers(self.fields)
        """True when the program wants trailers, and the server in front can send them."""
        self._scheme: str = {"ws": "http", "wss": "https"}.get(scope["scheme"]) or scope["scheme"]
        self._receive = receive
        self._read = asyncio.Event()
        self._gone = False

    @property
    def authority(self) -> str | None:
        """The host that was asked for; `None` when that is not said exactly once."""
        hosts = {value for name, value in self.fields if name == b"host"}
        return hosts.pop().decode("latin-1") if len(hosts) == 1 else None

    def translation(self, authority: str) -> Translation:
        """Between the name by which the program calls us and the origin's own."""
        here = f"{self._scheme}://{self.authority}".encode("latin-1")
        return Translation(here, f"https://{authority}".encode("ascii"))

    def head(self, authority: str, fields: Fields) -> RequestHead:
        """The request as it goes on."""
        method, target = self.method.encode("latin-1"), self.path.encode("ascii")
        if self.takes_trailers:
            fields = [*fields, (b"te", b"trailers")]
        return RequestHead(method, b"https", authority.encode("ascii"), target, fields, None)

    async def content(self) -> Content:
        """The content: nothing, bytes that came in one piece, or an iterator. `ClientGoneError` when it will not come."""
        names = {name for name, _ in self.fields}
        if self.version != "2" and self.method in _WITHOUT_CONTENT and names.isdisjoint(_FRAMING):
            self._read.set()
            return None
        first = await self._next()
        if not first.get("more_body"):
            return first.get("body") or None
        return self._pieces(first.get("body", b""))

    async def _pieces(self, first: bytes) -> AsyncIterator[bytes]:
        if first:
            yield first
        while True:
            message = await self._next()
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return

    async def _next(self) -> Any:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
            self._read.set()
            raise ClientGoneError("the program in front of the relay has gone")
        if not message.get("more_body"):
            self._read.set()
        return message

    async def wait_gone(self) -> None:
        """Wait until the program has gone."""
        await self._read.wait()
        while not self._gone:
            self._gone = (await self._receive())["type"] == "http.disconnect"


def _target(scope: Scope) -> str:
    """Path and query as they came, with what may not stand in a URL percent-encoded."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string") or b""
    return quote_from_bytes(path + (b"?" + query if query else b""), safe=_SAFE_IN_TARGET)
