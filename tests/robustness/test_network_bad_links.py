"""A bad network loses: lost, late and doubled packets, cancelled pushes, and a client that moves, in virtual time."""

import asyncio
from random import Random

import pytest

import h3push
from h3push.testing.link import LinkSettings
from runtime.harness import ROUND_TRIP, World, in_world

KIB, MIB = 1024, 1024 * 1024
BAD = LinkSettings(
    delay=0.02, rate=50_000_000, loss=0.05, jitter=0.005, reorder=0.05, reorder_delay=0.01, duplicate=0.05
)
LOADS, PUSHES = 200, 10


def body(path: str) -> bytes:
    """Content that belongs to one path alone, of a size between 1 byte and 12 kB."""
    random = Random(path)
    return random.randbytes(random.randrange(1, 12_000))


def site(seen: list[h3push.Push]) -> h3push.Handler:
    """Every page pushes ten things of its own."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is None and request.path.startswith("/page"):
            seen.extend([await request.push(f"{request.path}/{number}", wait=True) for number in range(PUSHES)])
        return h3push.Response(content=body(request.path))

    return handler


@pytest.mark.rfc("ROB-22", "ROB-36")
def test_two_hundred_page_loads_on_a_bad_link_are_whole_to_the_byte() -> None:
    """5 % loss, reordering and duplication both ways: 200 pages with 10 pushes each, every body as it was sent."""
    made: list[h3push.Push] = []
    whole = 0

    async def load(client: h3push.ClientConnection, page: int) -> None:
        nonlocal whole
        response = await client.get(f"/page{page}")
        paths = []
        async for push in response.pushes():
            answer = await push.response()
            assert await answer.read() == body(push.request.path)
            paths.append(push.request.path)
        assert await response.read() == body(f"/page{page}")
        assert sorted(paths) == sorted(f"/page{page}/{number}" for number in range(PUSHES))
        whole += 1 + len(paths)

    async def scenario(world: World) -> None:
        for page in range(0, LOADS, 4):
            await asyncio.gather(*(load(world.client, page + number) for number in range(4)))
        await asyncio.sleep(5)
        assert world.client_driver.down is not None
        counters = world.client_driver.down.counters
        assert counters.lost > 100
        assert counters.held_back > 100
        assert counters.duplicated > 100
        assert world.client.session.core.open_message_streams == 0
        assert len(world.client.session.pushes) == 0

    in_world(site(made), scenario, max_pushes=40, link=BAD)
    assert whole == LOADS * (1 + PUSHES)
    assert {push.state for push in made} == {h3push.PushState.FULFILLED}


@pytest.mark.rfc("H3-7.2.3-11", "ROB-02", "ROB-04")
@pytest.mark.parametrize("when", ["at_the_promise", "in_mid_push"])
def test_what_goes_out_for_a_cancelled_push_was_on_its_way_already(when: str) -> None:
    """Ten pushes of 2 MiB are cancelled: from the moment at which that arrives, nothing more of them leaves the server."""
    link = LinkSettings(delay=ROUND_TRIP / 2, rate=20_000_000, queue=250_000)

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is not None:
            return h3push.Response(content=b"p" * 2 * MIB)
        for number in range(10):
            await request.push(f"/{number}")
        return h3push.Response(content=b"page")

    async def scenario(world: World) -> None:
        network = world.network
        network.capture = []
        response = await world.client.get("/")
        pushes = [push async for push in response.pushes()]
        assert len(pushes) == 10
        if when == "in_mid_push":
            await pushes[0].response()
            await asyncio.sleep(0.5)
        cancelled_at = network.now
        for push in pushes:
            push.cancel()
        await response.read()
        await asyncio.sleep(10)
        server = world.server_driver.address
        arrived = cancelled_at + round(ROUND_TRIP / 2 * 1e9) + 5_000_000
        before = sum(one.size for one in network.capture if one.source == server and one.at <= cancelled_at)
        flying = sum(one.size for one in network.capture if one.source == server and cancelled_at < one.at <= arrived)
        after = sum(one.size for one in network.capture if one.source == server and one.at > arrived)
        assert after < 6_000, (before, flying, after)
        assert flying <= 20_000_000 / 8 * (ROUND_TRIP / 2 + 0.005) + 250_000
        assert before < (100_000 if when == "at_the_promise" else 2 * MIB)
        assert world.server.counters.pushes_cancelled >= 9 or when == "at_the_promise"
        (connection,) = world.server._connections
        assert world.server_driver.stats(connection.handle)["buffered_bytes"] == 0
        assert connection.core.pushes_under_way == 0
        assert world.server.tasks == set()
        assert (await world.client.get("/again")).status == 200

    in_world(handler, scenario, max_pushes=10, link=link)


@pytest.mark.rfc("H3-10.10-01")
@pytest.mark.parametrize("moves", [1, 5])
@pytest.mark.parametrize("loss", [0.0, 0.02])
def test_a_push_survives_a_change_of_path(moves: int, loss: float) -> None:
    """NAT rebinding in the middle of a push: the client gets another address and knows nothing of it; the push completes."""
    content = Random(0).randbytes(3 * MIB)

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is not None:
            return h3push.Response(content=content)
        await request.push("/large")
        return h3push.Response(content=b"page")

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        assert await response.read() == b"page"
        (push,) = [push async for push in response.pushes()]
        answer = await push.response()
        reading = asyncio.create_task(answer.read())
        (connection,) = world.server._connections
        ports = {connection.address[1]}
        for _ in range(moves):
            await asyncio.sleep(0.3)
            assert not reading.done()
            world.network.rebind(world.client_driver)
            world.client_driver.ping(world.client.session.handle)
            world.client.session.schedule_flush()
        assert await reading == content
        ports.add(connection.address[1])
        assert len(ports) == 2
        assert world.server.connections == 1
        assert (await world.client.get("/again")).status == 200

    link = LinkSettings(delay=0.03, rate=10_000_000, loss=loss)
    in_world(handler, scenario, max_pushes=2, link=link)


@pytest.mark.rfc("ROB-22")
@pytest.mark.parametrize("window", [300, 1_200, 5_000])
@pytest.mark.parametrize("table", [0, 4_096])
def test_tiny_windows_stall_nobody(window: int, table: int) -> None:
    """The smallest windows, a dynamic table, and pushes: everything comes, if slowly."""

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is None:
            await request.push(request.path + "/pushed", headers={"x-custom": "v" * 100}, wait=True)
        return h3push.Response(content=body(request.path), headers={"x-long": "h" * 500, "x-path": request.path})

    async def load(client: h3push.ClientConnection, number: int) -> None:
        response = await client.get(f"/{number}", headers={"x-request": "q" * 200})
        pushes = [push async for push in response.pushes()]
        assert await response.read() == body(f"/{number}")
        for push in pushes:
            assert await (await push.response()).read() == body(f"/{number}/pushed")

    async def scenario(world: World) -> None:
        async with asyncio.timeout(1_000):
            for number in range(0, 12, 3):
                await asyncio.gather(*(load(world.client, number + one) for one in range(3)))

    in_world(
        handler,
        scenario,
        max_pushes=3,
        client_settings=h3push.ClientSettings(stream_receive_window=window, connection_receive_window=8 * window),
        server_settings=h3push.ServerSettings(stream_receive_window=window, connection_receive_window=2 * window),
        server_config=h3push.H3Config(qpack_encoder_table_capacity=table, qpack_max_table_capacity=table),
        link=LinkSettings(delay=0.01, loss=0.01),
    )
