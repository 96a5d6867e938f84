"""Streams and what they are for (RFC 9114 sections 6.1, 6.2, 6.2.1 and 6.2.3)."""

import pytest

from conformance.support import (
    GREASE_FRAME,
    LARGEST_VARINT,
    OK,
    SETTINGS,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    frame,
    read_varint,
    silent,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.config import H3Config
from h3push.h3.events import SettingsReceived
from h3push.h3.server import H3ServerConnection
from h3push.testing.memory import EndSettings, MemoryPair, MemorySettings, RawPeer

CONTROL, PUSH, QPACK_ENCODER, QPACK_DECODER = range(4)


def is_reserved(number: int) -> bool:
    return number >= 0x21 and (number - 0x21) % 0x1F == 0


# 6.1


@pytest.mark.rfc("H3-6.1-01")
def test_a_thousand_requests_one_after_the_other() -> None:
    """Stream credit comes back as streams close, so a connection does not run dry."""
    rig = ServerRig(streams=10)
    for _ in range(1000):
        stream_id = rig.send(rig.message, fin=True)
        rig.run()
        assert rig.raw.stream(stream_id).fin
    assert rig.core.open_message_streams == 0


@pytest.mark.rfc("H3-6.1-02")
@pytest.mark.parametrize("sent", [b"", b"\0", OK, frame(0x21)])
def test_a_server_opens_no_bidirectional_stream(sent: bytes) -> None:
    """Stream 1 ends the connection, with the first byte or with an end alone."""
    rig = ClientRig()
    rig.write(rig.raw.open(unidirectional=False), sent, fin=not sent)
    rig.expect_close(ErrorCode.H3_STREAM_CREATION_ERROR)


# 6.2


@pytest.mark.rfc("H3-6.2-02", "H3-3.2-02", "H3-6.2.1-08")
@both_roles
def test_control_and_qpack_streams_come_first(make_rig: type) -> None:
    """Before the peer has said anything: control with SETTINGS first, then both QPACK streams, then the rest."""
    rig = make_rig(greet=False)
    opened = [stream_id for stream_id in rig.raw.streams if stream_id & 2]
    types = [read_varint(bytes(rig.raw.stream(stream_id).data))[0] for stream_id in opened]
    assert types[:3] == [CONTROL, QPACK_ENCODER, QPACK_DECODER]
    assert opened[:3] == sorted(opened[:3])
    assert rig.control_frames()[0].type == 0x04
    assert all(not stream.fin for stream in rig.raw.streams.values())


@pytest.mark.rfc("H3-6.2-02")
def test_without_stream_credit_the_start_waits_for_it() -> None:
    """Fewer than three streams allowed: nothing is opened until all three can be, then in order."""
    pair = MemoryPair(MemorySettings(client=EndSettings(max_unidirectional_streams=2)))
    raw, server = RawPeer(pair.client), H3ServerConnection(pair.server)
    pair.join(raw, server)
    pair.run()
    assert raw.streams == {}
    pair.client.allow_streams(True, 3)
    pair.run()
    assert [bytes(stream.data)[:1] for stream in raw.streams.values()] == [b"\0", b"\2", b"\3"]


@pytest.mark.rfc("H3-6.2-03")
@both_roles
@pytest.mark.parametrize("stream_type", [0x21, 0x40, 0x54, 0x21 + 0x1F * 7, LARGEST_VARINT])
@pytest.mark.parametrize("ending", ["open", "fin", "reset"])
@pytest.mark.parametrize("greet", [False, True], ids=["before_settings", "after_settings"])
@ways_to_arrive
def test_streams_of_unknown_types_are_harmless(
    make_rig: type, stream_type: int, ending: str, greet: bool, chunk: int | None
) -> None:
    """Stopped with H3_STREAM_CREATION_ERROR and forgotten; their content is never judged."""
    rig = make_rig(greet=greet, chunk=chunk)
    stream_id = rig.uni(varint(stream_type), "00 01 04 05 06", fin=ending == "fin")
    if ending == "reset":
        rig.raw.reset(stream_id, 0x1234)
    rig.run()
    if ending == "open":
        assert rig.raw.stream(stream_id).stop == ErrorCode.H3_STREAM_CREATION_ERROR
    assert stream_id not in rig.core._unidirectional
    rig.write(stream_id, "02 06 08 09")
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2-04")
@both_roles
@pytest.mark.parametrize("begun", ["", "40", "c0 00 00 00 00 00 00", "80 00"])
@pytest.mark.parametrize("ending", ["fin", "reset", "reset_at_once"])
def test_streams_that_end_inside_their_type_are_tolerated(make_rig: type, begun: str, ending: str) -> None:
    """With no byte, or in the middle of the type: nothing happens, nothing is kept."""
    rig = make_rig()
    for _ in range(5):
        stream_id = rig.uni(begun, fin=ending == "fin")
        if ending == "reset":
            rig.run()
        if ending != "fin":
            rig.raw.reset(stream_id, ErrorCode.H3_NO_ERROR)
        rig.run()
        assert stream_id not in rig.core._unidirectional
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2-05")
@both_roles
@pytest.mark.parametrize("length", [1, 2, 4, 8])
@pytest.mark.parametrize("stream_type", [CONTROL, QPACK_ENCODER, QPACK_DECODER])
def test_types_of_every_length_arrive_drop_by_drop(make_rig: type, stream_type: int, length: int) -> None:
    """A type of 8 bytes, one byte at a time: it is what its value says, and the bytes behind it are read."""
    rig = make_rig(greet=False)
    stream_id = rig.raw.open(unidirectional=True)
    behind = {CONTROL: SETTINGS, QPACK_ENCODER: b"\x20", QPACK_DECODER: b"\x40"}[stream_type]
    for byte in varint(stream_type, length) + behind:
        rig.write(stream_id, bytes([byte]))
        rig.run()
    assert rig.core._unidirectional.critical[stream_type] == stream_id
    assert any(isinstance(event, SettingsReceived) for event in rig.events) == (stream_type == CONTROL)
    rig.raw.reset(stream_id, 0)
    rig.expect_close(ErrorCode.H3_CLOSED_CRITICAL_STREAM)


@pytest.mark.rfc("H3-6.2-06")
@both_roles
def test_only_known_harmless_stream_types_are_sent(make_rig: type) -> None:
    """Control, QPACK and reserved types; no others, whatever the seed."""
    for seed in range(16):
        rig = make_rig(H3Config(grease_seed=seed))
        rig.expect_alive()
        types = {read_varint(bytes(stream.data))[0] for number, stream in rig.raw.streams.items() if number & 2}
        assert {CONTROL, QPACK_ENCODER, QPACK_DECODER} <= types
        assert all(stream_type < 4 or is_reserved(stream_type) for stream_type in types)
        assert PUSH not in types


# 6.2.1


@pytest.mark.rfc("H3-6.2.1-01", "H3-9-01")
@both_roles
@pytest.mark.parametrize(
    "first",
    ["21 00", "07 01 00", "0d 01 01", "00 00", "01 00", "03 01 00", "05 00", "02 00", "40 21", "0e 01 00", "08"],
)
@ways_to_arrive
def test_the_control_stream_begins_with_settings(make_rig: type, first: str, chunk: int | None) -> None:
    """Anything else first, legal there or not, known or not, is H3_MISSING_SETTINGS."""
    rig = make_rig(greet=False, chunk=chunk)
    rig.control(first, SETTINGS, settings=None)
    rig.expect_close(ErrorCode.H3_MISSING_SETTINGS)


@pytest.mark.rfc("H3-6.2.1-02")
@both_roles
@pytest.mark.parametrize("more", [b"", SETTINGS])
@ways_to_arrive
def test_a_second_control_stream(make_rig: type, more: bytes, chunk: int | None) -> None:
    """There is one."""
    rig = make_rig(chunk=chunk)
    rig.uni("00", more)
    rig.expect_close(ErrorCode.H3_STREAM_CREATION_ERROR)


@pytest.mark.rfc("H3-6.2.1-03")
@both_roles
@pytest.mark.parametrize("sent", ["00", "00 | 04 00", "00 | 04 00 | 21", "00 | 04 00 | 07 01", "00 | 04"])
@pytest.mark.parametrize("separately", [False, True])
@ways_to_arrive
def test_the_peer_ends_its_control_stream(make_rig: type, sent: str, separately: bool, chunk: int | None) -> None:
    """After the type, after SETTINGS, inside a frame."""
    rig = make_rig(greet=False, chunk=chunk)
    stream_id = rig.uni(sent, fin=not separately)
    if separately:
        rig.run()
        assert rig.raw.closed is None
        rig.write(stream_id, b"", fin=True)
    rig.expect_close(ErrorCode.H3_CLOSED_CRITICAL_STREAM)


@pytest.mark.rfc("H3-6.2.1-04")
@both_roles
@pytest.mark.parametrize("code", [0x100, 0x10C, 0])
@pytest.mark.parametrize("sent", ["00", "00 | 04 00", "00 | 04 00 | 07"])
def test_the_peer_resets_its_control_stream(make_rig: type, sent: str, code: int) -> None:
    """With any code."""
    rig = make_rig(greet=False)
    stream_id = rig.uni(sent)
    rig.run()
    rig.raw.reset(stream_id, code)
    rig.expect_close(ErrorCode.H3_CLOSED_CRITICAL_STREAM)


@pytest.mark.rfc("H3-6.2.1-05", "QP-4.2-02")
@both_roles
@pytest.mark.parametrize("stream_type", [CONTROL, QPACK_ENCODER, QPACK_DECODER])
@pytest.mark.parametrize("greet", [False, True])
def test_the_peer_stops_one_of_our_critical_streams(make_rig: type, stream_type: int, greet: bool) -> None:
    """STOP_SENDING for our control or QPACK streams closes the connection."""
    rig = make_rig(greet=greet)
    rig.raw.stop(rig.own_stream_id(stream_type), ErrorCode.H3_NO_ERROR)
    rig.expect_close(ErrorCode.H3_CLOSED_CRITICAL_STREAM)


@pytest.mark.rfc("QP-4.2-02")
@both_roles
@pytest.mark.parametrize("stream_type", [QPACK_ENCODER, QPACK_DECODER])
@pytest.mark.parametrize("ending", ["fin", "fin_with_type", "reset"])
def test_the_peer_ends_a_qpack_stream(make_rig: type, stream_type: int, ending: str) -> None:
    """FIN or RESET_STREAM on its encoder or decoder stream."""
    rig = make_rig()
    stream_id = rig.uni(varint(stream_type), fin=ending == "fin_with_type")
    if ending != "fin_with_type":
        rig.run()
        assert rig.raw.closed is None
    if ending == "fin":
        rig.write(stream_id, b"", fin=True)
    elif ending == "reset":
        rig.raw.reset(stream_id, 0)
    rig.expect_close(ErrorCode.H3_CLOSED_CRITICAL_STREAM)


@pytest.mark.rfc("QP-4.2-01")
@both_roles
@pytest.mark.parametrize("stream_type", [QPACK_ENCODER, QPACK_DECODER])
@ways_to_arrive
def test_a_second_qpack_stream(make_rig: type, stream_type: int, chunk: int | None) -> None:
    """There is one encoder and one decoder stream."""
    rig = make_rig(chunk=chunk)
    rig.uni(varint(stream_type))
    rig.run()
    assert rig.raw.closed is None
    rig.uni(varint(stream_type, 2))
    rig.expect_close(ErrorCode.H3_STREAM_CREATION_ERROR)


@pytest.mark.rfc("H3-6.2.1-06")
@both_roles
@pytest.mark.parametrize("ending", ["goaway", "close", "error"])
def test_our_critical_streams_are_never_ended(make_rig: type, ending: str) -> None:
    """Neither ours is closed or reset nor the peer's stopped, in shutdown and in error alike."""
    rig = make_rig()
    rig.uni("02")
    rig.uni("03")
    rig.expect_alive()
    if ending == "goaway":
        rig.core.send_goaway()
    elif ending == "close":
        rig.core.close()
    else:
        rig.control("04 00")
    rig.run()
    for stream_id, stream in rig.raw.streams.items():
        if stream_id & 2:
            assert (stream.fin, stream.reset, stream.stop) == (False, None, None)


@pytest.mark.rfc("H3-6.2.1-07")
@both_roles
def test_control_frames_pass_stalled_messages(make_rig: type) -> None:
    """The application reads nothing of any request: control frames are processed all the same."""
    rig = make_rig(window=2000)
    if make_rig is ServerRig:
        rig.application = silent
    streams = [rig.send(rig.message) for _ in range(20)]
    rig.run()
    for stream_id in streams:
        rig.core.pause(stream_id)
        rig.write(stream_id, data(b"x" * 5000))
    rig.run()
    assert not any(hasattr(event, "data") for event in rig.events)
    rig.control("04 00")
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-6.2.1-07")
@both_roles
def test_paused_content_comes_after_resume(make_rig: type) -> None:
    """Pause holds content back and gives no credit; resume lets all of it come."""
    rig = make_rig(window=2000)
    stream_id = rig.send(rig.message)
    rig.run()
    rig.core.pause(stream_id)
    rig.core.pause(stream_id)
    rig.write(stream_id, data(b"x" * 10_000), fin=True)
    assert rig.run() == []
    rig.core.resume(stream_id)
    rig.core.resume(stream_id)
    rig.run()
    assert sum(len(event.data) for event in rig.events if hasattr(event, "data")) == 10_000
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.1-08", "H3-7.2.4-14", "H3-7.2.4-15", "QP-3.2.3-02")
@both_roles
def test_messages_flow_before_the_peers_settings(make_rig: type) -> None:
    """Without a control stream of the peer at all: defaults are assumed, nothing waits, no dynamic table is used."""
    rig = make_rig(greet=False)
    for _ in range(5):
        rig.expect_alive()
    assert rig.core.peer_settings is None
    assert rig.own_stream(QPACK_ENCODER) == b""
    rig.control()
    rig.expect_alive()
    assert rig.core.peer_settings is not None


# 6.2.3


@pytest.mark.rfc("H3-6.2.3-01", "H3-7.2.4-09")
@both_roles
def test_reserved_numbers_are_sent_now_and_then(make_rig: type) -> None:
    """Over fifty connections: settings, frames and streams of reserved types, with varying numbers."""
    settings, frames, streams = set(), set(), set()
    for seed in range(50):
        rig = make_rig(H3Config(grease_seed=seed))
        control = rig.control_frames()
        frames |= {frame.type for frame in control if is_reserved(frame.type)}
        offset, payload = 0, control[0].payload
        while offset < len(payload):
            identifier, offset = read_varint(payload, offset)
            value, offset = read_varint(payload, offset)
            settings |= {(identifier, value)} if is_reserved(identifier) else set()
        for number, stream in rig.raw.streams.items():
            stream_type = read_varint(bytes(stream.data))[0] if number & 2 else 0
            if is_reserved(stream_type):
                streams.add(stream_type)
                assert stream.fin, "a reserved stream is ended, so that it holds no credit"
    assert min(len(settings), len(frames)) > 10
    assert len(streams) > 3


@pytest.mark.rfc("H3-6.2.3-01")
@both_roles
def test_grease_can_be_turned_off(make_rig: type) -> None:
    """grease=False sends nothing reserved."""
    rig = make_rig(H3Config(grease=False, grease_seed=7))
    assert not any(is_reserved(frame.type) for frame in rig.control_frames())
    assert len([number for number in rig.raw.streams if number & 2]) == 3


@pytest.mark.rfc("H3-6.2.3-01", "H3-8-01")
@both_roles
@ways_to_arrive
def test_reserved_numbers_of_the_peer_mean_nothing(make_rig: type, chunk: int | None) -> None:
    """All four kinds: setting, frame, stream, error code."""
    rig = make_rig(greet=False, chunk=chunk)
    rig.uni(varint(0x40 + 0x21 - 0x21 + 0x1F * 2 + 0x21 - 0x40), GREASE_FRAME)
    rig.control(GREASE_FRAME, frame(0x21 + 0x1F * 5), settings=frame(0x04, varint(0x21) + varint(LARGEST_VARINT)))
    stream_id = rig.send(GREASE_FRAME, rig.message, GREASE_FRAME)
    rig.run()
    rig.raw.reset(stream_id, 0x21 + 0x1F * 9)
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.3-02", "ROB-14")
@both_roles
@pytest.mark.parametrize("ending", ["fin", "reset", "left_open"])
def test_streams_of_unknown_types_give_their_credit_back(make_rig: type, ending: str) -> None:
    """Hundreds of them on one connection, with room for five at a time."""
    rig = make_rig(streams=8)
    for _ in range(100):
        stream_id = rig.uni("21", b"x" * 30, fin=ending == "fin")
        if ending == "reset":
            rig.raw.reset(stream_id, ErrorCode.H3_NO_ERROR)
        rig.run()
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2-03")
def test_a_push_stream_is_judged_by_who_receives_it() -> None:
    """At a server it is an error of creation, on the type alone (the client's rules are in test_6_2_2)."""
    rig = ServerRig()
    rig.uni("01")
    rig.expect_close(ErrorCode.H3_STREAM_CREATION_ERROR)


def test_nothing_is_read_before_the_core_has_identified_a_servers_stream() -> None:
    """A control stream that brings much at once is resumed after its first read, and read to the end."""
    rig = ClientRig(greet=False)
    rig.control(*[frame(0x21, b"x" * 100)] * 50, "07 01 00")
    rig.run()
    assert rig.core.is_shutting_down
