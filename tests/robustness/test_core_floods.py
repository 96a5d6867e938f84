"""What a peer can make the core hold or do: each bound is a named setting, and passing it has the right answer."""

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.push_support import dynamic_section, insert, set_capacity
from conformance.support import (
    GET,
    LARGEST_VARINT,
    OK,
    ClientRig,
    Rig,
    ServerRig,
    answer,
    both_roles,
    data,
    frame,
    headers,
    prefixed,
    promise,
    request,
    response,
    section,
    silent,
    varint,
)
from h3push.errors import ErrorCode, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    MessageFailed,
    RequestReceived,
    RequestTooLarge,
)
from h3push.h3.server import H3ServerConnection

EXCESSIVE = ErrorCode.H3_EXCESSIVE_LOAD
NO_REFILL = H3Config(flood_burst=1_000, flood_rate=0)


@contextmanager
def flat_memory(limit: int) -> Iterator[None]:
    """What is held at the end is at most `limit` bytes more than at the beginning."""
    tracemalloc.start()
    try:
        yield
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < limit, f"{held} bytes are held"


def deliver(rig: Rig, stream_id: int, sent: bytes, fin: bool = False) -> list[Event]:
    """Give bytes straight to the core: what it holds, and not what the rig does, is measured."""
    return rig.core.receive_data(stream_id, sent, fin, 0.0)


def flood(rig: Rig, stream_id: int, piece: bytes, count: int) -> int:
    """Deliver the same piece again and again until the connection ends; how many were taken."""
    for number in range(count):
        if rig.core.is_closed:
            return number
        deliver(rig, stream_id, piece)
    return count


def expect_excessive(rig: Rig) -> None:
    """The connection was ended with H3_EXCESSIVE_LOAD."""
    rig.expect_close(EXCESSIVE)


# Frames that bring nothing


@pytest.mark.rfc("ROB-13", "ROB-15", "H3-10.5-01")
@both_roles
@pytest.mark.parametrize(
    "piece", [frame(0x21), frame(0x4242, b"x" * 50), data(b"")], ids=["grease", "unknown", "empty"]
)
@pytest.mark.parametrize("in_one_delivery", [1, 200])
def test_a_flood_of_frames_without_effect_on_a_message(make_rig: type, piece: bytes, in_one_delivery: int) -> None:
    """`flood_burst` of them pass, the next ends the connection; nothing is held."""
    rig = make_rig(NO_REFILL)
    stream_id = rig.send(rig.message)
    rig.run()
    with flat_memory(200_000):
        taken = flood(rig, stream_id, piece * in_one_delivery, 1_000_000)
    assert 1_000 // in_one_delivery <= taken <= 1_000 // in_one_delivery + 1
    expect_excessive(rig)


@pytest.mark.rfc("ROB-13", "ROB-18", "H3-10.5-01")
@both_roles
@pytest.mark.parametrize("what", ["grease", "same_goaway", "falling_goaway"])
def test_a_flood_on_the_control_stream(make_rig: type, what: str) -> None:
    """Unknown frames, the same GOAWAY, and a GOAWAY that falls step by step: one budget."""
    rig = make_rig(NO_REFILL)
    stream_id = rig.control_id
    assert stream_id is not None
    for number in range(2_000):
        identifier = 4 * (1_000_000 - number * (what == "falling_goaway"))
        deliver(rig, stream_id, frame(0x21) if what == "grease" else frame(0x07, varint(identifier)))
        if rig.core.is_closed:
            break
    assert number in (1_000, 1_001)
    expect_excessive(rig)


@pytest.mark.rfc("ROB-13")
@both_roles
def test_a_frame_of_the_largest_length_is_skipped_as_it_comes(make_rig: type) -> None:
    """2^62-1 bytes are claimed: nothing is allocated for them, nothing is held."""
    rig = make_rig()
    stream_id = rig.send(rig.message, varint(0x21), varint(LARGEST_VARINT))
    rig.run()
    piece = b"x" * 100_000
    with flat_memory(100_000):
        for _ in range(100):
            assert deliver(rig, stream_id, piece) == []
    rig.expect_alive()


@both_roles
def test_the_flood_budget_fills_up_again(make_rig: type) -> None:
    """`flood_rate` a second: a peer that greases now and then is never punished."""
    rig = make_rig(H3Config(flood_burst=10, flood_rate=5))
    stream_id = rig.send(rig.message)
    rig.run()
    for second in range(100):
        for _ in range(5):
            rig.core.receive_data(stream_id, frame(0x21), False, 1.0 + second)
    assert not rig.core.is_closed
    for _ in range(20):
        rig.core.receive_data(stream_id, frame(0x21), False, 101.0)
    expect_excessive(rig)


@both_roles
def test_real_work_earns_budget(make_rig: type) -> None:
    """A completed exchange pays for a reset and a cancellation: a long connection does not run out."""
    rig = make_rig(H3Config(flood_burst=4, flood_rate=0))
    for _ in range(50):
        rig.send(rig.message, frame(0x21), frame(0x21), data(b"x"), fin=True)
        rig.run()
    rig.expect_alive()


# Streams


@pytest.mark.rfc("ROB-14", "H3-10.5-01")
@both_roles
@pytest.mark.parametrize("ending", ["open", "fin", "reset", "empty"])
def test_a_flood_of_unknown_streams(make_rig: type, ending: str) -> None:
    """Opened, ended, reset or left without a type: counted, and never kept."""
    rig = make_rig(H3Config(flood_burst=100, flood_rate=0), streams=1_000)
    for _ in range(300):
        stream_id = rig.uni("" if ending == "empty" else "21 00", fin=ending in ("fin", "empty"))
        if ending == "reset":
            rig.raw.reset(stream_id, 0)
        rig.run()
        if rig.core.is_closed:
            break
        assert len(rig.core._unidirectional) <= 1
    expect_excessive(rig)


@pytest.mark.rfc("ROB-14")
@both_roles
def test_idle_streams_without_a_type_cost_little(make_rig: type) -> None:
    """They are bounded by stream credit; each holds at most seven bytes of a type."""
    rig = make_rig()
    with flat_memory(200_000):
        for number in range(90):
            deliver(rig, (number + 10) * 4 + 2 + (make_rig is ClientRig), b"\xc0\0\0\0\0\0\0")
    rig.expect_alive()


@pytest.mark.rfc("ROB-10", "H3-10.5-01")
@pytest.mark.parametrize("how", ["reset", "stop", "both", "reset_before_headers", "reset_alone"])
def test_rapid_reset(how: str) -> None:
    """Requests that are reset at once: the budget ends it, every handler is told, nothing is left behind."""
    rig = ServerRig(H3Config(flood_burst=200, flood_rate=0), application=silent, streams=50)
    for _ in range(1_000):
        sent = {"reset_before_headers": GET[:9], "reset_alone": b""}.get(how, GET)
        stream_id = rig.send(sent)
        if how != "reset_alone":
            rig.run()
        if how != "stop":
            rig.raw.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        if how in ("stop", "both"):
            rig.raw.stop(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        rig.run()
        if stream_id in rig.core._senders or stream_id in rig.core._receivers:
            rig.core.stop_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)  # what a server does when it is told
            rig.core.reset_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        if rig.core.is_closed:
            break
        assert rig.core.open_message_streams == 0
    assert rig.core.is_closed, "the budget was never used up"
    expect_excessive(rig)
    told = sum(isinstance(event, RequestReceived) for event in rig.events)
    assert told <= 201


@pytest.mark.rfc("ROB-10")
def test_a_reset_request_keeps_its_place_until_the_application_lets_go() -> None:
    """New stream credit is tied to the end of our side too: ten allowed, ten handlers, not one more."""
    rig = ServerRig(application=silent, streams=10)
    for _ in range(10):
        stream_id = rig.send(GET)
        rig.run()
        rig.raw.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
        rig.run()
    with pytest.raises(RuntimeError, match="allows no further"):
        rig.open_message()
    rig.core.reset_stream(0, ErrorCode.H3_REQUEST_CANCELLED)
    rig.run()
    assert rig.open_message() == 40


@pytest.mark.rfc("ROB-11", "H3-10.5-01")
@pytest.mark.parametrize(
    "provocation", [headers(("Bad", "x")), GET, data(b"x" * 9)], ids=["trailers", "second", "length"]
)
def test_made_you_reset(provocation: bytes) -> None:
    """Valid requests that turn malformed while the handler runs: the handler is told, and it is counted."""
    rig = ServerRig(H3Config(flood_burst=100, flood_rate=0), application=silent, streams=300)
    for _ in range(300):
        stream_id = rig.send(request("POST", "/", ("content-length", "5")))
        rig.run()
        rig.write(stream_id, provocation)
        rig.run()
        if rig.core.is_closed:
            break
        assert isinstance(rig.events[-1], MessageFailed)
        assert stream_id not in rig.core._senders
    expect_excessive(rig)
    assert sum(isinstance(event, MessageFailed) for event in rig.events) == 100


@pytest.mark.rfc("ROB-20")
def test_the_highest_stream_first() -> None:
    """Only the last allowed stream is used: nothing is made for those below."""
    rig = ServerRig(application=silent)
    with flat_memory(100_000):
        rig.core.receive_data(LARGEST_VARINT - 3, GET, True, 0.0)
    assert rig.core.open_message_streams == 1
    rig.expect_alive()


# Sizes


@pytest.mark.rfc("ROB-19")
@both_roles
@pytest.mark.parametrize("length", [131_073, 1 << 30, LARGEST_VARINT])
def test_a_header_frame_that_is_too_long_to_hold(make_rig: type, length: int) -> None:
    """`max_encoded_field_section_size`: refused on its length, before any payload."""
    rig = make_rig()
    rig.send(varint(0x01), varint(length))
    expect_excessive(rig)


@pytest.mark.rfc("ROB-07", "ROB-15", "QP-2.2.1-03")
@both_roles
@pytest.mark.parametrize(
    ("piece", "passes"),
    [
        (data(b"x"), True),
        (data(b"x" * 50), True),
        (data(b""), False),
        (frame(0x21), False),
        (headers(), False),
        (data(b"x") + frame(0x21), False),
    ],
)
def test_small_frames_behind_a_blocked_section_cost_no_more_than_large_ones(
    make_rig: type, piece: bytes, passes: bool
) -> None:
    """A window full of the smallest frames: content is joined, the others are counted; what is held is about a window."""
    rig = make_rig(NO_REFILL, window=300_000)
    opening = (":status", "200") if make_rig is ClientRig else (":method", "GET")
    stream_id = rig.open_message()
    sent = frame(0x01, dynamic_section(1, opening, 0)) + piece * (250_000 // len(piece))
    with flat_memory(600_000):
        deliver(rig, stream_id, sent[:125_000])
        deliver(rig, stream_id, sent[125_000:])
    if passes:
        rig.expect_alive()
    else:
        expect_excessive(rig)


@pytest.mark.rfc("ROB-19")
@both_roles
@pytest.mark.parametrize("piece", [1, 2, 1_000])
def test_a_header_frame_that_dribbles(make_rig: type, piece: int) -> None:
    """The largest frame that is held costs a small multiple of its size, in whatever pieces it comes."""
    rig = make_rig(H3Config(max_encoded_field_section_size=20_000))
    stream_id = rig.open_message()
    deliver(rig, stream_id, varint(0x01) + varint(20_000))
    pieces = [bytes([number % 256]) * piece for number in range(19_000 // piece)]
    with flat_memory(60_000):
        for part in pieces:
            deliver(rig, stream_id, part)
    rig.expect_alive()


@pytest.mark.rfc("ROB-16", "ROB-19")
@both_roles
@pytest.mark.parametrize("size", [4_096, 4_097, 16 << 20])
def test_settings_that_are_large(make_rig: type, size: int) -> None:
    """`max_control_frame_size`: at it SETTINGS are read, beyond it not."""
    rig = make_rig(greet=False)
    if size > 4_096:
        rig.control(varint(0x04), varint(size), settings=None)
        expect_excessive(rig)
    else:
        pairs = b"".join(varint(0x21 + 0x1F * number, 4) + varint(0, 4) for number in range(size // 8))
        rig.control(settings=frame(0x04, pairs))
        rig.expect_alive()
        assert rig.core.peer_settings is not None
        assert len(rig.core.peer_settings.unknown) <= 16


@pytest.mark.rfc("ROB-19")
@pytest.mark.parametrize("frame_type", [0xF0700, 0xF0701, 0x07, 0x03, 0x0D])
def test_control_frames_that_are_large(frame_type: int) -> None:
    """Every frame of the control stream has the bound."""
    rig = ServerRig()
    rig.control(varint(frame_type), varint(4_097))
    expect_excessive(rig)


@pytest.mark.rfc("ROB-06", "QP-7-01", "H3-4.2.2-01")
@both_roles
@pytest.mark.parametrize("where", ["headers", "trailers"])
def test_a_decompression_bomb_is_not_unpacked(make_rig: type, where: str) -> None:
    """An entry of 4 KB referred to 10,000 times in a frame of 10 KB: 40 MB that are never made."""
    rig = make_rig()
    rig.uni("02", set_capacity(), insert(b"x", b"v" * 4_000))
    bomb = frame(0x01, dynamic_section(1) + b"\x80" * 10_000)
    stream_id = rig.send(rig.message if where == "trailers" else b"")
    rig.run()
    with flat_memory(1_000_000):
        deliver(rig, stream_id, bomb)
        _, peak = tracemalloc.get_traced_memory()
    assert peak < 2_000_000
    expect_excessive(rig)


@pytest.mark.rfc("ROB-06")
def test_a_decompression_bomb_in_a_promise() -> None:
    """The same limit holds for promises."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    rig.uni("02", set_capacity(), insert(b"x", b"v" * 4_000))
    rig.send(frame(0x05, varint(0) + dynamic_section(1) + b"\x80" * 10_000))
    expect_excessive(rig)


@pytest.mark.rfc("ROB-06", "ROB-09")
@pytest.mark.parametrize("references", [15, 40, 200])
def test_a_small_bomb_is_answered_with_431(references: int) -> None:
    """Over the limit and not absurd: the request alone is refused, and the table stays in step."""

    def application(server: H3ServerConnection, event: Event) -> None:
        if isinstance(event, RequestTooLarge):
            server.send_response(event.stream_id, 431, [], end_stream=True)
        else:
            answer(server, event)

    rig = ServerRig(application=application)
    encoder = rig.uni("02", set_capacity(), insert(b"x", b"v" * 4_000))
    fields = section((":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/"))[2:]
    stream_id = rig.send(frame(0x01, dynamic_section(1) + fields + b"\x80" * references), fin=True)
    rig.run()
    assert rig.status(stream_id) == (200 if references == 15 else 431)
    rig.write(encoder, insert(b"y", b"z"))
    after = rig.send(frame(0x01, dynamic_section(2) + fields + b"\x80"), fin=True)
    rig.run()
    assert rig.status(after) == 200
    assert list(rig.requests[-1].fields) == [(b"y", b"z")]
    rig.expect_alive()


@pytest.mark.rfc("ROB-08", "QP-7-01")
@both_roles
@pytest.mark.parametrize("claim", [1 << 20, 1 << 31, 1 << 61])
def test_length_claims_are_not_believed(make_rig: type, claim: int) -> None:
    """A string that claims more than there is: an error, and no allocation."""
    rig = make_rig()
    encoder, stream_id = rig.uni("02", set_capacity()), rig.open_message()
    rig.run()
    with flat_memory(200_000):
        deliver(rig, stream_id, frame(0x01, b"\0\0" + prefixed(0x20, 3, claim) + b"x"))
    rig.expect_close(ErrorCode.QPACK_DECOMPRESSION_FAILED)
    rig = make_rig()
    encoder = rig.uni("02", set_capacity())
    rig.run()
    with flat_memory(200_000):
        deliver(rig, encoder, b"\xc1" + prefixed(0, 7, claim))
    rig.expect_close(ErrorCode.QPACK_ENCODER_STREAM_ERROR)


# Priorities and interim responses


@pytest.mark.rfc("ROB-17", "PRI-7-02")
def test_priorities_of_streams_that_never_come() -> None:
    """`max_request_streams_buffered_priorities`: the last values of that many streams are kept."""
    rig = ServerRig(H3Config(flood_burst=100_000, max_request_streams_buffered_priorities=128))
    assert rig.control_id is not None
    with flat_memory(300_000):
        for number in range(10_000):
            deliver(rig, rig.control_id, frame(0xF0700, varint(4 * number + 400) + b"u=%d" % (number % 8)))
    assert len(rig.core._arrivals.early_priorities) == 128
    rig.expect_alive()


@pytest.mark.rfc("ROB-17", "H3-10.5-01")
@pytest.mark.parametrize("target", ["unopened", "open", "closed"])
def test_a_flood_of_priority_updates(target: str) -> None:
    """For whatever stream: counted."""
    rig = ServerRig(NO_REFILL, application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    if target == "closed":
        rig.core.send_response(stream_id, 200, [], end_stream=True)
    assert rig.control_id is not None
    element = varint(400 if target == "unopened" else stream_id)
    taken = flood(rig, rig.control_id, frame(0xF0700, element + b"u=1"), 10_000)
    assert 1_000 <= taken <= 1_003
    expect_excessive(rig)


@pytest.mark.rfc("ROB-37")
def test_a_flood_of_interim_responses() -> None:
    """`max_interim_responses`: 32 pass, the 33rd fails this response and nothing else."""
    rig = ClientRig()
    with rig.healthy_sibling():
        stream_id = rig.open_message()
        with flat_memory(300_000):
            for _ in range(1_000):
                rig.core.receive_data(stream_id, response("103", ("link", "</a>")), False, 0.0)
                rig.core._events.clear()
        rig.run()
        assert rig.raw.stream(stream_id).stop == EXCESSIVE
        rig.expect_alive()
    for count, passes in ((32, True), (33, False)):
        rig = ClientRig()
        stream_id = rig.send(response("103") * count, OK, fin=True)
        rig.run()
        assert rig.completed(stream_id) == passes
        assert sum(isinstance(event, InformationalResponseReceived) for event in rig.events) == 32


@pytest.mark.rfc("ROB-37")
def test_interim_responses_count_on_a_push_stream_too() -> None:
    """The push alone fails."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4, max_interim_responses=3))
    with rig.healthy_sibling():
        rig.send(promise(0))
        stream_id = rig.uni("01 00", response("103") * 4, OK, fin=True)
        rig.run()
        assert not rig.completed(stream_id)
        assert any(isinstance(event, MessageFailed) and event.push_id == 0 for event in rig.events)
        rig.expect_alive()


# Whatever comes


BYTES = st.one_of(
    st.binary(max_size=60),
    st.lists(
        st.sampled_from([
            GET, OK, data(b"x"), data(b""), frame(0x21), frame(0x04), frame(0x07, b"\0"), frame(0x0D, b"\5"), frame(0x03, b"\0"),
            promise(0), headers(("x", "y")), frame(0x01, dynamic_section(1, 0)), b"\0", b"\1", b"\2", b"\3", b"\1\0", b"\x40",
            set_capacity(), insert(b"x", b"y"), frame(0xF0700, b"\0u=1"), frame(0xF0701, b"\0u=1"), response("103"),
        ]),
        max_size=5,
    ).map(b"".join),
)  # fmt: skip
STEP = st.tuples(st.sampled_from(["data", "fin", "reset", "stop", "credit", "tick"]), st.integers(0, 19), BYTES)


@pytest.mark.rfc("ROB-31")
@both_roles
@given(steps=st.lists(STEP, max_size=25))
@settings(derandomize=True, max_examples=250, deadline=None)
def test_nothing_but_events_comes_out(make_rig: type, steps: list[tuple[str, int, bytes]]) -> None:
    """Any bytes, ends, resets and stops on any streams: events, or one end of the connection, and never an exception."""
    rig = make_rig(H3Config(max_concurrent_pushes=3, flood_burst=40))
    if make_rig is ClientRig:
        rig.open_message()
        rig.open_message()
    core, over = rig.core, set()
    for now, (what, stream_id, content) in enumerate(steps):
        if what in ("data", "fin", "reset") and stream_id in over:
            continue
        before = core.is_closed
        if what in ("data", "fin"):
            events = core.receive_data(stream_id, content, what == "fin", float(now))
        elif what == "reset":
            events = core.receive_reset(stream_id, len(content), float(now))
        elif what == "stop":
            events = core.receive_stop(stream_id, len(content), float(now))
        elif what == "credit":
            events = core.receive_stream_credit(bool(stream_id & 2), float(now))
        else:
            events = core.handle_timeout(float(now))
        if what in ("fin", "reset"):
            over.add(stream_id)
        assert not (before and events)
        assert core.is_closed == (before or any(isinstance(event, ConnectionTerminated) for event in events))
        if core.is_closed and events:
            assert isinstance(events[-1], ConnectionTerminated)
            assert events[-1].error_code in ErrorCode.__members__.values()
            assert events[-1].error_code != ErrorCode.H3_INTERNAL_ERROR


@pytest.mark.rfc("ROB-32")
@pytest.mark.parametrize("peer_ends", ["reset", "stop", "close", "fin"])
@pytest.mark.parametrize("moment", ["at_request", "later"])
def test_calls_after_the_end_are_refused_or_ignored(peer_ends: str, moment: str) -> None:
    """Whatever the application still does with a stream that is gone raises `LocalProtocolError` at most."""
    calls: list[Callable[[H3ServerConnection, int], object]] = [
        lambda server, stream_id: server.send_informational_response(stream_id, 103, []),
        lambda server, stream_id: server.send_response(stream_id, 200, []),
        lambda server, stream_id: server.send_data(stream_id, b"x"),
        lambda server, stream_id: server.send_trailers(stream_id, [(b"x", b"y")]),
        lambda server, stream_id: server.reset_stream(stream_id, 0x10C),
        lambda server, stream_id: server.stop_stream(stream_id, 0x10C),
        lambda server, stream_id: server.reject_request(stream_id),
        lambda server, stream_id: server.pause(stream_id),
        lambda server, stream_id: server.resume(stream_id),
        lambda server, stream_id: server.send_goaway(),
        lambda server, stream_id: server.close(),
        lambda server, stream_id: server.send_response(stream_id, 200, []),
    ]

    def everything(server: H3ServerConnection, event: Event) -> None:
        if (stream_id := getattr(event, "stream_id", None)) is None:
            return
        for call in calls:
            try:
                call(server, stream_id)
            except LocalProtocolError:
                continue

    rig = ServerRig(application=everything if moment == "at_request" else silent)
    stream_id = rig.send(GET, fin=peer_ends == "fin")
    rig.run()
    if peer_ends == "reset":
        rig.raw.reset(stream_id, 0)
    elif peer_ends == "stop":
        rig.raw.stop(stream_id, 0)
    elif peer_ends == "close":
        rig.raw.close(0x100)
    rig.run()
    everything(rig.core, RequestReceived(stream_id, rig.requests[0], end_stream=False))
    rig.run()
    assert rig.core.is_closed


@pytest.mark.rfc("ROB-33")
@pytest.mark.parametrize("ending", [b"", data(b""), headers(("x", "y")), frame(0x21)])
@pytest.mark.parametrize("separately", [False, True])
def test_a_short_body_is_never_complete(ending: bytes, separately: bool) -> None:
    """However a message ends, a length that was not met is not told as a complete message."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("POST", "/", ("content-length", "5")), data(b"abc"))
    if separately:
        rig.run()
    rig.write(stream_id, ending, fin=True)
    rig.run()
    assert isinstance(rig.events[-1], MessageFailed)
    assert not any(getattr(event, "end_stream", False) for event in rig.events)
    assert not any(isinstance(event, DataReceived) and event.end_stream for event in rig.events)
    rig.expect_alive()


@pytest.mark.rfc("ROB-36")
def test_thousands_of_requests_leave_nothing_behind() -> None:
    """Every map of both ends is empty after a long life with resets, trailers and a dynamic table."""
    rig = ServerRig(streams=20)
    rig.uni("02", set_capacity(), insert(b"x", b"y"))
    with flat_memory(1_500_000):
        for number in range(2_000):
            stream_id = rig.send(
                GET if number % 3 else request("POST"), b"" if number % 3 else data(b"x"), fin=bool(number % 5)
            )
            rig.run()
            if not number % 5:
                rig.raw.reset(stream_id, 0x10C)
                rig.run()
                rig.core.reset_stream(stream_id, 0x10C)
            rig.run()
            rig.raw.streams.pop(stream_id, None)
            rig.raw.log.clear()
            rig.events.clear()
            rig.pair.server.timeline.clear()
            rig.pair.server.ignored.clear()
            rig.pair.server.priorities.clear()
    core = rig.core
    for held in (core._receivers, core._senders, core._pauses, core._arrivals.early_priorities, core._events):
        assert not held
    assert len(core._unidirectional) == 2
    rig.expect_alive()
