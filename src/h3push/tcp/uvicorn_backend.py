"""uvicorn as the server for TCP: HTTP/1.1, and HTTP/2 where zttp is installed. It pushes nothing."""

import asyncio
import math
import socket
import ssl
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from h3push.asgi.types import ASGIApplication
from h3push.runtime.settings import ServerSettings
from h3push.tcp.admission import Admission, ChooseProtocol, ReleasedWhenLost
from h3push.tcp.backend import Abilities, BackendKind, version_of
from h3push.tcp.gathering import Turns

LINGER = 0.5
"""Seconds in which a server that stops still answers on connections that are idle. Their clients may have sent a request before
they knew, and one that comes to a closed connection is lost; 0.5 s is longer than the way of most, and Ctrl-C may take it."""


class H11Protocol(ReleasedWhenLost, AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # a class that uvicorn chooses
    """HTTP/1.1 where httptools is not installed."""


def _http1(_transport: asyncio.Transport) -> type[Any]:
    if find_spec("httptools") is None:
        return H11Protocol
    from h3push.tcp.httptools_protocol import HttptoolsProtocol

    return HttptoolsProtocol


class UvicornBackend:
    """One uvicorn, in the event loop that runs.

    Its signal handlers, its lifespan and its access log stay off: all three are ours, and one for every version.
    """

    def __init__(
        self,
        app: ASGIApplication,
        sockets: list[socket.socket],
        context: ssl.SSLContext | None,
        settings: ServerSettings,
    ) -> None:
        choose: ChooseProtocol = _http1
        if find_spec("zttp") is not None and context is not None:
            from h3push.tcp.zttp_protocols import by_alpn

            choose = by_alpn
        http: Any = partial(Admission, choose, settings, Turns())
        self._sockets = sockets
        self._config = uvicorn.Config(
            app,
            http=http,
            ws="websockets-sansio" if find_spec("websockets") is not None else "auto",
            ws_max_size=settings.websocket_max_size,
            ws_max_queue=settings.websocket_max_queue,
            ws_ping_interval=settings.websocket_ping_interval,
            ws_ping_timeout=settings.websocket_ping_timeout,
            ws_per_message_deflate=settings.websocket_compression,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the same addresses as over HTTP/3
            server_header=False,
            date_header=False,  # added where the application has none: uvicorn would add a second one
            timeout_keep_alive=math.ceil(settings.idle_timeout or 0) or 86_400,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
        self._server = uvicorn.Server(self._config)
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to accept. In steps, because `Server.serve` takes the process's signals."""
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        await self._server.startup(sockets=self._sockets)
        self._loop = asyncio.create_task(self._server.main_loop(), name="h3push uvicorn")

    async def shutdown(self, grace: float | None) -> None:
        """Stop; what is not finished in time is cancelled."""
        self._server.should_exit = True
        if self._loop is None:
            return
        self._loop.cancel()
        with suppress(asyncio.CancelledError):
            await self._loop
        lingered = LINGER if grace is None else min(LINGER, grace)
        self._config.timeout_graceful_shutdown = None if grace is None else math.ceil(grace - lingered)
        try:
            await self._linger(lingered)
            await self._server.shutdown(sockets=self._sockets)
        finally:
            for task in list(self._server.server_state.tasks):
                task.cancel()

    def connections(self) -> Mapping[str, int]:
        """Connections that are open, by version."""
        there = list(self._server.server_state.connections)  # in one step: another thread may ask
        return Counter(version_of(one.transport) for one in there)

    async def _linger(self, seconds: float) -> None:
        """Accept nothing more, but go on answering for a moment: whatever clients sent before they knew is answered."""
        for server in self._server.servers:
            server.close()
        connections = self._server.server_state.connections
        for connection in list(connections):
            if isinstance(connection, ReleasedWhenLost):
                connection.announce_stop()
        end = asyncio.get_running_loop().time() + seconds
        while connections and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - as uvicorn waits
            await asyncio.sleep(min(0.05, seconds))


def uvicorn_kind() -> BackendKind:
    """uvicorn, with what is installed beside it."""
    http2 = find_spec("zttp") is not None
    abilities = Abilities(
        f"uvicorn {uvicorn.__version__}",
        ("h2", "http/1.1") if http2 else ("http/1.1",),
        pushes=False,
        websockets=find_spec("websockets") is not None or find_spec("wsproto") is not None,
    )
    return BackendKind(abilities, UvicornBackend)
