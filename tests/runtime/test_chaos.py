"""Everything at once, over a lossy link, from one seed: nothing is left behind, nothing is logged as a bug."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

import h3push
import h3push.server.connection
from h3push.testing.link import LinkSettings

from .harness import World, in_world


@pytest.mark.rfc("ROB-32", "ROB-36", "H3-7.2.3-12")
@pytest.mark.parametrize("seed", range(12))
def test_nothing_is_left_behind(seed: int, caplog: pytest.LogCaptureFixture) -> None:  # noqa: C901 - it is chaos
    random = Random(seed)
    connections: set[object] = set()

    async def content(pieces: int) -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b"x" * random.randrange(1, 100_000)
            await asyncio.sleep(random.choice([0, 0.01, 0.2]))

    async def handler(request: h3push.Request) -> h3push.Response | None:
        connections.add(request.connection)
        for number in range(random.randrange(4)):
            push = await request.push(f"/{number}", wait=random.random() < 0.3)
            if random.random() < 0.2:
                push.cancel()
        await asyncio.sleep(random.choice([0, 0, 0.05, 0.3]))
        choice = random.randrange(7)
        if choice == 0:
            await request.read()
        if choice == 1:
            await request.start_response(200)
            await request.send(b"half")
            raise h3push.StreamFailed("on purpose", 0x102)
        if choice == 2:
            return h3push.Response(content=content(5))
        if choice == 3:
            await request.start_response(200, {"x": "y"})
            await request.send(b"x" * 200_000)
            return None
        return h3push.Response(content=b"x" * random.choice([0, 1, 50_000, 500_000]), trailers={"t": "1"})

    async def push_user(push: h3push.ReceivedPush) -> None:
        await asyncio.sleep(random.choice([0, 0.05, 0.5]))
        if random.random() < 0.4:
            push.cancel()
        else:
            response = await push.response()
            if random.random() < 0.5:
                await response.read()
            else:
                await response.content.next_chunk()
                push.cancel()

    async def one(client: h3push.ClientConnection) -> None:
        upload = content(3) if random.random() < 0.4 else b""
        async with await client.request("POST" if upload else "GET", "/", content=upload) as response:
            if random.random() < 0.7:
                async for push in response.pushes():
                    await push_user(push)
            if random.random() < 0.7:
                await response.read()

    async def impatient(client: h3push.ClientConnection) -> None:
        try:
            async with asyncio.timeout(random.choice([0.05, 0.3, 5, 60])):
                await one(client)
        except (TimeoutError, h3push.H3PushError):
            pass

    async def scenario(world: World) -> None:
        await asyncio.gather(*(impatient(world.client) for _ in range(12)))
        await asyncio.sleep(20)
        core = world.client.session.core
        assert not world.client.session.wanted
        assert len(world.client.session.pushes) == 0
        assert core.open_message_streams == 0
        (connection,) = connections
        assert isinstance(connection, h3push.server.connection.ServerConnection)
        assert connection.idle
        assert connection.guard.responses == {}
        assert connection.all_acknowledged
        assert connection.core.open_message_streams == 0
        assert world.server.tasks == set()
        assert world.client.is_usable

    link = LinkSettings(delay=0.02, rate=50_000_000, loss=0.02)
    settings = h3push.ServerSettings(max_concurrent_requests=20)
    in_world(handler, scenario, max_pushes=5, link=link, server_settings=settings)
    assert [record.getMessage() for record in caplog.records if "inside h3push" in record.getMessage()] == []
