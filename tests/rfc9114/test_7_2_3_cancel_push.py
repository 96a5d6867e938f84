"""CANCEL_PUSH (RFC 9114 section 7.2.3), from both sides and at every moment."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.push_support import (
    CANCEL_PUSH,
    CANCELLED,
    MAX_PUSH_ID,
    WHOLE,
    PushClientRig,
    PushServerRig,
    id_frame,
    promised,
    push_header,
    reply,
)
from conformance.support import GET, LARGEST_VARINT, OK, data, frame, promise, ways_to_arrive
from h3push.errors import ErrorCode, LocalProtocolError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy, PushCancelled

# On the wrong stream, or with the wrong layout


@ways_to_arrive
@pytest.mark.parametrize("before", [b"", GET])
@pytest.mark.parametrize("written", ["03 00", "03 01 00", "03 02 00 00"])
@pytest.mark.rfc("H3-7.2.3-01")
def test_on_a_request_stream_it_is_unexpected(chunk, before, written):
    """CANCEL_PUSH on a request stream is judged on its type, even if its payload is empty."""
    rig = PushServerRig(max_push_id=3, chunk=chunk)
    rig.send(before, written)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("before", [b"", OK])
@pytest.mark.parametrize("written", ["03 00", "03 01 00"])
@pytest.mark.rfc("H3-7.2.3-01")
def test_on_a_response_stream_it_is_unexpected(chunk, before, written):
    """CANCEL_PUSH on a response stream is judged on its type."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), before, written)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("before", [b"", OK])
@pytest.mark.parametrize("written", ["03 00", "03 01 00"])
@pytest.mark.rfc("H3-7.2.3-02")
def test_on_a_push_stream_it_is_unexpected(chunk, before, written):
    """CANCEL_PUSH on a push stream."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), promise(0))
    rig.push(0, before, written, fin=False)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


MISSHAPEN = [
    "03 00",
    "03 01 40",
    "03 03 00 00 00",
    "03 02 00 00",
    "03 04 c0 00 00 00",
    "03 09 c0 00 00 00 00 00 00 00 00",
]


@ways_to_arrive
@pytest.mark.parametrize("written", MISSHAPEN)
@pytest.mark.rfc("H3-7.2.3-18")
def test_the_payload_is_exactly_one_varint(chunk, written):
    """An empty, truncated or trailing-byte payload is a frame error, in both roles."""
    server = PushServerRig(max_push_id=3, chunk=chunk)
    server.core.send_push_promise(server.ask(), promised())
    server.tell(written)
    server.expect_close(ErrorCode.H3_FRAME_ERROR)

    client = PushClientRig(chunk=chunk)
    client.tell(written)
    client.expect_close(ErrorCode.H3_FRAME_ERROR)


# A server receives it


@ways_to_arrive
@pytest.mark.parametrize("push_id", [2, 3, LARGEST_VARINT])
@pytest.mark.rfc("H3-7.2.3-03")
def test_from_a_client_above_its_own_limit_is_an_id_error(chunk, push_id):
    """An ID above the client's own advertised maximum."""
    rig = PushServerRig(max_push_id=1, chunk=chunk)
    rig.tell(id_frame(CANCEL_PUSH, push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.parametrize("enable_push", [True, False])
@pytest.mark.parametrize("push_id", [0, 1, LARGEST_VARINT])
@pytest.mark.rfc("H3-7.2.3-04")
def test_from_a_client_without_a_limit_is_an_id_error(chunk, enable_push, push_id):
    """CANCEL_PUSH when no MAX_PUSH_ID was received, also on a server with push switched off."""
    rig = PushServerRig(H3Config(enable_push=enable_push), chunk=chunk)
    rig.tell(id_frame(CANCEL_PUSH, push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.parametrize(("promises", "push_id"), [(0, 0), (0, 9), (3, 3), (3, 5), (3, 9)])
@pytest.mark.rfc("H3-7.2.3-05")
def test_from_a_client_for_what_was_not_promised_is_an_id_error(chunk, promises, push_id):
    """An ID within the limit but never promised."""
    rig = PushServerRig(max_push_id=9, chunk=chunk)
    request = rig.ask()
    for number in range(promises):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    rig.tell(id_frame(CANCEL_PUSH, push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-7.2.3-08")
def test_before_its_stream_it_keeps_the_stream_away():
    """Cancelled before its push stream exists: the server does not create the stream."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    for number in range(2):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    rig.tell(id_frame(CANCEL_PUSH, 0))
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.PEER, None)]
    with pytest.raises(StreamStateError):
        rig.core.open_push_stream(0)
    rig.finish(rig.core.open_push_stream(1))
    rig.finish(request)
    assert set(rig.push_streams()) == {1}
    assert rig.cancelled == [], "the client knows"
    rig.expect_alive()


@pytest.mark.parametrize("moment", ["header", "content", "end", "blocked end"])
@pytest.mark.rfc("H3-7.2.3-09")
def test_while_its_stream_is_open_it_resets_that(moment):
    """Cancelled while its push stream is open: the server resets that stream, and the application is told."""
    rig = PushServerRig(max_push_id=3, window=1_000)
    rig.raw._auto_resume = False
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    stream_id = rig.core.open_push_stream(0)
    if moment != "header":
        rig.core.send_response(stream_id, 200, [])
        rig.core.send_data(stream_id, b"x" * 5_000, "end" in moment)
    rig.run()
    if moment == "blocked end":
        rig.core.send_push_promise(request, promised(b"/other"))
    rig.tell(id_frame(CANCEL_PUSH, 0))
    assert rig.raw.stream(stream_id).reset == CANCELLED
    assert not rig.raw.stream(stream_id).fin
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.PEER, CANCELLED)]
    assert rig.cancelled == []
    with pytest.raises(StreamStateError):
        rig.core.send_data(stream_id, b"more")
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.3-10")
def test_after_its_stream_ended_it_does_nothing():
    """Cancelled after the stream ended and was acknowledged: no effect, no error."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    rig.finish(rig.core.open_push_stream(0), b"pushed")
    assert rig.core.push_counters.fulfilled == 1
    rig.tell(id_frame(CANCEL_PUSH, 0))
    assert rig.cancellations() == []
    assert rig.raw.stream(rig.push_streams()[0]).reset is None
    assert rig.pushed_body(0) == b"pushed"
    assert rig.core.push_counters.cancelled_by_peer == 0
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.3-11", "ROB-02")
def test_repeats_are_harmless_within_a_budget():
    """Repeated CANCEL_PUSH for the same promised ID is harmless, and rate-limited."""
    rig = PushServerRig(H3Config(flood_burst=100, flood_rate=10.0), max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    rig.tell(*[id_frame(CANCEL_PUSH, 0)] * 5)
    assert len(rig.cancellations()) == 1
    rig.expect_alive()
    rig.tell(*[id_frame(CANCEL_PUSH, 0)] * 200)
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.rfc("ROB-02")
def test_a_flood_is_bounded_by_default():
    """100,000 CANCEL_PUSH frames do not get through."""
    rig = PushServerRig(max_push_id=3)
    rig.core.send_push_promise(rig.ask(), promised())
    rig.tell(id_frame(CANCEL_PUSH, 0) * 100_000)
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.rfc("H3-7.2.3-12")
@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_it_may_come_at_every_moment(seed):
    """Cancel between ID allocation, promise, stream creation and first write never raises internally."""
    choice = random.Random(seed)
    rig = PushServerRig(max_push_id=50, window=choice.choice([100, 10_000]))
    rig.raw._auto_resume = choice.random() < 0.5
    request = rig.ask()
    steps = [
        lambda push_id: rig.core.open_push_stream(push_id),
        lambda push_id: rig.core.send_response(rig.core._pushes.get(push_id).stream_id or -1, 200, []),
        lambda push_id: rig.core.send_data(rig.core._pushes.get(push_id).stream_id or -1, b"x" * 500),
        lambda push_id: rig.core.send_data(rig.core._pushes.get(push_id).stream_id or -1, b"", True),
        lambda push_id: rig.core.cancel_push(push_id),
        lambda push_id: rig.core.send_push_promise(request, promised(b"/%d" % push_id), push_id=push_id),
    ]
    for _ in range(10):
        push_id = rig.core._pushes.next_push_id
        rig.core.send_push_promise(request, promised(b"/%d" % push_id))
        moment = choice.randrange(5)
        for number, step in enumerate(steps[: choice.randint(0, 6)]):
            if number == moment:
                rig.tell(*[id_frame(CANCEL_PUSH, push_id)] * choice.randint(1, 2))
            try:
                step(push_id)
            except StreamStateError:
                assert number >= moment or number > 3, "nothing was cancelled"
        if choice.random() < 0.5:
            rig.run()
    rig.expect_open()
    told = [event.push_id for event in rig.cancellations()]
    assert len(told) == len(set(told)), "told once for each push ID"


# A server sends it


@pytest.mark.parametrize("moment", ["before the stream", "header", "content", "end"])
@pytest.mark.rfc("H3-7.2.3-15")
def test_a_server_says_what_it_will_not_fulfil(moment):
    """A promise that will not be fulfilled is called off with CANCEL_PUSH, and an open stream is reset."""
    rig = PushServerRig(max_push_id=3, window=1_000)
    rig.raw._auto_resume = False
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    stream_id = None
    if moment != "before the stream":
        stream_id = rig.core.open_push_stream(0)
    if moment in ("content", "end"):
        rig.core.send_response(stream_id, 200, [])
        rig.core.send_data(stream_id, b"x" * 5_000, moment == "end")
    rig.run()
    rig.core.cancel_push(0)
    rig.core.cancel_push(0)
    rig.run()
    rig.raw.end.resume(rig.own_stream_id(0))
    rig.run()
    assert rig.cancelled == [0]
    if stream_id is not None:
        assert rig.raw.stream(stream_id).reset == CANCELLED
        assert not rig.raw.stream(stream_id).fin
    assert rig.cancellations() == [], "our own doing is not told"
    assert rig.core.push_counters.cancelled == 1
    assert rig.core.pushes_under_way == 0
    rig.tell(id_frame(CANCEL_PUSH, 0))  # the client's may cross ours
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.3-15")
def test_a_server_cannot_cancel_what_it_did_not_promise():
    """Calling off an unknown push is a local error, a finished one is nothing; neither goes out."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    for unknown in (0, 3, 100):
        with pytest.raises(StreamStateError):
            rig.core.cancel_push(unknown)
    rig.core.send_push_promise(request, promised())
    rig.finish(rig.core.open_push_stream(0))
    rig.core.cancel_push(0)
    rig.finish(request)
    assert rig.cancelled == []
    rig.expect_alive()


# A client receives it


@ways_to_arrive
@pytest.mark.parametrize(("pushes", "push_id"), [(1, 1), (8, 8), (8, LARGEST_VARINT), (None, 0), (None, 5)])
@pytest.mark.rfc("H3-7.2.3-06")
def test_from_a_server_above_the_limit_is_an_id_error(chunk, pushes, push_id):
    """Server CANCEL_PUSH above the advertised maximum, or while push was never enabled."""
    rig = PushClientRig(pushes, chunk=chunk)
    rig.tell(id_frame(CANCEL_PUSH, push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.3-07")
def test_it_may_overtake_its_promise(chunk):
    """Server CANCEL_PUSH for an in-range ID not yet promised is legal; the promise is ignored, the stream is stopped."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.tell(id_frame(CANCEL_PUSH, 0))
    rig.respond(request, promise(0), reply(), fin=True)
    assert rig.promised() == []
    stream_id = rig.push(0, reply(), fin=False)
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.pushed(0) == (None, b"", False)
    assert rig.cancellations() == []
    assert rig.cancelled == []
    assert rig.limits == [7, 8]
    assert rig.completed(request)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.3-16")
def test_it_ends_a_promised_push_and_nothing_else(chunk):
    """CANCEL_PUSH for a promised, not yet streamed push resolves it as cancelled without touching anything else."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, promise(0, "/0"), promise(1, "/1"), OK)
    rig.tell(id_frame(CANCEL_PUSH, 0))
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.PEER, None)]
    assert rig.core.push_counters.cancelled_by_peer == 1
    rig.push(1, reply(b"pushed"))
    assert rig.pushed(1) == WHOLE
    rig.respond(request, data(b"x"), fin=True)
    assert rig.completed(request)
    assert rig.limits == [7, 8, 9]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.3-17")
def test_a_complete_push_stays_usable(chunk):
    """CANCEL_PUSH for a push that is complete changes nothing."""
    rig = PushClientRig(chunk=chunk)
    rig.promise_and_push(0)
    rig.tell(id_frame(CANCEL_PUSH, 0), id_frame(CANCEL_PUSH, 0))
    assert rig.pushed(0) == WHOLE
    assert rig.cancellations() == []
    assert rig.core.push_counters.cancelled_by_peer == 0
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("is_promised", [True, False])
@pytest.mark.rfc("H3-7.2.3-17")
def test_an_open_push_is_dropped(chunk, is_promised):
    """CANCEL_PUSH for a push whose stream is open: we drop it and stop the stream."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, promise(1), promise(0) if is_promised else b"")
    stream_id = rig.push(0, OK, data(b"half"), fin=False)
    rig.tell(id_frame(CANCEL_PUSH, 0))
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.cancellations() == ([PushCancelled(0, CancelledBy.FAILED, None)] if is_promised else [])
    assert rig.cancelled == []
    assert rig.limits == [7, 8]
    rig.push(1, reply(b"pushed"))
    assert rig.pushed(1) == WHOLE
    rig.respond(request, reply(), fin=True)
    assert rig.completed(request)
    rig.expect_alive()


# A client sends it


@pytest.mark.rfc("H3-7.2.3-13")
def test_a_client_stops_a_stream_instead():
    """Once the push stream has been received the client stops it with STOP_SENDING instead of CANCEL_PUSH."""
    rig = PushClientRig()
    rig.respond(rig.ask(), promise(0))
    stream_id = rig.push(0, OK, fin=False)
    rig.core.cancel_push(0)
    rig.core.cancel_push(0)
    rig.run()
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.cancelled == []
    rig.expect_alive()
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.LOCAL, None)]


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.3-14")
def test_a_stream_that_comes_after_it_is_stopped(chunk):
    """A push stream arriving after the client sent CANCEL_PUSH is aborted, and is never an ID error."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), promise(0))
    rig.core.cancel_push(0)
    rig.run()
    assert rig.cancelled == [0]
    stream_id = rig.push(0, reply(), fin=False)
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.pushed(0) == (None, b"", False)
    assert rig.cancelled == [0]
    assert rig.limits == [7, 8]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.3-20")
def test_a_client_cannot_cancel_what_was_not_promised():
    """Application cancel of an unknown or out-of-range push is a local error and puts nothing on the wire."""
    rig = PushClientRig()
    rig.push(3, OK, fin=False)
    for unknown in (0, 3, 7, 8, LARGEST_VARINT):
        with pytest.raises(LocalProtocolError):
            rig.core.cancel_push(unknown)
    off = PushClientRig(pushes=None)
    with pytest.raises(LocalProtocolError):
        off.core.cancel_push(0)
    for one in (rig, off):
        one.run()
        assert one.cancelled == []
        one.expect_alive()


@pytest.mark.rfc("H3-7.2.3-20")
def test_a_client_may_cancel_what_is_over():
    """Cancelling a push that has ended does nothing, also when it was forgotten."""
    rig = PushClientRig(pushes=1, remembered_pushes=1)
    for push_id in range(3):
        rig.promise_and_push(push_id)
    for push_id in range(3):
        rig.core.cancel_push(push_id)
    rig.run()
    assert rig.cancelled == []
    assert rig.cancellations() == []
    assert rig.limits == [0, 1, 2, 3]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.3-19")
def test_a_client_that_cancels_everything_still_grants():
    """Cancelled pushes count as consumed: a client that cancels every push still grants new IDs."""
    rig = PushClientRig(pushes=2)
    for push_id in range(30):
        rig.respond(rig.ask(), promise(push_id), reply(), fin=True)
        if push_id % 3 == 0:
            rig.uni(push_header(push_id), OK)
            rig.run()
        rig.core.cancel_push(push_id)
        rig.run()
    assert rig.limits == list(range(1, 32))
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.3-12")
def test_a_cancel_that_crosses_a_cancel():
    """Both sides call the same push off at once."""
    server = PushServerRig(max_push_id=3)
    request = server.ask()
    server.core.send_push_promise(request, promised())
    stream_id = server.core.open_push_stream(0)
    server.control(id_frame(CANCEL_PUSH, 0), id_frame(MAX_PUSH_ID, 4))
    server.raw.stop(stream_id, CANCELLED)
    server.core.cancel_push(0)
    server.run()
    server.finish(request)
    assert server.cancelled == [0]
    assert server.cancellations() == []
    server.expect_alive()

    client = PushClientRig()
    client.respond(client.ask(), promise(0))
    client.core.cancel_push(0)
    client.control(id_frame(CANCEL_PUSH, 0))
    client.run()
    assert client.cancellations() == [PushCancelled(0, CancelledBy.LOCAL, None)]
    client.expect_alive()


def test_the_frame_is_what_it_says():
    """CANCEL_PUSH is type 0x03 and one varint."""
    assert id_frame(CANCEL_PUSH, 0) == frame(0x03, b"\0") == b"\x03\x01\x00"
