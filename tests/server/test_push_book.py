"""A push has one book, the core's: what a handler sees of it and what the server counts are views."""

import asyncio

import pytest

import h3push
from h3push.h3.push.counters import PushCounters
from h3push.testing import World, in_world
from h3push.testing.link import LinkSettings

SLOW = LinkSettings(delay=0.5)


def pushing(pushes: list[h3push.Push], content: bytes = b"pushed") -> h3push.Handler:
    """A page that pushes one resource."""

    def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is None:
            pushes.append(request.push_nowait("/resource"))
            return h3push.Response(content=b"page")
        return h3push.Response(content=content)

    return handler


def balance(counters: PushCounters) -> int:
    """Pushes that are neither fulfilled nor cancelled."""
    return counters.promised - counters.fulfilled - counters.cancelled - counters.cancelled_by_peer


def test_fulfilled_means_acknowledged() -> None:
    """What was handed to QUIC is SENT until the client has it."""
    pushes: list[h3push.Push] = []

    async def scenario(world: World) -> None:
        task = asyncio.create_task(world.visit("/"))
        await asyncio.sleep(0.6)  # the request has taken half a second
        assert pushes[0].state is h3push.PushState.SENT
        assert pushes[0].bytes_sent == len(b"pushed")
        assert (world.server.counters.pushes, world.server.counters.pushes_fulfilled) == (1, 0)
        sent_at = world.now
        assert await pushes[0].done() is h3push.PushState.FULFILLED
        assert world.now - sent_at > 0.8
        assert world.server.counters.pushes_fulfilled == 1
        await task

    in_world(pushing(pushes), scenario, max_pushes=1, link=SLOW)


def test_a_push_can_be_called_off_until_it_is_acknowledged() -> None:
    """SENT is the window in which most of a push waits in buffers: `cancel` resets it there too, and the counts agree."""
    pushes: list[h3push.Push] = []

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert pushes[0].state is h3push.PushState.SENT
        pushes[0].cancel()
        assert await pushes[0].done() is h3push.PushState.CANCELLED
        assert pushes[0].cancelled_by is h3push.CancelledBy.LOCAL
        (push,) = [push async for push in response.pushes()]
        with pytest.raises(h3push.PushCancelled):
            await (await push.response()).read()
        await asyncio.sleep(3)
        counters = world.server.counters
        assert (counters.pushes, counters.pushes_fulfilled, counters.pushes_cancelled) == (1, 0, 1)
        (connection,) = world.server._connections
        assert (connection.pushes.live, connection.guard.responses) == ({}, {})

    settings = h3push.ClientSettings(stream_receive_window=100_000)
    in_world(pushing(pushes, b"x" * 900_000), scenario, max_pushes=1, client_settings=settings)


def test_pushes_that_a_lost_connection_takes_along_are_counted() -> None:
    """No push is left over: when the connection ends, those under way are cancelled by whoever ended it."""
    pushes: list[h3push.Push] = []

    async def scenario(world: World) -> None:
        await world.client.get("/")
        await world.client.close()
        await asyncio.sleep(1)
        assert await pushes[0].done() is h3push.PushState.CANCELLED
        assert pushes[0].cancelled_by is h3push.CancelledBy.PEER
        assert balance(world.server.counters.push) == 0
        assert world.server.counters.push.cancelled_by_peer == 1

    settings = h3push.ClientSettings(stream_receive_window=100_000)
    in_world(pushing(pushes, b"x" * 900_000), scenario, max_pushes=1, client_settings=settings)


def test_what_was_refused_is_counted_by_reason_and_is_no_push() -> None:
    """A refused push has no ID and was never promised; `refusal` says why, and the counters say how often."""
    pushes: list[h3push.Push] = []

    async def scenario(world: World) -> None:
        await (await world.client.get("/")).read()
        (push,) = pushes
        assert (push.state, push.push_id) == (h3push.PushState.UNPROMISED, None)
        assert push.refusal is h3push.PushRefusal.NOT_ALLOWED_BY_CLIENT
        push.cancel()
        assert await push.done() is h3push.PushState.UNPROMISED
        assert world.server.counters.push.refused == {h3push.PushRefusal.NOT_ALLOWED_BY_CLIENT: 1}
        assert world.server.counters.pushes_refused == 1

    in_world(pushing(pushes), scenario)


def test_a_chain_of_pushes_pays_from_one_budget() -> None:
    """Promises and bytes count at the root: pushed pages cannot push more than the request that caused them may."""
    refusals: list[h3push.PushRefusal | None] = []

    def handler(request: h3push.Request) -> h3push.Response:
        push = request.push_nowait(f"{request.path}x")
        refusals.append(push.refusal)
        root = request
        while root.initiator is not None:
            root = root.initiator
        assert request.budget is root.budget
        return h3push.Response(content=b"" if request.push_id is None else b"pushed")

    async def open_page(request: h3push.Request) -> h3push.Response | None:
        response = handler(request)
        if request.push_id is None:
            await asyncio.sleep(5)  # the response that carries the promises is open
        return response

    async def scenario(world: World) -> None:
        await (await world.client.get("/")).read()

    settings = h3push.ServerSettings(max_pushes_per_request=3)
    in_world(open_page, scenario, max_pushes=10, server_settings=settings)
    assert refusals == [None, None, None, h3push.PushRefusal.LIMIT]
