"""The driver without socket and clock: streams, limits, time, and sameness."""

import pytest

from h3push import _quic

from .ends import MS, Joined, data_of, only


@pytest.fixture
def settings(identity, authority):
    return _quic.ServerTls([identity.pair]), _quic.ClientTls(trust=authority.pem)


@pytest.fixture
def joined(settings):
    return Joined(*settings)


def test_a_request_and_its_response(joined):
    ours, theirs = joined.connected()
    assert only(joined.told[joined.server], _quic.HANDSHAKE) == [(_quic.HANDSHAKE, theirs, b"h3", "localhost")]
    stream = joined.client.open(ours, False)
    assert joined.client.writev(ours, stream, [b"what", b" ", b"time?"], True) == 0
    joined.run(30)
    assert data_of(joined.told[joined.server], stream) == (b"what time?", True)
    joined.server.write(theirs, stream, b"late", True)
    joined.run(70)
    assert data_of(joined.told[joined.client], stream) == (b"late", True)
    assert only(joined.told[joined.server], _quic.ACKED) == [(_quic.ACKED, theirs, stream)]


def test_the_same_seed_and_calls_give_the_same_packets(settings):
    def run():
        joined = Joined(*settings, seed=7)
        ours, _ = joined.connected()
        joined.client.write(ours, joined.client.open(ours, False), b"x" * 300_000, True)
        joined.run(3000)
        joined.client.close(ours, 0x100, b"")
        joined.run(1000)
        return joined.sent

    # A first connection has no session to resume; from the second on they are alike.
    run()
    assert run() == run() == run()


def test_time_is_whatever_the_caller_says(settings):
    server, client = (
        _quic.SansIo(server=settings[0], transport=_quic.Transport(), seed=b"s" * 32, now=10**18),
        _quic.SansIo(client=settings[1], transport=_quic.Transport(handshake_timeout=3), seed=b"c" * 32, now=10**18),
    )
    assert server.timeout() is None
    connection = client.connect(("10.0.0.2", 443), "localhost")
    assert client.transmits(10**18)
    assert 10**18 < client.timeout() < 10**18 + 2 * 10**9
    client.advance(10**18 + 3 * 10**9)
    (closed,) = only(client.events(), _quic.CLOSED)
    assert closed[:4] == (_quic.CLOSED, connection, _quic.CLOSED_TIMED_OUT, None)
    assert "handshake" in closed[4]


def test_several_datagrams_in_one_transmit(joined):
    ours, _ = joined.connected()
    joined.client.write(ours, joined.client.open(ours, True), b"x" * 9000, True)
    (destination, data, segment, ecn) = joined.client.transmits(joined.now, 10)[0]
    assert destination == ("10.0.0.2", 443)
    assert segment is not None
    assert 1200 <= segment < len(data)
    assert ecn in (0, 1, 2, 3)


def test_stop_is_answered_and_told(joined):
    ours, theirs = joined.connected()
    stream = joined.client.open(ours, False)
    joined.client.write(ours, stream, b"x", False)
    joined.run(20)
    joined.server.stop(theirs, stream, 0x10C)
    joined.run(40)
    assert only(joined.told[joined.client], _quic.STOP) == [(_quic.STOP, ours, stream, 0x10C)]
    joined.server.reset(theirs, stream, 0x107)
    joined.run(40)
    assert only(joined.told[joined.client], _quic.RESET) == [(_quic.RESET, ours, stream, 0x107)]


def test_credit_is_exact_and_comes_back(settings):
    joined = Joined(*settings, server=_quic.Transport(max_unidirectional_streams=3))
    ours, theirs = joined.connected()
    assert joined.client.stream_credit(ours, True, 2) == 2
    assert joined.client.stream_credit(ours, True, 9) == 3
    streams = [joined.client.open(ours, True) for _ in range(4)]
    assert streams == [2, 6, 10, None]
    joined.server.set_max_streams(theirs, True, 4)
    joined.run(40)
    assert only(joined.told[joined.client], _quic.STREAMS_AVAILABLE) == [(_quic.STREAMS_AVAILABLE, ours, True)]
    assert joined.client.open(ours, True) == 14


def test_a_push_stream_shows_its_first_bytes_and_waits(settings):
    joined = Joined(*settings, client=_quic.Transport(first_read_unidirectional=16))
    ours, theirs = joined.connected()
    stream = joined.server.open(theirs, True)
    joined.server.write(theirs, stream, b"a" * 16 + b"b" * 5000, True)
    joined.run(50)
    assert data_of(joined.told[joined.client], stream) == (b"a" * 16, False)
    assert not joined.client.pending()
    joined.client.resume(ours, stream)
    assert joined.client.pending()
    assert joined.client.events() == [(_quic.DATA, ours, stream, b"b" * 5000, True)]


def test_a_full_stream_is_told_when_it_is_drained(joined):
    ours, _ = joined.connected()
    stream = joined.client.open(ours, False)
    waiting = joined.client.write(ours, stream, bytes(900_000), True)
    assert waiting > 65536
    assert joined.client.stats(ours)["buffered_bytes"] == waiting
    joined.run(2000)
    assert only(joined.told[joined.client], _quic.DRAINED) == [(_quic.DRAINED, ours, stream)]
    assert len(data_of(joined.told[joined.server], stream)[0]) == 900_000


def test_a_file_goes_out_without_passing_through_python(joined, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    ours, _ = joined.connected()
    stream = joined.client.open(ours, False)
    joined.client.write(ours, stream, b"<", False)
    joined.client.write_file(ours, stream, str(path), 256, 900_000, False)
    joined.client.write(ours, stream, b">", True)
    assert joined.client.stats(ours)["buffered_bytes"] < 70_000
    joined.run(3000)
    expected = b"<" + path.read_bytes()[256 : 256 + 900_000] + b">"
    assert data_of(joined.told[joined.server], stream) == (expected, True)
    with pytest.raises(FileNotFoundError):
        joined.client.write_file(ours, stream, str(tmp_path / "missing"), 0, 1, True)


def test_sessions_are_resumed_with_early_data(identity, authority):
    server = _quic.ServerTls([identity.pair], early_data=True)
    client = _quic.ClientTls(trust=authority.pem, early_data=True)
    joined = Joined(server, client)
    ours, _ = joined.connected()
    assert joined.client.info(ours)["resumed"] is False
    joined.client.close(ours, 0, b"")
    joined.run(2000)
    again = joined.connect()
    stream = joined.client.open(again, False)
    joined.client.write(again, stream, b"early", True)
    joined.told[joined.server].clear()
    joined.run(11)
    assert data_of(joined.told[joined.server], stream) == (b"early", True)
    joined.run(50)
    assert only(joined.told[joined.client], _quic.CONNECTED, again) == [(_quic.CONNECTED, again, True)]
    assert joined.client.info(again)["resumed"] is True
    assert joined.client.info(again)["early_data"] is True


def test_newcomers_prove_their_address_when_many_knock(settings):
    joined = Joined(*settings, server=_quic.Transport(retry_above=0))
    joined.connect()
    joined.run(15)
    assert not only(joined.told[joined.server], _quic.ACCEPTED)
    joined.run(100)
    assert only(joined.told[joined.client], _quic.CONNECTED)


def test_the_owner_may_decide_about_each_client(settings):
    joined = Joined(*settings, server=_quic.Transport(ask_incoming=True))
    ours = joined.connect()
    joined.run(15)
    ((_, incoming, address, validated),) = only(joined.told[joined.server], _quic.INCOMING)
    assert (address, validated) == (("10.0.0.1", 50000), False)
    theirs = joined.server.accept(incoming)
    assert theirs is not None
    assert joined.server.accept(incoming) is None
    joined.run(60)
    assert only(joined.told[joined.client], _quic.CONNECTED) == [(_quic.CONNECTED, ours, False)]
    assert joined.server.connection_count() == 1


def test_facts_and_numbers(joined):
    ours, theirs = joined.connected()
    info = joined.client.info(ours)
    assert info["alpn"] == b"h3"
    assert info["remote"] == ("10.0.0.2", 443)
    assert info["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert len(info["peer_certificates"]) == 1
    assert joined.server.info(theirs)["server_name"] == "localhost"
    stats = joined.client.stats(ours)
    assert 0.019 < stats["min_rtt"] <= stats["rtt"] < 0.03
    assert stats["sent_packets"] > 0
    keys = [
        side.export_keying_material(handle, b"EXPORTER-x", b"", 48)
        for side, handle in ((joined.client, ours), (joined.server, theirs))
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 48
    with pytest.raises(ValueError, match="keying material"):
        joined.client.export_keying_material(ours, b"x", b"", 10**12)


def test_handles_are_never_used_again_and_the_dead_do_nothing(joined):
    ours, _ = joined.connected()
    joined.client.close(ours, 0x100, b"bye")
    assert joined.client.pending()
    joined.run(3000)
    (closed,) = only(joined.told[joined.server], _quic.CLOSED)
    assert closed[2:] == (_quic.CLOSED_BY_APPLICATION, 0x100, "bye")
    next_one, _ = joined.connected()
    assert next_one != ours
    assert joined.client.open(ours, False) is None
    assert joined.client.write(ours, 0, b"x", True) == 0
    assert joined.client.info(ours) == {}
    assert joined.client.stats(ours) == {}
    joined.client.close(ours, 1, b"")
    assert joined.client.connection_count() == 1


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"congestion": "bbr"}, "congestion"),
        ({"low_water": 10, "high_water": 1}, "low_water"),
        ({"idle_timeout": -1.0}, "idle_timeout"),
        ({"handshake_timeout": 0.0}, "handshake_timeout"),
        ({"initial_rtt": float("nan")}, "initial_rtt"),
        ({"initial_mtu": 100}, "initial_mtu"),
        ({"max_bidirectional_streams": 2**40}, "max_bidirectional_streams"),
    ],
)
def test_settings_that_cannot_be(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        _quic.Transport(**wrong)


def test_calls_that_cannot_be(joined, settings):
    with pytest.raises(ValueError, match="seed"):
        _quic.SansIo(transport=_quic.Transport(), seed=b"short", now=0)
    with pytest.raises(ValueError, match="IP address"):
        joined.client.connect(("localhost", 443), "localhost")
    with pytest.raises(ValueError, match="name of a server"):
        joined.client.connect(("10.0.0.2", 443), "no spaces here")
    with pytest.raises(ValueError, match="port 0"):
        joined.client.connect(("10.0.0.2", 0), "localhost")
    with pytest.raises(RuntimeError, match="client settings"):
        joined.server.connect(("10.0.0.2", 443), "localhost")
    with pytest.raises(ValueError, match="error code"):
        joined.client.close(0, 2**62, b"")


def test_versions():
    versions = _quic.version()
    assert set(versions) == {"quinn_proto", "rustls", "crypto"}
    assert tuple(map(int, versions["quinn_proto"].split("."))) >= (0, 11, 19)
    assert tuple(map(int, versions["rustls"].split("."))) >= (0, 23, 46)


def test_port_0_is_no_source(settings):
    """What comes from port 0 is dropped: its answer could not be sent, and would harm the socket (issue 9, point 1)."""
    joined = Joined(*settings)
    joined.connect()
    ((_, initial, _, _), *_) = joined.client.transmits(0)
    joined.server.feed(0, initial, ("10.0.0.1", 0))
    assert joined.server.events() == []
    assert joined.server.transmits(0) == []
    joined.server.feed(0, initial, ("10.0.0.1", 1))
    assert joined.server.transmits(0) != []


@pytest.mark.parametrize("congestion", ["cubic", "new_reno"])
def test_the_first_window_is_what_the_settings_say(settings, congestion):
    """Before the first acknowledgment a server sends ten packets of 1,200 bytes, or as many as `initial_window` says."""

    def first_flight(**given):
        transport = _quic.Transport(congestion=congestion, mtu_discovery=False, **given)
        joined = Joined(*settings, server=transport, delay=100 * MS)
        ours = joined.connect()
        joined.run(1_000)
        theirs = only(joined.told[joined.server], _quic.ACCEPTED)[-1][1]
        stream = joined.client.open(ours, False)
        joined.client.write(ours, stream, b"GET", True)
        joined.run(101)
        before = len(joined.sent)
        joined.server.write(theirs, stream, bytes(200_000), True)
        joined.run(190)
        return sum(length for _, of_client, length in joined.sent[before:] if not of_client)

    ten, many = first_flight(), first_flight(initial_window=32)
    assert many - ten == pytest.approx(22 * 1200, abs=2 * 1200)


@pytest.mark.parametrize("packets", [0, 9, 1_001])
def test_a_first_window_that_no_network_should_meet_is_refused(packets):
    """Ten packets are what RFC 9002 recommends, and a thousand are more than any page needs."""
    with pytest.raises(ValueError, match="initial_window is not within 10 to 1000"):
        _quic.Transport(initial_window=packets)
