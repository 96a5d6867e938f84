"""The far side: an ASGI application that answers each request with what an upstream answers.

Theory of operation. It is an application like any other, so it runs over HTTP/3, HTTP/2 and HTTP/1.1, in several workers, and
what goes with a page takes the same ways as everybody's: the upstream's Link fields, its 103, a manifest, and the page itself,
which is read as it streams through (`proxy.passages`). A pushed request is a request: it comes here too, and goes to an upstream
beside the page's.
"""

from h3push.asgi.types import Receive, Scope, Send
from h3push.plans.cache import PlanCacheSettings
from h3push.plans.planner import Planner, ScanPlanner
from h3push.proxy.exchange import ProxiedExchange, authority_of, forwarded_fields, host_of
from h3push.proxy.leaving import LeavingWatch
from h3push.proxy.passages import Passages
from h3push.proxy.settings import ProxySettings
from h3push.proxy.shared_cache import make_cache
from h3push.proxy.upstreams import Upstreams


class ReverseProxy:
    """The application.

    Args:
        upstreams: who answers.
        settings: how requests are forwarded.
    """

    def __init__(self, upstreams: Upstreams, settings: ProxySettings | None = None) -> None:
        self.upstreams = upstreams
        """The servers that answer."""
        self.settings = settings or ProxySettings()
        """How requests are forwarded."""
        self.passages = Passages() if self.settings.read_pages else None
        """The pages and style sheets that passed through."""

        self.cache = make_cache(self.settings)
        """The answers that are kept; `None` when none are."""
        self._leaving = LeavingWatch()

    @property
    def planners(self) -> tuple[Planner, ...]:
        """The knowledge of pages that passed through before: for `serve_asgi`."""
        return () if self.passages is None else (ScanPlanner(self.passages, self.settings.scan, PlanCacheSettings()),)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or one WebSocket."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await self._tunnel(scope, receive, send)
        else:
            own = self.upstreams, self.passages, self.cache, self._leaving
            await ProxiedExchange(*own, self.settings, scope, receive, send).run()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.upstreams.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.upstreams.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _tunnel(self, scope: Scope, receive: Receive, send: Send) -> None:
        from h3push.proxy.websocket import WebSocketTunnel

        authority = authority_of(scope)
        fields, host = forwarded_fields(scope, self.settings, authority), host_of(authority, self.settings)
        tunnel = WebSocketTunnel(scope, receive, send, self.settings.websocket_max_size)
        await tunnel.run(self.upstreams, host, fields)
