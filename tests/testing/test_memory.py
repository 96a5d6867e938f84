"""The in-memory pair: streams, windows, limits and time, with scripted peers in the place of cores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.h3.events import StreamDrained
from h3push.h3.transport import FIRST_READ_BYTES, Transport
from h3push.testing.memory import (
    EndSettings,
    LinkSettings,
    Livelock,
    MemoryPair,
    MemorySettings,
    RawClose,
    RawPeer,
    SendSettings,
)


class Scripted(RawPeer):
    """A raw peer with timers and events, as a core has them."""

    def __init__(self, end, **options):
        super().__init__(end, **options)
        self.timers = []

    def next_timeout(self):
        return min(self.timers, default=None)

    def handle_timeout(self, now):
        self.timers.remove(min(self.timers))
        return super().handle_timeout(now)

    def receive_drained(self, stream_id, now):
        super().receive_drained(stream_id, now)
        return [StreamDrained(stream_id)]


def joined(settings=None, **options):
    pair = MemoryPair(settings or MemorySettings())
    client, server = Scripted(pair.client, **options), Scripted(pair.server, **options)
    pair.join(client, server)
    return pair, client, server


def of(raw, what):
    return [record for record in raw.log if record.what == what]


def test_both_ends_fulfil_the_transport_contract():
    """`MemoryEnd` is a `Transport`, for mypy too."""
    transport: Transport = MemoryPair().client
    assert transport.open_stream(False) == 0


def test_stream_ids_are_those_of_quic():
    """RFC 9000 section 2.1: bit 0 names the opener, bit 1 the kind."""
    _, client, server = joined()
    assert [client.open(False), client.open(False), client.open(True)] == [0, 4, 2]
    assert [server.open(False), server.open(True), server.open(True)] == [1, 3, 7]


def test_bytes_arrive_and_come_back_on_a_bidirectional_stream():
    """Nothing arrives inside `write`, all of it with `run`."""
    pair, client, server = joined()
    stream = client.open(False)
    client.write(stream, b"request", fin=True)
    assert not server.stream(stream).data
    pair.run()
    assert (server.stream(stream).data, server.stream(stream).fin) == (b"request", True)
    server.write(stream, b"response", fin=True)
    pair.run()
    assert (client.stream(stream).data, client.stream(stream).fin) == (b"response", True)


def test_delivery_takes_the_delay_of_its_direction():
    """`up` and `down` are two links."""
    pair, client, server = joined(MemorySettings(up=LinkSettings(delay=0.1), down=LinkSettings(delay=0.25)))
    client.write(client.open(False), b"a")
    pair.run()
    assert pair.now == 0.1
    server.write(0, b"b")
    pair.run()
    assert pair.now == 0.35


def test_a_rate_spreads_segments_over_time():
    """12,000 bytes at 1.2 Mbit/s are ten segments, 8 ms apart."""
    pair, client, server = joined(MemorySettings(link=LinkSettings(rate=1_200_000, delay=0.1)))
    client.write(client.open(False), bytes(12_000))
    pair.run()
    assert [round(record.at * 1000) for record in of(server, "data")] == [100 + 8 * i for i in range(1, 11)]


def test_the_higher_priority_goes_first_and_equals_take_turns():
    """On a busy link a late, urgent stream waits for one segment at most."""
    pair, client, server = joined(MemorySettings(link=LinkSettings(rate=1_200_000)))
    low, other, high = (client.open(False) for _ in range(3))
    client.write(low, bytes(3600), fin=True)
    client.write(other, bytes(2400), fin=True)
    pair.advance(0.001)
    client.end.set_priority(high, 7)
    client.write(high, bytes(2400), fin=True)
    pair.run()
    assert [record.stream_id for record in of(server, "data")] == [low, high, high, other, low, other, low]
    assert server.priorities == {high: 7}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks_bound_every_delivery_and_streams_interleave(size):
    """`chunk=1` is byte by byte."""
    pair, client, server = joined(MemorySettings(sends=SendSettings(chunk=size)))
    first, second = client.open(False), client.open(False)
    client.write(first, b"abcdef", fin=True)
    client.write(second, b"uvwxyz", fin=True)
    pair.run()
    assert all(len(record.value) <= size for record in of(server, "data"))
    assert server.stream(first).data + server.stream(second).data == b"abcdefuvwxyz"
    if size == 1:
        assert [record.value for record in of(server, "data")][:4] == [b"a", b"u", b"b", b"v"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=40)), max_size=30),
    st.integers(0, 1000),
    st.sampled_from([None, 1, 7]),
)
def test_streams_overtake_each_other_but_keep_their_own_order(writes, seed, chunk):
    """Reordering, jitter and loss: every stream still arrives whole and in order, and the same each time."""
    noisy = LinkSettings(delay=0.01, jitter=0.005, reorder=0.3, loss=0.2, rate=1_000_000)
    logs = []
    for _ in range(2):
        pair, client, server = joined(MemorySettings(link=noisy, seed=seed, sends=SendSettings(chunk=chunk)))
        streams = [client.open(False) for _ in range(4)]
        for number, data in writes:
            client.write(streams[number], data)
        pair.run()
        for number, stream in enumerate(streams):
            assert server.stream(stream).data == b"".join(data for n, data in writes if n == number)
        logs.append(server.log)
    assert logs[0] == logs[1]


def test_held_streams_wait_until_released():
    """`hold` decides which stream comes first, whatever was sent first."""
    pair, client, server = joined()
    first, second = client.open(False), client.open(False)
    pair.server.hold(first)
    client.write(first, b"1")
    client.write(second, b"2")
    client.write(first, b"3", fin=True)
    pair.run()
    assert list(server.streams) == [second]
    pair.server.release(first)
    pair.run()
    assert list(server.streams) == [second, first]
    assert (server.stream(first).data, server.stream(first).fin) == (b"13", True)


def test_the_first_read_of_a_servers_unidirectional_stream_is_cut():
    """The client is given 16 bytes; the rest waits for `resume` (transport.interface)."""
    pair, client, server = joined(auto_resume=False)
    stream = server.open(True)
    server.write(stream, bytes(100), fin=True)
    pair.run()
    assert len(client.stream(stream).data) == FIRST_READ_BYTES
    assert not client.stream(stream).fin
    pair.client.resume(stream)
    assert len(client.stream(stream).data) == FIRST_READ_BYTES
    pair.run()
    assert len(client.stream(stream).data) == 100
    assert client.stream(stream).fin


def test_a_short_first_read_may_end_the_stream():
    """The end is told with the last byte, cut or not."""
    pair, client, server = joined(auto_resume=False)
    server.write(server.open(True), bytes(16), fin=True)
    pair.run()
    assert client.stream(3).fin


def test_no_other_stream_is_cut():
    """Neither the server's bidirectional nor the client's unidirectional streams."""
    pair, client, server = joined(auto_resume=False)
    server.write(server.open(False), bytes(100))
    client.write(client.open(True), bytes(100))
    pair.run()
    assert len(client.stream(1).data) == 100
    assert len(server.stream(2).data) == 100


def test_an_unresumed_stream_takes_exactly_its_window():
    """What an unpromised push can make a client hold is the initial window, not a byte more."""
    window = EndSettings(stream_window=1000)
    pair, client, server = joined(MemorySettings(client=window), auto_resume=False)
    stream = server.open(True)
    server.write(stream, bytes(5000))
    pair.run()
    assert pair.server.link.counters.octets == 1000
    pair.client.resume(stream)
    pair.run()
    assert len(client.stream(stream).data) == 5000


def test_a_paused_stream_takes_no_more_than_its_window():
    """`pause` stops delivery at once and flow control soon; `resume` undoes both."""
    pair, client, server = joined(MemorySettings(server=EndSettings(stream_window=1000)), auto_resume=False)
    stream = client.open(False)
    client.write(stream, bytes(10))
    pair.run()
    pair.server.pause(stream)
    client.write(stream, bytes(5000), fin=True)
    pair.run()
    assert len(server.stream(stream).data) == 10
    assert pair.client.link.counters.octets == 1000
    pair.server.resume(stream)
    pair.run()
    assert len(server.stream(stream).data) == 5010
    assert server.stream(stream).fin


def test_window_updates_take_the_way_back():
    """A window of 1000 bytes at 100 ms each way: after the first window, half a window each round trip."""
    settings = MemorySettings(link=LinkSettings(delay=0.1), server=EndSettings(stream_window=1000))
    pair, client, server = joined(settings)
    client.write(client.open(False), bytes(2000))
    pair.run()
    assert [(record.at, len(record.value)) for record in of(server, "data")] == [(0.1, 1000), (0.3, 1000)]


def test_write_tells_what_waits_and_drained_when_it_does_not():
    """Above the high-water mark `receive_drained` is owed, once, and its event is recorded."""
    sends = SendSettings(send_buffer=0, high_water=500, low_water=100)
    pair, client, server = joined(MemorySettings(sends=sends, server=EndSettings(stream_window=1000)))
    stream = client.open(False)
    assert client.write(stream, bytes(400)) == 400
    assert client.write(stream, bytes(2000)) == 2400
    batch = pair.run()
    assert batch.client == pair.client.events == [StreamDrained(stream)]
    assert len(server.stream(stream).data) == 2400


def test_streams_run_out_and_come_back_as_streams_close():
    """A stream closed on both sides allows another one; the end that was refused is told."""
    pair, client, server = joined(MemorySettings(server=EndSettings(max_bidirectional_streams=2)))
    assert pair.client.stream_credit(False, 5) == 2
    first, second = client.open(False), client.open(False)
    assert pair.client.open_stream(False) is None
    client.write(first, b"", fin=True)
    pair.run()
    assert not of(client, "credit")
    server.write(first, b"", fin=True)
    pair.run()
    assert [record.value for record in of(client, "credit")] == [0]
    assert pair.client.open_stream(False) == 8
    client.reset(second, 1)
    pair.run()
    server.reset(second, 1)
    pair.run()
    assert len(of(client, "credit")) == 1, "nobody had asked in vain"
    assert pair.client.stream_credit(False, 1) == 1


def test_limits_that_are_not_replenished_run_out_for_good():
    """`replenish=False`, until the test raises the limit itself."""
    pair, _client, server = joined(MemorySettings(client=EndSettings(max_unidirectional_streams=1, replenish=False)))
    server.write(server.open(True), b"x", fin=True)
    pair.run()
    assert pair.server.open_stream(True) is None
    with pytest.raises(RuntimeError, match="no further unidirectional"):
        server.open(True)
    pair.client.allow_streams(True, 2)
    pair.run()
    assert [record.value for record in of(server, "credit")] == [1]
    assert server.open(True) == 7


def test_a_reset_abandons_what_was_not_sent():
    """RESET_STREAM is told once, with its code, behind what had been sent."""
    pair, client, server = joined(MemorySettings(server=EndSettings(stream_window=10)), auto_resume=False)
    stream = client.open(False)
    client.write(stream, bytes(100))
    pair.server.pause(stream)
    client.reset(stream, 0x10C)
    pair.run()
    assert server.stream(stream).reset == 0x10C
    assert len(server.stream(stream).data) <= 10
    assert client.write(stream, b"more") == 0
    assert pair.client.ignored == [("write", stream)]


def test_a_reset_is_told_on_a_paused_stream_too():
    """What lay there undelivered is dropped with it."""
    pair, client, server = joined(auto_resume=False)
    stream = server.open(True)
    server.write(stream, bytes(100))
    pair.run()
    server.reset(stream, 0x10C)
    pair.run()
    assert client.stream(stream).reset == 0x10C
    assert len(client.stream(stream).data) == FIRST_READ_BYTES


def test_a_reset_may_overtake_what_is_in_flight():
    """`reset_drops_in_flight`: a stream may be reset before anything of it was seen."""
    pair, client, server = joined(MemorySettings(sends=SendSettings(reset_drops_in_flight=True)))
    stream = client.open(False)
    client.write(stream, b"lost")
    client.reset(stream, 7)
    pair.run()
    assert (server.stream(stream).data, server.stream(stream).reset) == (b"", 7)


def test_stop_sending_is_answered_with_a_reset():
    """The sender's core is told; the stopping end is told nothing more of that stream."""
    pair, client, server = joined(MemorySettings(link=LinkSettings(delay=0.1)))
    stream = client.open(False)
    client.write(stream, b"begin")
    pair.run()
    server.stop(stream, 0x10C)
    client.write(stream, b"in flight", fin=False)
    pair.run()
    assert client.stream(stream).stop == 0x10C
    assert (server.stream(stream).data, server.stream(stream).reset) == (b"begin", None)
    assert pair.client.write(stream, b"gone", False) == 0


def test_stop_sending_after_everything_arrived_changes_nothing():
    """There is nothing left to stop, and the core is not told."""
    pair, client, server = joined(auto_resume=False)
    stream = client.open(False)
    client.write(stream, b"all", fin=True)
    pair.server.hold(stream)
    pair.run()
    pair.server.release(stream)
    pair.run()
    server.stop(stream, 5)
    pair.run()
    assert client.stream(stream).stop is None
    assert pair.server.ignored == [("stop", stream)]


def test_a_stopped_stream_gives_its_credit_back():
    """Credit returns when RESET_STREAM or the end has arrived, though nobody is told."""
    pair, client, server = joined(MemorySettings(client=EndSettings(max_unidirectional_streams=1)))
    stream = server.open(True)
    server.write(stream, bytes(50))
    pair.run()
    client.stop(stream, 1)
    assert pair.server.open_stream(True) is None
    pair.run()
    assert server.open(True) == stream + 4


def test_close_is_told_to_both_and_ends_everything():
    """What was sent before arrives before; afterwards every call is ignored."""
    pair, client, server = joined(MemorySettings(link=LinkSettings(delay=0.1)))
    stream = client.open(False)
    client.write(stream, b"last")
    pair.advance(0.05)
    client.close(0x100, "done")
    client.close(0x101, "again")
    assert client.closed is None
    pair.run()
    assert server.stream(stream).data == b"last"
    assert client.closed == RawClose(0x100, "done", by_peer=False)
    assert server.closed == RawClose(0x100, "done", by_peer=True)
    assert pair.client.open_stream(False) is None
    assert pair.client.stream_credit(True, 1) == 0
    assert pair.client.write(stream, b"x", False) == 0


def test_what_arrives_after_the_close_is_told_to_nobody():
    """Data, resets, stops, limits and windows under way when we closed: the core's last word was `receive_closed`."""
    settings = MemorySettings(
        link=LinkSettings(delay=0.1),
        sends=SendSettings(send_buffer=0, high_water=10, low_water=5),
        client=EndSettings(max_unidirectional_streams=1, stream_window=20),
    )
    pair, client, server = joined(settings)
    mine = client.open(False)
    client.write(mine, b"hello")
    assert pair.client.stream_credit(False, 1000) == 99
    pair.run()
    streams = server.open(True), server.open(False)
    server.write(streams[0], bytes(10))
    server.reset(streams[1], 1)
    server.stop(mine, 1)
    pair.server.allow_streams(False, 1000)
    client.close(0x100)
    before = len(client.log)
    pair.run()
    assert client.closed is not None
    assert len(client.log) == before


def test_a_priority_for_a_stream_that_is_gone_is_noted_as_ignored():
    """So that a test can ask whether the core still talks about streams that ended."""
    pair, client, _ = joined()
    client.end.set_priority(40, 1)
    client.reset(40, 1)
    assert pair.client.ignored == [("set_priority", 40), ("reset", 40)]


def test_a_time_out_ends_both_without_a_code():
    """As when the network is gone."""
    pair, client, server = joined()
    pair.time_out()
    assert client.closed is not None
    assert client.closed.error_code is None
    assert server.closed == client.closed


def test_timers_fire_at_their_instant_and_only_when_due():
    """`run` goes as far as the last delivery; `advance` goes on."""
    pair, client, _server = joined(MemorySettings(link=LinkSettings(delay=0.1)))
    client.timers = [0.05, 0.1 + 0.2]
    client.write(client.open(False), b"x")
    pair.run()
    assert [record.at for record in of(client, "timeout")] == [0.05]
    pair.advance(1.0)
    assert [record.at for record in of(client, "timeout")] == [0.05, 0.1 + 0.2]
    assert pair.now == 1.1


def test_advance_stops_at_its_time_with_data_still_on_the_way():
    """Half of the delay: nothing yet; the other half: there it is, at the very instant."""
    pair, client, server = joined(MemorySettings(link=LinkSettings(delay=0.1)))
    client.write(client.open(False), b"x")
    pair.advance(0.05)
    assert not server.streams
    pair.advance(0.05)
    assert server.stream(0).data == b"x"


def test_a_livelock_fails_loudly():
    """Two ends that answer each other for ever, and a timer that is always due."""
    pair = MemoryPair()

    class Echo(RawPeer):
        def receive_data(self, stream_id, data, fin, now):
            self.write(stream_id, data)
            return []

    client = Echo(pair.client)
    pair.join(client, Echo(pair.server))
    client.write(client.open(False), b"ping")
    with pytest.raises(Livelock, match="1000 deliveries"):
        pair.run(max_steps=1000)

    class Restless(RawPeer):
        def next_timeout(self):
            return 0.5

    pair = MemoryPair()
    pair.join(Restless(pair.client), RawPeer(pair.server))
    with pytest.raises(Livelock):
        pair.advance(1.0, max_steps=1000)


def test_the_application_is_called_at_the_instant_of_the_event():
    """`on_server_event` is how an application, or a push policy, is put into the rig; it may not drive the pair."""
    pair = MemoryPair(MemorySettings(sends=SendSettings(send_buffer=0, high_water=0, low_water=0)))
    client, server = Scripted(pair.client), Scripted(pair.server)
    told = []

    def application(event):
        told.append((pair.now, event))
        with pytest.raises(RuntimeError, match="inside an event callback"):
            pair.run()

    pair.join(client, server, on_client_event=application)
    client.write(client.open(False), b"x")
    pair.run()
    assert told == [(0.0, StreamDrained(0))]
    assert pair.client.timeline == told


def test_an_end_without_a_core_says_so():
    """`join` comes before the clock moves."""
    with pytest.raises(RuntimeError, match="join"):
        MemoryPair().advance(1.0)


@pytest.mark.parametrize("chunk", [None, 1])
def test_a_stream_is_acknowledged_when_all_of_it_has_arrived(chunk):
    """`receive_acknowledged` comes a round trip after the end went out, once, read or not; and not after a reset."""
    pair = MemoryPair(MemorySettings(link=LinkSettings(delay=0.1), sends=SendSettings(chunk=chunk)))
    client, server = RawPeer(pair.client), RawPeer(pair.server)
    pair.join(client, server)
    whole, given_up, unfinished = (client.open(unidirectional=False) for _ in range(3))
    pair.server.hold(given_up)
    for stream_id in (whole, given_up):
        client.write(stream_id, b"content", True)
    client.write(unfinished, b"content")
    pair.advance(0.19)
    assert not [record for record in client.log if record.what == "acknowledged"]
    client.reset(given_up, 0x10C)
    pair.server.release(given_up)
    pair.run()
    acknowledged = [(record.at, record.stream_id) for record in client.log if record.what == "acknowledged"]
    assert acknowledged == [(pytest.approx(0.2), whole)]
