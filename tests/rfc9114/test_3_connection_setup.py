"""Setting up connections, and whom they speak for (RFC 9114 section 3), with real QUIC in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

import h3push
from h3push import _quic
from h3push.errors import ErrorCode
from h3push.testing import (
    Identity,
    LinkSettings,
    VirtualDriver,
    VirtualNetwork,
    World,
    in_world,
    make_identity,
    run_virtual,
)
from h3push.testing import identity as identities

GOOD = make_identity(["origin.example"], seed=0)
LINK = LinkSettings(delay=0.05)


def respond(request: h3push.Request) -> h3push.Response:
    return h3push.Response(200, {}, request.path)


def connect_to(
    presented: Identity,
    *,
    trust: Identity = GOOD,
    host: str = "origin.example",
    server_alpn: list[bytes] | None = None,
    verify: bool = True,
) -> tuple[str, int]:
    """Connect with these certificates: the body of an answer or the sentence of the failure, and requests served."""
    served = []

    def handler(request: h3push.Request) -> h3push.Response:
        served.append(request.path)
        return respond(request)

    async def scenario(world: World) -> str:
        try:
            async with world.connect() as client, await client.get("/secret") as response:
                return (await response.read()).decode()
        except h3push.ConnectFailed as failure:
            return str(failure)

    tls = h3push.ServerTls([(presented.certificate, presented.key)], alpn=server_alpn)
    client_tls = h3push.ClientTls(trust=trust.authority, verify=verify)
    sentence = in_world(handler, scenario, host=host, server_tls=tls, client_tls=client_tls, connected=False)
    return sentence, len(served)


def expired() -> Identity:
    """A certificate that was good until 2021."""
    original = identities._NOT_AFTER
    identities._NOT_AFTER = datetime(2021, 1, 1, tzinfo=UTC)
    try:
        return make_identity(["origin.example"], seed=0)
    finally:
        identities._NOT_AFTER = original


@pytest.mark.rfc("H3-3.1-01")
@pytest.mark.parametrize(
    ("presented", "trust"),
    [
        pytest.param(make_identity(["other.example"], seed=0), GOOD, id="another name"),
        pytest.param(make_identity(["*.origin.example"], seed=0), GOOD, id="a wildcard below"),
        pytest.param(make_identity(["origin.example"], seed=7), GOOD, id="an unknown authority"),
        pytest.param(expired(), expired(), id="expired"),
    ],
)
def test_the_certificate_is_verified_before_anything_is_asked(presented: Identity, trust: Identity) -> None:
    """A server that does not prove who it is gets no request; only with verify=False it does."""
    sentence, served = connect_to(presented, trust=trust)
    assert "certificate" in sentence
    assert served == 0
    assert connect_to(presented, trust=trust, verify=False) == ("/secret", 1)
    assert connect_to(GOOD) == ("/secret", 1)


@pytest.mark.rfc("H3-3.1-02")
@pytest.mark.parametrize("protocol", [b"h3-29", b"hq-interop", b"dummy", b"H3"])
def test_the_protocol_name_is_h3(protocol: bytes) -> None:
    """A server that speaks something else over QUIC is told apart, and the handshake ends (no_application_protocol)."""
    sentence, served = connect_to(GOOD, server_alpn=[protocol])
    assert sentence.endswith("speaks QUIC but not HTTP/3 (it refused the protocol name h3)")
    assert served == 0


@pytest.mark.rfc("H3-3.1-02")
@pytest.mark.parametrize("offered", [[b"dummy"], [b"h3-29"], [b"hq-interop", b"h3-29"]])
def test_a_client_of_another_protocol_is_refused(offered: list[bytes]) -> None:
    """Our server ends the handshake with CRYPTO_ERROR 0x178."""

    async def scenario(world: World) -> tuple[object, ...]:
        peer = Peer(world.network, h3push.ClientTls(trust=GOOD.authority, alpn=offered))
        return await peer.closed(world.server_driver)

    assert in_world(respond, scenario, identity=GOOD, connected=False)[2:4] == (_quic.CLOSED_BY_TRANSPORT, 0x178)


@pytest.mark.rfc("H3-3.1-03")
def test_a_network_that_drops_udp_is_a_clear_failure_in_bounded_time() -> None:
    """`ConnectFailed` after `connect_timeout`: the caller can fall back to TCP."""

    async def main() -> float:
        network = VirtualNetwork(seed=1, up=replace(LINK, loss=1.0), down=LINK)
        tls = h3push.ServerTls([(GOOD.certificate, GOOD.key)])
        network.server_endpoint(tls, h3push.ServerSettings().transport(), names=("origin.example",))
        driver = network.client_endpoint(h3push.ClientTls(trust=GOOD.authority), h3push.ClientSettings().transport())
        began = asyncio.get_running_loop().time()
        with pytest.raises(h3push.ConnectFailed, match="nothing answers at"):
            await h3push.connect("https://origin.example/", driver=driver).open()
        return asyncio.get_running_loop().time() - began

    assert run_virtual(main) <= h3push.ClientSettings().connect_timeout + 0.1


@pytest.mark.rfc("H3-3.2-01")
@pytest.mark.parametrize(("host", "expected"), [("origin.example", "origin.example"), ("192.0.2.1", None)])
def test_the_server_is_told_the_name_it_is_asked_for(host: str, expected: str | None) -> None:
    """SNI carries a DNS name, and nothing for an IP address."""
    identity = make_identity(["origin.example", "192.0.2.1"], seed=0)
    names: list[object] = []

    async def main() -> None:
        network = VirtualNetwork(seed=1, up=LINK, down=LINK)
        tls = h3push.ServerTls([(identity.certificate, identity.key)])
        server_driver = network.server_endpoint(tls, h3push.ServerSettings().transport(), names=("origin.example",))
        client_driver = network.client_endpoint(
            h3push.ClientTls(trust=identity.authority), h3push.ClientSettings().transport()
        )
        address = server_driver.local_address()

        def handler(request: h3push.Request) -> h3push.Response:
            names.append(server_driver.info(request.connection.handle).get("server_name"))
            return respond(request)

        async with (
            h3push.serve(handler, driver=server_driver),
            h3push.connect(f"https://{host}/", driver=client_driver, address=address) as client,
            await client.get("/") as response,
        ):
            await response.read()

    run_virtual(main)
    assert names == [expected]


@pytest.mark.rfc("H3-3.3-02")
def test_fifty_requests_share_one_connection() -> None:
    """A client is one connection, however many requests run at the same time."""
    connections = set()

    def handler(request: h3push.Request) -> h3push.Response:
        connections.add(request.connection)
        return respond(request)

    async def scenario(world: object) -> list[bytes]:
        async def one(number: int) -> bytes:
            async with await world.client.get(f"/{number}") as response:  # type: ignore[attr-defined]
                return await response.read()

        return await asyncio.gather(*(one(number) for number in range(50)))

    assert in_world(handler, scenario) == [b"/%d" % number for number in range(50)]
    assert len(connections) == 1


class Peer:
    """The barest client: a native connection that writes what it is told, and notes every event."""

    def __init__(self, network: VirtualNetwork, tls: h3push.ClientTls) -> None:
        self.driver: VirtualDriver = network.client_endpoint(tls, h3push.ClientSettings().transport(8))
        self.events: list[tuple[object, ...]] = []
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.driver.watch(self._loop, lambda: self._take(self.driver.recv()))

    def _take(self, events: list[tuple[object, ...]]) -> None:
        self.events += events
        self._changed.set()
        self.flush()

    def flush(self) -> None:
        seconds, _ = self.driver.flush()
        if self._timer is not None:
            self._timer.cancel()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, lambda: self._take(self.driver.tick()))

    async def until(self, kind: int) -> tuple[object, ...]:
        """The first event of that kind, once it is there."""
        async with asyncio.timeout(60):
            while not (found := [event for event in self.events if event[0] == kind]):
                self._changed.clear()
                await self._changed.wait()
        return found[0]

    async def connected(self, server: VirtualDriver) -> int:
        """Connect; the handle."""
        handle = self.driver.connect(server.local_address(), "origin.example")
        self.flush()
        await self.until(_quic.CONNECTED)
        return handle

    async def closed(self, server: VirtualDriver) -> tuple[object, ...]:
        """Connect, and wait for the end."""
        self.driver.connect(server.local_address(), "origin.example")
        self.flush()
        return await self.until(_quic.CLOSED)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.driver.shutdown()


def with_peer(scenario: Callable[[Peer, VirtualDriver], Awaitable[object]]) -> object:
    """Run a scenario between our server and a bare client."""

    async def between(world: World) -> object:
        peer = Peer(world.network, world.client_tls)
        try:
            return await scenario(peer, world.server_driver)
        finally:
            peer.close()

    return in_world(respond, between, identity=GOOD, connected=False)


@pytest.mark.rfc("H3-3.2-02", "H3-6.2-01", "H3-6.2-02", "H3-6.1-01")
def test_settings_come_in_the_servers_first_flight() -> None:
    """A client that opens nothing and says nothing hears SETTINGS with the handshake; what it may open is enough."""

    async def scenario(peer: Peer, server: VirtualDriver) -> tuple[bytes, int, int]:
        handle = await peer.connected(server)
        _, _, stream_id, data, _ = await peer.until(_quic.DATA)
        assert stream_id == 3
        return (
            bytes(data),  # type: ignore[arg-type]
            peer.driver.stream_credit(handle, True, 1_000),
            peer.driver.stream_credit(handle, False, 1_000),
        )

    first, unidirectional, bidirectional = with_peer(scenario)  # type: ignore[misc]
    assert first[:2] == b"\0\4"
    assert unidirectional >= 3
    assert bidirectional >= 100


@pytest.mark.rfc("H3-8-03")
def test_a_connection_error_is_an_application_close() -> None:
    """CONNECTION_CLOSE of type 0x1d with our code and sentence: the peer hears of an application's close."""

    async def scenario(peer: Peer, server: VirtualDriver) -> tuple[object, ...]:
        handle = await peer.connected(server)
        control = peer.driver.open(handle, True)
        assert control is not None
        peer.driver.write(handle, control, b"\0\4\0\4\0", False)
        peer.flush()
        return await peer.until(_quic.CLOSED)

    kind, code, reason = with_peer(scenario)[2:]  # type: ignore[index]
    assert (kind, code) == (_quic.CLOSED_BY_APPLICATION, ErrorCode.H3_FRAME_UNEXPECTED)
    assert reason in ("a second SETTINGS frame", b"a second SETTINGS frame")


@pytest.mark.rfc("H3-3.3-01")
@pytest.mark.parametrize("covered", [True, False])
def test_another_origin_needs_the_certificates_word(covered: bool) -> None:
    """A request for another authority goes on this connection only when the server's certificate names that one too."""
    names = ["origin.example", "other.example"] if covered else ["origin.example"]
    presented = make_identity(names, seed=0)
    served: list[str | None] = []

    def handler(incoming: h3push.Request) -> h3push.Response:
        served.append(incoming.headers.get("host") or incoming.head.authority.decode())
        return respond(incoming)

    async def scenario(world: World) -> None:
        try:
            async with await world.client.request("GET", "/", authority="other.example") as response:
                await response.read()
        except (ValueError, h3push.H3PushError):
            assert not covered

    in_world(handler, scenario, identity=presented)
    assert served == (["other.example"] if covered else [])
