"""A thousand requests while everything goes wrong: no body is ever other than it should be."""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import replace
from hashlib import sha256

import httpx2

import h3push
from h3push.http.url import Origin
from h3push.lab.forwarder import Forwarder
from h3push.relay.places import RelayedOrigin
from h3push.relay.relay import Relay
from h3push.relay.settings import RelaySettings
from h3push.server.certificates import DevelopmentCertificates
from h3push.tcp.side import find_backend
from h3push.testing import LinkSettings

from .support import date

REQUESTS, AT_ONCE, PATHS = 1_000, 12, 150
LINK = LinkSettings(delay=0.005, rate=200_000_000, queue=500_000)
ATTEMPTS = 60
ROUNDS = 5


def content(path: str) -> bytes:
    """The one body that a path has: from nothing to 60 kB."""
    chance = random.Random(path)
    return chance.randbytes(chance.choice((0, 10, 1_000, 10_000, 60_000)))


async def origin(request: h3push.Request) -> h3push.Response:
    number = int(request.path.removeprefix("/r"))
    if number % 10 == 0:
        for more in range(1, 6):
            await request.push(f"/r{(number + more) % PATHS}")
    control = ("no-store", "max-age=600", "public, max-age=600", "no-cache")[number % 4]
    body = content(request.path)
    fields = {"cache-control": control, "date": date()}
    if number % 3:
        return h3push.Response(200, fields, body)

    async def pieces():
        for at in range(0, len(body), 5_000):
            yield body[at : at + 5_000]
            await asyncio.sleep(0)

    return h3push.Response(200, fields, pieces())


class Trouble:
    """An origin that restarts, behind a link that breaks."""

    def __init__(self, made: DevelopmentCertificates) -> None:
        self.made = made
        self.server = h3push.serve(origin, "127.0.0.1", 0, certfile=made.certfile, keyfile=made.keyfile)
        self.restarts = self.breaks = 0

    async def restart(self) -> None:
        """End the origin in the middle of what it does, and start another at the same port."""
        port = self.server.address[1]
        await self.server.shutdown(0)
        made = self.made
        self.server = h3push.serve(origin, "127.0.0.1", port, certfile=made.certfile, keyfile=made.keyfile)
        await self.server.open()
        self.restarts += 1

    async def break_link(self, forwarder: Forwarder) -> None:
        """Let nothing through for a moment."""
        for passage in (forwarder.up, forwarder.down):
            passage.link.settings = replace(LINK, loss=1.0)
        await asyncio.sleep(0.3)
        for passage in (forwarder.up, forwarder.down):
            passage.link.settings = replace(LINK, loss=0.001)
        self.breaks += 1

    async def make(self, forwarder: Forwarder) -> None:
        """Make trouble a few times."""
        for _ in range(ROUNDS):
            await asyncio.sleep(0.4)
            await self.break_link(forwarder)
            await asyncio.sleep(0.4)
            await self.restart()


async def fetch(client: httpx2.AsyncClient, number: int) -> int:
    """Ask until the answer is there: what fails says so, and what is 200 is right. The attempts that it took."""
    path = f"/r{number}"
    for attempt in range(1, ATTEMPTS):
        try:
            answer = await client.get(path, headers={"cookie": f"id={number % 3}"})
        except httpx2.TransportError:
            continue
        if answer.status_code == 200:
            assert sha256(answer.content).digest() == sha256(content(path)).digest(), f"{path}: another body"
            return attempt
        assert answer.status_code in {502, 503, 504}, answer.text
        await asyncio.sleep(0.05)
    raise AssertionError(f"{path} was never answered")


async def run(made: DevelopmentCertificates) -> tuple[Relay, Trouble, list[int]]:
    kind = find_backend("uvicorn")
    assert kind is not None
    trouble = Trouble(made)
    settings = RelaySettings(
        stored=40, stored_bytes=500_000, unclaimed=20, unclaimed_bytes=300_000, first_backoff=0.05, last_backoff=0.2
    )
    async with AsyncExitStack() as stack:
        await trouble.server.open()
        stack.push_async_callback(lambda: trouble.server.shutdown(0))
        to = ("127.0.0.1", trouble.server.address[1])
        forwarder = await stack.enter_async_context(Forwarder(("127.0.0.1", 0), to, LINK, LINK))
        place = RelayedOrigin(Origin("localhost", forwarder.address[1]), "localhost", 0)
        relay = await stack.enter_async_context(Relay([place], kind, settings, cafile=made.cafile))
        base = f"http://localhost:{relay.places[0].port}"
        client = await stack.enter_async_context(httpx2.AsyncClient(base_url=base, timeout=20))
        await fetch(client, 0)
        making = asyncio.create_task(trouble.make(forwarder))
        numbers = iter(_numbers())
        attempts: list[int] = []

        async def work() -> None:
            for number in numbers:
                attempts.append(await fetch(client, number))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
    return relay, trouble, attempts


def _numbers() -> list[int]:
    chance = random.Random(1)
    return [chance.randrange(PATHS) for _ in range(REQUESTS)]


def test_a_thousand_requests_through_trouble(certificates: DevelopmentCertificates) -> None:
    """While the link breaks, the origin restarts and the cache is full, every request gets the right body in the end."""
    relay, trouble, attempts = asyncio.run(run(certificates))
    assert len(attempts) == REQUESTS
    assert trouble.breaks >= 2
    assert trouble.restarts >= 1
    assert relay.store.octets <= relay.settings.stored_bytes
    assert relay.loads.sources["push"] > 0
    assert relay.loads.sources["store"] > 0
    assert relay.loads.under_way == 0
