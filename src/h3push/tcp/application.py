"""An application as the server for TCP runs it: wrapped, so that it means the same there as over HTTP/3.

Theory of operation. The server beneath speaks HTTP/1.1 and HTTP/2; this application stands between it and the user's. Lifespan
and state are those that HTTP/3 started: each request gets a copy of that one state. What goes with a page comes from the same
planners and the same events, through the same `PageDelivery`, and leaves as push, 103 or Link field, whichever the server and
the client can take. Rows go to the one access log, counts to the one `ServerCounters`. Each response says where HTTP/3 is
(Alt-Svc, RFC 7838), which is how browsers come to it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from h3push.asgi.types import TLS, ASGIApplication, Receive, Scope, Send
from h3push.delivery.state import DeliveryState
from h3push.server.server import Server
from h3push.tcp.exchange import TcpExchange
from h3push.tcp.lifespan import answer_lifespan
from h3push.tcp.settings import TcpSettings
from h3push.tcp.tls import tls_extension
from h3push.tcp.websocket import TcpWebSocket


class TcpApplication:
    """Runs an application for a server of HTTP/1.1 and HTTP/2.

    Arguments:
        app: the application.
        server: the HTTP/3 server, whose counters, access log and bounds these requests share.
        delivery: state and counters of pushes and hints, over all versions.
        settings: how it is run.
        state: gives the lifespan's state; `None` when there is none.
        alt_svc: gives the value of Alt-Svc; `None`: none is sent.
    """

    def __init__(
        self,
        app: ASGIApplication,
        server: Server,
        delivery: DeliveryState,
        settings: TcpSettings,
        *,
        state: Callable[[], dict[str, Any] | None],
        alt_svc: Callable[[], bytes | None],
    ) -> None:
        self.app = app
        self.server = server
        self.delivery = delivery
        self.settings = settings
        self.alt_svc = alt_svc
        self.under_way = 0
        """Responses that are not complete."""
        self._state = state

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one request, or one WebSocket."""
        if scope["type"] == "http":
            return TcpExchange(self, scope, receive, send).run()  # not awaited here: a coroutine more for each request
        return self._run_other(scope, receive, send)

    async def _run_other(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await answer_lifespan(receive, send)
            return
        if kind != "websocket":
            raise NotImplementedError(f"h3push knows no {kind!r}")
        counters = self.server.counters
        counters.requests += 1
        counters.requests_over_tcp += 1
        self.under_way += 1
        try:
            await self._run_websocket(scope, receive, send)
        except Exception:
            counters.failed += 1
            raise
        finally:
            self.under_way -= 1

    async def _run_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        tls = self.settings.tls(send)
        extensions = dict(scope.get("extensions") or {})
        extension = tls_extension(tls)
        if extension is not None:
            extensions[TLS] = extension
        scope = self.shared_scope(scope, extensions)
        socket = TcpWebSocket(self.server, scope, receive, send, tls)
        error: BaseException | None = None
        try:
            await self.app(scope, socket.receive, socket.send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            socket.end(error)

    def shared_scope(self, scope: Scope, extensions: dict[str, Any]) -> Scope:
        """Copy a server's scope for the user's application, with what all versions share."""
        scope = {**scope, "root_path": self.settings.root_path, "extensions": extensions}
        state = self._state()
        if state is not None:
            scope["state"] = state.copy()
        else:
            scope.pop("state", None)
        return scope
