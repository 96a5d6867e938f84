"""Real QUIC in virtual time: round trips, rates, losses and moves, exact and the same every time."""

import asyncio
import time
from dataclasses import replace

import pytest

_quic = pytest.importorskip("h3push._quic")

from h3push.quic.adapter import Driver  # noqa: E402
from h3push.testing.identity import make_identity  # noqa: E402
from h3push.testing.link import LinkSettings  # noqa: E402
from h3push.testing.network import IP_UDP_OVERHEAD, VirtualNetwork  # noqa: E402
from h3push.testing.virtual import run_virtual  # noqa: E402

NAME = "origin.example"
IDENTITY = make_identity([NAME])
MILLISECOND = 1_000_000


class Host:
    """The smallest owner of a driver: it notes every event with its time and hands it to `on_event`."""

    def __init__(self, network, driver: Driver, on_event=None):
        self.network, self.driver, self.on_event = network, driver, on_event
        self.log = []
        self.received = {}
        self.ended = {}
        self.loop = asyncio.get_running_loop()
        self.timer = None
        self.changed = asyncio.Event()
        driver.watch(self.loop, lambda: self.dispatch(driver.recv()))

    def dispatch(self, events):
        for event in events:
            self.log.append((self.network.now, event))
            if event[0] == _quic.DATA:
                self.received.setdefault(event[2], bytearray()).extend(event[3])
                if event[4]:
                    self.ended[event[2]] = self.network.now
            if self.on_event is not None:
                self.on_event(self, event)
        self.changed.set()
        self.flush()

    def flush(self):
        seconds, more = self.driver.flush()
        if self.timer is not None:
            self.timer.cancel()
        if more or self.driver.pending():
            seconds = 0
        if seconds is not None:
            self.timer = self.loop.call_later(seconds, lambda: self.dispatch(self.driver.tick()))

    async def until(self, condition):
        async with asyncio.timeout(300):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def times(self, kind):
        return [at for at, event in self.log if event[0] == kind]

    def close(self):
        if self.timer is not None:
            self.timer.cancel()
        self.driver.shutdown()


def answer(size):
    """A server that answers each request stream with `size` bytes."""

    def on_event(host, event):
        if event[0] == _quic.DATA and event[4]:
            host.driver.write(event[1], event[2], bytes(size), True)

    return on_event


class Rig:
    """A server and a client on a network, and one connection begun."""

    def __init__(self, on_event=None, *, link=None, transport=None, seed=0, **options):
        link = link or LinkSettings(delay=0.05)
        transport = transport or _quic.Transport(max_bidirectional_streams=100)
        self.network = VirtualNetwork(seed=seed, up=link, down=options.get("down", link))
        self.network.capture = []
        tls = _quic.ServerTls([(IDENTITY.certificate, IDENTITY.key)])
        trust = _quic.ClientTls(trust=IDENTITY.authority)
        self.server = Host(self.network, self.network.server_endpoint(tls, transport, names=(NAME,)), on_event)
        self.client = Host(self.network, self.network.client_endpoint(trust, transport))
        self.connection = self.client.driver.connect(self.server.driver.local_address(), NAME)
        self.client.flush()

    async def connected(self):
        await self.client.until(lambda: self.client.times(_quic.CONNECTED))

    def request(self, data=b"GET"):
        stream = self.client.driver.open(self.connection, False)
        self.client.driver.write(self.connection, stream, data, True)
        self.client.flush()
        return stream

    async def fetch(self, data=b"GET"):
        stream = self.request(data)
        await self.client.until(lambda: stream in self.client.ended or self.client.times(_quic.CLOSED))
        return stream

    def close(self):
        self.client.close()
        self.server.close()


async def page_load(seed=0, resources=10, **options):
    """Handshake, one page, then its resources at once; the rig and when the last byte came (ns)."""
    rig = Rig(answer(8000), seed=seed, **options)
    await rig.connected()
    await rig.fetch()
    streams = [rig.request() for _ in range(resources)]
    await rig.client.until(lambda: all(stream in rig.client.ended for stream in streams))
    rig.close()
    return rig, rig.network.now


def test_the_handshake_takes_one_round_trip_at_the_client_and_one_and_a_half_at_the_server():
    """RFC 9001: with 50 ms each way, 100 ms and 150 ms, to the nanosecond."""

    async def main():
        rig = Rig()
        await rig.connected()
        await rig.server.until(lambda: rig.server.times(_quic.CONNECTED))
        rig.close()
        return rig

    rig = run_virtual(main)
    assert rig.client.times(_quic.CONNECTED) == [100 * MILLISECOND]
    assert rig.server.times(_quic.CONNECTED) == [150 * MILLISECOND]


def test_a_request_takes_one_more_round_trip():
    """A small answer is there at two round trips exactly: handshake, request."""

    async def main():
        rig = Rig(answer(100))
        await rig.connected()
        stream = await rig.fetch()
        rig.close()
        return rig.client.ended[stream]

    assert run_virtual(main) == 200 * MILLISECOND


def test_bulk_fills_the_link():
    """5 MB at 10 Mbit/s: the link is busy for more than 97 % of the time, and never carries more than its rate."""
    link = LinkSettings(delay=0.01, rate=10_000_000, queue=60_000)

    async def main():
        rig = Rig(answer(5_000_000), link=link)
        await rig.connected()
        began = rig.network.now
        stream = await rig.fetch()
        rig.close()
        down = [d for d in rig.network.capture if d.destination == rig.client.driver.address and d.at > began]
        carried = sum(d.size + IP_UDP_OVERHEAD for d in down if d.arrivals)
        return carried * 8 / ((rig.client.ended[stream] - began) / 1e9), len(rig.client.received[stream])

    rate, received = run_virtual(main)
    assert received == 5_000_000
    assert 9_700_000 < rate <= 10_000_000


@pytest.mark.parametrize(
    "trouble",
    [
        {"loss": 0.05},
        {"reorder": 0.2, "reorder_delay": 0.03},
        {"duplicate": 0.3},
        {"jitter": 0.03},
        {"loss": 0.03, "reorder": 0.1, "duplicate": 0.1, "jitter": 0.02, "queue": 20_000},
    ],
    ids=lambda trouble: "+".join(trouble),
)
def test_everything_arrives_through_a_troubled_link(trouble):
    """Loss, reordering, duplicates and jitter change times, never bytes."""
    link = LinkSettings(delay=0.02, rate=5_000_000, **trouble)

    async def main():
        rig = Rig(answer(200_000), link=link, seed=3)
        await rig.connected()
        stream = await rig.fetch()
        rig.close()
        return bytes(rig.client.received[stream]), rig.client.driver.down.counters

    received, counters = run_virtual(main)
    assert received == bytes(200_000)
    assert counters.lost + counters.dropped + counters.held_back + counters.duplicated or "jitter" in trouble


def test_the_same_seed_gives_the_same_packets_at_the_same_nanoseconds():
    """Two runs of one program are one run; another seed is another one."""
    noisy = LinkSettings(delay=0.03, rate=4_000_000, loss=0.03, jitter=0.01, reorder=0.05, queue=40_000)

    def capture(seed):
        rig, ended = run_virtual(lambda: page_load(seed, link=noisy))
        return ended, rig.network.capture

    assert capture(1) == capture(1)
    assert capture(1)[0] != capture(2)[0]


def test_a_page_over_a_satellite_takes_little_real_time():
    """Ten resources at 600 ms round trip: seconds of virtual time, well under one of ours."""
    began = time.perf_counter()
    _, ended = run_virtual(lambda: page_load(link=LinkSettings(delay=0.3)))
    assert time.perf_counter() - began < 0.8
    assert 3_000 * MILLISECOND <= ended < 3_600 * MILLISECOND, "5 round trips, and what pacing adds"


def test_a_nat_rebinding_is_survived_and_told():
    """The client's address changes under it; the server follows and the response goes on."""

    async def main():
        rig = Rig(answer(300_000), link=LinkSettings(delay=0.02, rate=2_000_000))
        await rig.connected()
        stream = rig.request()
        await asyncio.sleep(0.5)
        rig.network.rebind(rig.client.driver)
        await rig.client.until(lambda: stream in rig.client.ended)
        rig.close()
        return rig, stream

    rig, stream = run_virtual(main)
    assert rig.client.received[stream] == bytes(300_000)
    moved = [event[2] for _, event in rig.server.log if event[0] == _quic.PATH_CHANGED]
    assert moved == [rig.client.driver.address]
    assert rig.network.strays > 0, "what was under way to the old address is lost"


def test_a_blackout_ends_in_a_time_out():
    """When nothing passes any more, both sides give up after the idle time-out, in no real time."""

    async def main():
        rig = Rig(answer(100), transport=_quic.Transport(idle_timeout=20.0))
        await rig.connected()
        await rig.fetch()
        for link in (rig.client.driver.up, rig.client.driver.down):
            link.settings = replace(link.settings, loss=1.0)
        rig.request()
        await rig.client.until(lambda: rig.client.times(_quic.CLOSED))
        closed = next(event for _, event in rig.client.log if event[0] == _quic.CLOSED)
        rig.close()
        return closed[2], rig.network.now

    kind, now = run_virtual(main)
    assert kind == _quic.CLOSED_TIMED_OUT
    assert 20e9 < now < 25e9


def test_shutdown_tells_the_peer():
    """CONNECTION_CLOSE leaves before the endpoint does."""

    async def main():
        rig = Rig()
        await rig.connected()
        await asyncio.sleep(1)
        rig.server.close()
        await rig.client.until(lambda: rig.client.times(_quic.CLOSED))
        closed = next(event for _, event in rig.client.log if event[0] == _quic.CLOSED)
        rig.client.close()
        return closed[2]

    assert run_virtual(main) == _quic.CLOSED_BY_APPLICATION


def test_a_connection_to_nobody_times_out():
    """Datagrams to an address without an endpoint are strays."""

    async def main():
        network = VirtualNetwork()
        client = Host(
            network,
            network.client_endpoint(_quic.ClientTls(trust=IDENTITY.authority), _quic.Transport(handshake_timeout=3.0)),
        )
        client.driver.connect(("203.0.113.9", 443), NAME)
        client.flush()
        await client.until(lambda: client.times(_quic.CLOSED))
        client.close()
        return network

    network = run_virtual(main)
    assert network.strays > 1


def test_each_client_has_its_own_access_link():
    """Two clients at half rates do not share a queue; the overhead of IP and UDP counts."""

    async def main():
        rig = Rig(link=LinkSettings(delay=0.01))
        slow = Host(
            rig.network,
            rig.network.client_endpoint(
                _quic.ClientTls(trust=IDENTITY.authority),
                _quic.Transport(),
                up=LinkSettings(delay=0.2),
                down=LinkSettings(delay=0.2),
            ),
        )
        slow.driver.connect(rig.server.driver.local_address(), NAME)
        slow.flush()
        await slow.until(lambda: slow.times(_quic.CONNECTED))
        sent = [d.size + IP_UDP_OVERHEAD for d in rig.network.capture if d.source == slow.driver.address]
        assert slow.driver.up.counters.octets == sum(sent)
        slow.close()
        rig.close()
        return rig.client.times(_quic.CONNECTED), slow.times(_quic.CONNECTED)

    assert run_virtual(main) == ([20 * MILLISECOND], [400 * MILLISECOND])


def test_what_arrived_before_anybody_watched_is_told_on_watch():
    """Between `unwatch` and `watch` nothing is lost, and nobody is called."""

    async def main():
        rig = Rig(answer(100))
        await rig.connected()
        loop = asyncio.get_running_loop()
        rig.client.driver.unwatch(loop)
        stream = rig.request()
        await asyncio.sleep(0.15)
        assert stream not in rig.client.received
        rig.client.driver.watch(loop, lambda: rig.client.dispatch(rig.client.driver.recv()))
        rig.client.driver.rebind()
        await rig.client.until(lambda: stream in rig.client.ended)
        rig.close()
        return rig.client.driver.local_address()[1]

    assert run_virtual(main) == 50_001


def test_names_of_servers_are_resolved_by_the_loop():
    """A client that resolves names finds the virtual server."""

    async def main():
        rig = Rig()
        found = await asyncio.get_running_loop().getaddrinfo(NAME, 443)
        rig.close()
        return found[0][4], rig.server.driver.local_address()

    found, address = run_virtual(main)
    assert found == address


def test_a_network_outside_of_virtual_time_is_refused():
    """A real loop's clock would make a run unrepeatable."""

    async def main():
        VirtualNetwork()

    with pytest.raises(TypeError, match="run_virtual"):
        asyncio.run(main())


def test_the_rigs_certificates_are_the_same_bytes_for_the_same_seed():
    """So that a handshake has one size, today and next year."""
    assert make_identity([NAME, "192.0.2.1"]) == make_identity([NAME, "192.0.2.1"])
    assert make_identity([NAME], seed=1) != make_identity([NAME], seed=2)
    with pytest.raises(ValueError, match="at least one name"):
        make_identity([])
