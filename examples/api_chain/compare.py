"""The same walk through the API, with and without a word about what comes next.

    python -m examples.api_chain.compare

Real QUIC, the real server and `h3push.AsyncClient`, in virtual time: a round trip of 300 ms, 10 Mbit/s.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2

import h3push
from h3push.httpx import AsyncTransport
from h3push.testing import LinkSettings, World, in_world

from .app import app

LINK = LinkSettings(delay=0.150, rate=10_000_000, queue=125_000)
PRELOAD = '"/orders/*/items/*/product"'


async def walk(client: httpx2.AsyncClient, preload: str | None = None) -> int:
    """Read the shop, its orders, their items and the items' products; how many resources that was.

    The program knows nothing of pushes. It says once, with the first request, what it is going to ask for.
    """
    read = 1
    shop = (await client.get("/shop", headers={"preload": preload} if preload else None)).json()
    orders = await asyncio.gather(*(client.get(path) for path in shop["orders"]))
    items = await asyncio.gather(*(client.get(path) for order in orders for path in order.json()["items"]))
    products = {item.json()["product"] for item in items}
    await asyncio.gather(*(client.get(path) for path in products))
    return read + len(orders) + len(items) + len(products)


@dataclass(frozen=True)
class Measured:
    """One walk."""

    seconds: float
    resources: int
    requests: int
    """Those that went to the server."""


def measure(preload: str | None) -> Measured:
    """Walk on a connection that is open."""

    async def scenario(world: World) -> Measured:
        def dial(url: str, *, max_pushes: int | None, on_push: Any, address: Any) -> h3push.ClientConnection:
            del address  # there is one server in this world
            driver = world.client_endpoint(max_pushes)
            return h3push.connect(url, driver=driver, max_pushes=max_pushes, on_push=on_push)

        transport = AsyncTransport(dial=dial, verify=False, fallback=False)
        async with httpx2.AsyncClient(transport=transport, base_url=f"https://{world.host}") as client:
            await client.get("/")  # opens the connection
            began, before = world.now, requests(world)
            resources = await walk(client, preload)
            return Measured(world.now - began, resources, requests(world) - before)

    return in_world(app, scenario, serve=h3push.serve_asgi, lifespan=False, connected=False, link=LINK)


def requests(world: World) -> int:
    """Requests that a client sent; promised ones are counted as pushes."""
    counters = world.server.counters.server
    return int(counters.requests)


def main() -> None:
    """Print both."""
    for name, preload in (("without", None), ("with", PRELOAD)):
        one = measure(preload)
        print(f"{name:>8} Preload: {one.seconds * 1000:7.1f} ms, {one.resources} resources, {one.requests} requests")


if __name__ == "__main__":
    main()
