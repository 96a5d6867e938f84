"""Early data (RFC 8470) and what outlives a handshake, with real QUIC in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

import h3push
from conformance.support import request
from h3push import _quic
from h3push.testing import VirtualDriver, World, in_world
from rfc9114.test_3_connection_setup import GOOD, LINK, Peer, respond

T = TypeVar("T")
LONG_AGO = 1.0


def on_server(handler: h3push.Handler, scenario: Callable[[World], Awaitable[T]], *, early_data: bool) -> T:
    """Run `scenario` with a server that takes early data or not, and with clients that would send some."""
    return in_world(
        handler,
        scenario,
        server_tls=h3push.ServerTls([(GOOD.certificate, GOOD.key)], early_data=early_data),
        client_tls=h3push.ClientTls(trust=GOOD.authority, early_data=True),
        connected=False,
    )


async def resume(peer: Peer, server: VirtualDriver, *early: bytes) -> tuple[int, bool]:
    """Connect, disconnect, and connect again with these requests in the first flight; the handle, and if they were taken."""
    handle = await peer.connected(server)
    await asyncio.sleep(LONG_AGO)
    peer.driver.close(handle, 0x100, b"")
    peer.flush()
    await asyncio.sleep(LONG_AGO)
    peer.events.clear()
    handle = peer.driver.connect(server.local_address(), "origin.example")
    for sent in early:
        stream_id = peer.driver.open(handle, False)
        assert stream_id is not None, "a resumed session remembers how many streams it may open"
        peer.driver.write(handle, stream_id, sent, True)
    peer.flush()
    *_, accepted = await peer.until(_quic.CONNECTED)
    await asyncio.sleep(LONG_AGO)
    return handle, bool(accepted)


@pytest.mark.rfc("ED-3-01", "ED-3-02", "ROB-34", "H3-10.9-01")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_in_early_data_waits_for_the_handshake(method: str) -> None:
    """It may be a replay: no handler runs before the client has proved that it is there; then every request is served."""
    ran: list[float] = []

    def handler(_: h3push.Request) -> h3push.Response:
        ran.append(asyncio.get_running_loop().time())
        return h3push.Response(200, {}, "x")

    async def scenario(world: World) -> float:
        peer = Peer(world.network, world.client_tls)
        began = world.now + 2 * LONG_AGO + 2 * LINK.delay
        _, accepted = await resume(peer, world.server_driver, request(method, "/a"), request(method, "/b"))
        assert accepted
        peer.close()
        return began

    began = on_server(handler, scenario, early_data=True)
    assert len(ran) == 2
    assert min(ran) >= began + 3 * LINK.delay - 1e-3, "a round trip after the flight that could be a replay"


@pytest.mark.rfc("ED-3-01")
def test_a_server_takes_no_early_data_unless_it_is_asked_to() -> None:
    """By default a resumed session has no 0-RTT, and the requests are sent again after the handshake."""
    served: list[str] = []

    def handler(incoming: h3push.Request) -> h3push.Response:
        served.append(incoming.path)
        return respond(incoming)

    async def scenario(world: World) -> None:
        peer = Peer(world.network, world.client_tls)
        _, accepted = await resume(peer, world.server_driver)
        assert not accepted
        peer.close()

    on_server(handler, scenario, early_data=False)
    assert served == []


@pytest.mark.rfc("ED-4-01", "ED-4-02")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_our_client_asks_nothing_before_the_handshake(method: str) -> None:
    """Even with early data allowed and a session to resume: every request comes with 1-RTT keys, so none can be replayed."""
    facts: list[tuple[object, object]] = []

    def handler(incoming: h3push.Request) -> h3push.Response:
        facts.append((asyncio.get_running_loop().time(), incoming.path))
        return respond(incoming)

    async def scenario(world: World) -> None:
        for number in range(2):
            before = world.now
            async with world.connect() as client, await client.request(method, f"/{number}") as response:
                await response.read()
                resumed = client.info["resumed"]
            assert facts[-1][0] >= before + 3 * LINK.delay - 1e-3  # type: ignore[operator]
            assert resumed == bool(number)

    on_server(handler, scenario, early_data=True)
    assert [path for _, path in facts] == ["/0", "/1"]


@pytest.mark.rfc("H3-10.10-01")
def test_the_clients_address_follows_it() -> None:
    """After a NAT rebinding the application is told the new address, on the same connection."""
    seen: list[tuple[tuple[str, int], object]] = []

    def handler(incoming: h3push.Request) -> h3push.Response:
        seen.append((incoming.client, incoming.connection))
        return respond(incoming)

    async def scenario(world: World) -> None:
        for _ in range(3):
            async with await world.client.get("/") as response:
                await response.read()
            if len(seen) == 1:
                world.network.rebind(world.client_driver)

    in_world(handler, scenario)
    assert len({connection for _, connection in seen}) == 1
    (host, port), *_, (last_host, last_port) = [address for address, _ in seen]
    assert (last_host, last_port) == (host, port + 1)


@pytest.mark.rfc("H3-4.1.1-08")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_our_client_repeats_nothing_by_itself(method: str) -> None:
    """A request that the server gave up in the middle is a failure for its caller, who knows if it may be repeated."""
    served: list[str] = []

    async def handler(incoming: h3push.Request) -> h3push.Response:
        served.append(incoming.method)

        async def half() -> object:
            yield b"half"
            raise OSError("the disk is gone")

        return h3push.Response(200, {}, half())  # type: ignore[arg-type]

    async def scenario(world: World) -> None:
        with pytest.raises(h3push.StreamFailed):
            async with await world.client.request(method, "/") as response:
                await response.read()

    in_world(handler, scenario)
    assert served == [method]
