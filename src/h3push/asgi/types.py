"""ASGI 3 (HTTP spec version 2.5, lifespan 2.0): its types, and the names of its events and extensions."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
"""The description of one request, or of the server's lifespan, that an application is called with."""

Message = MutableMapping[str, Any]
"""An event in either direction; `type` says which."""

Receive = Callable[[], Awaitable[Message]]
"""Waits for the next event for the application."""

Send = Callable[[Message], Awaitable[None]]
"""Takes an event from the application."""

BELIEVED = "h3push.believed"
"""Key of a scope whose sender was believed: the address of that sender, where `client` is the one that it told."""

ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""

SPEC = {"version": "3.0", "spec_version": "2.5"}
"""The `asgi` of HTTP scopes: `send` raises `OSError` after a disconnect since 2.4, trailers and early hints are as in 2.5."""

LIFESPAN_SPEC = {"version": "3.0", "spec_version": "2.0"}
"""The `asgi` of lifespan scopes: `state` since 2.0."""

PUSH = "http.response.push"
"""Extension and event: promise a request and answer it in advance."""

EARLY_HINT = "http.response.early_hint"
"""Extension and event: a 103 with Link fields."""

INFORMATIONAL = "http.response.informational"
"""Gunicorn's event for any interim response. It is in no specification, and nobody advertises it."""

EARLY_DATA = "http.early_data"
"""Our own: the request came in early data and may be a replay (RFC 8470)."""
TRAILERS = "http.response.trailers"
"""Extension and event: a trailer section."""

PATHSEND = "http.response.pathsend"
"""Extension and event: a file by its path."""

ZEROCOPYSEND = "http.response.zerocopysend"
"""Extension and event: a part of a file by its descriptor."""

TLS = "tls"
"""Extension: the TLS handshake."""

H3PUSH = "h3push"
"""Our own extension: push ID and initiator of a pushed request, and the object that `h3push.push` works through."""


class ClientGoneError(OSError):
    """The client no longer wants the response, so `send` has nowhere to send to. ASGI asks for an `OSError` here."""
