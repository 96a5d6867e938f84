"""The handler that runs an ASGI application for each request and each push."""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mypy_extensions import mypyc_attr

from h3push.asgi.cycle import Cycle, CycleState
from h3push.asgi.push import marker_of
from h3push.asgi.scope import build_scope, facts_of
from h3push.asgi.types import TLS, ASGIApplication, ClientGoneError, Scope
from h3push.delivery.page import PageDelivery
from h3push.delivery.state import DeliveryState
from h3push.plans.planner import Planner
from h3push.runtime.settings import ServerSettings
from h3push.server.request import Request
from h3push.server.response import Response

if TYPE_CHECKING:
    from h3push.asgi.websocket import WebSocketCycle
    from h3push.asgi.websocket_handshake import WebSocketOffer
    from h3push.control.controller import Controller

logger = logging.getLogger("h3push.server")

WEBSOCKETS = find_spec("websockets") is not None
"""True when there is the library that WebSockets need (extra `tcp`)."""


@mypyc_attr(native_class=False)
class ApplicationError(RuntimeError):
    """The application did not complete its response: it returned too early, or called `sys.exit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ASGISettings:
    """How applications are run."""

    root_path: str = ""
    """Where the application is mounted, decoded, without a final slash."""
    planners: tuple[Planner, ...] = ()
    """Asked in order for each GET, before the application runs; every plan is carried out."""
    push_event: bool = True
    """Offer ASGI's push event. False for applications whose middleware fails on it (Starlette's `BaseHTTPMiddleware`):
    `h3push.push`, Link fields and manifests work all the same."""
    push_wait: float = 0.0
    """Seconds that a page is held open, after all of its content, for more push credit; each promise that gets through starts
    the time anew. 0: what has no credit at once is not pushed."""


def for_applications(settings: ServerSettings) -> ServerSettings:
    """Server settings with what ASGI asks for: a disconnect is an event, the application is not cancelled."""
    return replace(settings, cancel_handlers=False)


class ASGIHandler:
    """A handler for `h3push.serve` that runs an ASGI application.

    Arguments:
        app: the application.
        settings: how it is run.
        state: the lifespan's state, of which each request gets a shallow copy.
        controller: decides which pushes pay; `None`: all that are known go out.
    """

    def __init__(
        self,
        app: ASGIApplication,
        settings: ASGISettings = ASGISettings(),
        *,
        state: dict[str, Any] | None = None,
        controller: "Controller | None" = None,
    ) -> None:
        self.app = app
        """The application."""
        self.settings = settings
        """How it is run."""
        self.delivery = DeliveryState(push_wait=settings.push_wait, controller=controller)
        """State and counters of pushes and hints, over all connections."""
        self.state = state
        """The lifespan's state."""
        self.websockets: set[WebSocketCycle] = set()
        """Those that are open."""

    def __call__(self, request: Request) -> Response | Awaitable[None]:
        """Answer one request. Its planners' pushes and hints go out in this very call, before the application runs."""
        method = request.method
        if method == "CONNECT":
            return self._connect(request)
        delivery = PageDelivery(request, self.delivery)
        if method == "GET":
            self._carry_out_plans(request, delivery)
        return self._run(request, delivery)

    def _connect(self, request: Request) -> Response | Awaitable[None]:
        """Run a WebSocket (RFC 9220). ASGI has no scope for any other tunnel, and a 2xx would open one."""
        if request.head.protocol != b"websocket" or not WEBSOCKETS:
            return Response(501)
        from h3push.asgi.websocket_handshake import WebSocketOffer

        try:
            offer = WebSocketOffer(list(request.head.fields))
        except ValueError as error:
            logger.info("%r: %s", request, error)
            return Response(400, {"sec-websocket-version": "13"})
        return self._run_websocket(request, offer)

    async def _run_websocket(self, request: Request, offer: "WebSocketOffer") -> None:
        from h3push.asgi.websocket import WebSocketCycle
        from h3push.asgi.websocket_handshake import DENIAL, build_websocket_scope

        cycle = WebSocketCycle(request, offer)
        self.websockets.add(cycle)
        scope = build_websocket_scope(
            request,
            offer,
            root_path=self.settings.root_path,
            state=self.state,
            extensions={DENIAL: {}, TLS: facts_of(request).tls.copy()},
        )
        # Not in a `finally`: compiled, one that awaits raises again what an earlier call of the function raised (mypyc 2.4).
        try:
            await self._talk(request, cycle, scope)
        except BaseException:
            await cycle.finish(failed=True)
            raise
        await cycle.finish(failed=False)

    async def _talk(self, request: Request, cycle: "WebSocketCycle", scope: Scope) -> None:
        try:
            await self.app(scope, cycle.receive, cycle.send)
            if cycle.is_undecided and not request.disconnected:
                raise ApplicationError(f"the application returned while the server was {cycle.state.value}")
        except ClientGoneError as error:
            logger.debug("%r: %s", request, error)
        except SystemExit as error:
            raise ApplicationError(f"the application called sys.exit({error.code!r})") from error
        finally:
            self.websockets.discard(cycle)

    def go_away(self) -> None:
        """The server shuts down: close every WebSocket, which would go on for ever."""
        for cycle in list(self.websockets):
            cycle.go_away()

    def _carry_out_plans(self, request: Request, delivery: PageDelivery) -> None:
        plans = [plan for planner in self.settings.planners if (plan := planner(request)) is not None]
        if plans:
            delivery.carry_out_early(*plans)

    async def _run(self, request: Request, delivery: PageDelivery) -> None:
        cycle = Cycle(request, delivery)
        failed = True
        try:
            await self.app(self._scope(request, delivery), cycle.receive, cycle.send)
            self._check_complete(request, cycle)
            failed = False
        except ClientGoneError as error:
            logger.debug("%r: %s", request, error)
        except Exception as error:
            if cycle.request_failure is None:
                raise
            raise cycle.request_failure from error
        except SystemExit as error:
            # Left alone, it would end the event loop and with it everybody else's responses.
            raise ApplicationError(f"the application called sys.exit({error.code!r})") from error
        finally:
            cycle.finish()
            delivery.ended(failed=failed)

    def _scope(self, request: Request, delivery: PageDelivery) -> Scope:
        return build_scope(
            request,
            root_path=self.settings.root_path,
            state=self.state,
            marker=marker_of(delivery),
            offers_push=self.settings.push_event and delivery.takes_pushes,
        )

    def _check_complete(self, request: Request, cycle: Cycle) -> None:
        """Raise for an incomplete response: one that only looks complete must not reach a cache."""
        if cycle.state is CycleState.DONE or request.disconnected or request.response_ended:
            return
        if cycle.request_failure is not None:
            raise cycle.request_failure
        raise ApplicationError(f"the application returned while the server was {cycle.state.value}")
