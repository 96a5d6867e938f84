"""A page of twenty resources takes one request from servers of aioquic, qh3 and Hypercorn too, through httpx and httpx2."""

import asyncio
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from h3push.client.push_stats import PushStats
from h3push.httpx import AsyncTransport
from h3push.server.certificates import DevelopmentCertificates

from .harness import content, run
from .strangers import AIOQUIC, QH3, Message, Stack, stranger_server
from .test_hypercorn import Pushing, hypercorn_server

RESOURCES = [f"/r{number}.css" for number in range(20)]
LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


async def load(library: ModuleType, certificates: DevelopmentCertificates, port: int) -> PushStats:
    """Load the page and its resources, as a program would that knows nothing of push."""
    transport = AsyncTransport(verify=str(certificates.cafile), fallback=False)
    async with library.AsyncClient(transport=transport, base_url=f"https://localhost:{port}") as client:
        assert (await client.get("/")).content == b"page"
        answers = await asyncio.gather(*(client.get(path) for path in RESOURCES))
        for path, answer in zip(RESOURCES, answers, strict=True):
            assert answer.content == content(path, 30_000)
        return transport.push_stats


@LIBRARIES
@pytest.mark.parametrize("stack", [AIOQUIC, QH3], ids=repr)
def test_a_page_of_twenty_resources_takes_one_request(
    stack: Stack, library: ModuleType, certificates: DevelopmentCertificates
) -> None:
    """The server sees one request; its promises carry no fields at all."""
    asked: list[str] = []

    def handler(peer: Any, request: Message) -> None:
        path = request.headers[b":path"].decode()
        asked.append(path)
        if path == "/":
            for resource in RESOURCES:
                peer.push(request, resource, content(resource, 30_000))
            peer.respond(request.stream_id, 200, [], b"page")
        else:
            peer.respond(request.stream_id, 200, [], content(path, 30_000))

    async def scenario() -> PushStats:
        async with stranger_server(stack, certificates, handler) as server:
            return await load(library, certificates, server.port)

    stats = run(scenario)
    assert asked == ["/"]
    assert (stats.promised, stats.claimed) == (20, 20)


@LIBRARIES
@pytest.mark.filterwarnings("ignore:coroutine 'QuicProtocol:RuntimeWarning")
def test_hypercorn_is_asked_once(library: ModuleType, certificates: DevelopmentCertificates) -> None:
    """The application runs once for the page and once for each promise, and never for a request of a resource."""
    application = Pushing(*RESOURCES)

    async def scenario() -> PushStats:
        async with hypercorn_server(certificates, application) as port:
            return await load(library, certificates, port)

    stats = run(scenario)
    assert (stats.promised, stats.claimed) == (20, 20)
    assert sorted(scope["path"] for scope in application.scopes) == sorted(["/", *RESOURCES])
