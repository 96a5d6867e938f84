"""Requests that a proxy hands on: the client is who a trusted one says (X-Forwarded-For, X-Forwarded-Proto)."""

from importlib.util import find_spec
from typing import Any, cast

from h3push.asgi.types import BELIEVED, ASGIApplication, Receive, Scope, Send


def behind_proxies(app: ASGIApplication, trusted: str | None) -> ASGIApplication:
    """Make an application see the client's address and scheme where a trusted proxy tells them.

    Args:
        app: the application, or what stands in front of it, the access log included.
        trusted: addresses and networks, with commas between; "*" trusts whoever connects, `None` nobody.
    """
    if trusted is None or find_spec("uvicorn") is None:
        return app
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    wrapped: Any = ProxyHeadersMiddleware(cast("Any", app), trusted)

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            client = scope.get("client")
            if (client[0] if client else None) in wrapped.trusted_hosts:
                scope[BELIEVED] = client
        await wrapped(scope, receive, send)

    return told
