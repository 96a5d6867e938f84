"""The bounds of the core one by one: at the limit all is well, one beyond it has its answer, and a long life leaves nothing."""

import gc

import pytest

from conformance.push_support import dynamic_section, insert, set_capacity
from conformance.support import (
    GET,
    OK,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    frame,
    headers,
    prefixed,
    promise,
    request,
    response,
    varint,
)
from h3push.errors import ErrorCode, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, InformationalResponseReceived, PushCancelled, PushPromiseReceived
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import RequestHead

from .hostile import Attack, held

EXCESSIVE = ErrorCode.H3_EXCESSIVE_LOAD


@pytest.mark.rfc("ROB-09", "ROB-19")
@pytest.mark.parametrize(("over", "status"), [(0, 200), (1, None)])
def test_max_field_section_size_is_exact(over: int, status: int | None) -> None:
    """`max_field_section_size`: a section of just that size is read, one byte more is refused without a handler."""
    rig = ServerRig(H3Config(max_field_section_size=1_000))
    fields = ((":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/"))
    used = sum(len(name) + len(value) + 32 for name, value in fields)
    stream_id = rig.send(headers(*fields, ("x", "v" * (1_000 - used - 33 + over))), fin=True)
    rig.run()
    assert rig.status(stream_id) == status
    assert len(rig.requests) == 1 - over
    rig.expect_alive()


@pytest.mark.rfc("ROB-19")
@both_roles
@pytest.mark.parametrize("over", [0, 1])
def test_max_encoded_field_section_size_is_exact(make_rig: type, over: int) -> None:
    """`max_encoded_field_section_size`: judged on the frame's length, before its payload."""
    rig = make_rig(H3Config(max_encoded_field_section_size=500))
    rig.send(varint(0x01) + varint(500 + over))
    if over:
        rig.expect_close(EXCESSIVE)
    else:
        rig.expect_alive()


@pytest.mark.rfc("ROB-07")
@both_roles
@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_qpack_blocked_streams_is_exact(make_rig: type, allowed: int) -> None:
    """`qpack_blocked_streams`: so many may wait, 0 too; one more ends the connection."""
    rig = make_rig(H3Config(qpack_blocked_streams=allowed))
    rig.uni("02", set_capacity())
    for _ in range(allowed):
        rig.send(frame(0x01, dynamic_section(1) + b"\x80"))
    rig.run()
    assert not rig.core.is_closed
    rig.send(frame(0x01, dynamic_section(1) + b"\x80"))
    rig.expect_close(ErrorCode.QPACK_DECOMPRESSION_FAILED)


@pytest.mark.rfc("ROB-07")
@both_roles
def test_blocked_streams_that_are_reset_free_their_places(make_rig: type) -> None:
    """A thousand streams wait one after the other and are reset: each frees its place."""
    rig = make_rig(H3Config(qpack_blocked_streams=1, flood_burst=10_000))
    rig.uni("02", set_capacity())
    for _ in range(1_000):
        stream_id = rig.send(frame(0x01, dynamic_section(1) + b"\x80"))
        rig.run()
        rig.raw.reset(stream_id, 0x10C)
        rig.run()
        assert held(rig.core)["blocked"] == 0
    assert not rig.core.is_closed


@pytest.mark.rfc("ROB-06")
@both_roles
@pytest.mark.parametrize(("capacity", "table"), [(0, 0), (100, 100), (101, 100)])
def test_qpack_max_table_capacity_is_exact(make_rig: type, capacity: int, table: int) -> None:
    """`qpack_max_table_capacity`: an encoder may use that much, 0 is none, one byte more ends the connection."""
    rig = make_rig(H3Config(qpack_max_table_capacity=table))
    rig.uni("02", set_capacity(capacity) if capacity else insert(b"n", b"v"))
    if capacity == table and capacity:
        rig.expect_alive()
    else:
        rig.expect_close(ErrorCode.QPACK_ENCODER_STREAM_ERROR)


@pytest.mark.rfc("ROB-36", "QP-7-01")
def test_sections_that_are_never_acknowledged_are_not_remembered_for_ever() -> None:
    """A peer that acknowledges insertions and never sections: our encoder forgoes its table, it does not grow (ls-qpack)."""
    attack = Attack(H3ServerConnection, H3Config())
    attack._answer = lambda stream_id: None  # type: ignore[method-assign]
    attack.open_uni(b"\0" + frame(0x04, varint(1) + varint(4_096, 4) + varint(7) + varint(100)))
    decoder = attack.open_uni(b"\x03")
    encoder = attack.core._sections.encoder
    for number in range(5_000):
        attack.core.receive_data(4 * number, GET, True, 1.0)
        attack.core.send_response(4 * number, 200, [(b"x-name", b"a value of some length")], end_stream=True)  # type: ignore[union-attr]
        outstanding = encoder._mirror.inserts - encoder._known_received
        if outstanding:
            attack.core.receive_data(decoder, bytes([outstanding]), False, 1.0)
    assert not attack.core.is_closed
    assert encoder._mirror.inserts > 0
    assert 1 <= len(encoder._unacknowledged) <= 100
    attack.core.receive_data(
        decoder, b"".join(_acknowledgment(stream) for stream in list(encoder._unacknowledged)), False, 1.0
    )
    assert len(encoder._unacknowledged) == 0
    attack.core.receive_data(4 * 5_000, GET, True, 1.0)
    attack.core.send_response(4 * 5_000, 200, [(b"x-name", b"a value of some length")], end_stream=True)  # type: ignore[union-attr]
    assert len(encoder._unacknowledged) == 1


def _acknowledgment(stream_id: int) -> bytes:
    """A Section Acknowledgment (RFC 9204 section 4.4.1)."""
    return prefixed(0x80, 7, stream_id)


@pytest.mark.rfc("ROB-37")
@pytest.mark.parametrize("allowed", [0, 1, 32])
def test_max_interim_responses_is_exact(allowed: int) -> None:
    """`max_interim_responses`: so many are told, one more fails the request alone."""
    rig = ClientRig(H3Config(max_interim_responses=allowed))
    stream_id = rig.send(response("103") * allowed)
    rig.run()
    assert sum(isinstance(event, InformationalResponseReceived) for event in rig.events) == allowed
    rig.write(stream_id, response("103"))
    rig.expect_stream_error(stream_id, EXCESSIVE)


@pytest.mark.rfc("ROB-01")
@pytest.mark.parametrize("allowed", [1, 5])
def test_max_repeated_promises_is_exact(allowed: int) -> None:
    """`max_repeated_promises`: one push may be promised so often, once more ends the connection."""
    rig = ClientRig(H3Config(max_repeated_promises=allowed, max_concurrent_pushes=2))
    stream_id = rig.send(promise(0) * allowed)
    rig.run()
    assert sum(isinstance(event, PushPromiseReceived) for event in rig.events) == allowed
    rig.write(stream_id, promise(0))
    rig.expect_close(EXCESSIVE)


@pytest.mark.rfc("ROB-01", "ROB-38")
@pytest.mark.parametrize("allowed", [None, 0, 1, 4])
def test_max_concurrent_pushes_is_exact(allowed: int | None) -> None:
    """`max_concurrent_pushes`: so many may be promised and unfinished, `None` and 0 are none; one more is H3_ID_ERROR."""
    rig = ClientRig(H3Config(max_concurrent_pushes=allowed))
    stream_id = rig.send(*(promise(number, f"/{number}") for number in range(allowed or 0)))
    rig.run()
    assert rig.core.pushes_under_way == (allowed or 0)
    assert not rig.core.is_closed
    rig.write(stream_id, promise(allowed or 0))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("ROB-38")
def test_the_limit_stands_still_while_pushes_are_only_promised() -> None:
    """Credit follows the end of a push, not the sight of its promise; with `release_pushes=False`, its release."""
    rig = ClientRig(H3Config(max_concurrent_pushes=3, release_pushes=False))
    rig.send(*(promise(number, f"/{number}") for number in range(3)), OK)
    rig.run()
    assert rig.core.max_push_id == 2
    rig.uni(b"\x01" + varint(0) + OK, fin=True)
    rig.run()
    assert rig.core.max_push_id == 2
    rig.core.release_push(0)
    assert rig.core.max_push_id == 3


@pytest.mark.rfc("ROB-05", "ROB-12")
@pytest.mark.parametrize(("seconds", "stopped"), [(9.9, False), (10.1, True)])
def test_push_promise_timeout_is_exact(seconds: float, stopped: bool) -> None:
    """`push_promise_timeout`: a push stream waits so long for its promise, then it is stopped and its credit goes on."""
    rig = ClientRig(H3Config(max_concurrent_pushes=2, push_promise_timeout=10))
    stream_id = rig.uni(b"\x01" + varint(0) + OK)
    rig.run()
    rig.pair.advance(seconds)
    assert (rig.raw.stream(stream_id).stop is not None) is stopped
    assert rig.core.pushes_under_way == (not stopped)


@pytest.mark.rfc("ROB-01", "ROB-12")
@pytest.mark.parametrize(("seconds", "cancelled"), [(59.9, 0), (60.1, 1)])
def test_push_stream_timeout_is_exact(seconds: float, cancelled: int) -> None:
    """`push_stream_timeout`: a promise waits so long for its stream, then it is cancelled on the wire and told."""
    rig = ClientRig(H3Config(max_concurrent_pushes=2, push_stream_timeout=60))
    rig.send(promise(0))
    rig.run()
    batch = rig.pair.advance(seconds)
    assert sum(isinstance(event, PushCancelled) for event in batch.client) == cancelled
    assert [one.type for one in rig.control_frames()].count(0x03) == cancelled


@pytest.mark.rfc("ROB-36")
@pytest.mark.parametrize("remembered", [0, 1, 7])
def test_remembered_pushes_is_exact(remembered: int) -> None:
    """`remembered_pushes`: so many ends are kept one by one, the rest as one range."""
    rig = ClientRig(H3Config(max_concurrent_pushes=2, remembered_pushes=remembered))
    stream_id = rig.send(b"")
    for number in range(50):
        rig.write(stream_id, promise(number, f"/{number}"))
        rig.uni(b"\x01" + varint(number) + OK, fin=True)
        rig.run()
    assert len(rig.core._pushes._recent) == remembered
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


@pytest.mark.rfc("ROB-17")
@pytest.mark.parametrize("kept", [0, 1, 5])
def test_max_request_streams_buffered_priorities_is_exact(kept: int) -> None:
    """`max_request_streams_buffered_priorities`: so many priorities wait for their requests, the oldest goes."""
    rig = ServerRig(H3Config(max_request_streams_buffered_priorities=kept))
    rig.control(*(frame(0xF0700, varint(4 * number + 400) + b"u=1") for number in range(kept + 3)))
    rig.run()
    assert len(rig.core._arrivals.early_priorities) == kept
    rig.expect_alive()


@pytest.mark.rfc("ROB-13")
@both_roles
@pytest.mark.parametrize("burst", [0, 1, 10])
def test_flood_burst_is_exact(make_rig: type, burst: int) -> None:
    """`flood_burst`: so many frames without effect, one more ends the connection."""
    rig = make_rig(H3Config(flood_burst=burst, flood_rate=0))
    stream_id = rig.send(rig.message, frame(0x21) * burst)
    rig.run()
    assert not rig.core.is_closed
    rig.write(stream_id, frame(0x21))
    rig.expect_close(EXCESSIVE)


@pytest.mark.rfc("ROB-16", "ROB-19")
@pytest.mark.parametrize("over", [0, 1])
def test_max_control_frame_size_is_exact(over: int) -> None:
    """`max_control_frame_size`: for every frame on the control stream."""
    rig = ServerRig(H3Config(max_control_frame_size=100))
    rig.control(frame(0xF0700, varint(0) + b" " * (99 + over)))
    if over:
        rig.expect_close(EXCESSIVE)
    else:
        rig.expect_alive()


@pytest.mark.rfc("ROB-04")
@pytest.mark.parametrize("enabled", [True, False])
def test_enable_push_off_pushes_nothing(enabled: bool) -> None:
    """`enable_push=False`: whatever the client grants, nothing may be promised."""
    rig = ServerRig(H3Config(enable_push=enabled))
    rig.control(frame(0x0D, varint(100)))
    rig.run()
    assert (rig.core.push_allowance() > 0) is enabled


@pytest.mark.rfc("ROB-36")
def test_a_hundred_thousand_requests_and_ten_thousand_pushes_on_one_connection() -> None:
    """A long life: every map is empty in the end, and there are as many objects as after the first thousand."""
    attack = Attack(H3ServerConnection, H3Config(remembered_pushes=16))
    core = attack.core
    assert isinstance(core, H3ServerConnection)
    attack._answer = lambda stream_id: None  # type: ignore[method-assign]
    attack.open_uni(b"\0" + frame(0x04) + frame(0x0D, varint(1 << 40)))
    pushed = RequestHead(b"GET", b"https", b"a.test", b"/pushed", [], None)
    sent, unread = request("POST", "/", ("content-length", "3")) + data(b"abc"), b""
    first = 0
    for number in range(100_000):
        stream_id = 4 * number
        events = core.receive_data(stream_id, sent if number % 2 else GET, True, number / 1_000)
        unread = b"".join(event.data for event in events if isinstance(event, DataReceived))
        if number % 10 == 0:
            attack.transport.credit[True] = 10
            push_id = core.send_push_promise(stream_id, pushed)
            push_stream = core.open_push_stream(push_id)
            core.send_response(push_stream, 200, [], end_stream=True)
            if number % 20:
                core.receive_acknowledged(push_stream, 0.0)
            else:
                core.receive_stop(push_stream, 0x10C, number / 1_000)
        core.send_response(stream_id, 200, [(b"x", b"y")], end_stream=True)
        core.receive_acknowledged(stream_id, 0.0)
        for seen in (attack.transport.finished, attack.transport.stopped, attack.transport.opened):
            seen.clear() if number % 1_000 else None
        if number == 1_000:
            gc.collect()
            first = len(gc.get_objects())
    gc.collect()
    last = len(gc.get_objects())
    assert unread == b"abc"
    assert core.push_counters.promised == 10_000
    sizes = held(core)
    assert {name: size for name, size in sizes.items() if size} == {"critical": 1, "unidirectional": 1, "finished": 16}
    assert core._sections.encoder._unacknowledged == {}
    assert last - first < 200


def test_a_section_larger_than_the_peer_takes_is_not_sent() -> None:
    """The peer's own limit binds us as ours binds it."""
    rig = ServerRig(greet=False, application=lambda server, event: None)
    rig.control(settings=frame(0x04, varint(6) + varint(100)))
    stream_id = rig.send(GET, fin=True)
    rig.run()
    with pytest.raises(LocalProtocolError):
        rig.core.send_response(stream_id, 200, [(b"x", b"v" * 100)])
