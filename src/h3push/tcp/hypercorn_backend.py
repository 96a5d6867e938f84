"""Hypercorn as the server for TCP: slower than uvicorn, and the one that pushes over HTTP/2."""

import asyncio
import logging
import math
import socket
import ssl
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import cast

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from h3push.asgi.types import ASGIApplication, Receive, Scope, Send
from h3push.runtime.settings import ServerSettings
from h3push.tcp.backend import Abilities, BackendKind, version_of

WHOLE_LIFE = 1 << 31
"""Requests after which Hypercorn closes a connection: never, as over HTTP/3."""


class OurConfig(Config):
    """Hypercorn's configuration, with TLS made here."""

    def __init__(self, context: ssl.SSLContext | None, settings: ServerSettings) -> None:
        super().__init__()
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
        self.max_app_queue_size = settings.websocket_max_queue  # of pieces of a request's content too
        self.ssl_handshake_timeout = settings.handshake_timeout or math.inf
        self.h2_max_concurrent_streams = settings.max_concurrent_requests

    @property
    def ssl_enabled(self) -> bool:
        return self._context is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._context


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


class Connection(TCPServer):
    """A connection that ends with its client. Hypercorn 0.18 keeps one until its keep-alive time-out, which may be none."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class HypercornBackend:
    """One Hypercorn, in the event loop that runs."""

    def __init__(
        self,
        app: ASGIApplication,
        sockets: list[socket.socket],
        context: ssl.SSLContext | None,
        settings: ServerSettings,
    ) -> None:
        self._app = wrap_app(ResettingApplication(app), 0, "asgi")  # type: ignore[arg-type]  # the protocol, in its own words
        self._config = OurConfig(context, settings)
        self._max_connections = settings.max_connections
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []
        self._context = WorkerContext(None)
        self._open: dict[asyncio.Task[None], str] = {}

    async def start(self) -> None:
        """Begin to accept: the sockets listen already, so whoever comes before it runs is kept by the kernel."""
        config = self._config
        tls = config.create_ssl_context()
        within = None if tls is None else config.ssl_handshake_timeout
        for one in self._sockets:
            self._servers.append(
                await asyncio.start_server(self._serve, sock=one, ssl=tls, ssl_handshake_timeout=within)
            )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, as `hypercorn.asyncio.serve` does; that one has no bound on them, and does not tell of them."""
        if len(self._open) >= self._max_connections:
            writer.transport.abort()
            return
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._open[task] = version_of(writer.transport)
        try:
            loop = asyncio.get_running_loop()
            await Connection(self._app, loop, self._config, self._context, ConnectionState({}), reader, writer)
        finally:
            del self._open[task]

    async def shutdown(self, grace: float | None) -> None:
        """Stop; what is not finished in time is cancelled."""
        await self._context.terminated.set()
        for server in self._servers:
            server.close()
        if self._open:
            try:
                await asyncio.wait(list(self._open), timeout=grace)
            finally:
                for task in list(self._open):
                    task.cancel()
                await asyncio.gather(*self._open, return_exceptions=True)

    def connections(self) -> Mapping[str, int]:
        """Connections that are open, by version."""
        return Counter(list(self._open.values()))


def hypercorn_kind() -> BackendKind:
    """Hypercorn; HTTP/2 and WebSockets are always part of it."""
    name = f"Hypercorn {version('hypercorn')}"
    abilities = Abilities(
        name,
        ("h2", "http/1.1"),
        pushes=True,
        websockets=True,
        unkept="--first-request-timeout, --ws-ping-timeout, --ws-close-timeout and --ws-per-message-deflate",
    )
    return BackendKind(abilities, HypercornBackend)
