"""What the interop tests share: certificates, a time limit, content that can be checked byte for byte."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import h3push
from h3push.server.certificates import DevelopmentCertificates

T = TypeVar("T")

SCENARIO_SECONDS = 40
"""No scenario takes longer; one that waits for what never comes fails with a `TimeoutError` that shows where."""

MEGABYTE = 1024 * 1024


def run(scenario: Callable[[], Awaitable[T]], seconds: float = SCENARIO_SECONDS) -> T:
    """Run a scenario in a loop of its own, for a limited time."""

    async def limited() -> T:
        async with asyncio.timeout(seconds):
            return await scenario()

    return asyncio.run(limited())


def content(name: str, size: int) -> bytes:
    """Bytes that no other name has, so that content mixed up between streams or cut and joined is noticed."""
    block = hashlib.shake_256(name.encode()).digest(min(size, 65_521))  # a prime: no frame or packet lines up with it
    return (block * (size // len(block) + 1))[:size] if size else b""


@asynccontextmanager
async def our_server(
    certificates: DevelopmentCertificates,
    handler: h3push.Handler,
    *,
    settings: h3push.ServerSettings | None = None,
    config: h3push.H3Config | None = None,
) -> AsyncIterator[h3push.Server]:
    """Our server on a free port of the loopback."""
    server = h3push.serve(
        handler,
        "127.0.0.1",
        0,
        certfile=certificates.certfile,
        keyfile=certificates.keyfile,
        settings=settings,
        config=config,
    )
    async with server:
        yield server


@dataclass
class Page:
    """A handler: `/` pushes `files` and is answered when all are promised; every file is answered with its content."""

    files: dict[str, bytes]
    pushes: list[h3push.Push] = field(default_factory=list)

    async def __call__(self, request: h3push.Request) -> h3push.Response:
        path = request.path.partition("?")[0]
        if path == "/":
            for name in self.files:
                self.pushes.append(await request.push(name))
            return h3push.Response(200, {"content-type": "text/html"}, b"the page")
        for name, data in self.files.items():
            if request.path == h3push_path(name):
                return h3push.Response(200, {"content-type": "application/octet-stream"}, data)
        return h3push.Response(404)


def h3push_path(name: str) -> str:
    """A path as it stands on the wire."""
    from h3push.http.url import resolve_push_path

    return resolve_push_path("/", name)[0]
