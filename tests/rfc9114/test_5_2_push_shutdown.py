"""Pushes and shutdown (RFC 9114 section 5.2): GOAWAY in both directions, and what may still be pushed."""

import pytest

from conformance.push_support import (
    CANCEL_PUSH,
    CANCELLED,
    GOAWAY,
    MAX_PUSH_ID,
    WHOLE,
    PushClientRig,
    PushServerRig,
    id_frame,
    promised,
    reply,
)
from conformance.support import LARGEST_VARINT, OK, ClientRig, ServerRig, data, promise, ways_to_arrive
from h3push.errors import ErrorCode, LocalProtocolError, NoPushCredit, StreamStateError
from h3push.h3.events import CancelledBy, GoawayReceived, PushCancelled

# The client goes


@pytest.mark.parametrize("identifier", [0, 3, 9, LARGEST_VARINT])
@pytest.mark.rfc("H3-5.2-01")
def test_after_a_goaway_nothing_is_promised(identifier):
    """After receiving any GOAWAY from the client the server promises no further pushes; responses are fine."""
    rig = PushServerRig(max_push_id=9)
    request = rig.ask()
    rig.tell(id_frame(GOAWAY, identifier))
    assert rig.core.push_allowance() == 0
    with pytest.raises(NoPushCredit, match="shutting down"):
        rig.core.send_push_promise(request, promised())
    rig.tell(id_frame(MAX_PUSH_ID, 20))
    with pytest.raises(NoPushCredit):
        rig.core.send_push_promise(request, promised())
    rig.finish(request)
    assert rig.status(request) == 200
    assert rig.promised_ids() == []
    assert rig.core.push_counters.refused.total() == 2
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("identifier", [0, 1, 2, 3, 7, 10, 11, 4_000_001, LARGEST_VARINT])
@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.rfc("H3-5.2-02")
def test_a_client_names_any_push_id(chunk, identifier, limit):
    """A client GOAWAY carries a push ID: any value is valid, above MAX_PUSH_ID or without one too; requests finish."""
    rig = PushServerRig(max_push_id=limit, chunk=chunk)
    request = rig.ask()
    rig.tell(id_frame(GOAWAY, identifier))
    assert GoawayReceived(identifier) in rig.events
    rig.finish(request)
    assert rig.status(request) == 200
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize(("first", "second"), [(2, 3), (0, 1), (0, LARGEST_VARINT)])
@pytest.mark.rfc("H3-5.2-03")
def test_a_client_cannot_take_it_back(chunk, first, second):
    """A client GOAWAY identifier larger than an earlier one; an equal one is fine."""
    rig = PushServerRig(max_push_id=9, chunk=chunk)
    rig.tell(id_frame(GOAWAY, first), id_frame(GOAWAY, first))
    rig.expect_alive()
    rig.tell(id_frame(GOAWAY, second))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-5.2-05")
def test_what_a_goaway_excludes_is_cancelled():
    """On client GOAWAY(N) the server cancels promised pushes with ID >= N and keeps fulfilling those below N."""
    rig = PushServerRig(max_push_id=9, window=1_000)
    rig.raw._auto_resume = False
    request = rig.ask()
    for number in range(6):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    streams = {push_id: rig.core.open_push_stream(push_id) for push_id in (0, 2, 4)}
    for stream_id in streams.values():
        rig.core.send_response(stream_id, 200, [])
    rig.core.send_data(streams[4], b"x" * 5_000, True)
    rig.run()
    rig.tell(id_frame(GOAWAY, 2))
    rig.raw.end.resume(rig.own_stream_id(0))
    rig.run()
    assert [(event.push_id, event.by) for event in rig.cancellations()] == [
        (push_id, CancelledBy.GOAWAY) for push_id in (2, 3, 4, 5)
    ]
    assert rig.cancelled == [3, 5]
    assert rig.raw.stream(streams[2]).reset == rig.raw.stream(streams[4]).reset == CANCELLED
    for push_id in (3, 5):
        with pytest.raises(StreamStateError):
            rig.core.open_push_stream(push_id)
    rig.raw.end.resume(streams[0])
    rig.core.send_data(streams[0], b"zero", True)
    later = rig.core.open_push_stream(1)
    rig.run()
    rig.raw.end.resume(later)
    rig.finish(later, b"one")
    rig.finish(request)
    assert rig.pushed_body(0) == b"zero"
    assert rig.pushed_body(1) == b"one"
    rig.tell(id_frame(GOAWAY, 1))
    rig.expect_alive()


@pytest.mark.rfc("H3-5.2-05")
def test_a_smaller_goaway_excludes_more():
    """A second GOAWAY with a smaller identifier cancels what is between the two."""
    rig = PushServerRig(max_push_id=9)
    request = rig.ask()
    for number in range(4):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    for identifier, cancelled in ((LARGEST_VARINT, []), (3, [3]), (3, [3]), (1, [3, 1, 2]), (0, [3, 1, 2, 0])):
        rig.tell(id_frame(GOAWAY, identifier))
        assert [event.push_id for event in rig.cancellations()] == cancelled
    assert rig.core.pushes_under_way == 0
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-5.2-06")
def test_the_largest_goaway_lets_every_promised_push_finish():
    """GOAWAY(2^62-1) from the client stops new promises but lets every promised push complete."""
    rig = PushServerRig(max_push_id=9)
    request = rig.ask()
    for number in range(4):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    rig.tell(id_frame(GOAWAY, LARGEST_VARINT))
    for push_id in range(4):
        rig.finish(rig.core.open_push_stream(push_id), b"%d" % push_id)
    rig.finish(request)
    assert [rig.pushed_body(push_id) for push_id in range(4)] == [b"0", b"1", b"2", b"3"]
    assert rig.cancelled == []
    assert rig.cancellations() == []
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-5.2-04")
def test_after_its_goaway_a_client_refuses_what_it_excluded(chunk):
    """After sending GOAWAY(N) the client refuses pushes with ID >= N: CANCEL_PUSH for promises, STOP_SENDING for streams."""
    rig = PushClientRig(chunk=chunk)
    request = rig.ask()
    rig.respond(request, promise(0, "/0"))
    rig.core.send_goaway()
    rig.run()
    assert rig.ids(GOAWAY) == [1]
    rig.respond(request, promise(1, "/1"), promise(2, "/2"))
    assert rig.cancelled == [1, 2]
    for push_id in (2, 3):
        stream_id = rig.push(push_id, reply(), fin=False)
        assert rig.stopped(stream_id) == CANCELLED
    rig.push(0, reply(b"pushed"))
    assert rig.pushed(0) == WHOLE
    rig.respond(request, reply(), fin=True)
    assert rig.completed(request)
    assert rig.promised() == [0]
    assert rig.core.pushes_under_way == 0
    assert rig.limits == [7], "nothing more is granted"
    assert not rig.core.is_closed
    assert rig.raw.closed is None


@pytest.mark.rfc("H3-5.2-04")
def test_a_goaway_may_exclude_what_was_promised():
    """With GOAWAY(0) a push that was promised before is stopped when its stream comes; one that is open goes on."""
    rig = PushClientRig()
    request = rig.ask()
    rig.respond(request, promise(0, "/0"), promise(1, "/1"), reply(), fin=True)
    opened = rig.push(1, OK, fin=False)
    rig.core.send_goaway(0)
    rig.run()
    stream_id = rig.push(0, reply(), fin=False)
    assert rig.stopped(stream_id) == CANCELLED
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.GOAWAY, None)]
    rig.respond(opened, data(b"pushed"), fin=True)
    assert rig.pushed(1) == WHOLE
    with pytest.raises(LocalProtocolError):
        rig.core.send_goaway(1)
    rig.expect_open()


@pytest.mark.rfc("H3-5.2-04", "H3-5.2-03")
def test_the_goaway_of_a_client_names_the_first_unseen_push():
    """What it has not seen: the smallest push ID above all that the server has used, never growing."""
    rig = PushClientRig()
    request = rig.ask()
    rig.respond(request, promise(4))
    rig.push(2, OK, fin=False)
    rig.tell(id_frame(CANCEL_PUSH, 5))
    rig.core.send_goaway()
    rig.respond(request, promise(7))
    rig.core.send_goaway()
    rig.core.send_goaway(3)
    rig.run()
    assert rig.ids(GOAWAY) == [6, 6, 3]
    rig.expect_open()


# The server goes


@pytest.mark.rfc("H3-5.2-08")
def test_a_server_that_goes_still_pushes_for_what_it_accepted():
    """After the server sends GOAWAY, pushes for accepted requests may still be promised; none for rejected ones."""
    rig = PushServerRig(max_push_id=9)
    accepted = rig.ask()
    rig.core.send_goaway()
    rejected = rig.ask()
    assert rig.ids(GOAWAY) == [4]
    assert rig.core.send_push_promise(accepted, promised()) == 0
    with pytest.raises(StreamStateError):
        rig.core.send_push_promise(rejected, promised())
    rig.finish(rig.core.open_push_stream(0), b"pushed")
    rig.finish(accepted)
    assert rig.pushed_body(0) == b"pushed"
    assert rig.raw.stream(rejected).reset == ErrorCode.H3_REQUEST_REJECTED
    rig.expect_open()


@pytest.mark.rfc("H3-5.2-07")
def test_a_push_under_way_keeps_the_connection_busy():
    """Graceful shutdown waits for accepted requests and pushes: both cores count them until they end."""
    server = PushServerRig(max_push_id=9)
    request = server.ask()
    server.core.send_push_promise(request, promised())
    server.core.send_goaway()
    server.finish(request)
    assert server.core.open_message_streams == 0
    assert server.core.pushes_under_way == 1
    stream_id = server.core.open_push_stream(0)
    assert server.core.open_message_streams == 1
    server.raw.end.hold(stream_id)
    server.finish(stream_id)
    assert server.core.pushes_under_way == 1, "sent, not delivered"
    server.raw.end.release(stream_id)
    server.run()
    assert server.core.pushes_under_way == server.core.open_message_streams == 0
    server.core.close()
    server.run()
    assert server.raw.closed is not None
    assert server.raw.closed.error_code == ErrorCode.H3_NO_ERROR

    client = PushClientRig()
    request = client.ask()
    client.respond(request, promise(0), reply(), fin=True)
    client.core.send_goaway()
    assert (client.core.open_message_streams, client.core.pushes_under_way) == (0, 1)
    stream_id = client.push(0, OK, fin=False)
    assert (client.core.open_message_streams, client.core.pushes_under_way) == (1, 1)
    client.respond(stream_id, data(b"pushed"), fin=True)
    assert (client.core.open_message_streams, client.core.pushes_under_way) == (0, 0)
    assert client.pushed(0) == WHOLE
    client.core.close()
    client.run()
    assert client.raw.closed is not None
    assert client.raw.closed.error_code == ErrorCode.H3_NO_ERROR


# Settings


@ways_to_arrive
@pytest.mark.parametrize("value", ["00", "01"])
@pytest.mark.rfc("H3-7.2.4-01")
def test_enable_push_of_http2_is_an_error(chunk, value):
    """SETTINGS identifier 0x02 (HTTP/2's ENABLE_PUSH) is an error: push is controlled by MAX_PUSH_ID only."""
    for make in (ServerRig, ClientRig):
        rig = make(chunk=chunk, greet=False)
        rig.control(settings="04 02 02 " + value)
        rig.expect_close(ErrorCode.H3_SETTINGS_ERROR)
