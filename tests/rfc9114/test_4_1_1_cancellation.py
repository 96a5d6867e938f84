"""Cancelling and rejecting requests (RFC 9114 section 4.1.1)."""

import pytest

from conformance.support import (
    GET,
    OK,
    POST,
    ClientRig,
    ServerRig,
    data,
    frame,
    head,
    response,
    silent,
    varint,
)
from h3push.errors import ErrorCode, RequestNotProcessed, StreamStateError
from h3push.h3.events import (
    DataReceived,
    MessageFailed,
    RequestReceived,
    RequestUnprocessed,
    ResponseReceived,
    StopSendingReceived,
    StreamReset,
)

CANCELLED = ErrorCode.H3_REQUEST_CANCELLED


@pytest.mark.rfc("H3-4.1.1-01", "H3-4.1.1-02")
@pytest.mark.parametrize("all_sent", [False, True])
@pytest.mark.parametrize("answered", ["nothing", "headers", "half"])
def test_a_cancelled_request_is_reset_and_stopped(all_sent: bool, answered: str) -> None:
    """RESET_STREAM while we send, STOP_SENDING while we receive, both with H3_REQUEST_CANCELLED; never REJECTED."""
    rig = ClientRig()
    with rig.healthy_sibling():
        stream_id = rig.core.send_request(head(b"POST"), end_stream=all_sent)
        rig.run()
        rig.write(stream_id, {"nothing": b"", "headers": OK, "half": OK + data(b"half")}[answered])
        rig.run()
        rig.core.cancel_request(stream_id)
        rig.run()
        stream = rig.raw.stream(stream_id)
        assert stream.stop == CANCELLED
        assert stream.reset == (None if all_sent else CANCELLED)
        assert stream.fin == all_sent
        assert not rig.core.open_message_streams - 1
        rig.write(stream_id, data(b"late"), fin=True)
        rig.run()
        assert not rig.completed(stream_id)
        rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-02")
@pytest.mark.parametrize(
    "sent",
    [b"", response("200", ("Bad", "x")), OK + data(b"x") + OK, response("101")],
    ids=["FIN", "name", "OK", "101"],
)
def test_a_client_never_says_rejected(sent: bytes) -> None:
    """H3_REQUEST_REJECTED is the server's word; whatever goes wrong, the client uses others."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"POST"), end_stream=False)
    rig.run()
    rig.write(stream_id, sent, fin=True)
    rig.run()
    stream = rig.raw.stream(stream_id)
    assert stream.reset == ErrorCode.H3_MESSAGE_ERROR
    assert stream.stop in (None, ErrorCode.H3_MESSAGE_ERROR)
    rig.control("07 01 00")
    rig.run()
    codes = {value for _, what, _, value in rig.raw.log if what in ("reset", "stop")}
    assert ErrorCode.H3_REQUEST_REJECTED not in codes


@pytest.mark.rfc("H3-4.1.1-03")
@pytest.mark.parametrize("all_sent", [False, True])
def test_a_request_is_refused_unprocessed(all_sent: bool) -> None:
    """A refusal before any processing is a reset with H3_REQUEST_REJECTED, in both directions that are open."""
    rig = ServerRig(application=silent)
    with_content = rig.send(POST, data(b"x"), fin=all_sent)
    rig.run()
    rig.core.reject_request(with_content)
    rig.run()
    stream = rig.raw.stream(with_content)
    assert stream.reset == ErrorCode.H3_REQUEST_REJECTED
    assert stream.stop == (None if all_sent else ErrorCode.H3_REQUEST_REJECTED)
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-03", "H3-5.2-16")
def test_requests_after_goaway_are_refused_unprocessed() -> None:
    """As long as they keep arriving, and the application never hears of them."""
    rig = ServerRig()
    rig.send(GET, fin=True)
    rig.run()
    rig.core.send_goaway()
    known = len(rig.requests)
    late = [rig.send(GET, fin=True), rig.send(POST, data(b"x")), rig.send(b""), rig.send(GET, fin=True)]
    rig.run()
    for stream_id in (late[0], late[1], late[3]):
        assert rig.raw.stream(stream_id).reset == ErrorCode.H3_REQUEST_REJECTED
    assert rig.raw.stream(late[1]).stop == ErrorCode.H3_REQUEST_REJECTED
    assert len(rig.requests) == known
    assert rig.raw.closed is None


@pytest.mark.rfc("H3-4.1.1-04")
@pytest.mark.parametrize("code", [CANCELLED, ErrorCode.H3_INTERNAL_ERROR])
def test_an_abandoned_response_is_not_called_rejected(code: ErrorCode) -> None:
    """Once the application had the request, giving it up is CANCELLED or INTERNAL_ERROR, in both directions."""
    rig = ServerRig(application=silent)
    with_sibling = rig.send(GET, fin=True)
    stream_id = rig.send(POST, data(b"half"))
    rig.run()
    rig.core.send_response(stream_id, 200, [])
    rig.core.send_data(stream_id, b"half")
    rig.core.stop_stream(stream_id, code)
    rig.core.reset_stream(stream_id, code)
    rig.run()
    stream = rig.raw.stream(stream_id)
    assert (stream.reset, stream.stop) == (code, code)
    with pytest.raises(StreamStateError):
        rig.core.send_data(stream_id, b"more")
    rig.core.send_response(with_sibling, 200, [], end_stream=True)
    rig.run()
    assert rig.raw.stream(with_sibling).fin
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-05")
def test_the_application_hears_of_a_cancelled_request() -> None:
    """RESET_STREAM and STOP_SENDING in the middle of a request are told; nothing is kept, others go on."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(POST, data(b"half"))
    other = rig.send(GET, fin=True)
    rig.run()
    rig.core.send_response(stream_id, 200, [])
    rig.core.send_data(stream_id, b"x")
    rig.raw.reset(stream_id, CANCELLED)
    rig.raw.stop(stream_id, CANCELLED)
    events = rig.run()
    assert events == [StreamReset(stream_id, CANCELLED, None), StopSendingReceived(stream_id, CANCELLED, None)]
    with pytest.raises(StreamStateError):
        rig.core.send_data(stream_id, b"more")
    rig.core.reset_stream(stream_id, CANCELLED)
    assert rig.core.open_message_streams == 1
    rig.core.send_response(other, 200, [], end_stream=True)
    rig.run()
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-05", "ROB-10")
@pytest.mark.parametrize("sent", [b"", varint(1), GET[:-3], frame(0x21)], ids=["nothing", "type", "half", "grease"])
def test_a_request_reset_before_it_was_complete_leaves_nothing_open(sent: bytes) -> None:
    """Both directions of the stream end, so that its place among the allowed streams is free again."""
    rig = ServerRig(streams=8)
    for _ in range(30):
        stream_id = rig.send(sent)
        if sent:
            rig.run()
        rig.raw.reset(stream_id, CANCELLED)
        rig.run()
        assert rig.raw.stream(stream_id).reset is not None
    assert rig.requests == []
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-06", "H3-8-01")
@pytest.mark.parametrize("code", [0x100, 0x102, 0x10C, 0x0, 0x1F21, (1 << 62) - 1])
@pytest.mark.parametrize("sent", [b"", response("103"), OK, OK + data(b"half"), OK + varint(0) + varint(9) + b"x"])
def test_a_response_that_was_reset_is_no_success(code: int, sent: bytes) -> None:
    """Whatever the code and however much came: the response is incomplete."""
    rig = ClientRig()
    with rig.healthy_sibling():
        stream_id = rig.send(sent)
        rig.run()
        rig.raw.reset(stream_id, code)
        rig.run()
        assert rig.events_of(stream_id)[-1] == StreamReset(stream_id, code, None)
        assert not rig.completed(stream_id)
        rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-07")
def test_a_complete_response_stays_usable_when_the_rest_is_cancelled() -> None:
    """A full response, then STOP_SENDING of the request's rest: told, and the response stands."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"POST"), end_stream=False)
    rig.run()
    rig.write(stream_id, OK, data(b"all"), fin=True)
    rig.run()
    rig.raw.stop(stream_id, ErrorCode.H3_REQUEST_REJECTED)
    rig.run()
    assert [type(event) for event in rig.events_of(stream_id)] == [ResponseReceived, DataReceived, StopSendingReceived]
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.1-08")
@pytest.mark.parametrize("code", [ErrorCode.H3_REQUEST_REJECTED, CANCELLED])
def test_the_application_can_tell_unprocessed_from_cancelled(code: ErrorCode) -> None:
    """The core never retries; the code, and RequestUnprocessed after GOAWAY, are what a retry may be based on."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"POST"))
    rig.run()
    rig.raw.reset(stream_id, code)
    assert rig.run() == [StreamReset(stream_id, code, None)]
    assert [known for known in rig.raw.streams if not known & 2] == [stream_id]
    later = rig.core.send_request(head(b"POST"))
    rig.run()
    rig.control("07 01 04")
    assert RequestUnprocessed(later) in rig.run()
    with pytest.raises(RequestNotProcessed):
        rig.core.send_request(head())


@pytest.mark.rfc("H3-4.1.1-09")
def test_a_status_is_still_possible_while_nothing_was_sent() -> None:
    """A failure before the header section can be answered with 500; after it, only a reset is left."""
    rig = ServerRig(application=silent)
    early, late = rig.send(GET, fin=True), rig.send(GET, fin=True)
    rig.run()
    rig.core.send_response(early, 500, [], end_stream=True)
    rig.core.send_response(late, 200, [])
    with pytest.raises(StreamStateError):
        rig.core.send_response(late, 500, [], end_stream=True)
    rig.core.reset_stream(late, ErrorCode.H3_INTERNAL_ERROR)
    rig.run()
    assert (rig.status(early), rig.raw.stream(early).fin) == (500, True)
    assert rig.raw.stream(late).reset == ErrorCode.H3_INTERNAL_ERROR
    rig.expect_alive()


def test_events_after_the_end_of_a_stream_do_no_harm() -> None:
    """Calls for a stream that is gone are refused or ignored, in any order."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    rig.raw.stop(stream_id, CANCELLED)
    rig.run()
    for call in (rig.core.send_data, rig.core.send_trailers):
        with pytest.raises(StreamStateError):
            call(stream_id, b"" if call == rig.core.send_data else [])
    rig.core.reset_stream(stream_id, CANCELLED)
    rig.core.stop_stream(stream_id, CANCELLED)
    rig.core.reject_request(stream_id)
    rig.core.pause(stream_id)
    rig.core.resume(stream_id)
    rig.run()
    assert not [event for event in rig.events if isinstance(event, MessageFailed)]
    assert len([event for event in rig.events if isinstance(event, RequestReceived)]) == 1
    rig.expect_alive()
