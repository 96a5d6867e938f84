"""Connections of a client of many servers: shared, replaced, closed; and which requests are sent again."""

import asyncio

import pytest

import h3push
from h3push.client.pool import Pool
from h3push.errors import RequestNotProcessed
from h3push.h3.events import GoawayReceived
from h3push.runtime.settings import PoolSettings, PushCacheSettings
from h3push.testing import LinkSettings, VirtualNetwork, World, in_world, make_identity, run_virtual

PAGE = "https://origin.example/"


async def site(request):
    if request.path == "/slow":
        await asyncio.sleep(5)
    return h3push.Response(200, {}, f"{request.method} {request.authority}{request.path}".encode())


class Dial:
    """Makes connections in a world, and counts them."""

    def __init__(self, world):
        self.world = world
        self.made = []

    def __call__(self, url, *, max_pushes, on_push, address):
        connection = h3push.connect(
            url,
            driver=self.world.client_endpoint(max_pushes),
            max_pushes=max_pushes,
            on_push=on_push,
            address=address,
        )
        self.made.append(connection)
        return connection


def pooled(scenario, application=site, settings=None, hosts=None, push_cache=None, **options):
    """Run a scenario with a pool; `hosts` has the addresses of names beside the server's, which is 192.0.2.1."""

    async def main(world):
        asyncio.get_running_loop().hosts.update(hosts or {})
        dial = Dial(world)
        async with Pool(dial=dial, settings=settings, push_cache=push_cache) as pool:
            return await scenario(world, pool, dial)

    return in_world(application, main, connected=False, **options)


async def read(pool, url=PAGE, method="GET", **options):
    async with await pool.request(method, url, **options) as answer:
        return await answer.read()


def test_a_hundred_requests_at_once_share_one_connection():
    """The connection is opened once for all who wait for it."""

    async def scenario(_world, pool, dial):
        answers = await asyncio.gather(*(read(pool, f"{PAGE}{number}") for number in range(100)))
        assert answers == [f"GET origin.example/{number}".encode() for number in range(100)]
        return len(dial.made)

    assert pooled(scenario) == 1


def test_a_connection_without_requests_is_closed_and_opened_again():
    """After `idle_seconds`; what is under way keeps it."""

    async def scenario(_world, pool, dial):
        await read(pool, f"{PAGE}slow")
        assert len(pool.connections) == 1
        await asyncio.sleep(4)
        assert len(pool.connections) == 0
        await read(pool)
        return len(dial.made)

    assert pooled(scenario, settings=PoolSettings(idle_seconds=3)) == 2


def test_names_of_one_certificate_and_address_share_a_connection():
    """RFC 9114 section 3.3: the certificate covers the name, and the name has the server's address."""
    names = ["origin.example", "static.example"]

    async def scenario(world, pool, dial):
        assert await read(pool) == b"GET origin.example/"
        assert await read(pool, "https://static.example/a.css") == b"GET static.example/a.css"
        return len(dial.made)

    assert pooled(scenario, identity=make_identity(names), hosts={"static.example": "192.0.2.1"}) == 1


def test_a_name_with_another_address_gets_a_connection_of_its_own():
    """RFC 9114 section 3.3: the certificate alone is not enough."""

    async def scenario(_world, pool, dial):
        await read(pool)
        with pytest.raises(h3push.ConnectFailed):
            await read(pool, "https://static.example/", timeouts={"connect": 2.0})
        return len(dial.made)

    identity = make_identity(["origin.example", "static.example"])
    assert pooled(scenario, identity=identity, hosts={"static.example": "192.0.2.77"}) == 2


def test_goaway_moves_requests_to_a_new_connection():
    """What is under way ends where it is; what comes later goes elsewhere."""

    async def scenario(_world, pool, dial):
        slow = asyncio.create_task(read(pool, f"{PAGE}slow"))
        await asyncio.sleep(1)
        dial.made[0].session._goaway(GoawayReceived(0))
        assert await read(pool) == b"GET origin.example/"
        assert await slow == b"GET origin.example/slow"
        await asyncio.sleep(1)
        assert len(pool.connections) == 1
        return len(dial.made)

    assert pooled(scenario) == 2


class Rejecting:
    """Makes connections whose first requests end as rejected without being looked at."""

    def __init__(self, dial, times):
        self.dial = dial
        self.times = times
        self.sent = 0

    def __call__(self, url, **options):
        connection = self.dial(url, **options)
        send = connection.send

        async def counted(*arguments, **keywords):
            self.sent += 1
            if self.sent <= self.times:
                raise RequestNotProcessed("rejected")
            return await send(*arguments, **keywords)

        connection.send = counted
        return connection


@pytest.mark.parametrize(("times", "content", "answers", "sent"), [
    (1, None, True, 2), (2, None, False, 2), (1, b"bytes", True, 2), (1, iter([b"once"]), False, 1),
])  # fmt: skip
def test_what_was_rejected_unprocessed_is_sent_once_more_elsewhere(times, content, answers, sent):
    """Once, on another connection; and not when its content cannot be had twice."""

    async def main(world):
        dial = Dial(world)
        rejecting = Rejecting(dial, times)
        async with Pool(dial=rejecting) as pool:
            if answers:
                assert await read(pool, method="POST" if content else "GET", content=content)
            else:
                with pytest.raises(RequestNotProcessed):
                    await read(pool, method="POST" if content else "GET", content=content)
            await asyncio.sleep(1)
            assert len(pool.connections) == 1  # the first one was closed
            return rejecting.sent, len(dial.made)

    assert in_world(site, main, connected=False) == (sent, sent)


def test_nothing_else_is_sent_again():
    """A lost connection says nothing about what the server did: the error reaches the caller, and the next request works."""
    seen = []

    async def application(request):
        seen.append(request.path)
        return await site(request)

    async def scenario(_world, pool, dial):
        slow = asyncio.create_task(read(pool, f"{PAGE}slow"))
        await asyncio.sleep(1)
        dial.made[0].session._end(0x102, "lost", 0x102)
        with pytest.raises(h3push.ConnectionClosed):
            await slow
        await read(pool)
        return seen

    assert pooled(scenario, application) == ["/slow", "/"]


def test_the_pool_is_bounded():
    """The idle connection that was used longest ago gives way to a further one; a busy one does not."""

    async def scenario(_world, pool, dial):
        await read(pool)
        with pytest.raises(h3push.ConnectFailed):  # nobody is there, but the first one went
            await read(pool, "https://b.example/", timeouts={"connect": 1.0})
        assert len(pool.connections) == 0
        await asyncio.sleep(20)
        slow = asyncio.create_task(read(pool, f"{PAGE}slow"))
        await asyncio.sleep(1)
        with pytest.raises(h3push.ConnectFailed):
            await read(pool, "https://b.example/", timeouts={"connect": 1.0})
        assert await slow == b"GET origin.example/slow"
        return len(dial.made)

    hosts = {"b.example": "192.0.2.77"}
    assert pooled(scenario, hosts=hosts, settings=PoolSettings(connections=1)) == 3


def test_a_closed_pool_leaves_nothing_behind():
    """No task, no open connection."""

    async def main(world: World):
        before = asyncio.all_tasks()
        pool = Pool(dial=Dial(world))
        await read(pool)
        await pool.close()
        with pytest.raises(RuntimeError, match="closed"):
            await read(pool)
        return asyncio.all_tasks() - before

    assert not {
        task for task in in_world(site, main, connected=False) if "pool" in repr(task) or "Connections" in repr(task)
    }


def test_sessions_are_resumed_over_connections_and_safe_requests_go_out_early():
    """0-RTT (RFC 8470): one TLS object for all connections; GET saves the handshake's round trip, POST waits for it."""
    identity = make_identity(["origin.example"], seed=0)
    settings = h3push.ServerSettings(early_data=True)
    seen = []

    async def application(request):
        seen.append((request.method, request.early))
        return await site(request)

    async def main():
        network = VirtualNetwork(seed=1, up=LinkSettings(delay=0.05), down=LinkSettings(delay=0.05))
        tls = h3push.ServerTls([(identity.certificate, identity.key)], early_data=True)
        driver = network.server_endpoint(tls, settings.transport(), names=("origin.example",))
        client_tls = h3push.ClientTls(trust=identity.authority, early_data=True)

        def dial(url, **options):
            driver = network.client_endpoint(client_tls, h3push.ClientSettings().transport(options["max_pushes"]))
            return h3push.connect(url, driver=driver, early_data=True, **{**options, "address": None})

        async with (
            h3push.serve(application, driver=driver, settings=settings),
            Pool(dial=dial, settings=PoolSettings(idle_seconds=2)) as pool,
        ):
            took = []
            for method in ("GET", "GET", "POST"):
                began = asyncio.get_running_loop().time()
                await read(pool, method=method)
                took.append(asyncio.get_running_loop().time() - began)
                await asyncio.sleep(10)
            return took

    first, early, post = run_virtual(main)
    assert seen == [("GET", False), ("GET", True), ("POST", False)]
    assert early < 0.11 < 0.19 < min(first, post)


async def a_page_and_half_of_its_pushes(pool):
    await read(pool)
    for number in range(10):
        await read(pool, f"{PAGE}{number}")


def test_a_long_life_holds_nothing_and_its_credit_never_runs_dry():
    """Six thousand pushes on one connection, half of them never claimed: every page gets all of its twenty."""

    async def application(request):
        if request.path == "/":
            for number in range(20):
                push = await request.push(f"/{number}")
                assert push.refusal is None
        return h3push.Response(200, {"cache-control": "no-store"}, b"x" * 500)

    async def scenario(_world, pool, dial):
        for _ in range(300):
            await a_page_and_half_of_its_pushes(pool)
            await asyncio.sleep(6)
        cache, session = pool._pushes, dial.made[0].session
        assert (cache._held, cache._by_key, cache._bytes.held) == ({}, {}, 0)
        assert not cache._requested
        assert (session.exchanges, session.fulfilling, session.pushes.unreleased) == ({}, {}, {})
        return cache.stats, len(dial.made)

    stats, connections = pooled(scenario, application, push_cache=PushCacheSettings(unclaimed_seconds=5))
    assert (stats.promised, stats.claimed, stats.cancelled.total(), stats.unclaimed) == (6000, 3000, 3000, 0)
    assert connections == 1
