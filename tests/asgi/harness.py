"""An application on our server and a client of ours, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import h3push
from h3push.testing import VirtualLoop, World, make_identity
from h3push.testing import in_world as in_any_world
from h3push.testing.world import HOST, ROUND_TRIP

__all__ = ["HOST", "IDENTITY", "ROUND_TRIP", "World", "hints", "in_world", "now", "pushed_paths", "respond", "visit"]

T = TypeVar("T")
IDENTITY = make_identity([HOST], seed=0)


def in_world(app: Any, scenario: Callable[[World], Awaitable[T]], *, lifespan: bool = False, **options: Any) -> T:
    """Run `scenario` with a client that is connected to a server of `app`."""
    return in_any_world(app, scenario, serve=h3push.serve_asgi, lifespan=lifespan, **options)


def now() -> float:
    """Virtual seconds."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.time()


async def respond(send: Any, body: bytes = b"", status: int = 200, headers: Any = (), **start: Any) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers), **start})
    await send({"type": "http.response.body", "body": body})


def visit(app: Any, *, max_pushes: int | None = None, headers: Any = None, **options: Any) -> Any:
    """Read the page; (paths pushed, the response, the counters)."""

    async def scenario(world: World) -> Any:
        response = await world.client.get("/", headers=headers)
        return await pushed_paths(response), response, world.server.counters

    return in_world(app, scenario, max_pushes=max_pushes, **options)


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
