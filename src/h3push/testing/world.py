"""A server, a client, the link between them and their clock, in virtual time: one `async with`.

The whole stack runs, real QUIC included; only sockets and the clock are replaced. So a push policy is tested in a few lines,
and the test takes no time and gives the same result on every machine::

    def test_the_page_brings_its_style_sheet():
        visit = in_world(handler, lambda world: world.visit("/"), max_pushes=10)
        assert visit.pushed == ["/style.css"]

`in_world` runs a scenario and returns its result. Inside virtual time that is already running, use the class::

    async def main():
        async with World(app, serve=h3push.serve_asgi, manifest="push_manifest.json") as world:
            visit = await world.visit("/")

    run_virtual(main)

To test a policy without QUIC, byte by byte, use `h3push.testing.memory`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from h3push import _quic
from h3push.client.connect import connect
from h3push.client.connection import ClientConnection
from h3push.client.pushes import OnPush
from h3push.client.response import ClientResponse
from h3push.h3.config import H3Config
from h3push.http.headers import HeadersLike
from h3push.runtime.settings import ClientSettings, ServerSettings
from h3push.server.server import serve
from h3push.testing.identity import Identity, make_identity
from h3push.testing.link import LinkSettings
from h3push.testing.network import VirtualDriver, VirtualNetwork
from h3push.testing.virtual import run_virtual

T = TypeVar("T")

HOST = "origin.example"
"""The server's name, unless another is given (RFC 2606 keeps .example free)."""

ROUND_TRIP = 0.1
"""Seconds of the round trip, unless a link is given."""


class Pushed(NamedTuple):
    """One pushed response, whole."""

    path: str
    """`:path` of the promised request."""
    status: int
    """Status of the response."""
    content: bytes
    """Its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One response with everything that came with it, all of it complete."""

    response: ClientResponse
    """The response that was asked for."""
    content: bytes
    """Its content."""
    pushes: tuple[Pushed, ...]
    """Every pushed response, in the order of the promises."""
    duration: float
    """Seconds from the request until everything was there."""

    @property
    def pushed(self) -> list[str]:
        """Paths of the pushes, in the order of the promises."""
        return [push.path for push in self.pushes]

    @property
    def hints(self) -> list[str]:
        """Link values of all 103 responses, in order."""
        informational = self.response.informational
        return [value for status, fields in informational if status == 103 for value in fields.get_all("link")]


class World:
    """A server and a client on a virtual network; see the module's text.

    Args:
        application: what `serve` takes first: a handler, or an ASGI application with `serve=h3push.serve_asgi`.
        serve: makes the server: `h3push.serve`, `h3push.serve_asgi`, or a function that takes the same arguments.
        host: the server's name, in the certificate and in the client's URL.
        link: both directions between client and server; a round trip of 100 ms when `None`.
        seed: decides everything random: the same seed gives the same packets at the same nanoseconds.
        identity: the server's certificate; made for `host` when `None`. The clients trust its authority.
        server_tls: instead of what `identity` makes.
        client_tls: instead of what `identity` makes, for every client.
        max_pushes: pushes that the client takes at once; `None`: it takes none.
        server_settings: time-outs and bounds of the server.
        client_settings: time-outs and bounds of every client.
        server_transport: QUIC settings of the server, instead of what `server_settings` makes.
        server_config: bounds and switches of the protocol at the server.
        client_config: bounds and switches of the protocol at every client.
        connected: False: the world begins with a server alone; `connect` makes clients.
        capture: record every datagram in `network.capture`.
        options: further arguments of `serve`, such as `manifest`.
    """

    server: Any
    """The server that `serve` made, a `Server` or an `ASGIServer`. It runs."""
    server_driver: VirtualDriver
    """The server's end of the network."""
    client: ClientConnection
    """The first client. It is connected."""
    client_driver: VirtualDriver
    """Its end of the network."""
    network: VirtualNetwork
    """The network that joins them."""

    def __init__(
        self,
        application: Any,
        *,
        serve: Callable[..., Any] = serve,
        host: str = HOST,
        link: LinkSettings | None = None,
        seed: int = 0,
        identity: Identity | None = None,
        server_tls: _quic.ServerTls | None = None,
        client_tls: _quic.ClientTls | None = None,
        max_pushes: int | None = None,
        server_settings: ServerSettings | None = None,
        client_settings: ClientSettings | None = None,
        server_transport: _quic.Transport | None = None,
        server_config: H3Config | None = None,
        client_config: H3Config | None = None,
        connected: bool = True,
        capture: bool = False,
        **options: Any,
    ) -> None:
        identity = identity or make_identity([host])
        self.host = host
        """The server's name."""
        self.client_tls = client_tls or _quic.ClientTls(trust=identity.authority)
        """TLS settings of the clients."""
        self._server_tls = server_tls or _quic.ServerTls([(identity.certificate, identity.key)])
        self._link = link or LinkSettings(delay=ROUND_TRIP / 2)
        self._seed = seed
        self._max_pushes = max_pushes
        self._client_settings = client_settings or ClientSettings()
        self._client_config = client_config
        self._connected = connected
        self._capture = capture
        settings = server_settings or ServerSettings()
        self._server_transport = server_transport or settings.transport()
        self._make_server = partial(serve, application, settings=settings, config=server_config, **options)

    async def __aenter__(self) -> "World":
        self.network = VirtualNetwork(seed=self._seed, up=self._link, down=self._link)
        if self._capture:
            self.network.capture = []
        self.server_driver = self.network.server_endpoint(self._server_tls, self._server_transport, names=(self.host,))
        self.server = self._make_server(driver=self.server_driver)
        await self.server.open()
        if self._connected:
            self.client_driver = self.client_endpoint(self._max_pushes)
            self.client = self.connect(max_pushes=self._max_pushes, driver=self.client_driver)
            try:
                await self.client.open()
            except BaseException:
                await self.server.shutdown()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._connected:
                await self.client.close()
        finally:
            await self.server.shutdown()

    @property
    def now(self) -> float:
        """The clock, in virtual seconds from the beginning."""
        return asyncio.get_running_loop().time()

    def client_endpoint(self, max_pushes: int | None = None) -> VirtualDriver:
        """Put a further client's endpoint on the network, behind an access link of its own."""
        return self.network.client_endpoint(self.client_tls, self._client_settings.transport(max_pushes))

    def connect(
        self,
        *,
        max_pushes: int | None = None,
        driver: VirtualDriver | None = None,
        on_push: OnPush | None = None,
    ) -> ClientConnection:
        """Make a client of the server, as `h3push.connect` does; it connects when `async with` begins.

        Args:
            max_pushes: pushes that it takes at once; `None`: it takes none.
            driver: its end of the network; a new one when `None`.
            on_push: called in the moment of each promise; False refuses it.
        """
        return connect(
            f"https://{self.host}/",
            max_pushes=max_pushes,
            config=self._client_config,
            settings=self._client_settings,
            driver=driver or self.client_endpoint(max_pushes),
            on_push=on_push,
        )

    async def visit(self, path: str, *, method: str = "GET", headers: HeadersLike | None = None) -> Visit:
        """Send one request with the first client and read everything that comes with it.

        Raises what `ClientConnection.request` raises, and `PushCancelled` when a push that was promised does not come whole.
        """
        began = self.now
        response = await self.client.request(method, path, headers=headers)
        content = await response.read()
        pushes = []
        async for push in response.pushes():
            pushed = await push.response()
            pushes.append(Pushed(push.request.path, pushed.status, await pushed.read()))
        return Visit(response=response, content=content, pushes=tuple(pushes), duration=self.now - began)


def in_world(application: Any, scenario: Callable[[World], Awaitable[T]], **options: Any) -> T:
    """Run `scenario(world)` in virtual time, like `asyncio.run`; its result.

    Args:
        application: the handler, or with `serve=h3push.serve_asgi` the ASGI application.
        scenario: gets the world when the client is connected. What it raises is raised here.
        options: those of `World`.

    Raises: Deadlock: nothing can happen any more before the scenario is done.
    """

    async def main() -> T:
        async with World(application, **options) as world:
            return await scenario(world)

    return run_virtual(main)
