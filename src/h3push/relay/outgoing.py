"""A response as ASGI's events of the server in front: hints before it, its content, trailers behind it.

Hints and trailers pass where that server can send them: over HTTP/2, for which it offers ASGI's extensions. HTTP/1.1 has room for
both as well, but the servers there offer neither.
"""

import asyncio
from typing import Any

from h3push.asgi.types import EARLY_HINT, TRAILERS, Scope, Send
from h3push.http.fields import Fields
from h3push.http.headers import Headers, declared_length, has_field

EARLY_HINTS = 103
"""The one interim status that ASGI has an event for."""
_WITHOUT_CONTENT = frozenset({204, 304})


class Outgoing:
    """One response.

    Args:
        scope: ASGI's, of the request.
        send: ASGI's.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._method: str = scope["method"]
        self._extensions: dict[str, Any] = scope.get("extensions") or {}
        self._send = send
        self._hints: list[asyncio.Task[None]] = []
        self._began = False
        self._has_trailers = False

    def interim(self, status: int, fields: Headers) -> None:
        """An interim response has come: a 103 goes on at once, any other one ends here."""
        links = [value for name, value in fields.raw if name == b"link"]
        if status == EARLY_HINTS and links and EARLY_HINT in self._extensions and not self._began:
            self._hints.append(asyncio.create_task(self._hint(links)))

    async def _hint(self, links: list[bytes]) -> None:
        await self._send({"type": EARLY_HINT, "links": links})

    def drop(self) -> None:
        """There will be no such response: what waits to be sent before it is not."""
        self._began = True
        for hint in self._hints:
            hint.cancel()

    async def begin(self, status: int, fields: Fields) -> None:
        """Send the header section."""
        self._began = True
        await asyncio.gather(*self._hints)
        has_content = self._method != "HEAD" and status not in _WITHOUT_CONTENT
        is_open = declared_length(fields) is None or has_field(fields, b"trailer")
        self._has_trailers = has_content and is_open and TRAILERS in self._extensions
        start = {"type": "http.response.start", "status": status, "headers": fields}
        await self._send({**start, "trailers": True} if self._has_trailers else start)

    async def add(self, piece: bytes) -> None:
        """Send a piece of the content."""
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self, trailers: Headers | None) -> None:
        """All of the content has been sent."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if self._has_trailers:
            own = [] if trailers is None else list(trailers.raw)
            await self._send({"type": TRAILERS, "headers": own, "more_trailers": False})
