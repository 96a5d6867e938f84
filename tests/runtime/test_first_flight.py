"""What goes out when a handshake is done: what is asked for first, and what goes with it, ahead of QUIC's own probes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

import h3push
from h3push.testing.link import LinkSettings
from h3push.testing.network import Datagram
from h3push.testing.virtual import run_virtual

from .harness import IDENTITY, ROUND_TRIP, World

FIRST_MTU = 1200
"""Larger datagrams are probes, until one of them is acknowledged."""
NANOSECONDS = 1_000_000_000


@dataclass
class Flights:
    """What was sent, and who sent it."""

    client: list[Datagram]
    server: list[Datagram]

    @staticmethod
    def until(sent: list[Datagram], seconds: float) -> list[Datagram]:
        """The datagrams up to the one that arrived at this instant, in the order of sending."""
        last = next(index for index, one in enumerate(sent) if abs(one.arrivals[0] / NANOSECONDS - seconds) < 1e-8)
        return sent[: last + 1]


def on_a_new_connection(
    handler: h3push.Handler, scenario: Callable[[h3push.ClientConnection, h3push.Server], Awaitable[None]]
) -> Flights:
    """Run `scenario` with a client in the moment of its connection; what was sent from the first datagram on."""
    link = LinkSettings(delay=ROUND_TRIP / 2, rate=2_000_000)

    async def main() -> Flights:
        async with World(handler, link=link, identity=IDENTITY, max_pushes=8, capture=True) as world:
            await scenario(world.client, world.server)
        assert world.network.capture is not None
        return Flights(
            [one for one in world.network.capture if one.source == world.client_driver.address],
            [one for one in world.network.capture if one.source == world.server_driver.address],
        )

    return run_virtual(main)


def test_the_first_request_goes_out_with_the_end_of_the_handshake() -> None:
    asked: list[float] = []

    def handler(request: h3push.Request) -> h3push.Response:
        asked.append(asyncio.get_running_loop().time())
        return h3push.Response(200, content=b"ok")

    async def scenario(client: h3push.ClientConnection, _: h3push.Server) -> None:
        assert await (await client.get("/")).read() == b"ok"

    flights = on_a_new_connection(handler, scenario)
    before = flights.until(flights.client, asked[0])
    assert len(before) == 2  # ClientHello; Finished, settings and request
    assert all(one.size <= FIRST_MTU for one in before)


@pytest.mark.parametrize("size", [100, 3_000])
def test_the_first_response_and_its_pushes_go_out_ahead_of_any_probe(size: int) -> None:
    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            request.push_nowait("/pushed")
        return h3push.Response(200, content=bytes(size))

    ended: list[float] = []

    async def scenario(client: h3push.ClientConnection, _: h3push.Server) -> None:
        response = await client.get("/")
        (push,) = client.session.pushes.values()
        for one in (response, await push.response()):
            assert len(await one.read()) == size
            ended.append(asyncio.get_running_loop().time())

    flights = on_a_new_connection(handler, scenario)
    for instant in ended:
        assert all(one.size <= FIRST_MTU for one in flights.until(flights.server, instant))


def test_a_handshake_is_completed_at_once_when_nothing_is_asked_for() -> None:
    connected: list[float] = []

    async def scenario(_: h3push.ClientConnection, server: h3push.Server) -> None:
        connected.append(asyncio.get_running_loop().time())
        assert server.counters.connections == 0
        await asyncio.sleep(ROUND_TRIP)  # half of it, and what the datagrams take at this rate
        assert server.counters.connections == 1

    flights = on_a_new_connection(lambda _: h3push.Response(200), scenario)
    assert flights.client[1].at == pytest.approx(connected[0] * NANOSECONDS, abs=10)
