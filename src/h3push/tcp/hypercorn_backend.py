"""Hypercorn as the server for TCP: slower than uvicorn, and the one that pushes over HTTP/2."""

import asyncio
import logging
import math
import socket
import ssl
from contextlib import suppress
from importlib.metadata import version

import hypercorn.asyncio
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.config import Config, Sockets
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream

from h3push.asgi.types import ASGIApplication, Receive, Scope, Send
from h3push.runtime.settings import ServerSettings
from h3push.tcp.backend import Abilities, BackendKind

WHOLE_LIFE = 1 << 31
"""Requests after which Hypercorn closes a connection: never, as over HTTP/3."""


class OurConfig(Config):
    """Hypercorn's configuration, with sockets and TLS made here."""

    def __init__(self, sockets: list[socket.socket], context: ssl.SSLContext | None, settings: ServerSettings) -> None:
        super().__init__()
        self._ours = sockets
        self._context = context
        self.accesslog = None
        self.errorlog = logging.getLogger("h3push.server.hypercorn")
        self.loglevel = "WARNING"
        self.include_server_header = False
        self.include_date_header = False  # as with uvicorn
        self.keep_alive_max_requests = WHOLE_LIFE
        self.keep_alive_timeout = settings.idle_timeout or math.inf
        self.websocket_max_message_size = settings.websocket_max_size
        self.websocket_ping_interval = settings.websocket_ping_interval
        self.h2_max_concurrent_streams = settings.max_concurrent_requests

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context

    def create_sockets(self) -> Sockets:
        return Sockets([], self._ours, []) if self._context is None else Sockets(self._ours, [], [])


class ResettingApplication:
    """An application whose responses over HTTP/2 are reset when they break off.

    Hypercorn 0.18 forgets them instead, and their clients wait for the rest until the connection ends.
    """

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application."""
        try:
            await self._app(scope, receive, send)
        finally:
            await _reset_what_broke_off(send)


async def _reset_what_broke_off(send: Send) -> None:
    stream = getattr(send, "__self__", None)
    if not isinstance(stream, HTTPStream) or stream.closed or stream.state is not ASGIHTTPState.RESPONSE:
        return
    protocol = getattr(stream.send, "__self__", None)
    if isinstance(protocol, H2Protocol):
        with suppress(ProtocolError):  # the client reset it before
            protocol.connection.reset_stream(stream.stream_id, ErrorCodes.INTERNAL_ERROR)
            await protocol._flush()  # noqa: SLF001 - there is no other way


class HypercornBackend:
    """One Hypercorn, in the event loop that runs."""

    def __init__(
        self,
        app: ASGIApplication,
        sockets: list[socket.socket],
        context: ssl.SSLContext | None,
        settings: ServerSettings,
    ) -> None:
        self._app = ResettingApplication(app)
        self._config = OurConfig(sockets, context, settings)
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept: the sockets listen already, so whoever comes before it runs is kept by the kernel."""
        self._task = asyncio.create_task(
            hypercorn.asyncio.serve(
                self._app,  # type: ignore[arg-type]  # the same protocol, in its own words
                self._config,
                shutdown_trigger=self._stop.wait,
                mode="asgi",
            ),
            name="h3push hypercorn",
        )

    async def shutdown(self, grace: float | None) -> None:
        """Stop; what is not finished in time is cancelled."""
        self._config.graceful_timeout = math.inf if grace is None else grace
        self._stop.set()
        if self._task is not None:
            await self._task


def hypercorn_kind() -> BackendKind:
    """Hypercorn; HTTP/2 and WebSockets are always part of it."""
    name = f"Hypercorn {version('hypercorn')}"
    return BackendKind(Abilities(name, ("h2", "http/1.1"), pushes=True, websockets=True), HypercornBackend)
