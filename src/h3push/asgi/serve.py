"""An HTTP/3 server for an ASGI application: its lifespan, its handler and its counters."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from h3push import _quic
from h3push.asgi.default_fields import WithDefaultFields
from h3push.asgi.handler import WEBSOCKETS, ASGIHandler, ASGISettings, for_applications
from h3push.asgi.lifespan import Lifespan, LifespanState
from h3push.asgi.loader import survives_push_event
from h3push.asgi.types import ASGIApplication
from h3push.delivery.counters import DeliveryCounters
from h3push.h3.config import H3Config
from h3push.h3.push.rules import NO_CREDIT
from h3push.http.default_fields import DefaultFields
from h3push.http.headers import HeadersLike
from h3push.plans.manifest import Manifest, load_manifest
from h3push.plans.plan import PushPlan
from h3push.plans.planner import Planner
from h3push.runtime.settings import ServerSettings
from h3push.server.access_log import AccessLog
from h3push.server.counters import ServerCounters
from h3push.server.request import Request
from h3push.server.server import Server, serve

if TYPE_CHECKING:
    from h3push.control.controller import Controller
    from h3push.quic.adapter import Driver


@dataclass(frozen=True, slots=True)
class Counters:
    """A live view of everything that a server counts: the difference of two readings is the work between them."""

    server: ServerCounters
    """Connections, requests, and pushes by their end."""
    delivery: DeliveryCounters
    """Resources by the way they took, and by the reason why one was not pushed."""

    @property
    def promised(self) -> int:
        """Promises made."""
        return self.server.pushes

    @property
    def fulfilled(self) -> int:
        """Pushes whose whole response the client has acknowledged."""
        return self.server.pushes_fulfilled

    @property
    def cancelled(self) -> int:
        """Promised pushes that ended early, through either side."""
        return self.server.pushes_cancelled

    @property
    def refused_for_credit(self) -> int:
        """Pushes that were not promised because the client's credit was used up."""
        return sum(self.delivery.refusals[one] for one in NO_CREDIT)

    @property
    def pushed_bytes(self) -> int:
        """Content of pushed responses, in bytes."""
        return self.server.push.content_bytes


class ASGIServer:
    """An application and the server that runs it; made by `serve_asgi`.

    `async with` starts the application, then listens; at the end it stops listening, lets responses finish, then stops the
    application.
    """

    def __init__(self, server: Server, handler: ASGIHandler, lifespan: Lifespan | None) -> None:
        self.server = server
        """The listening half."""
        self.handler = handler
        """The handler, which runs the application."""
        self._lifespan = lifespan

    async def __aenter__(self) -> "ASGIServer":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    async def open(self) -> None:
        """Start the application and listen. `LifespanFailedError`, or `OSError` with a sentence when it cannot listen."""
        if self._lifespan is not None:
            await self._lifespan.startup()
            self.handler.state = self._lifespan.state if self._lifespan.stage is LifespanState.RUNNING else None
        try:
            await self.server.open()
        except BaseException:
            if self._lifespan is not None:
                await self._lifespan.shutdown()
            raise

    async def shutdown(self, grace: float | None = None) -> None:
        """Stop gracefully (see `Server.shutdown`), then stop the application. Cancelled, it stops both at once."""
        self.handler.go_away()
        try:
            await self.server.shutdown(grace)
        except asyncio.CancelledError:
            if self._lifespan is not None:
                await self._lifespan.abandon()
            raise
        finally:
            if self._lifespan is not None and self._lifespan.stage is not LifespanState.STOPPED:
                await self._lifespan.shutdown()

    async def wait_closed(self) -> None:
        """Wait until the server has shut down."""
        await self.server.wait_closed()

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: host and port."""
        return self.server.address

    @property
    def counters(self) -> Counters:
        """The work done so far."""
        return Counters(self.server.counters, self.handler.delivery.counters)


class ServeArguments(TypedDict, total=False):
    """The arguments of `serve` that `serve_asgi` takes too and hands on; `serve` says what they mean."""

    certfile: str | os.PathLike[str] | None
    keyfile: str | os.PathLike[str] | None
    tls: _quic.ServerTls | None
    config: H3Config | None
    access_log: AccessLog | None
    io: Literal["loop", "thread"]
    driver: "Driver | None"


def serve_asgi(
    app: ASGIApplication,
    host: str = "127.0.0.1",
    port: int = 4433,
    *,
    manifest: Manifest | str | os.PathLike[str] | None = None,
    planners: Iterable[Planner] = (),
    root_path: str = "",
    lifespan: bool = True,
    lifespan_required: bool = False,
    headers: HeadersLike = (),
    push_wait: float = 0.0,
    controller: "Controller | None" = None,
    settings: ServerSettings | None = None,
    **arguments: Unpack[ServeArguments],
) -> ASGIServer:
    """Make a server that runs an ASGI application; it runs inside `async with`.

    Args:
        app: the application.
        host: address to listen on, or a name for all of its addresses.
        port: UDP port; 0 takes a free one.
        manifest: a push manifest, or the file that holds one: it names what goes with which page.
        planners: further functions that name what goes with a page, from its request alone.
        root_path: where the application is mounted.
        lifespan: run the application's lifespan.
        lifespan_required: an application that takes no lifespan events cannot start (`LifespanFailedError`).
        headers: fields that its responses get where they have none of the name.
        push_wait: seconds that a page is held open for more push credit.
        controller: decides which of the pushes that are known pay, and learns more of them; `None`: all of them go out.
        settings: time-outs and bounds; the application's task is never cancelled for a client that goes away.
        arguments: `certfile`, `keyfile`, `tls`, `config`, `access_log`, `io`, `driver`: as for `serve`.

    Raises:
        ValueError: a certificate, a manifest or fields that cannot be used; the sentence says why.
    """
    known = list(planners) if controller is None else [*planners, controller.plan]
    if manifest is not None:
        known.append(manifest_planner(manifest if isinstance(manifest, Manifest) else load_manifest(manifest)))
    handling = ASGISettings(
        root_path=root_path, planners=tuple(known), push_event=survives_push_event(app), push_wait=push_wait
    )
    defaults = DefaultFields(headers)
    runs = WithDefaultFields(app, defaults) if defaults else app
    handler = ASGIHandler(runs, handling, controller=controller)
    arguments["config"] = replace(arguments.get("config") or H3Config(), connect_protocol=WEBSOCKETS)
    server = serve(handler, host, port, settings=for_applications(settings or ServerSettings()), **arguments)
    return ASGIServer(server, handler, Lifespan(app, required=lifespan_required) if lifespan else None)


def manifest_planner(manifest: Manifest) -> Planner:
    """Make a planner that looks pages up in a manifest."""

    def plan(request: Request) -> PushPlan | None:
        return manifest.plan(request.path)

    return plan
