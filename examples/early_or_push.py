"""Push, 103 Early Hints, or neither: the same page, the same application, three clients.

python examples/early_or_push.py

A page with six resources that the server knows, an application that thinks for 200 ms, a round trip of 100 ms, 10 Mbit/s
down. Real QUIC and the real server, in virtual time: the numbers are the same on every machine and take no time to get.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import h3push
from h3push.h3.events import InformationalResponseReceived
from h3push.http.links import parse_links
from h3push.plans.manifest import parse_manifest
from h3push.testing import LinkSettings, World, in_world

THINKING = 0.200
"""Seconds that the application takes for the page."""
DELAY = 0.050
"""Seconds one way: a round trip of 100 ms."""
LINK = LinkSettings(delay=DELAY, rate=10_000_000, queue=125_000)
RESOURCES = {
    "/type.css": 6_000,
    "/guide.css": 9_000,
    "/app.js": 20_000,
    "/inter.woff2": 24_000,
    "/menu.json": 3_000,
    "/hero.webp": 30_000,
}
"""Path -> bytes."""
MANIFEST = parse_manifest(json.dumps({"/": {path: {} for path in RESOURCES}}).encode())
PAGE = b"<!doctype html>" + b"".join(b'<link href="%s">' % path.encode() for path in RESOURCES)


async def app(scope: Any, _receive: Any, send: Any) -> None:
    """The application; it knows nothing of push."""
    body = PAGE if scope["path"] == "/" else bytes(RESOURCES[scope["path"]])
    if scope["path"] == "/":
        await asyncio.sleep(THINKING)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=600")]})
    await send({"type": "http.response.body", "body": body})


@dataclass(frozen=True)
class Visitor:
    """How a client loads a page."""

    name: str
    max_pushes: int | None = None
    heeds_hints: bool = False


VISITORS = [Visitor("push", max_pushes=10), Visitor("103", heeds_hints=True), Visitor("neither")]


async def load(client: h3push.ClientConnection, visitor: Visitor) -> None:
    """Load the page and everything that goes with it, each once."""
    loads: dict[str, asyncio.Task[Any]] = {}

    def fetch(path: str) -> None:
        if path not in loads:
            loads[path] = asyncio.create_task(read(client.get(path)))

    if visitor.heeds_hints:
        on_hints(client, fetch)
    response = await client.get("/")
    async for push in response.pushes():
        loads[push.request.path] = asyncio.create_task(read(push.response()))
    await response.read()
    for path in RESOURCES:
        fetch(path)
    await asyncio.gather(*loads.values())


async def read(response: Any) -> bytes:
    return await (await response).read()


def on_hints(client: h3push.ClientConnection, fetch: Callable[[str], None]) -> None:
    """Do as a browser does: ask for what a 103 names in the moment it comes."""
    connection: Any = client.session
    receive = connection.receive

    def watch(events: list[Any]) -> None:
        for event in events:
            if isinstance(event, InformationalResponseReceived):
                for name, value in event.response.fields:
                    for link in parse_links(value) if name == b"link" else ():
                        fetch(link.target)
        receive(events)

    connection.receive = watch


def measure(visitor: Visitor) -> float:
    """Seconds from asking for the page until everything is there, on a connection that is open."""

    async def scenario(world: World) -> float:
        began = world.now
        await load(world.client, visitor)
        return world.now - began

    manifest = None if visitor.name == "neither" else MANIFEST
    options = {"serve": h3push.serve_asgi, "manifest": manifest, "lifespan": False}
    return in_world(app, scenario, link=LINK, max_pushes=visitor.max_pushes, **options)


def measure_all() -> dict[str, float]:
    """Name of the client -> seconds."""
    return {visitor.name: measure(visitor) for visitor in VISITORS}


if __name__ == "__main__":
    print(f"round trip {2 * DELAY * 1000:.0f} ms, the application thinks {THINKING * 1000:.0f} ms, six resources")
    for name, seconds in measure_all().items():
        print(f"{name:>8}: {seconds * 1000:6.1f} ms")
