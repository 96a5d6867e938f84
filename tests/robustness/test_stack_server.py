"""A hostile client against the whole server, over the real QUIC stack, in virtual time."""

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from random import Random

import pytest

import h3push
from conformance.support import GET, LARGEST_VARINT, POST, data, headers, request, varint
from h3push import _quic
from h3push.errors import ErrorCode
from runtime.harness import client_tls

from .raw_quic import Siege, max_push_id, siege

KIB, MIB = 1024, 1024 * 1024


class Crowd:
    """Handlers that take their time, counted."""

    def __init__(self, seconds: float = 3_600, *, obeys: bool = True) -> None:
        self.running = self.most = self.started = 0
        self.seconds = seconds
        self.obeys = obeys

    async def __call__(self, request: h3push.Request) -> h3push.Response:
        self.started += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if self.obeys:
                await asyncio.sleep(self.seconds)
            else:
                loop = asyncio.get_running_loop()
                end = loop.time() + self.seconds
                while loop.time() < end:
                    try:
                        await asyncio.sleep(end - loop.time())
                    except asyncio.CancelledError:
                        continue
        finally:
            self.running -= 1
        return h3push.Response()


@pytest.mark.rfc("ROB-10")
@pytest.mark.parametrize("obeys", [True, False], ids=["handlers_obey", "handlers_go_on"])
@pytest.mark.parametrize("how", ["reset", "stop", "both"])
def test_rapid_reset_with_real_handlers(how: str, obeys: bool) -> None:
    """`max_concurrent_requests` handlers at most, whatever is reset, and `flood_burst` ends it with H3_EXCESSIVE_LOAD."""
    crowd = Crowd(30, obeys=obeys)

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet()
        for _ in range(400):
            for _ in range(10):
                stream_id = attacker.send(GET, fin=how == "stop")
                if stream_id is None:
                    break
                if how != "stop":
                    attacker.reset(stream_id)
                if how != "reset":
                    attacker.stop(stream_id)
            await asyncio.sleep(0.05)
            if attacker.closed is not None:
                break
        if obeys and how != "reset":  # else handlers hold every place for their half minute
            assert attacker.closed is not None
            assert attacker.closed[2:4] == (_quic.CLOSED_BY_APPLICATION, ErrorCode.H3_EXCESSIVE_LOAD)
        assert await world.serves()
        attacker.close()
        await asyncio.sleep(60)
        assert world.server.connections <= 1
        assert world.server.tasks == set()

    settings = h3push.ServerSettings(max_concurrent_requests=20)
    siege(crowd, scenario, settings=settings, config=h3push.H3Config(flood_burst=300, flood_rate=10))
    assert crowd.most <= 20
    assert crowd.running == 0
    assert crowd.started <= 4_000


@pytest.mark.rfc("ROB-11")
@pytest.mark.parametrize(
    "provocation", [headers(("Bad", "x")), GET, data(b"x" * 9)], ids=["trailers", "second", "size"]
)
def test_made_you_reset_with_real_handlers(provocation: bytes) -> None:
    """A request that turns malformed cancels its handler and costs budget; few handlers run at any time."""
    crowd = Crowd()

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet()
        for _ in range(200):
            stream_id = attacker.send(request("POST", "/", ("content-length", "5")))
            if stream_id is not None:
                attacker.write(stream_id, provocation)
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        assert attacker.closed is not None
        assert attacker.closed[3] == ErrorCode.H3_EXCESSIVE_LOAD
        await asyncio.sleep(1)
        assert crowd.running == 0
        assert await world.serves()

    settings = h3push.ServerSettings(max_concurrent_requests=30)
    siege(crowd, scenario, settings=settings, config=h3push.H3Config(flood_burst=100, flood_rate=0))
    assert crowd.most <= 30


@pytest.mark.rfc("ROB-04", "H3-10.5-01")
@pytest.mark.parametrize("reads_responses", [True, False])
def test_a_thousand_requests_that_deserve_fifty_pushes_each_and_nobody_reads(reads_responses: bool) -> None:
    """Pushes end where stream credit ends: what is promised, buffered and sent stays below the client's own windows."""
    made = 0

    async def handler(request: h3push.Request) -> h3push.Response:
        nonlocal made
        if request.push_id is not None:
            return h3push.Response(content=b"p" * 20_000)
        for number in range(50):
            made += (await request.push(f"/{number}")).refusal is None
        return h3push.Response(content=b"page")

    async def scenario(world: Siege) -> None:
        attacker = world.attacker(stream_receive_window=16 * KIB, connection_receive_window=4 * MIB)
        await attacker.greet(max_push_id(LARGEST_VARINT))
        attacker.reads, attacker.takes_pushes = reads_responses, False
        gc.collect()
        tracemalloc.start()
        asked = 0
        for _ in range(200):
            for _ in range(40):
                asked += asked < 1_000 and attacker.send(GET, fin=True) is not None
            await asyncio.sleep(0.1)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        (connection,) = world.server._connections
        assert world.server.counters.requests == asked
        assert asked == 1_000 or not reads_responses
        assert made <= 116
        assert world.server.counters.pushes == made
        assert world.buffered() <= 116 * (20 * KIB + KIB) + 100 * KIB
        assert world.driver.stats(connection.handle)["sent_bytes"] < 3 * MIB
        assert held < 12 * MIB
        assert len(world.server.tasks) <= 100 + 116
        assert await world.serves()
        await asyncio.sleep(120)
        assert len(connection.pushes.live) == 0

    siege(handler, scenario)


@pytest.mark.rfc("ROB-04")
@pytest.mark.parametrize(("limit", "refused"), [(0, 12), (11, 1), (12, 0)])
def test_pushes_of_one_request_end_at_their_limit(limit: int, refused: int) -> None:
    """`max_pushes_per_request`: at it pushes go out, one more is refused with LIMIT; 0 pushes nothing."""
    refusals: list[object] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is None:
            refusals.extend([(await request.push(f"/{number}")).refusal for number in range(12)])
        return h3push.Response()

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet(max_push_id(1_000))
        attacker.send(GET, fin=True)
        await asyncio.sleep(1)

    siege(handler, scenario, settings=h3push.ServerSettings(max_pushes_per_request=limit))
    assert refusals.count(h3push.PushRefusal.LIMIT) == refused
    assert len(refusals) - refusals.count(None) == refused


@pytest.mark.rfc("ROB-04")
@pytest.mark.parametrize(("limit", "whole"), [(39_999, 1), (40_000, 2)])
def test_pushed_bytes_of_one_request_end_at_their_limit(limit: int, whole: int) -> None:
    """`max_push_bytes`: the push that passes it is cancelled, further ones are refused."""
    pushes: list[h3push.Push] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is not None:
            return h3push.Response(content=b"x" * 20_000)
        pushes.extend([await request.push(f"/{number}") for number in range(2)])
        await asyncio.sleep(1)
        pushes.append(await request.push("/late"))
        return h3push.Response()

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet(max_push_id(1_000))
        attacker.send(GET, fin=True)
        await asyncio.sleep(5)

    siege(handler, scenario, settings=h3push.ServerSettings(max_push_bytes=limit))
    assert [push.state for push in pushes[:2]].count(h3push.PushState.FULFILLED) == whole
    assert pushes[2].refusal is h3push.PushRefusal.LIMIT


@pytest.mark.rfc("ROB-12", "ROB-04")
def test_a_slow_reader_of_responses_and_pushes_holds_little_and_not_for_long() -> None:
    """`send_high_water` for each response, then `drain_timeout`: whoever takes nothing is reset."""
    produced = 0

    async def content() -> AsyncIterator[bytes]:
        nonlocal produced
        for _ in range(1_000):
            produced += 10 * KIB
            yield b"x" * 10 * KIB

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is None:
            await request.push("/pushed")
        return h3push.Response(content=content())

    async def scenario(world: Siege) -> None:
        attacker = world.attacker(stream_receive_window=KIB, connection_receive_window=16 * KIB)
        await attacker.greet(max_push_id(1_000))
        attacker.reads = False
        for _ in range(10):
            attacker.send(GET, fin=True)
        for _ in range(4):  # it stays a client, so that it is not the idle time-out that ends this
            await asyncio.sleep(10)
            attacker.driver.ping(attacker.connection)
            attacker.flush()
        assert produced <= 20 * (64 + 20) * KIB
        assert world.buffered() <= 20 * (64 + 20) * KIB
        assert len(world.server.tasks) == 20
        for _ in range(4):
            await asyncio.sleep(10)
            attacker.driver.ping(attacker.connection)
            attacker.flush()
        assert world.server.tasks == set()
        assert world.buffered() == 0
        assert attacker.closed is None

    siege(handler, scenario, settings=h3push.ServerSettings(drain_timeout=60))


@pytest.mark.rfc("ROB-12", "ROB-29")
def test_an_upload_that_nobody_reads_is_held_back() -> None:
    """`receive_high_water` and one stream window: what a handler does not take is not granted again."""

    async def scenario(world: Siege) -> None:
        attacker = world.attacker(send_window=32 * MIB)
        await attacker.greet()
        for _ in range(4):
            attacker.send(POST + data(b"x" * 4 * MIB))
        await asyncio.sleep(5)
        (connection,) = world.server._connections
        stats = world.driver.stats(connection.handle)
        assert stats["received_bytes"] <= 1.1 * (4 * 256 * KIB + MIB)
        assert await world.serves()

    siege(Crowd(), scenario)


@pytest.mark.rfc("ROB-12")
@pytest.mark.parametrize(("pause", "status"), [(9, 200), (11, 408)])
def test_a_slow_writer_loses_at_the_read_timeout(pause: float, status: int) -> None:
    """`read_timeout`: a byte before it keeps a handler waiting, none ends it with 408."""
    seen: list[int] = []

    async def handler(request: h3push.Request) -> h3push.Response:
        try:
            await request.read()
        except h3push.Timeout:
            seen.append(408)
            raise
        seen.append(200)
        return h3push.Response()

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet()
        stream_id = attacker.send(request("POST", "/", ("content-length", "5")))
        assert stream_id is not None
        for number in range(5):
            await asyncio.sleep(pause)
            attacker.write(stream_id, data(b"x"), fin=number == 4)
        await asyncio.sleep(1)

    siege(handler, scenario, settings=h3push.ServerSettings(read_timeout=10))
    assert seen == [status]


@pytest.mark.rfc("ROB-12")
@pytest.mark.parametrize("dribble", [True, False])
def test_header_sections_that_never_end_give_their_streams_back(dribble: bool) -> None:
    """`request_timeout` from the first byte, however it dribbles: every stream is refused, and its place is free again."""

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet()
        streams = [attacker.send(b"\x01\x40\x64") for _ in range(50)]
        assert None not in streams
        await asyncio.sleep(0.2)
        assert attacker.send(GET) is None
        for _ in range(9):
            await asyncio.sleep(1)
            for stream_id in streams if dribble else []:
                attacker.write(stream_id, b"\0")
        assert world.server.counters.timed_out == 0
        await asyncio.sleep(2)
        assert world.server.counters.timed_out == 50
        for stream_id in streams:
            assert [event[3] for event in attacker.told(_quic.STOP, stream_id)] == [ErrorCode.H3_REQUEST_REJECTED]
        attacker.flush()
        await asyncio.sleep(1)
        assert attacker.send(GET, fin=True) is not None
        (connection,) = world.server._connections
        assert connection._heads.deadlines == {}

    siege(Crowd(0), scenario, settings=h3push.ServerSettings(max_concurrent_requests=50))


@pytest.mark.rfc("ROB-12", "ROB-14")
def test_a_header_section_that_is_reset_is_forgotten() -> None:
    """What was reset before its header section was complete is over: nothing waits for it, and it did not time out."""

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet()
        for _ in range(20):
            stream_id = attacker.send(b"\x01\x40\x64")
            assert stream_id is not None
            await asyncio.sleep(0.2)
            attacker.reset(stream_id)
            await asyncio.sleep(0.2)
        (connection,) = world.server._connections
        left = len(connection._heads.deadlines)
        await asyncio.sleep(12)
        assert (left, world.server.counters.timed_out) == (0, 0)

    siege(Crowd(0), scenario)


@pytest.mark.rfc("ROB-14", "ROB-20")
def test_stream_limits_are_exact() -> None:
    """`max_concurrent_requests` request streams, 16 unidirectional ones: not one more can be opened while those are open."""

    async def scenario(world: Siege) -> None:
        attacker = world.attacker()
        await attacker.greet()
        assert sum(attacker.send(GET) is not None for _ in range(40)) == 30
        assert sum(attacker.open(unidirectional=True) is not None for _ in range(40)) == 15
        await asyncio.sleep(1)
        assert await world.serves()
        (connection,) = [one for one in world.server._connections if one.requests]
        assert connection.runner.running == 30

    siege(Crowd(), scenario, settings=h3push.ServerSettings(max_concurrent_requests=30))


@pytest.mark.rfc("ROB-35")
def test_connections_end_at_their_limit() -> None:
    """`max_connections`: beyond it new ones are refused; one that goes makes room."""

    async def scenario(world: Siege) -> None:
        attackers = [world.attacker() for _ in range(8)]
        await asyncio.sleep(2)
        refused = [one for one in attackers if one.closed is not None]
        assert len(refused) == 3
        assert world.server.connections == 5
        for one in attackers:
            if one.closed is None:
                one.close()
                break
        await asyncio.sleep(5)
        assert await world.serves()

    siege(Crowd(), scenario, settings=h3push.ServerSettings(max_connections=5))


@pytest.mark.rfc("ROB-12", "ROB-35")
@pytest.mark.parametrize(("seconds", "connections"), [(29, 1), (31, 0)])
def test_an_idle_connection_goes(seconds: float, connections: int) -> None:
    """`idle_timeout`: a client that says nothing holds a place for so long."""

    async def scenario(world: Siege) -> None:
        attacker = world.attacker(idle_timeout=0)
        await attacker.greet()
        await asyncio.sleep(1)
        world.network.remove(attacker.driver)  # not a word any more
        await asyncio.sleep(seconds)
        assert world.server.connections == connections

    siege(Crowd(), scenario)


@pytest.mark.rfc("ROB-23")
def test_garbage_instead_of_handshakes() -> None:
    """5,000 datagrams that make no sense, from 5,000 addresses: no connection, no growth, and service goes on."""

    async def scenario(world: Siege) -> None:
        random = Random(1)
        capture = world.attacker()
        await asyncio.sleep(1)
        capture.close()
        await asyncio.sleep(5)
        before = world.driver.connection_count()
        gc.collect()
        tracemalloc.start()
        for number in range(5_000):
            size = random.choice((0, 1, 20, 21, 100, 1_199, 1_200, 1_472))
            first = random.choice((0x00, 0x40, 0xC0, 0xC3, 0xE0, 0xF0, 0xFF))
            version = random.choice((b"\0\0\0\1", b"\0\0\0\0", b"\x6b\x33\x43\xcf", b"\xff\0\0\x1d"))
            junk = (bytes([first]) + version + b"\x08" + random.randbytes(max(0, size)))[:size]
            world.driver.feed(junk, (f"203.0.113.{number % 250}", 1_024 + number), None)
            if number % 50 == 0:
                world.driver.readable()
                await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < MIB
        assert world.server.connections <= 3_000  # initials that decrypt to nothing are dropped, their state with them
        await asyncio.sleep(15)
        assert world.driver.connection_count() == before
        assert world.server.connections == 0
        assert await world.serves()

    siege(Crowd(), scenario)


@pytest.mark.rfc("ROB-23")
@pytest.mark.parametrize(("knocking", "retried"), [(20, 0), (60, 40)])
def test_a_flood_of_handshakes_that_are_never_finished(knocking: int, retried: int) -> None:
    """`retry_above`: beyond so many half-open handshakes nothing is kept for whoever has not proved its address."""

    async def scenario(world: Siege) -> None:
        attackers = []
        for _ in range(knocking):
            attacker = world.attacker()
            attackers.append(attacker)
            world.network.remove(attacker.driver)  # its address is spoofed: no answer ever comes
        await asyncio.sleep(0.5)
        assert world.driver.connection_count() == knocking - retried
        await asyncio.sleep(12)
        assert world.driver.connection_count() == 0
        assert world.server.connections == 0
        assert await world.serves()

    siege(Crowd(), scenario, handshake_timeout=10, retry_above=20)


@pytest.mark.rfc("ROB-32")
def test_a_client_that_vanishes_in_every_state_leaves_nothing() -> None:
    """Connections that end with handlers, pushes and uploads half done: no task, no exchange, no push is left."""

    async def handler(request: h3push.Request) -> h3push.Response:
        for number in range(3):
            if request.push_id is None:
                await request.push(f"/{number}")
        await asyncio.sleep(0.1)
        return h3push.Response(content=b"x" * 300_000)

    async def scenario(world: Siege) -> None:
        for number in range(12):
            attacker = world.attacker(stream_receive_window=4 * KIB)
            await attacker.greet(max_push_id(10))
            attacker.send(GET, fin=True)
            attacker.send(POST + varint(0) + varint(500))
            await asyncio.sleep(0.05 * number)
            attacker.close()
        await asyncio.sleep(5)
        assert world.server.connections == 0
        assert world.server.tasks == set()
        assert world.driver.connection_count() == 0

    siege(handler, scenario)


def test_the_honest_client_is_what_the_tests_say() -> None:
    """`Siege.serves` does ask."""

    async def scenario(world: Siege) -> bool:
        assert client_tls() is not None
        return await world.serves()

    assert siege(Crowd(), scenario)
