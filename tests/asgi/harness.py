"""An application on our server and a client of ours, in virtual time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import h3push
from h3push.asgi.serve import ASGIServer
from h3push.testing.identity import make_identity
from h3push.testing.link import LinkSettings
from h3push.testing.network import VirtualNetwork
from h3push.testing.virtual import VirtualLoop, run_virtual

T = TypeVar("T")
Scope = dict[str, Any]

HOST = "origin.example"
ROUND_TRIP = 0.1
"""Seconds."""
IDENTITY = make_identity([HOST], seed=0)


@dataclass
class World:
    """What a scenario may look at."""

    server: ASGIServer
    client: h3push.Client
    network: VirtualNetwork


def in_world(
    app: Any,
    scenario: Callable[[World], Awaitable[T]],
    *,
    max_pushes: int | None = None,
    server_settings: h3push.ServerSettings | None = None,
    client_settings: h3push.ClientSettings | None = None,
    client_config: h3push.H3Config | None = None,
    lifespan: bool = False,
    **options: Any,
) -> T:
    """Run `scenario` with a client that is connected to a server of `app`; `options` go to `serve_asgi`."""

    async def main() -> T:
        link = LinkSettings(delay=ROUND_TRIP / 2)
        network = VirtualNetwork(seed=1, up=link, down=link)
        settings = server_settings or h3push.ServerSettings()
        clients = client_settings or h3push.ClientSettings()
        tls = h3push.ServerTls([(IDENTITY.certificate, IDENTITY.key)])
        server = h3push.serve_asgi(
            app,
            settings=settings,
            lifespan=lifespan,
            driver=network.server_endpoint(tls, settings.transport(), names=(HOST,)),
            **options,
        )
        trust = h3push.ClientTls(trust=IDENTITY.authority)
        client = h3push.connect(
            f"https://{HOST}/",
            max_pushes=max_pushes,
            settings=clients,
            config=client_config,
            driver=network.client_endpoint(trust, clients.transport(max_pushes)),
        )
        async with server, client:
            return await scenario(World(server, client, network))

    return run_virtual(main)


def now() -> float:
    """Virtual seconds."""
    import asyncio

    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.time()


async def respond(send: Any, body: bytes = b"", status: int = 200, headers: Any = (), **start: Any) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers), **start})
    await send({"type": "http.response.body", "body": body})


async def pushed_paths(response: h3push.ClientResponse) -> list[str]:
    """Read a page; the paths that were promised with it, in order, once each of their responses is whole."""
    await response.read()
    paths = []
    async for push in response.pushes():
        await (await push.response()).read()
        paths.append(push.request.path)
    return paths


def hints(response: h3push.ClientResponse) -> list[str]:
    """The Link values of all 103 responses."""
    return [value for status, fields in response.informational if status == 103 for value in fields.get_all("link")]
