"""Framing and order of a message (RFC 9114 section 4.1)."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.support import (
    GET,
    GREASE_FRAME,
    LARGEST_VARINT,
    OK,
    POST,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    frame,
    head,
    headers,
    merged_data,
    read_frames,
    request,
    response,
    silent,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode, LocalProtocolError, StreamStateError
from h3push.h3.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    MessageFailed,
    RequestReceived,
    ResponseReceived,
    StopSendingReceived,
    TrailersReceived,
)
from h3push.h3.server import H3ServerConnection

TRAILERS = headers(("x-checksum", "1"))


@pytest.mark.rfc("H3-4.1-01", "H3-4.1-11")
def test_a_client_sends_one_request_on_a_stream_and_ends_it_without_waiting() -> None:
    """Each request has its own bidirectional stream, and FIN follows it at once, whatever the server does."""
    rig = ClientRig()
    streams = [rig.core.send_request(head(path=b"/%d" % number)) for number in range(50)]
    upload = rig.core.send_request(head(b"POST"), end_stream=False)
    rig.core.send_data(upload, b"content", end_stream=True)
    rig.run()
    assert len(set(streams)) == 50
    for number, stream_id in enumerate(streams):
        sections, content = rig.request(stream_id)
        assert [dict(section)[b":path"] for section in sections] == [b"/%d" % number]
        assert (content, rig.raw.stream(stream_id).fin) == (b"", True)
    assert rig.request(upload)[1] == b"content"
    assert rig.raw.stream(upload).fin


@pytest.mark.rfc("H3-4.1-02")
@pytest.mark.parametrize("between", [b"", data(b"x"), GREASE_FRAME])
@ways_to_arrive
def test_a_second_request_on_a_stream_is_malformed(between: bytes, chunk: int | None) -> None:
    """A second request section on a stream is malformed."""
    rig = ServerRig(chunk=chunk)
    with rig.healthy_sibling():
        stream_id = rig.send(POST, between, GET, fin=True)
        rig.expect_stream_error(stream_id, ErrorCode.H3_MESSAGE_ERROR)
    assert all(request.method == b"POST" for request in rig.requests if request.path != b"/ordinary")


@pytest.mark.rfc("H3-4.1-03")
@pytest.mark.parametrize("further", [OK, response("100"), data(b"x") + OK], ids=["200", "100", "DATA 200"])
@ways_to_arrive
def test_a_response_after_the_final_one_is_malformed(further: bytes, chunk: int | None) -> None:
    """200 and 200, 200 and 100, 200 DATA 200: never accepted."""
    rig = ClientRig(chunk=chunk)
    with rig.healthy_sibling():
        stream_id = rig.send(OK, further, fin=True)
        rig.run()
        assert not rig.completed(stream_id)
        rig.expect_stream_error(stream_id, ErrorCode.H3_MESSAGE_ERROR)


@pytest.mark.rfc("H3-4.1-04")
@both_roles
@pytest.mark.parametrize("first", ["00 00", "00 01 61", "21 00 | 00 00"])
@ways_to_arrive
def test_data_before_headers_is_unexpected(make_rig: type, first: str, chunk: int | None) -> None:
    """DATA before the first HEADERS ends the connection."""
    rig = make_rig(chunk=chunk)
    rig.send(first, rig.message)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-4.1-05")
@both_roles
@pytest.mark.parametrize(
    "after", [data(b"x"), data(b""), TRAILERS, GET, OK], ids=["DATA", "empty", "trailers", "GET", "OK"]
)
@pytest.mark.parametrize("content", [b"", data(b"x")], ids=["no_content", "content"])
def test_nothing_follows_the_trailers(make_rig: type, after: bytes, content: bytes) -> None:
    """HEADERS or DATA after the trailing HEADERS ends the connection, whatever it says."""
    rig = make_rig()
    rig.send(rig.message, content, TRAILERS, GREASE_FRAME, after)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-4.1-06")
@pytest.mark.parametrize("after", [b"", OK])
@pytest.mark.parametrize("content", [b"", b"x"])
def test_content_of_an_interim_response_is_unexpected(after: bytes, content: bytes) -> None:
    """DATA between an interim section and the final HEADERS ends the connection."""
    rig = ClientRig()
    rig.send(response("100"), data(content), after)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


UNKNOWN = [
    frame(0x21),
    frame(0x21 + 0x1F * 1000, b"x" * 20),
    frame(0x0E, b"\0"),
    frame(0x40, b"x" * 70),
    frame(LARGEST_VARINT - 1, b"x"),
]


@pytest.mark.rfc("H3-4.1-07", "H3-7.2.8-02")
@both_roles
@pytest.mark.parametrize("unknown", UNKNOWN)
@ways_to_arrive
def test_unknown_frames_mean_nothing_anywhere(make_rig: type, unknown: bytes, chunk: int | None) -> None:
    """Unknown frames before, between and after the frames of a message, and on the control stream, are skipped."""
    rig = make_rig(chunk=chunk)
    rig.control(unknown, unknown)
    stream_id = rig.send(
        unknown, rig.message, unknown, unknown, data(b"ab"), unknown, data(b"c"), unknown, TRAILERS, unknown, fin=True
    )
    rig.run()
    told = merged_data(rig.events_of(stream_id))
    assert [type(event) for event in told] in (
        [RequestReceived, DataReceived, TrailersReceived],
        [ResponseReceived, DataReceived, TrailersReceived],
    )
    assert told[1].data == b"abc"
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-07")
@both_roles
def test_a_long_unknown_frame_is_skipped_without_being_held(make_rig: type) -> None:
    """Ten megabytes in a frame of an unknown type pass through; what is held does not grow with them."""
    rig = make_rig()
    stream_id = rig.send(varint(0x21), varint(10_000_000))
    for _ in range(10):
        rig.write(stream_id, b"x" * 1_000_000)
        rig.run()
        assert rig.core._receivers[stream_id]._reader._unread == b""
    rig.write(stream_id, rig.message, fin=True)
    rig.run()
    assert [type(event) for event in rig.events_of(stream_id)] in ([RequestReceived], [ResponseReceived])
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-09")
@ways_to_arrive
def test_interim_responses_precede_the_final_one(chunk: int | None) -> None:
    """Any number of 1xx, known or not, then the final response and its trailers."""
    rig = ClientRig(chunk=chunk)
    interim = ["100", "103", "103", "199"]
    stream_id = rig.send(
        *(response(status, ("link", "</a>")) for status in interim), OK, data(b"x"), TRAILERS, fin=True
    )
    rig.run()
    told = rig.events_of(stream_id)
    assert [event.response.status for event in told[:4]] == [100, 103, 103, 199]
    assert all(isinstance(event, InformationalResponseReceived) for event in told[:4])
    assert isinstance(told[4], ResponseReceived)
    assert told[4].response.status == 200
    assert isinstance(told[-1], TrailersReceived)
    assert told[-1].trailers == [(b"x-checksum", b"1")]
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-10")
def test_the_server_cannot_misuse_interim_responses() -> None:
    """No content and no trailers on an interim response, no 1xx after the final section, no 101: refused, nothing is sent."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    server = rig.core
    server.send_informational_response(stream_id, 103, [(b"link", b"</a>")])
    for misuse in (
        lambda: server.send_data(stream_id, b"x"),
        lambda: server.send_data(stream_id, b"", end_stream=True),
        lambda: server.send_trailers(stream_id, [(b"x", b"y")]),
        lambda: server.send_informational_response(stream_id, 101, []),
        lambda: server.send_informational_response(stream_id, 200, []),
        lambda: server.send_response(stream_id, 103, []),
    ):
        with pytest.raises(LocalProtocolError):
            misuse()
    server.send_response(stream_id, 200, [])
    for status in (100, 103):
        with pytest.raises(StreamStateError):
            server.send_informational_response(stream_id, status, [])
    with pytest.raises(StreamStateError):
        server.send_response(stream_id, 200, [])
    server.send_data(stream_id, b"", end_stream=True)
    rig.run()
    assert [dict(fields)[b":status"] for fields in rig.response(stream_id)[0]] == [b"103", b"200"]
    rig.expect_alive()


def _respond(server: H3ServerConnection, stream_id: int, form: str) -> None:
    if form == "empty":
        server.send_response(stream_id, 200, [], end_stream=True)
    elif form == "fixed":
        server.send_response(stream_id, 200, [(b"content-length", b"3")])
        server.send_data(stream_id, b"abc", end_stream=True)
    elif form == "streamed":
        server.send_response(stream_id, 200, [])
        for piece in (b"a", b"", b"bc"):
            server.send_data(stream_id, piece)
        server.send_data(stream_id, b"", end_stream=True)
    elif form == "204":
        server.send_response(stream_id, 204, [], end_stream=True)
    else:
        server.send_response(stream_id, 200, [])
        server.send_data(stream_id, b"abc")
        server.send_trailers(stream_id, [(b"x-checksum", b"1")])


@pytest.mark.rfc("H3-4.1-12")
@pytest.mark.parametrize("form", ["empty", "fixed", "streamed", "204", "trailers"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_server_ends_the_stream_after_the_response(form: str, method: str) -> None:
    """FIN follows the final response in every form."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request(method), fin=True)
    rig.run()
    _respond(rig.core, stream_id, form)
    rig.run()
    stream = rig.raw.stream(stream_id)
    assert (stream.fin, stream.reset) == (True, None)
    content = rig.response(stream_id)[1]
    assert content == (b"abc" if form in ("fixed", "streamed", "trailers") and method == "GET" else b"")
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-13")
@pytest.mark.parametrize("sent", [b"", GREASE_FRAME, GREASE_FRAME * 3], ids=["nothing", "grease", "more"])
@ways_to_arrive
def test_an_incomplete_request_is_reset(sent: bytes, chunk: int | None) -> None:
    """A stream that ends before a complete request is reset with H3_REQUEST_INCOMPLETE; no handler runs."""
    rig = ServerRig(chunk=chunk)
    with rig.healthy_sibling():
        before = len(rig.requests)
        stream_id = rig.send(sent, fin=True)
        rig.run()
        assert len(rig.requests) == before
        assert rig.raw.stream(stream_id).reset == ErrorCode.H3_REQUEST_INCOMPLETE
        rig.expect_alive()


@pytest.mark.rfc("H3-4.1-14", "H3-4.1.2-24")
@pytest.mark.parametrize("sent", [b"", GREASE_FRAME, response("103"), response("100") + response("103") + GREASE_FRAME])
@ways_to_arrive
def test_a_stream_without_a_final_response_fails_that_request(sent: bytes, chunk: int | None) -> None:
    """FIN without a final response: a local failure of this request, and of nothing else."""
    rig = ClientRig(chunk=chunk)
    with rig.healthy_sibling():
        stream_id = rig.send(sent, fin=True)
        rig.run()
        failure = rig.events_of(stream_id)[-1]
        assert isinstance(failure, MessageFailed)
        assert failure.error.error_code == ErrorCode.H3_MESSAGE_ERROR
        assert not rig.completed(stream_id)
        rig.expect_alive()


@pytest.mark.parametrize("fin", [True, False])
def test_the_rest_of_a_stopped_request_is_no_new_request(fin: bool) -> None:
    """A transport may have handed out more of a stream in the batch in which it was stopped: those bytes are nobody's."""

    def too_large(server: H3ServerConnection, event: Event) -> None:
        if isinstance(event, RequestReceived):
            server.send_response(event.stream_id, 413, [], end_stream=True)

    rig = ServerRig(application=too_large)
    stream_id = rig.send(POST, data(b"the beginning"))
    rig.run()
    later = rig.send(GET, fin=True)
    rig.run()
    assert rig.status(later) == 413
    for rest in (data(b"more"), GET):
        assert rig.core.receive_data(stream_id, rest, fin, 1.0) == []
    assert not rig.core.is_closed
    assert rig.core.open_message_streams == 0


@pytest.mark.rfc("H3-4.1-15")
@ways_to_arrive
def test_an_early_response_stops_the_request_without_error(chunk: int | None) -> None:
    """A full response before the end of the request: STOP_SENDING with H3_NO_ERROR, and the response ends with FIN."""

    def too_large(server: H3ServerConnection, event: Event) -> None:
        if isinstance(event, RequestReceived):
            server.send_response(event.stream_id, 413, [], end_stream=True)

    rig = ServerRig(application=too_large, chunk=chunk)
    stream_id = rig.send(POST, data(b"the beginning"))
    rig.run()
    stream = rig.raw.stream(stream_id)
    assert (stream.stop, stream.fin, stream.reset) == (ErrorCode.H3_NO_ERROR, True, None)
    assert rig.status(stream_id) == 413
    rig.write(stream_id, data(b"more"))
    assert [event for event in rig.run() if isinstance(event, DataReceived)] == []
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-16")
@pytest.mark.parametrize("stop_first", [False, True])
def test_a_complete_response_survives_that_the_request_was_stopped(stop_first: bool) -> None:
    """200, content, FIN and STOP_SENDING(H3_NO_ERROR) while the client is sending: the response counts."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"POST"), end_stream=False)
    rig.core.send_data(stream_id, b"beginning")
    rig.run()
    if stop_first:
        rig.raw.stop(stream_id, ErrorCode.H3_NO_ERROR)
        rig.run()
    rig.write(stream_id, OK, data(b"early"), fin=True)
    if not stop_first:
        rig.raw.stop(stream_id, ErrorCode.H3_NO_ERROR)
    rig.run()
    assert rig.completed(stream_id)
    assert rig.received(stream_id) == b"early"
    assert not any(isinstance(event, MessageFailed) for event in rig.events)
    assert StopSendingReceived(stream_id, ErrorCode.H3_NO_ERROR, None) in rig.events
    with pytest.raises(StreamStateError):
        rig.core.send_data(stream_id, b"more")
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-17")
def test_a_client_goes_on_sending_after_an_early_response() -> None:
    """A response that comes early, without STOP_SENDING, changes nothing: the content arrives whole, and FIN."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"POST"), end_stream=False)
    rig.core.send_data(stream_id, b"first ")
    rig.run()
    rig.write(stream_id, OK, fin=True)
    rig.run()
    rig.core.send_data(stream_id, b"second", end_stream=True)
    rig.run()
    assert rig.request(stream_id)[1] == b"first second"
    stream = rig.raw.stream(stream_id)
    assert (stream.fin, stream.reset, stream.stop) == (True, None, None)
    assert rig.completed(stream_id)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-18")
@both_roles
def test_messages_are_told_piece_by_piece(make_rig: type) -> None:
    """Headers are told before content, each piece of content when it comes, even inside one DATA frame."""
    rig = make_rig()
    stream_id = rig.send(rig.message)
    assert [type(event) for event in rig.run()] in ([RequestReceived], [ResponseReceived])
    rig.write(stream_id, varint(0), varint(3), b"a")
    assert [event.data for event in rig.run()] == [b"a"]
    rig.write(stream_id, b"b")
    assert [event.data for event in rig.run()] == [b"b"]
    rig.write(stream_id, b"c", data(b"d"))
    assert b"".join(event.data for event in rig.run()) == b"cd"
    rig.write(stream_id, b"", fin=True)
    assert [(event.data, event.end_stream) for event in rig.run() if event.stream_id == stream_id] == [(b"", True)]
    rig.expect_alive()


MESSAGES = st.lists(
    st.sampled_from([data(b""), data(b"x"), data(b"longer content"), GREASE_FRAME, frame(0x4242)]), max_size=6
)


@pytest.mark.rfc("H3-4.1-19")
@both_roles
@given(
    middle=MESSAGES,
    trailers=st.sampled_from([b"", TRAILERS, TRAILERS + GREASE_FRAME]),
    places=st.lists(st.integers(0, 200), max_size=12),
)
@settings(derandomize=True, max_examples=60, deadline=None)
def test_how_bytes_arrive_makes_no_difference(
    make_rig: type, middle: list[bytes], trailers: bytes, places: list[int]
) -> None:
    """Any split of a message into deliveries is read the same."""

    def told(cuts: list[int]) -> list[Event]:
        rig = make_rig()
        whole = rig.message + b"".join(middle) + trailers
        edges = sorted({0, len(whole), *(place for place in cuts if place < len(whole))})
        stream_id = rig.open_message()
        for start, end in pairwise(edges):
            rig.write(stream_id, whole[start:end])
            rig.run()
        rig.write(stream_id, b"", fin=True)
        rig.run()
        rig.expect_alive()
        return merged_data(rig.events_of(stream_id))

    assert told(places) == told([])


@pytest.mark.rfc("H3-4.1-20", "SEM-6.5-01")
@both_roles
@pytest.mark.parametrize("content", [b"", data(b"x")])
@ways_to_arrive
def test_trailers_are_told_by_themselves(make_rig: type, content: bytes, chunk: int | None) -> None:
    """Trailers are never merged into the headers, come last, and what would change the message's meaning is dropped."""
    rig = make_rig(chunk=chunk)
    trailers = headers(("x-checksum", "1"), ("content-length", "77"), ("host", "evil"), ("authorization", "x"))
    stream_id = rig.send(rig.message, content, trailers, fin=True)
    rig.run()
    told = rig.events_of(stream_id)
    assert told[-1] == TrailersReceived(stream_id, [(b"x-checksum", b"1")], None)
    message = told[0].request if isinstance(told[0], RequestReceived) else told[0].response
    assert b"x-checksum" not in dict(message.fields)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1-21")
@both_roles
@pytest.mark.parametrize(
    ("content", "expected"),
    [("00 00", b""), ("00 00 | 00 00 | 00 00", b""), ("00 00 00 01 61 00 00 00 00 00 01 62 00 00", b"ab")],
)
@ways_to_arrive
def test_empty_data_frames_are_valid(make_rig: type, content: str, expected: bytes, chunk: int | None) -> None:
    """Zero-length DATA frames anywhere DATA may be."""
    rig = make_rig(chunk=chunk)
    stream_id = rig.send(rig.message, content, fin=True)
    rig.run()
    told = rig.events_of(stream_id)
    assert b"".join(event.data for event in told if isinstance(event, DataReceived)) == expected
    assert told[-1].end_stream
    rig.expect_alive()


def test_nothing_is_sent_for_a_call_that_was_refused() -> None:
    """A refused call leaves the message where it was: it can still be sent right."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    server = rig.core
    with pytest.raises(StreamStateError):
        server.send_response(stream_id, 200, [(b"content-length", b"5")], end_stream=True)
    server.send_response(stream_id, 200, [(b"content-length", b"5")])
    with pytest.raises(StreamStateError):
        server.send_data(stream_id, b"hel", end_stream=True)
    with pytest.raises(StreamStateError):
        server.send_data(stream_id, b"hello!")
    with pytest.raises(StreamStateError):
        server.send_trailers(stream_id, [(b"x", b"y")])
    with pytest.raises(LocalProtocolError):
        server.send_trailers(stream_id, [(b"content-length", b"5")])
    server.send_data(stream_id, b"hello")
    server.send_trailers(stream_id, [(b"x", b"y")])
    rig.run()
    sections, content = rig.response(stream_id)
    assert (len(sections), content) == (2, b"hello")
    assert [frame.type for frame in read_frames(bytes(rig.raw.stream(stream_id).data))] == [1, 0, 1]
    assert rig.raw.stream(stream_id).fin


def test_a_request_that_was_refused_uses_up_no_stream() -> None:
    """An invalid or self-contradictory request fails before a stream is opened."""
    rig = ClientRig()
    for bad in (head(fields=[(b"x", b"a\nb")]), head(b"POST", fields=[(b"content-length", b"5")])):
        with pytest.raises(LocalProtocolError):
            rig.core.send_request(bad)
    assert rig.core.send_request(head()) == 0
    rig.run()
    assert [stream_id for stream_id in rig.raw.streams if not stream_id & 2] == [0]
