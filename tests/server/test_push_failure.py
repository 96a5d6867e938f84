"""A push that the server gives up has failed, at both ends."""

import asyncio

import pytest

import h3push
from h3push.testing import World, in_world


@pytest.mark.parametrize("begun", [True, False])
def test_both_ends_say_failed(begun: bool) -> None:
    """One vocabulary: a handler that raises is FAILED on its server; a client sees it where a stream is reset."""
    pushes: list[h3push.Push] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            pushes.append(await request.push("/broken"))
            return h3push.Response(content=b"page")
        if begun:
            request.writer.begin(200, [], False)
            request.writer.write(b"half", False)
            await asyncio.sleep(1)
        raise RuntimeError("broken")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (received,) = [push async for push in response.pushes()]
        assert await pushes[0].done() is h3push.PushState.CANCELLED
        assert pushes[0].cancelled_by is h3push.CancelledBy.FAILED
        await asyncio.sleep(1)
        assert received.cancelled_by is (h3push.CancelledBy.FAILED if begun else h3push.CancelledBy.PEER)
        book = world.server.counters.push
        assert (book.promised, book.failed, book.cancelled) == (1, 1, 0)
        assert world.server.counters.pushes_cancelled == 1

    in_world(handler, scenario, max_pushes=1)
