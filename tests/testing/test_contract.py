"""The transport contract, held to by both of its implementations: memory and real QUIC must be told apart by nothing."""

from hashlib import sha256

import pytest

from h3push.h3.transport import FIRST_READ_BYTES
from h3push.testing.memory import EndSettings, MemoryPair, MemorySettings, RawPeer, SendSettings

WINDOW = 1000


class MemoryRig:
    """Two scripted peers over memory."""

    def __init__(self, *, streams, auto_resume):
        allows = EndSettings(
            max_bidirectional_streams=streams, max_unidirectional_streams=streams, stream_window=WINDOW
        )
        sends = SendSettings(send_buffer=0, high_water=500, low_water=100)
        pair = MemoryPair(MemorySettings(client=allows, server=allows, sends=sends))
        self.client = RawPeer(pair.client, auto_resume=auto_resume)
        self.server = RawPeer(pair.server, auto_resume=auto_resume)
        pair.join(self.client, self.server)
        self.run = pair.run


class NativeRig:
    """The same over two native cores, datagram by datagram, 1 ms each way."""

    def __init__(self, *, streams, auto_resume):
        _quic = pytest.importorskip("h3push._quic")
        from h3push.testing.identity import make_identity

        identity = make_identity(["origin.example"])
        settings = {
            "max_bidirectional_streams": streams,
            "max_unidirectional_streams": streams,
            "stream_receive_window": WINDOW,
            "high_water": 500,
            "low_water": 100,
        }
        tls = _quic.ServerTls([(identity.certificate, identity.key)])
        trust = _quic.ClientTls(trust=identity.authority)
        cut = _quic.Transport(first_read_unidirectional=FIRST_READ_BYTES, **settings)
        self.now = 0
        self.drivers = {
            ("c", 1): _quic.SansIo(client=trust, transport=cut, seed=sha256(b"c").digest(), now=0),
            ("s", 1): _quic.SansIo(
                server=tls, transport=_quic.Transport(**settings), seed=sha256(b"s").digest(), now=0
            ),
        }
        self.addresses = {name: (f"192.0.2.{number}", 443) for number, name in enumerate(self.drivers, 1)}
        self.auto_resume = auto_resume
        self.peers = {}
        handle = self.drivers["c", 1].connect(self.addresses["s", 1], "origin.example")
        self.client = self.put(("c", 1), handle)
        self.run()
        self.server = self.peers["s", 1]

    def put(self, name, handle):
        from h3push.quic.adapter import NativeTransport

        transport = NativeTransport(self.drivers[name], handle, lambda: None)
        peer = self.peers[name] = RawPeer(transport, auto_resume=self.auto_resume)
        return peer

    def run(self):
        """Drive until nothing happens for a second."""
        quiet_from = self.now
        while self.now < quiet_from + 1_000_000_000:
            for name in self.drivers:
                if self.events(name) | self.transmit(name):
                    quiet_from = self.now
            self.now += 1_000_000
            for driver in self.drivers.values():
                driver.advance(self.now)

    def events(self, name):
        from h3push import _quic
        from h3push.quic.adapter import deliver

        events = self.drivers[name].events()
        for event in events:
            if event[0] == _quic.ACCEPTED:
                self.put(name, event[1])
            else:
                deliver(self.peers[name], event, self.now / 1e9)
        return bool(events)

    def transmit(self, name):
        (other,) = set(self.drivers) - {name}
        datagrams = self.drivers[name].transmits(self.now)
        for _, data, _, ecn in datagrams:
            self.drivers[other].feed(self.now, data, self.addresses[name], ecn)
        return bool(datagrams)


@pytest.fixture(params=[MemoryRig, NativeRig], ids=["memory", "native"])
def make(request):
    def make(*, streams=10, auto_resume=False):
        return request.param(streams=streams, auto_resume=auto_resume)

    return make


def codes(peer, what):
    return [(record.stream_id, record.value) for record in peer.log if record.what == what]


def test_streams_carry_bytes_both_ways_and_end(make):
    """A request and its response."""
    rig = make()
    stream = rig.client.open(False)
    rig.client.write(stream, b"request", fin=True)
    rig.run()
    rig.server.write(stream, b"response", fin=True)
    rig.run()
    assert (rig.server.stream(stream).data, rig.server.stream(stream).fin) == (b"request", True)
    assert (rig.client.stream(stream).data, rig.client.stream(stream).fin) == (b"response", True)


def test_a_first_read_is_cut_and_a_window_is_all_that_an_unresumed_stream_takes(make):
    """A push stream that nobody promised: 16 bytes are told, the rest of the window is held, not a byte more is sent."""
    rig = make()
    stream = rig.server.open(True)
    rig.server.write(stream, bytes(5000))
    rig.run()
    assert len(rig.client.stream(stream).data) == FIRST_READ_BYTES
    assert rig.server.write(stream, b"", fin=True) == 5000 - WINDOW
    rig.client.end.resume(stream)
    assert len(rig.client.stream(stream).data) == FIRST_READ_BYTES, "never from inside the call"
    rig.run()
    assert len(rig.client.stream(stream).data) == 5000
    assert rig.client.stream(stream).fin


def test_pause_and_resume_lose_nothing(make):
    """Whatever was delivered before, in between or after."""
    rig = make()
    stream = rig.client.open(False)
    rig.client.write(stream, b"one")
    rig.run()
    rig.server.end.pause(stream)
    rig.client.write(stream, b"two", fin=True)
    rig.run()
    assert rig.server.stream(stream).data == b"one"
    rig.server.end.resume(stream)
    rig.run()
    assert rig.server.stream(stream).data == b"onetwo"
    assert rig.server.stream(stream).fin


def test_a_reset_is_told_once_with_its_code(make):
    """Also on a stream of which nothing was seen."""
    rig = make()
    stream = rig.client.open(False)
    rig.client.reset(stream, 0x10C)
    rig.run()
    assert codes(rig.server, "reset") == [(stream, 0x10C)]


def test_a_reset_is_told_on_a_paused_stream(make):
    """A push that was called off while its promise was waited for."""
    rig = make()
    stream = rig.server.open(True)
    rig.server.write(stream, bytes(100))
    rig.run()
    rig.server.reset(stream, 0x10C)
    rig.run()
    assert codes(rig.client, "reset") == [(stream, 0x10C)]
    assert len(rig.client.stream(stream).data) == FIRST_READ_BYTES


def test_stop_is_answered_with_a_reset_and_the_stopper_hears_no_more(make):
    """STOP_SENDING with its code at the sender; no data and no reset at the receiver."""
    rig = make(auto_resume=True)
    stream = rig.server.open(True)
    rig.server.write(stream, bytes(100))
    rig.run()
    rig.client.stop(stream, 0x10C)
    rig.run()
    rig.server.write(stream, b"more")
    rig.run()
    assert codes(rig.server, "stop") == [(stream, 0x10C)]
    assert not codes(rig.client, "reset")
    assert len(rig.client.stream(stream).data) == 100


def test_credit_runs_out_and_comes_back_when_streams_close(make):
    """`None` at the limit; told when a stream that was closed on both sides makes room."""
    rig = make(streams=2, auto_resume=True)
    assert rig.server.end.stream_credit(True, 5) == 2
    first, _second = rig.server.open(True), rig.server.open(True)
    assert rig.server.end.open_stream(True) is None
    rig.server.write(first, b"x", fin=True)
    rig.run()
    assert codes(rig.server, "credit") == [(None, 1)]
    assert rig.server.end.stream_credit(True, 5) == 1


def test_what_waits_is_reported_and_drained_told_once(make):
    """Back-pressure of the peer's window."""
    rig = make(auto_resume=True)
    stream = rig.client.open(False)
    assert rig.client.write(stream, bytes(5000)) >= 4000
    rig.run()
    assert codes(rig.client, "drained") == [(stream, None)]
    assert len(rig.server.stream(stream).data) == 5000


def test_calls_for_streams_that_are_gone_do_nothing(make):
    """Nothing raises, nothing is sent."""
    rig = make()
    stream = rig.client.open(False)
    rig.client.write(stream, b"x", fin=True)
    rig.client.reset(stream, 1)
    for call in (rig.client.reset, rig.client.stop):
        call(stream + 400, 1)
        call(stream, 1)
    assert rig.client.write(stream, b"y") == 0
    assert rig.client.write(stream + 400, b"y") == 0
    rig.client.end.pause(stream + 400)
    rig.client.end.resume(stream + 400)
    rig.client.end.set_priority(stream + 400, 3)
    rig.run()
    assert rig.client.closed is None
    assert rig.server.closed is None


def test_close_is_told_with_code_and_reason(make):
    """To the peer as the peer's doing."""
    rig = make()
    rig.client.close(0x101, "enough")
    rig.run()
    assert rig.server.closed == (0x101, "enough", True)
    assert rig.client.end.open_stream(False) is None
