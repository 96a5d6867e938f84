"""Push IDs (RFC 9114 section 4.6): how a server uses them up, and how many a client hands out."""

import pytest

from conformance.push_support import (
    WHOLE,
    PushClientRig,
    PushServerRig,
    promised,
    reply,
)
from conformance.support import promise
from h3push.errors import ErrorCode, NoPushCredit, NoStreamCredit, StreamStateError
from h3push.h3.events import RequestReceived


@pytest.mark.rfc("H3-4.6-01")
def test_ids_are_used_in_order_from_zero():
    """Push IDs are allocated sequentially from 0 per connection, over concurrent request streams too."""
    order = []

    def application(server, event):
        if isinstance(event, RequestReceived):
            order.append(server.send_push_promise(event.stream_id, promised(b"/%d" % event.stream_id)))
            if event.stream_id:
                order.append(server.send_push_promise(event.stream_id - 4, promised(b"/again")))

    rig = PushServerRig(max_push_id=9, application=application)
    streams = [rig.send(rig.message, fin=True) for _ in range(5)]
    rig.run()
    assert order == list(range(9))
    order.append(rig.core.send_push_promise(streams[0], promised(b"/last")))
    for stream_id in streams:
        rig.finish(stream_id)
    assert sorted(rig.promised_ids()) == list(range(10))
    rig.expect_alive()


@pytest.mark.parametrize("how", ["cancelled", "cancelled by the client", "reset", "no stream credit", "stopped"])
@pytest.mark.rfc("H3-4.6-02")
def test_an_id_is_never_used_again(how):
    """A push ID identifies one push for the whole connection and is never recycled, however that push ended."""
    rig = PushServerRig(max_push_id=9, streams=4)
    request = rig.ask()
    assert rig.core.send_push_promise(request, promised(b"/first")) == 0
    if how == "cancelled":
        rig.core.cancel_push(0)
    elif how == "cancelled by the client":
        rig.tell("03 01 00")
    elif how == "no stream credit":
        with pytest.raises(NoStreamCredit):
            rig.core.send_push_promise(request, promised(b"/second"))
        rig.core.cancel_push(0)
    else:
        stream_id = rig.core.open_push_stream(0)
        rig.core.send_response(stream_id, 200, [])
        rig.run()
        if how == "reset":
            rig.core.reset_stream(stream_id, ErrorCode.H3_INTERNAL_ERROR)
        else:
            rig.raw.stop(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    rig.run()
    rig.raw.end.allow_streams(True, 20)
    rig.run()
    assert [rig.core.send_push_promise(request, promised(b"/%d" % number)) for number in (1, 2)] == [1, 2]
    with pytest.raises(StreamStateError):
        rig.core.open_push_stream(0)
    rig.finish(request)
    by_id = rig.promises(request)
    assert [push_id for push_id, _ in by_id] == [0, 1, 2]
    rig.expect_alive()


@pytest.mark.parametrize("stream_order", [(0, 3, 4), (4, 0, 3), (3, 4, 0)])
@pytest.mark.rfc("H3-4.6-03")
def test_gaps_and_any_order_are_taken(stream_order):
    """Gaps and out-of-order IDs are tolerated: sequential use is only a SHOULD for servers."""
    rig = PushClientRig(pushes=8)
    request = rig.ask()
    rig.respond(request, *(promise(push_id, f"/{push_id}") for push_id in (4, 3, 0)), reply(), fin=True)
    for push_id in stream_order:
        rig.push(push_id, reply(b"pushed"))
    assert [rig.pushed(push_id) for push_id in (0, 3, 4)] == [WHOLE] * 3
    assert rig.limits[-1] == 10
    rig.expect_alive()


@pytest.mark.parametrize("pushes", [1, 3, 100])
@pytest.mark.rfc("H3-4.6-04", "ROB-38")
def test_what_is_granted_and_not_finished_is_bounded(pushes):
    """Outstanding push IDs are bounded and configurable: promises that are merely seen bring no new credit."""
    rig = PushClientRig(pushes)
    request = rig.ask()
    for push_id in range(pushes):
        rig.respond(request, promise(push_id, f"/{push_id}"))
        assert rig.limits == [pushes - 1]
        assert rig.core.pushes_granted_and_unfinished == pushes
    assert rig.core.pushes_under_way == pushes
    rig.respond(request, promise(pushes))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("ROB-38")
def test_with_release_the_application_keeps_the_credit():
    """Credit follows release of the push state: with `release_pushes=False` a push that was not read holds its ID."""
    rig = PushClientRig(pushes=2, release_pushes=False)
    rig.promise_and_push(0)
    rig.promise_and_push(1)
    assert rig.limits == [1]
    assert rig.core.pushes_granted_and_unfinished == 2
    rig.core.release_push(1)
    rig.core.release_push(1)
    rig.core.release_push(7)
    rig.run()
    assert rig.limits == [1, 2]
    rig.respond(rig.ask(), promise(2))
    rig.core.release_push(2)
    rig.run()
    assert rig.limits == [1, 2], "released while it is under way: its end counts"
    rig.push(2, reply())
    assert rig.limits == [1, 2, 3]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.4-02")
def test_push_state_belongs_to_one_connection():
    """Push state never survives a connection: the limit is unset again, MAX_PUSH_ID is sent again, IDs restart at 0."""
    first = PushClientRig(pushes=2)
    first.promise_and_push(0)
    assert first.limits == [1, 2]
    second = PushClientRig(pushes=2)
    assert second.limits == [1]
    second.promise_and_push(0)
    assert second.pushed(0) == WHOLE

    server = PushServerRig(max_push_id=5)
    server.core.send_push_promise(server.ask(), promised())
    again = PushServerRig()
    request = again.ask()
    with pytest.raises(NoPushCredit):
        again.core.send_push_promise(request, promised())
    again.tell("0d 01 05")
    assert again.core.send_push_promise(request, promised()) == 0
