"""Plain HTTP, answered with the way to HTTPS and nothing else."""

import re

from h3push.asgi.types import Receive, Scope, Send
from h3push.http.url import Origin, origin_of
from h3push.tcp.lifespan import answer_lifespan

_HOST = re.compile(r"[a-z0-9._:-]+")


class RedirectApplication:
    """Answers every request with 308 and the same URL under https.

    Arguments:
        port: where HTTPS is.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; 400 when it names no host that could be asked over https."""
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        location = None if scope["type"] != "http" else self._location(scope)
        fields = [(b"content-length", b"0")]
        if location is not None:
            fields.append((b"location", location))
        await send({"type": "http.response.start", "status": 308 if location else 400, "headers": fields})
        await send({"type": "http.response.body"})

    def _location(self, scope: Scope) -> bytes | None:
        host = dict(scope["headers"]).get(b"host", b"")
        origin = origin_of(f"https://{host.decode('latin-1')}/")
        if origin is None or not _HOST.fullmatch(origin.host):
            return None
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope.get("query_string", b"")
        authority = Origin(origin.host, self._port).authority.encode("ascii")
        return b"https://" + authority + b"/" + path.lstrip(b"/") + (b"?" + query if query else b"")
