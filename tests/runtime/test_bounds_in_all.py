"""Bounds over all connections, and for each address (issue 9, point 5)."""

import asyncio
import os

import pytest

import h3push
from h3push.runtime.inbox import Incoming, UnreadBudget
from h3push.testing.network import VirtualNetwork
from h3push.testing.virtual import run_virtual

from .harness import World, client_tls, in_world, server_tls

PIECE = bytes(1000)


class Control:
    """Notes what is paused."""

    def __init__(self) -> None:
        self.paused: list[int] = []

    def pause(self, stream_id: int) -> None:
        self.paused.append(stream_id)

    def resume(self, stream_id: int) -> None:
        self.paused.remove(stream_id)


def test_beyond_the_budget_every_stream_is_paused_with_its_first_piece() -> None:
    """What is unread of all messages counts; what is read or dropped counts no more."""
    budget, control = UnreadBudget(2_500), Control()
    uploads = [Incoming(control, number, high_water=10_000, timeout=1, budget=budget) for number in range(4)]
    for upload in uploads[:3]:
        upload.feed(PIECE, False)
    assert control.paused == [2]
    uploads[3].feed(PIECE, False)
    assert control.paused == [2, 3]
    assert budget.held == 4_000
    assert asyncio.run(uploads[2].next_chunk()) == PIECE
    assert control.paused == [3]
    for upload in uploads:
        upload.discard()
    assert budget.held == 0


def test_what_handlers_leave_unread_is_given_back() -> None:
    """However a handler ends, its request's content counts no more."""

    async def handler(request: h3push.Request) -> h3push.Response:
        await anext(request.stream())
        if request.path == "/fails":
            raise RuntimeError("on purpose")
        return h3push.Response()

    async def scenario(world: World) -> None:
        for path in ("/returns", "/fails"):
            response = await world.client.post(path, content=os.urandom(100_000))
            assert response.status == (200 if path == "/returns" else 500)
        await asyncio.sleep(1)
        assert world.server.unread.held == 0

    in_world(handler, scenario)


@pytest.mark.parametrize("asks", [False, True])
def test_pings_alone_do_not_hold_a_connection(asks: bool) -> None:
    """Without a request it ends after `first_request_timeout`; with one it is as idle as its client likes."""
    settings = h3push.ServerSettings(first_request_timeout=5)

    async def scenario(world: World) -> None:
        connection = world.client._session
        assert connection is not None
        connection.endpoint.driver.set_keep_alive(connection.handle, 1.0)
        connection.schedule_flush()
        if asks:
            await (await world.client.get("/")).read()
        await asyncio.sleep(4.5)
        assert world.server.connections == 1
        await asyncio.sleep(20)
        assert world.server.connections == int(asks)

    in_world(lambda _: h3push.Response(), scenario, server_settings=settings)


def test_one_address_does_not_get_every_place() -> None:
    """`max_connections_per_address`; the next address is served."""

    async def main() -> list[int]:
        settings = h3push.ServerSettings(max_connections_per_address=2)
        network = VirtualNetwork(seed=1)
        server_driver = network.server_endpoint(server_tls(), settings.transport())
        clients = [network.client_endpoint(client_tls(), h3push.ClientSettings().transport()) for _ in range(2)]
        async with h3push.serve(lambda _: h3push.Response(), settings=settings, driver=server_driver):
            for client, count in ((clients[0], 1), (clients[0], 3), (clients[1], 1)):  # one by one, and side by side
                for _ in range(count):
                    client.connect(server_driver.address, "origin.example")
                for _ in range(100):
                    client.flush()
                    await asyncio.sleep(0.01)
                    client.tick()
        return [client.connection_count() for client in clients]

    assert run_virtual(main) == [2, 1]


def test_without_a_budget_everything_still_comes() -> None:
    """A connection that gets no grant is slower, never short."""
    content = os.urandom(3 << 20)

    async def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=await request.read())

    async def scenario(world: World) -> None:
        response = await world.client.post("/", content=content)
        assert await response.read() == content

    in_world(handler, scenario, server_settings=h3push.ServerSettings(byte_budget=0))
