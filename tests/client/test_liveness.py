"""A connection whose server is gone is noticed at the first time-out (issue 9, point 22)."""

import asyncio

import pytest

import h3push
from h3push.client.liveness import LEAST_WAIT, Liveness
from h3push.testing import World, in_world

SHORT = h3push.ClientSettings(response_timeout=5, read_timeout=5)


async def handler(request: h3push.Request) -> h3push.Response:
    if request.path != "/":
        await request.start_response(200)
        await request.send(b"x")
    if request.path != "/honest":
        await asyncio.sleep(3600)
    return h3push.Response()


@pytest.mark.parametrize("path", ["/", "/begins"])
def test_a_dead_connection_takes_no_further_request(path: str) -> None:
    """Whoever asks next must not wait for a time-out of his own: he is told to take a new connection, within seconds."""

    async def scenario(world: World) -> None:
        client = world.client
        response = None
        if path == "/begins":
            response = await client.get(path)
            assert await response.content.next_chunk() == b"x"
        waiting = asyncio.create_task(client.get("/"))
        await asyncio.sleep(0.2)
        world.network.remove(world.server_driver)
        world.network.remove(world.client_driver)
        with pytest.raises(h3push.Timeout):
            await (client.get(path) if response is None else response.content.next_chunk())
        assert not client.is_usable
        asked = world.now
        with pytest.raises(h3push.RequestNotProcessed, match="has not answered"):
            await client.get("/")
        assert world.now - asked <= LEAST_WAIT + 0.5
        assert not client.is_usable
        with pytest.raises(h3push.H3PushError):
            await waiting
        await client.wait_closed()

    in_world(handler, scenario, client_settings=SHORT)


def test_a_server_that_is_slow_keeps_its_connection() -> None:
    """One PING is answered: the next request waits for that, and goes out on the same connection."""

    async def scenario(world: World) -> None:
        with pytest.raises(h3push.ReadTimeout, match="response_timeout"):
            await world.client.get("/")
        asked = world.now
        assert (await world.client.get("/again")).status == 200
        assert world.now - asked <= 0.5
        assert world.client.is_usable

    async def slow(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            await asyncio.sleep(3600)
        return h3push.Response()

    in_world(slow, scenario, client_settings=SHORT)


def test_the_answer_is_waited_for_three_probe_timeouts() -> None:
    """A second on a short path, ten round trips on a long one; anything that arrives is an answer."""
    heard = 0
    for rtt, wait in ((0.01, LEAST_WAIT), (0.6, 6.0)):
        liveness = Liveness(lambda: heard, rtt, 100.0)
        looks = []
        while liveness.look(liveness.next_look) is None:
            looks.append(liveness.next_look)
            assert len(looks) < 20
        assert looks[-1] == 100.0 + wait
    liveness = Liveness(lambda: heard, 0.1, 0.0)
    assert liveness.look(0.1) is None
    heard = 1
    assert liveness.look(0.3) is True
