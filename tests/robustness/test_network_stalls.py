"""Windows that fill up: what nobody reads must not stop what somebody waits for."""

import asyncio

import pytest

import h3push
from runtime.harness import World, in_world

KIB, MIB = 1024, 1024 * 1024


@pytest.mark.rfc("ROB-22", "H3-6.2.2-23")
@pytest.mark.parametrize("reads", [False, True], ids=["pushes_unread", "pushes_read_late"])
def test_unread_pushes_do_not_stop_a_later_request(reads: bool) -> None:
    """Eight large pushes that nobody reads, more than the connection's window: the next request is answered all the same."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            for number in range(8):
                await request.push(f"/{number}")
        return h3push.Response(content=b"x" * (8 * MIB if request.push_id is not None else 100 * KIB))

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        pushes = [push async for push in response.pushes()]
        await response.read()
        await asyncio.sleep(20)
        async with asyncio.timeout(10):
            second = await world.client.get("/second")
            assert len(await second.read()) == 100 * KIB
        for push in pushes if reads else []:
            answer = await push.response()
            assert len(await answer.read()) == 8 * MIB

    in_world(handler, scenario, max_pushes=8)
