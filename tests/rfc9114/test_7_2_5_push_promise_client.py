"""PUSH_PROMISE as a client receives it (RFC 9114 sections 4.1, 4.6 and 7.2.5)."""

import pytest

from conformance.push_support import (
    CANCELLED,
    PUSH_PROMISE,
    WHOLE,
    PushClientRig,
    dynamic_section,
    encoded_promise,
    insert,
    promised,
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
    merged_data,
    promise,
    read_frames,
    response,
    section,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.client import H3ClientConnection
from h3push.h3.events import (
    CancelledBy,
    DataReceived,
    MessageFailed,
    PushPromiseReceived,
    ResponseReceived,
    TrailersReceived,
)
from h3push.http.fields import RequestHead

PSEUDO = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/pushed")]


# Push IDs in promises


@ways_to_arrive
@pytest.mark.parametrize("pushes", [1, 8])
@pytest.mark.rfc("H3-7.2.5-03")
def test_an_id_above_the_limit_is_an_id_error(chunk, pushes):
    """A promise with an ID above the advertised maximum."""
    for push_id in (pushes, pushes + 1, LARGEST_VARINT):
        rig = PushClientRig(pushes, chunk=chunk)
        rig.respond(rig.ask(), promise(push_id))
        rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-7.2.5-03")
def test_a_huge_id_is_an_id_error_whatever_its_section():
    """The push ID is judged before the field section."""
    rig = PushClientRig()
    rig.respond(rig.ask(), "05 0a ff ff ff ff ff ff ff ff 00 00")
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.parametrize("push_id", [0, 1, LARGEST_VARINT])
@pytest.mark.rfc("H3-7.2.5-04")
def test_without_a_limit_every_id_is_an_id_error(chunk, push_id):
    """A promise received while no MAX_PUSH_ID was ever sent, including push ID 0."""
    rig = PushClientRig(pushes=None, chunk=chunk)
    rig.respond(rig.ask(), promise(push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


# Where a promise may come


@ways_to_arrive
@pytest.mark.parametrize("pushes", [None, 8])
@pytest.mark.parametrize("written", [promise(0), b"\x05\x00"])
@pytest.mark.rfc("H3-7.2.5-05")
def test_on_the_control_stream_it_is_unexpected(chunk, pushes, written):
    """PUSH_PROMISE on the control stream, with an empty payload too."""
    rig = PushClientRig(pushes, chunk=chunk)
    rig.tell(written)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("before", [b"", OK, OK + data(b"x")])
@pytest.mark.parametrize("written", [promise(1), b"\x05\x00"])
@pytest.mark.rfc("H3-7.2.5-06")
def test_on_a_push_stream_it_is_unexpected(chunk, before, written):
    """PUSH_PROMISE inside a push stream, before or after its HEADERS."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), promise(0))
    rig.push(0, before, written, fin=False)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.5-08")
def test_a_client_never_promises():
    """A client has no path that emits PUSH_PROMISE."""
    assert not [name for name in dir(H3ClientConnection) if "send_push_promise" in name or "open_push" in name]
    rig = PushClientRig(pushes=2)
    for push_id in range(3):
        rig.promise_and_push(push_id)
    rig.respond(rig.ask(), promise(3))
    rig.core.cancel_push(3)
    rig.core.send_goaway()
    rig.run()
    for stream_id, stream in rig.raw.streams.items():
        kinds = [kind for kind, _ in read_frames(bytes(stream.data)[stream_id >> 1 & 1 :])] if stream.data else []
        if stream_id % 4 == 0 or stream_id == rig.own_stream_id(0):
            assert PUSH_PROMISE not in kinds


POSITIONS = {
    "before an interim response": [promise(0), response("103"), OK, data(b"body")],
    "before the response": [promise(0), OK, data(b"body")],
    "between interim and final response": [response("103"), promise(0), OK, data(b"body")],
    "before the content": [OK, promise(0), data(b"body")],
    "inside the content": [OK, data(b"bo"), promise(0), data(b"dy")],
    "after the content": [OK, data(b"body"), promise(0)],
    "before the trailers": [OK, data(b"body"), promise(0), headers(("x-sum", "1"))],
    "after the trailers": [OK, data(b"body"), headers(("x-sum", "1")), promise(0)],
}


@ways_to_arrive
@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.rfc("H3-7.2.5-09")
def test_it_may_come_anywhere_on_a_response_stream(chunk, position):
    """Promises are legal anywhere on the response stream and do not disturb the message."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, *POSITIONS[position], fin=True)
    assert rig.promised() == [0]
    assert rig.received(request) == b"body"
    assert rig.completed(request)
    ends = [event for event in rig.events_of(request) if getattr(event, "end_stream", False)]
    trailers = [event for event in rig.events_of(request) if isinstance(event, TrailersReceived)]
    assert len(ends) + len(trailers) == 1
    assert bool(trailers) == ("trailers" in position)
    rig.push(0, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-09")
def test_the_message_around_it_is_the_same_at_every_cut():
    """A response with promises at every position means the same, wherever its delivery is cut."""
    written = b"".join(
        [
            promise(0, "/0"),
            response("103"),
            promise(1, "/1"),
            OK,
            data(b"bo"),
            promise(2, "/2"),
            data(b"dy"),
            promise(3),
        ]
    )
    expected = None
    for left, right in every_cut_of(written):
        rig = PushClientRig()
        request = rig.ask()
        rig.respond(request, left)
        rig.respond(request, right, fin=True)
        told = merged_data([event for event in rig.events_of(request) if not isinstance(event, PushPromiseReceived)])
        assert rig.promised() == [0, 1, 2, 3]
        body = b"".join(event.data for event in told if isinstance(event, DataReceived))
        shape = ([type(event) for event in told if not isinstance(event, DataReceived)], body)
        expected = expected or shape
        assert shape == expected
    assert expected is not None
    assert expected[1] == b"body"


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-10")
def test_it_is_no_part_of_the_message(chunk):
    """A promise does not count against Content-Length, and a FIN after a trailing one completes the response once."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, response("200", ("content-length", "4")), data(b"body"), promise(0), fin=True)
    assert rig.received(request) == b"body"
    assert [event.end_stream for event in rig.events_of(request) if isinstance(event, DataReceived)].count(True) == 1
    assert rig.promised() == [0]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", "200"), (b"GET", "204"), (b"GET", "304")])
@pytest.mark.rfc("H3-7.2.5-11")
def test_it_may_come_with_a_response_without_content(chunk, method, status):
    """Promises on bodiless responses (HEAD, 204, 304) are accepted."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask(method)
    length = [("content-length", "100")] if method == b"HEAD" else []
    rig.respond(request, response(status, *length), promise(0), fin=True)
    assert rig.promised() == [0]
    assert rig.completed(request)
    rig.push(0, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    rig.expect_alive()


# The same push ID again


@ways_to_arrive
@pytest.mark.parametrize("other_request", [False, True])
@pytest.mark.parametrize(
    "second",
    [
        [*PSEUDO, ("a", "1"), ("b", "2"), ("extra", "")],
        [*PSEUDO, ("a", "1"), ("b", "3")],
        [*PSEUDO, ("a", "1")],
        [*PSEUDO[:3], (":path", "/other"), ("a", "1"), ("b", "2")],
        [*PSEUDO, ("a", "1"), ("b", "2"), ("b", "2")],
        [*PSEUDO, ("b", "2"), ("a", "1")],
        [PSEUDO[1], PSEUDO[0], *PSEUDO[2:], ("a", "1"), ("b", "2")],
    ],
    ids=["extra", "value", "missing", "path", "twice", "order", "pseudo order"],
)
@pytest.mark.rfc("H3-7.2.5-12", "H3-7.2.5-13")
def test_another_request_under_the_same_id_is_an_error(chunk, second, other_request):
    """The same push ID promised again with a different field section; order and duplicates count."""
    rig = PushClientRig(chunk=chunk)
    first = rig.ask()
    rig.respond(first, encoded_promise(0, section(*PSEUDO, ("a", "1"), ("b", "2"))))
    rig.respond(rig.ask() if other_request else first, encoded_promise(0, section(*second)))
    rig.expect_close(ErrorCode.H3_GENERAL_PROTOCOL_ERROR)


@pytest.mark.rfc("H3-7.2.5-12")
def test_duplicates_that_collapse_are_compared():
    """A duplicate field that the second promise collapses is a mismatch too."""
    rig = PushClientRig()
    request = rig.ask()
    rig.respond(request, encoded_promise(0, section(*PSEUDO, ("b", "2"), ("b", "2"))))
    rig.respond(request, encoded_promise(0, section(*PSEUDO, ("b", "2"))))
    rig.expect_close(ErrorCode.H3_GENERAL_PROTOCOL_ERROR)


@pytest.mark.rfc("H3-7.2.5-12")
def test_it_is_compared_while_the_push_is_under_way():
    """A mismatch is an error after the push stream came, too."""
    rig = PushClientRig()
    request = rig.ask()
    rig.respond(request, promise(0))
    rig.push(0, OK, fin=False)
    rig.respond(request, promise(0, "/other"))
    rig.expect_close(ErrorCode.H3_GENERAL_PROTOCOL_ERROR)


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-14")
def test_fields_are_compared_not_their_encoding(chunk):
    """Different QPACK encodings of identical sections match: first literal, then from the dynamic table."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, encoded_promise(0, section(*PSEUDO, ("x-long", "value"))))
    rig.on_encoder(set_capacity(), insert(b"x-long", b"value"))
    rig.respond(request, encoded_promise(0, dynamic_section(1, *PSEUDO, 0)))
    # static entries: :method GET 17, :scheme https 23
    indexed = b"\0\0\xd1\xd7" + section(*PSEUDO[2:], ("x-long", "value"))[2:]
    rig.respond(request, encoded_promise(0, indexed))
    rig.expect_open()
    assert rig.promised() == [0, 0, 0]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-15")
def test_a_repeat_tells_each_request_and_delivers_once(chunk):
    """An identical repeat associates the push with every request stream that carries it; it is delivered once."""
    rig = PushClientRig(chunk=chunk)
    first, second = rig.ask(), rig.ask()
    rig.respond(first, promise(0), promise(0))
    rig.respond(second, promise(0))
    told = [event for event in rig.events if isinstance(event, PushPromiseReceived)]
    assert [(event.stream_id, event.repeated) for event in told] == [(first, False), (first, True), (second, True)]
    assert len({id(event.push_id) for event in told}) == 1
    rig.push(0, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    assert rig.core.push_counters.promised == 1
    assert rig.limits == [7, 8]
    for request in (first, second):
        rig.respond(request, reply(), fin=True)
        assert rig.completed(request)
    rig.expect_alive()


@pytest.mark.parametrize("ending", ["complete", "cancelled by the server", "cancelled by us", "reset", "expired"])
@pytest.mark.rfc("H3-7.2.5-16")
def test_a_promise_for_a_push_that_is_over_is_ignored(ending):
    """A promise for a push already consumed, closed, reset or cancelled is ignored without error."""
    rig = PushClientRig()
    request = rig.ask()
    rig.respond(request, promise(0))
    if ending == "complete":
        rig.push(0, reply(b"pushed"))
    elif ending == "cancelled by the server":
        rig.tell("03 01 00")
    elif ending == "cancelled by us":
        rig.core.cancel_push(0)
    elif ending == "expired":
        rig.advance(61)
    else:
        rig.raw.reset(rig.push(0, OK, fin=False), CANCELLED)
    rig.run()
    assert rig.core.pushes_under_way == 0
    before = (len(rig.cancelled), rig.limits)
    rig.respond(request, promise(0), promise(0, "/other"))
    rig.respond(rig.ask(), promise(0))
    assert rig.promised() == [0]
    assert (len(rig.cancelled), rig.limits) == before
    assert rig.core.pushes_under_way == 0
    rig.respond(request, reply(), fin=True)
    assert rig.completed(request)
    rig.expect_alive()


# Its layout


@ways_to_arrive
@pytest.mark.parametrize("written", ["05 00", "05 01 40", "05 02 80 00", "05 07 c0 00 00 00 00 00 00"])
@pytest.mark.rfc("H3-7.2.5-20")
def test_without_a_whole_push_id_it_is_a_frame_error(chunk, written):
    """The payload is empty or ends inside the push ID varint."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), written)
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@ways_to_arrive
@pytest.mark.parametrize("written", ["05 01 00", "05 02 00 00"])
@pytest.mark.rfc("H3-7.2.5-21")
def test_without_a_field_section_it_cannot_be_decompressed(chunk, written):
    """The push ID is there but the field section is missing or cut in its prefix."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), written)
    rig.expect_close(ErrorCode.QPACK_DECOMPRESSION_FAILED)


@pytest.mark.rfc("H3-7.2.5-21")
def test_a_section_cut_in_a_field_line_cannot_be_decompressed():
    """The field section is cut at every byte: inside a line it is a QPACK error, between lines a malformed request."""
    encoded = section(*PSEUDO)
    boundaries = {len(section(*PSEUDO[:count])) for count in range(len(PSEUDO) + 1)}
    for length in range(len(encoded)):
        rig = PushClientRig()
        rig.respond(rig.ask(), encoded_promise(0, encoded[:length]))
        if length in boundaries:
            rig.expect_open()
            assert rig.cancelled == [0]
        else:
            rig.expect_close(ErrorCode.QPACK_DECOMPRESSION_FAILED)


MALFORMED = {
    "no method": PSEUDO[1:],
    "no scheme": [PSEUDO[0], *PSEUDO[2:]],
    "no authority": [*PSEUDO[:2], PSEUDO[3]],
    "no path": PSEUDO[:3],
    "two methods": [PSEUDO[0], *PSEUDO],
    "two paths": [*PSEUDO, PSEUDO[3]],
    "unknown pseudo": [*PSEUDO, (":magic", "1")],
    "status": [*PSEUDO, (":status", "200")],
    "upper case": [*PSEUDO, ("Accept", "*/*")],
    "connection": [*PSEUDO, ("connection", "close")],
    "te": [*PSEUDO, ("te", "gzip")],
    "transfer-encoding": [*PSEUDO, ("transfer-encoding", "chunked")],
    "empty path": [*PSEUDO[:3], (":path", "")],
    "relative path": [*PSEUDO[:3], (":path", "pushed")],
    "empty authority": [*PSEUDO[:2], (":authority", ""), PSEUDO[3]],
    "user info": [*PSEUDO[:2], (":authority", "u@a.test"), PSEUDO[3]],
    "host differs": [*PSEUDO, ("host", "b.test")],
    "pseudo last": [*PSEUDO[:3], ("a", "1"), PSEUDO[3]],
    "control byte": [*PSEUDO, ("a", "1\n2")],
    "blank value": [*PSEUDO, ("a", " 1")],
    "empty name": [*PSEUDO, ("", "1")],
    "content-length": [*PSEUDO, ("content-length", "-1")],
    "nothing": [],
}


@pytest.mark.parametrize("defect", MALFORMED)
@pytest.mark.rfc("H3-7.2.5-22")
def test_a_malformed_promise_costs_the_push_alone(defect):
    """A malformed promised request is never exposed or used: CANCEL_PUSH, and the push stream is refused."""
    rig = PushClientRig()
    with rig.healthy_sibling():
        request = rig.ask()
        rig.respond(request, OK, encoded_promise(0, section(*MALFORMED[defect])), data(b"body"))
        rig.expect_open()
        assert rig.cancelled == [0]
        stream_id = rig.push(0, reply(), fin=False)
        assert rig.stopped(stream_id) == CANCELLED
        rig.respond(request, promise(1), fin=True)
    assert rig.promised() == [1]
    assert rig.completed(request)
    assert rig.received(request) == b"body"
    assert rig.limits == [7, 8]
    rig.expect_alive()


# QPACK


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-23")
def test_a_blocked_promise_is_a_promise_when_it_goes_on(chunk):
    """A promise blocked on QPACK waits and is then processed as a promise, not as response HEADERS."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, encoded_promise(0, dynamic_section(1, *PSEUDO, 0)), OK, data(b"body"), fin=True)
    assert rig.events_of(request) == []
    rig.on_encoder(set_capacity(), insert(b"x-late", b"yes"))
    told = rig.events_of(request)
    assert isinstance(told[0], PushPromiseReceived)
    assert list(told[0].request.fields) == [(b"x-late", b"yes")]
    assert isinstance(told[1], ResponseReceived)
    assert rig.completed(request)
    assert rig.received(request) == b"body"
    rig.push(0, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-23")
def test_blocked_promises_count_as_blocked_streams():
    """A blocked promise counts against QPACK_BLOCKED_STREAMS: once for its request stream."""
    rig = PushClientRig(qpack_blocked_streams=2)
    requests = [rig.ask() for _ in range(3)]
    for push_id, request in enumerate(requests[:2]):
        rig.respond(request, encoded_promise(push_id, dynamic_section(1, *PSEUDO, 0)))
        rig.respond(request, encoded_promise(push_id + 4, dynamic_section(1, *PSEUDO, 0)))
    rig.expect_open()
    rig.respond(requests[2], encoded_promise(2, dynamic_section(1, *PSEUDO, 0)))
    rig.expect_close(ErrorCode.QPACK_DECOMPRESSION_FAILED)


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-24")
def test_blocked_promises_keep_their_order_and_go_on_one_by_one(chunk):
    """Frames after a blocked promise keep their order; several blocked promises unblock as their inserts arrive."""
    rig = PushClientRig(chunk=chunk)
    first, second = rig.ask(), rig.ask()
    rig.respond(
        first,
        encoded_promise(0, dynamic_section(1, *PSEUDO, 0)),
        encoded_promise(1, dynamic_section(2, *PSEUDO, 1)),
        frame(0x01, dynamic_section(3, (":status", "200"), 2)),
        data(b"body"),
        promise(3),
        fin=True,
    )
    rig.respond(second, encoded_promise(2, dynamic_section(2, *PSEUDO, 1)), OK)
    assert rig.promised() == []
    rig.on_encoder(set_capacity(), insert(b"x", b"0"))
    assert rig.promised() == [0]
    rig.on_encoder(insert(b"x", b"1"))
    assert sorted(rig.promised()) == [0, 1, 2]
    assert any(isinstance(event, ResponseReceived) for event in rig.events_of(second))
    assert not any(isinstance(event, ResponseReceived) for event in rig.events_of(first))
    rig.on_encoder(insert(b"x", b"2"))
    order = [type(event) for event in merged_data(rig.events_of(first))]
    assert order[:4] == [PushPromiseReceived, PushPromiseReceived, ResponseReceived, DataReceived]
    assert rig.promised()[-1] == 3
    assert rig.completed(first)
    rig.respond(second, data(b"x"), fin=True)
    assert rig.completed(second)
    rig.expect_alive()


@pytest.mark.parametrize("how", ["reset", "abandoned"])
@pytest.mark.rfc("H3-7.2.5-25")
def test_a_blocked_promise_on_a_lost_stream_is_cancelled_in_qpack(how):
    """If the request stream is lost while a promise is blocked, the push is dropped, and Stream Cancellation names the stream."""
    rig = PushClientRig()
    rig.ask()
    request = rig.ask()
    rig.respond(request, encoded_promise(0, dynamic_section(1, *PSEUDO, 0)))
    if how == "reset":
        rig.raw.reset(request, ErrorCode.H3_INTERNAL_ERROR)
    else:
        rig.core.cancel_request(request)
        rig.tell()  # what the client has to say goes out with the next delivery at the latest
    rig.run()
    rig.on_encoder(set_capacity(), insert(b"x", b"0"))
    assert rig.acknowledgments() == [("cancel", request), ("increment", 1)]
    assert rig.promised() == []
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-26")
def test_a_promise_over_the_size_limit_is_cancelled(chunk):
    """A promise whose decoded section exceeds the local limit is dropped with CANCEL_PUSH; QPACK stays in step."""
    rig = PushClientRig(max_field_section_size=4096, chunk=chunk)
    request = rig.ask()
    rig.on_encoder(set_capacity(), insert(b"x", b"dynamic"))
    rig.respond(
        request,
        encoded_promise(0, dynamic_section(1, *PSEUDO, 0, ("x-large", "x" * 65_000), ("y-large", "y" * 60_000))),
    )
    rig.respond(request, encoded_promise(1, section(*PSEUDO, ("x-large", "x" * 4096))))
    rig.expect_open()
    assert rig.cancelled == [0, 1]
    assert rig.promised() == []
    assert ("ack", request) in rig.acknowledgments()
    rig.respond(request, encoded_promise(2, dynamic_section(1, *PSEUDO, 0)), reply(), fin=True)
    rig.push(2, reply(b"pushed"))
    assert rig.pushed(2) == WHOLE
    assert rig.completed(request)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-29")
def test_every_dynamic_section_is_acknowledged(chunk):
    """Each promise with a non-zero Required Insert Count gets its own Section Acknowledgment, for the request stream."""
    rig = PushClientRig(chunk=chunk)
    rig.on_encoder(set_capacity(), insert(b"x", b"0"), insert(b"x", b"1"))
    rig.ask()
    request = rig.ask()
    rig.respond(
        request,
        encoded_promise(5, dynamic_section(1, *PSEUDO, 0)),
        frame(0x01, dynamic_section(2, (":status", "200"), 1)),
        encoded_promise(6, dynamic_section(2, *PSEUDO, 0, 1)),
        promise(7),
        fin=True,
    )
    assert [one for one in rig.acknowledgments() if one[0] == "ack"] == [("ack", request)] * 3
    rig.expect_alive()


# Tunnels


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-30")
def test_on_a_tunnel_it_is_unexpected(chunk):
    """No PUSH_PROMISE on a CONNECT stream after the 2xx: the client rejects it."""
    rig = PushClientRig(chunk=chunk)
    tunnel = rig.ask(b"CONNECT")
    rig.respond(tunnel, OK, data(b"x"), promise(0))
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.parametrize("status", ["200", "299"])
@pytest.mark.rfc("H3-7.2.5-30")
def test_before_the_tunnel_and_on_a_failed_one_it_is_a_promise(status):
    """Before the 2xx, and when the CONNECT failed, the stream is that of an ordinary response."""
    rig = PushClientRig()
    rig.respond(rig.ask(b"CONNECT"), promise(0), response(status))
    rig.respond(rig.ask(b"CONNECT"), response("403"), promise(1), fin=True)
    rig.expect_open()
    assert len(rig.cancelled) + len(rig.promised()) == 2


@pytest.mark.rfc("H3-7.2.5-22")
def test_what_a_refused_promise_did_to_its_push():
    """A push whose stream came first, and whose promise is then malformed, is stopped; the ID is used up."""
    rig = PushClientRig()
    request = rig.ask()
    stream_id = rig.uni(push_header(0), OK)
    rig.run()
    rig.respond(request, encoded_promise(0, section(*MALFORMED["no path"])))
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.limits == [7, 8]
    assert not [event for event in rig.events if isinstance(event, MessageFailed)]
    assert CancelledBy.MALFORMED not in [event.by for event in rig.cancellations()]
    rig.expect_alive()


def test_promised_requests_of_the_rigs_are_what_they_say():
    """The helper that the server tests use makes the same request that the promises here spell out."""
    assert promised() == RequestHead(b"GET", b"https", b"a.test", b"/pushed", [], None)
    assert varint(0x05) == b"\x05"
