"""Push streams as a client receives them (RFC 9114 sections 4.1, 4.6, 6.2 and 6.2.2)."""

import pytest

from conformance.push_support import (
    CANCELLED,
    WHOLE,
    PushClientRig,
    dynamic_section,
    insert,
    push_header,
    reply,
    set_capacity,
)
from conformance.support import (
    LARGEST_VARINT,
    OK,
    data,
    every_cut_of,
    frame,
    headers,
    promise,
    response,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.events import (
    CancelledBy,
    DataReceived,
    InformationalResponseReceived,
    MessageFailed,
    PushCancelled,
    PushPromiseReceived,
    ResponseReceived,
    TrailersReceived,
)

GREASE = frame(0x21) + b"\x40\x40\x03abc" + frame(0x1F * 1000 + 0x21, b"x" * 70)


def promised_rig(push_ids: int = 1, **options: object) -> PushClientRig:
    """A client with a request under way (stream 0) and pushes promised on it."""
    rig = PushClientRig(**options)
    rig.respond(rig.ask(), *(promise(push_id, f"/{push_id}") for push_id in range(push_ids)))
    return rig


# Push IDs on push streams


@ways_to_arrive
@pytest.mark.parametrize("written", ["01", "40 01", "01 00", "01 00 00"])
@pytest.mark.rfc("H3-6.2.2-03")
def test_without_a_limit_it_is_an_id_error(chunk, written):
    """A push stream received while no MAX_PUSH_ID has been sent; the type byte is enough."""
    rig = PushClientRig(pushes=None, chunk=chunk)
    rig.uni(written)
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.parametrize("pushes", [1, 8])
@pytest.mark.rfc("H3-6.2.2-04")
def test_an_id_above_the_limit_is_an_id_error(chunk, pushes):
    """A push stream whose ID exceeds the advertised maximum."""
    for push_id in (pushes, LARGEST_VARINT):
        rig = PushClientRig(pushes, chunk=chunk)
        rig.uni(push_header(push_id))
        rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.parametrize("is_promised", [True, False])
@pytest.mark.parametrize("pieces", [b"", OK, OK + data(b"x")])
@pytest.mark.rfc("H3-6.2.2-05")
def test_a_second_stream_while_the_first_is_open_is_an_id_error(is_promised, pieces):
    """A second push stream with the same ID while the first is open, promised or not."""
    rig = promised_rig(1 if is_promised else 0)
    rig.push(0, pieces, fin=False)
    rig.expect_open()
    rig.uni(push_header(0))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.parametrize("ending", ["complete", "reset", "stopped", "failed"])
@pytest.mark.rfc("H3-6.2.2-06")
def test_a_second_stream_after_the_first_is_an_id_error(ending):
    """A second push stream with the same ID after the first is done with."""
    rig = promised_rig()
    stream_id = rig.push(0, reply() if ending == "complete" else OK, fin=ending == "complete")
    if ending == "reset":
        rig.raw.reset(stream_id, CANCELLED)
    elif ending == "stopped":
        rig.core.cancel_push(0)
    elif ending == "failed":
        rig.respond(stream_id, headers(("x", "1\n")))
    rig.run()
    assert rig.core.pushes_under_way == 0
    rig.uni(push_header(0), reply(), fin=True)
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-6.2.2-06")
def test_the_history_is_bounded_and_a_forgotten_id_is_stopped():
    """Detection history is bounded: a second stream for an ID that fell out of it is stopped, never used."""
    rig = PushClientRig(pushes=2, remembered_pushes=3)
    for push_id in range(6):
        rig.promise_and_push(push_id)
    assert len(rig.core._pushes._recent) == 3
    assert len(rig.core._pushes._finished) == 1
    stream_id = rig.push(0, reply(b"again"), fin=False)
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.pushed(0) == WHOLE
    assert rig.limits[-1] == 7
    rig.expect_alive()
    rig.uni(push_header(5))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.parametrize("rest", ["00 00", "02 00", "01 00"])
def test_what_a_transport_has_already_handed_out_of_a_stopped_stream_begins_no_stream(rest):
    """Content behind a push that was called off may look like a control stream; it is nobody's."""
    rig = promised_rig()
    stream_id = rig.push(0, OK, fin=False)
    rig.core.cancel_push(0)
    rig.core.receive_data(stream_id, bytes.fromhex(rest), False, 0.0)
    rig.core.receive_data(stream_id, b"", True, 0.0)
    rig.run()
    rig.expect_open()


# Its header


@pytest.mark.parametrize(
    "header", ["01 00", "40 01 40 00", "80 00 00 01 80 00 00 00", "c0 00 00 00 00 00 00 01 c0 00 00 00 00 00 00 00"]
)
@pytest.mark.rfc("H3-6.2.2-08", "H3-6.2.2-09")
def test_the_header_may_be_cut_anywhere(header):
    """The header, split at any byte, parses; the client does not stop the stream before it is whole."""
    written = bytes.fromhex(header)
    for left, right in every_cut_of(written):
        rig = promised_rig()
        stream_id = rig.uni(left)
        rig.run()
        assert rig.stopped(stream_id) is None
        rig.respond(stream_id, right)
        assert rig.stopped(stream_id) is None
        rig.respond(stream_id, reply(b"pushed"), fin=True)
        assert rig.pushed(0) == WHOLE
        rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-08")
def test_a_stream_is_not_stopped_before_its_header_is_whole():
    """The client does not abort reading before type and ID are read, even if it will reject the push."""
    rig = PushClientRig()
    request = rig.ask()
    rig.respond(request, promise(63 % 8, host="other.test"))
    assert rig.cancelled == [7]
    stream_id = rig.uni(b"\1")
    rig.advance(100)
    assert rig.stopped(stream_id) is None
    for byte in varint(7, 8):
        assert rig.stopped(stream_id) is None
        rig.respond(stream_id, bytes([byte]))
    assert rig.stopped(stream_id) == CANCELLED
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-09")
def test_a_push_id_of_several_bytes_is_read(chunk):
    """Multi-byte push IDs parse correctly."""
    rig = PushClientRig(pushes=100_000, chunk=chunk)
    for push_id in (63, 64, 16_383, 16_384, 99_999):
        request = rig.ask()
        rig.respond(request, promise(push_id))
        rig.push(push_id, reply(b"pushed"))
        assert rig.pushed(push_id) == WHOLE
    rig.expect_alive()


@pytest.mark.parametrize("written", ["", "01", "40", "01 40", "01 c0 00 00"])
@pytest.mark.parametrize("ending", ["fin", "reset"])
@pytest.mark.parametrize("is_promised", [True, False])
@pytest.mark.rfc("H3-6.2.2-10")
def test_one_that_ends_in_its_header_is_tolerated(written, ending, is_promised):
    """A push stream closed or reset before its header is complete is tolerated, and nothing of it is kept."""
    rig = promised_rig(1 if is_promised else 0)
    kept = set(rig.core._unidirectional)
    stream_id = rig.uni(written, fin=ending == "fin")
    rig.run()
    if ending == "reset":
        rig.raw.reset(stream_id, CANCELLED)
    rig.expect_alive()
    assert set(rig.core._unidirectional) == kept
    assert stream_id not in rig.core._receivers


# Its frames


@ways_to_arrive
@pytest.mark.parametrize("frame_type", [0x03, 0x04, 0x05, 0x07, 0x0D, 0xF0700, 0xF0701, 0x02, 0x06, 0x08, 0x09])
@pytest.mark.parametrize("before", [b"", OK])
@pytest.mark.rfc("H3-6.2.2-11")
def test_frames_that_do_not_belong_there_are_unexpected(chunk, frame_type, before):
    """Only HEADERS, DATA and unknown frames may appear on a push stream."""
    for payload in (b"\0", b""):
        rig = promised_rig(chunk=chunk)
        rig.push(0, before, frame(frame_type, payload), fin=False)
        rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


TRAILERS = headers(("x-sum", "1"))


@ways_to_arrive
@pytest.mark.parametrize(
    "pieces",
    [[data(b"a")], [response("103"), data(b"a")], [OK, TRAILERS, data(b"a")], [OK, TRAILERS, TRAILERS]],
    ids=["first", "after interim", "after trailers", "trailers twice"],
)
@pytest.mark.rfc("H3-6.2.2-12")
def test_frames_out_of_order_are_unexpected(chunk, pieces):
    """DATA before HEADERS, or HEADERS or DATA after the trailers."""
    rig = promised_rig(chunk=chunk)
    rig.push(0, *pieces, fin=False)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-13")
def test_unknown_frames_are_skipped(chunk):
    """Unknown and reserved frames before, between and after response frames are skipped."""
    rig = promised_rig(chunk=chunk)
    rig.push(0, GREASE, OK, GREASE, data(b"pus"), GREASE, data(b"hed"), GREASE)
    assert rig.pushed(0) == WHOLE
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-14", "EH-2-01")
def test_interim_responses_precede_the_final_one(chunk):
    """A pushed response is zero or more 1xx sections, then one final response; the final one is not mistaken for trailers."""
    rig = promised_rig(chunk=chunk)
    rig.push(0, response("103", ("link", "</a>")), response("100"), OK, data(b"pushed"), TRAILERS)
    interim = [event for event in rig.events if isinstance(event, InformationalResponseReceived)]
    assert [(event.response.status, event.push_id) for event in interim] == [(103, 0), (100, 0)]
    assert rig.pushed(0) == WHOLE
    assert [event.trailers for event in rig.events if isinstance(event, TrailersReceived)] == [[(b"x-sum", b"1")]]
    rig.expect_alive()


DEFECTS = {
    "no status": [headers(("a", "1"))],
    "empty": [headers()],
    "status twice": [headers((":status", "200"), (":status", "200"))],
    "request pseudo": [headers((":status", "200"), (":path", "/"))],
    "upper case": [headers((":status", "200"), ("Server", "x"))],
    "bad value": [headers((":status", "200"), ("a", "1\r\n"))],
    "status 101": [headers((":status", "101"))],
    "status abc": [headers((":status", "abc"))],
    "status 1000": [headers((":status", "1000"))],
    "connection": [headers((":status", "200"), ("connection", "close"))],
    "pseudo last": [headers(("a", "1"), (":status", "200"))],
    "too long": [response("200", ("content-length", "3")), data(b"long")],
    "bad length": [response("200", ("content-length", "3x"))],
    "trailer pseudo": [OK, headers((":status", "200"))],
    "bad interim": [headers((":status", "103"), ("Link", "x"))],
}


@ways_to_arrive
@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.rfc("H3-6.2.2-15")
def test_a_malformed_response_fails_that_push_alone(chunk, defect):
    """A malformed pushed response fails only that push, while a main response is streaming."""
    rig = promised_rig(2, chunk=chunk)
    with rig.healthy_sibling():
        stream_id = rig.push(0, *DEFECTS[defect], fin=False)
        rig.expect_open()
        assert rig.stopped(stream_id) == ErrorCode.H3_MESSAGE_ERROR
        rig.push(1, reply(b"pushed"))
    failures = [event for event in rig.events if isinstance(event, MessageFailed)]
    assert [(event.push_id, event.error.error_code) for event in failures] == [(0, ErrorCode.H3_MESSAGE_ERROR)]
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.MALFORMED, ErrorCode.H3_MESSAGE_ERROR)]
    assert rig.pushed(1) == WHOLE
    assert rig.cancelled == [], "the stream is there: STOP_SENDING says it"
    rig.respond(0, reply(), fin=True)
    assert rig.completed(0)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [response("103")],
        [GREASE],
        [response("200", ("content-length", "3")), data(b"ab")],
        [response("200", ("content-length", "3"))],
    ],
    ids=["empty", "interim", "grease", "short", "no content"],
)
@pytest.mark.rfc("H3-6.2.2-16", "H3-6.2.2-15")
def test_an_incomplete_response_fails_that_push_alone(chunk, pieces):
    """FIN before a final response, or before its announced length, makes the push unusable; the connection stays up."""
    rig = promised_rig(chunk=chunk)
    with rig.healthy_sibling():
        rig.push(0, *pieces)
        rig.expect_open()
    (failure,) = [event for event in rig.events if isinstance(event, MessageFailed)]
    assert (failure.push_id, failure.error.error_code) == (0, ErrorCode.H3_MESSAGE_ERROR)
    assert [event.by for event in rig.cancellations()] == [CancelledBy.MALFORMED]
    assert not rig.pushed(0)[2]
    assert rig.core.pushes_under_way == 0
    assert rig.limits == [7, 8]
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-17")
def test_an_end_inside_a_frame_is_a_frame_error():
    """FIN in the middle of a frame on a push stream, at every byte."""
    pieces = [response("200", ("content-length", "6")), data(b"pushed"), TRAILERS, GREASE]
    written = b"".join(pieces)
    ends = {len(b"".join(pieces[:count])) for count in range(len(pieces) + 1)}
    ends |= {len(b"".join(pieces[:3])) + len(part) for part in (frame(0x21), frame(0x21) + b"\x40\x40\x03abc")}
    for length in range(1, len(written)):
        rig = promised_rig()
        rig.push(0, written[:length])
        if length in ends:
            rig.expect_open()
        else:
            rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@ways_to_arrive
@pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "304"), ("GET", "204")])
@pytest.mark.rfc("H3-6.2.2-18")
def test_a_response_without_content_may_have_a_length(chunk, method, status):
    """A pushed response to a HEAD promise (or 204/304) may carry Content-Length without DATA; DATA there is malformed."""
    pseudo = [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", "/h")]
    for content, complete in ((b"", True), (data(b"x" * 100), False)):
        rig = PushClientRig(chunk=chunk)
        request = rig.ask()
        rig.respond(request, frame(0x05, b"\0" + headers(*pseudo)[2:]))
        assert rig.promised() == [0]
        stream_id = rig.push(0, response(status, ("content-length", "100")), content, fin=complete)
        rig.expect_open()
        assert rig.pushed(0) == (int(status), b"", complete)
        assert rig.stopped(stream_id) == (None if complete else ErrorCode.H3_MESSAGE_ERROR)
        rig.expect_alive()


# Before its promise


@ways_to_arrive
@pytest.mark.parametrize("pieces", [b"", OK, reply(b"pushed")], ids=["header", "section", "whole"])
@pytest.mark.rfc("H3-6.2.2-19")
def test_one_that_comes_before_its_promise_is_joined(chunk, pieces):
    """A push stream that arrives before its PUSH_PROMISE is held and joined when the promise arrives."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    whole = pieces == reply(b"pushed")
    stream_id = rig.push(0, pieces, fin=whole)
    rig.advance(0.5)
    assert rig.events_of(stream_id) == []
    rig.respond(request, promise(0))
    if not whole:
        rig.respond(stream_id, reply(b"pushed")[len(pieces) :], fin=True)
    told = [event for event in rig.events if getattr(event, "push_id", None) == 0]
    assert isinstance(told[0], PushPromiseReceived)
    assert isinstance(told[1], ResponseReceived)
    assert rig.pushed(0) == WHOLE
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-19")
def test_a_stream_without_content_before_its_promise_is_joined(chunk):
    """The end of an un-promised push stream is held with its data."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.push(0, response("204"))
    rig.push(1)
    rig.respond(request, promise(0), promise(1))
    assert rig.pushed(0) == (204, b"", True)
    assert [event.push_id for event in rig.cancellations()] == [1]
    rig.expect_alive()


@pytest.mark.parametrize("cut", [None, 1])
@pytest.mark.rfc("H3-6.2.2-20", "ROB-05")
def test_what_is_held_for_one_is_bounded(cut):
    """Data held for un-promised pushes is bounded by stream flow control: no window extension until promised."""
    window, large = 4_096, data(b"x" * 100_000)
    rig = PushClientRig(pushes=20, window=window)
    request = rig.ask()
    for push_id in range(20):
        header = push_header(push_id)
        stream_id = rig.uni(header[:cut])
        if cut:
            rig.run()
            rig.write(stream_id, header[cut:])
        rig.write(stream_id, OK, large, fin=True)
    rig.run()
    for stream_id in range(15, 15 + 4 * 20, 4):
        half = rig.pair.client._receiving.get(stream_id)
        if half is not None:
            assert half.granted <= 2 * window
            assert half.delivered + len(half.buffer) <= 2 * window
    held = [push.held for push in rig.core._pushes._live.values()]
    assert len(held) == 20
    assert all(len(one) <= (window if cut else 16) for one in held)
    rig.respond(request, reply(), fin=True)
    assert rig.completed(request), "connection credit is not starved"
    rig.expect_alive()
    for push_id in (19, 0):
        rig.respond(rig.ask(), promise(push_id, f"/{push_id}"), reply(), fin=True)
        assert rig.pushed(push_id) == (200, b"x" * 100_000, True)


@pytest.mark.rfc("H3-6.2.2-21", "ROB-05")
def test_without_a_promise_it_is_stopped_in_time():
    """If no promise shows up in reasonable time the client stops reading and discards what it held."""
    rig = PushClientRig(pushes=2, push_promise_timeout=10.0)
    request = rig.ask()
    first = rig.push(0, OK, fin=False)
    rig.advance(5)
    second = rig.push(1, reply())
    rig.advance(4.9)
    assert rig.stopped(first) is None
    rig.advance(0.2)
    assert rig.stopped(first) == CANCELLED
    assert rig.core.pushes_under_way == 1
    rig.advance(5)
    assert rig.core.pushes_under_way == 0
    assert rig.stopped(second) in (None, CANCELLED), "its end was there already"
    assert rig.limits == [1, 2, 3]
    assert rig.core.next_timeout() is None
    rig.respond(request, promise(0), promise(1), reply(), fin=True)
    assert rig.promised() == []
    assert rig.cancellations() == []
    assert rig.core._unidirectional.keys().isdisjoint({first, second})
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-22")
def test_a_promise_without_a_stream_ends_in_time():
    """A promise never followed by a push stream neither leaks nor hangs: it ends, and its ID is accounted for."""
    rig = PushClientRig(pushes=1, push_stream_timeout=60.0)
    request = rig.ask()
    rig.respond(request, promise(0), reply(), fin=True)
    rig.advance(59.9)
    assert rig.cancellations() == []
    rig.advance(0.2)
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.TIMEOUT, None)]
    assert rig.cancelled == [0]
    assert rig.limits == [0, 1]
    assert rig.core.pushes_under_way == 0
    late = rig.push(0, reply(), fin=False)
    assert rig.stopped(late) == CANCELLED
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-22")
def test_a_promise_ends_with_the_connection():
    """A promise then a close: the connection's end is the end of every push."""
    rig = promised_rig()
    rig.raw.close(ErrorCode.H3_NO_ERROR)
    rig.run()
    assert rig.core.is_closed
    assert rig.core.open_message_streams == 0
    rig.core.cancel_push(0)
    rig.core.release_push(0)
    assert rig.core.handle_timeout(1e9) == []


@pytest.mark.rfc("H3-6.2.2-23")
def test_what_is_not_read_exerts_back_pressure():
    """Windows advance only as the application consumes: a paused push stops its sender, and starves nobody."""
    window = 4_096
    rig = promised_rig(window=window)
    stream_id = rig.push(0, OK, fin=False)
    rig.core.pause(stream_id)
    for _ in range(50):
        rig.write(stream_id, data(b"x" * 1_000))
    rig.run()
    half = rig.pair.client._receiving[stream_id]
    granted = half.granted
    assert len(half.buffer) + half.delivered <= granted <= 2 * window
    rig.respond(0, OK, data(b"y" * 50_000), fin=True)
    assert rig.received(0) == b"y" * 50_000
    assert half.granted == granted
    rig.core.resume(stream_id)
    rig.respond(stream_id, fin=True)
    assert rig.pushed(0) == (200, b"x" * 50_000, True)
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-25")
def test_a_long_connection_does_not_stall():
    """Stream credit and push credit come back as pushes finish: 1000 pushes on one connection."""
    rig = PushClientRig(pushes=3)
    for push_id in range(1_000):
        rig.promise_and_push(push_id)
    assert rig.limits == list(range(2, 1_003))
    assert rig.core.push_counters.fulfilled == 1_000
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


# How it ends


@pytest.mark.parametrize("when", ["before the promise", "after the promise", "in the content"])
@pytest.mark.rfc("H3-6.2.2-27")
def test_a_reset_fails_that_push_alone(when):
    """RESET_STREAM by the server on a push stream fails that push only; a later promise for it is ignored."""
    rig = PushClientRig()
    request = rig.ask()
    if when != "before the promise":
        rig.respond(request, promise(0))
    stream_id = rig.push(0, OK + data(b"pu") if when == "in the content" else b"", fin=False)
    rig.raw.reset(stream_id, ErrorCode.H3_INTERNAL_ERROR)
    rig.run()
    expected = [PushCancelled(0, CancelledBy.FAILED, ErrorCode.H3_INTERNAL_ERROR)]
    assert rig.cancellations() == ([] if when == "before the promise" else expected)
    rig.respond(request, promise(0), promise(1), reply(), fin=True)
    assert rig.promised() == ([1] if when == "before the promise" else [0, 1])
    assert rig.completed(request)
    assert rig.limits == [7, 8]
    rig.push(1, reply(b"pushed"))
    assert rig.pushed(1) == WHOLE
    rig.expect_alive()


@pytest.mark.parametrize("how", ["cancelled", "reset", "complete", "malformed"])
@pytest.mark.rfc("H3-6.2.2-28")
def test_a_push_outlives_its_request(how):
    """Lifetimes are independent: resetting or finishing the request stream does not kill promised pushes."""
    rig = promised_rig(2)
    first = rig.push(0, OK, fin=False)
    if how == "cancelled":
        rig.core.cancel_request(0)
    elif how == "reset":
        rig.raw.reset(0, ErrorCode.H3_INTERNAL_ERROR)
    elif how == "malformed":
        rig.respond(0, headers(("X", "1")))
    else:
        rig.respond(0, reply(), fin=True)
    rig.run()
    rig.respond(first, data(b"pushed"), fin=True)
    rig.push(1, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    assert rig.pushed(1) == WHOLE
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-28")
def test_a_request_outlives_its_push():
    """Closing a push does not affect the request."""
    rig = promised_rig(2)
    rig.push(0, reply())
    rig.core.cancel_push(1)
    rig.respond(0, reply(b"body"), fin=True)
    assert rig.received(0) == b"body"
    assert rig.completed(0)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("stopped_by", ["us", "a reset"])
@pytest.mark.rfc("H3-6.2.2-33")
def test_a_stream_whose_promise_was_lost_ends_in_time(chunk, stopped_by):
    """A promise lost with its request stream: the push stream is stopped after the hold time-out, and its ID is used up."""
    rig = PushClientRig(pushes=1, chunk=chunk, push_promise_timeout=3.0)
    request = rig.ask()
    if stopped_by == "us":
        rig.core.cancel_request(request)
    else:
        rig.raw.reset(request, CANCELLED)
    rig.run()
    stream_id = rig.push(0, reply(b"lost"), fin=False)
    rig.expect_open()
    assert rig.limits == [0]
    rig.advance(3.1)
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.limits == [0, 1]
    rig.promise_and_push(1)
    assert rig.pushed(1) == WHOLE
    rig.expect_alive()


# QPACK


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-30")
def test_sections_are_acknowledged_for_the_stream_not_the_push(chunk):
    """Section Acknowledgment for a pushed response names the push stream's ID, never the push ID."""
    rig = promised_rig(chunk=chunk)
    rig.on_encoder(set_capacity(), insert(b"x", b"0"))
    stream_id = rig.push(0, frame(1, dynamic_section(1, (":status", "200"), 0)), data(b"pushed"))
    assert stream_id >= 11
    assert rig.pushed(0) == WHOLE
    assert [one for one in rig.acknowledgments() if one[0] == "ack"] == [("ack", stream_id)]
    rig.expect_alive()


@pytest.mark.parametrize(
    "how", ["reset", "cancelled", "refused", "orphan reset", "orphan expired", "cut reset", "server cancel"]
)
@pytest.mark.rfc("H3-6.2.2-30")
def test_a_lost_push_stream_is_cancelled_in_qpack(how):
    """Stream Cancellation for a push names the push stream's ID, wherever the stream was given up."""
    rig = promised_rig()
    blocked = frame(1, dynamic_section(1, (":status", "200"), 0))
    push_id = 1 if how.startswith("orphan") else 0
    if how == "refused":
        push_id = 2
        rig.respond(rig.ask(), promise(2, host="other.test"))
    stream_id = rig.uni(b"\1") if how == "cut reset" else rig.push(push_id, blocked, fin=False)
    rig.run()
    if how in ("reset", "orphan reset", "cut reset"):
        rig.raw.reset(stream_id, CANCELLED)
    elif how == "cancelled":
        rig.core.cancel_push(0)
    elif how == "orphan expired":
        rig.advance(11)
    elif how == "server cancel":
        rig.tell("03 01 00")
    rig.expect_alive()
    assert rig.acknowledgments() == [("cancel", stream_id)]


@pytest.mark.rfc("H3-6.2.2-31")
def test_blocked_push_streams_count():
    """Push streams share the blocked-streams budget with request streams."""
    rig = promised_rig(3, qpack_blocked_streams=2)
    blocked = frame(1, dynamic_section(1, (":status", "200"), 0))
    rig.respond(0, blocked)
    rig.push(0, blocked, data(b"pushed"))
    rig.expect_open()
    rig.push(1, blocked, data(b"pushed"))
    rig.expect_close(ErrorCode.QPACK_DECOMPRESSION_FAILED)


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-31")
def test_a_blocked_push_goes_on_when_the_insert_comes(chunk):
    """A pushed response that waits for the encoder stream goes on when that caught up."""
    rig = promised_rig(2, chunk=chunk)
    blocked = frame(1, dynamic_section(1, (":status", "200"), 0))
    rig.push(0, blocked, data(b"pushed"))
    rig.push(2, blocked, data(b"pushed"))
    rig.respond(0, promise(2, "/2"))
    assert rig.pushed(0) == rig.pushed(2) == (None, b"", False)
    rig.on_encoder(set_capacity(), insert(b"x", b"0"))
    assert rig.pushed(0) == rig.pushed(2) == WHOLE
    assert not [event for event in rig.events if isinstance(event, DataReceived) and event.push_id is None]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("where", ["request", "push"])
@pytest.mark.rfc("ROB-37")
def test_interim_responses_are_bounded(chunk, where):
    """A flood of 1xx on a request or push stream is bounded: that stream fails, memory stays flat."""
    rig = promised_rig(max_interim_responses=10, chunk=chunk)
    with rig.healthy_sibling():
        if where == "push":
            stream_id = rig.push(0, *[response("103")] * 10, fin=False)
        else:
            stream_id = 0
            rig.respond(0, *[response("103")] * 10)
        assert rig.stopped(stream_id) is None
        rig.respond(stream_id, response("103"))
        assert rig.stopped(stream_id) == ErrorCode.H3_EXCESSIVE_LOAD
    told = [event for event in rig.events_of(stream_id) if isinstance(event, InformationalResponseReceived)]
    assert len(told) == 10
    (failure,) = [event for event in rig.events if isinstance(event, MessageFailed)]
    assert (failure.stream_id, failure.push_id) == (stream_id, 0 if where == "push" else None)
    rig.expect_alive()
