"""Priorities of pushes (RFC 9218 sections 5, 7.2 and 10)."""

import pytest

from conformance.push_support import (
    PRIORITY_UPDATE_PUSH,
    PRIORITY_UPDATE_REQUEST,
    PushClientRig,
    PushServerRig,
    encoded_promise,
    promised,
    reply,
)
from conformance.support import (
    GET,
    LARGEST_VARINT,
    OK,
    frame,
    promise,
    read_frames,
    read_varint,
    request,
    response,
    section,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode, LocalProtocolError
from h3push.h3.events import DataReceived, PriorityUpdated, PushPromiseReceived, RequestReceived, ResponseReceived
from h3push.http.priority import Priority
from h3push.testing.memory import LinkSettings


def update(push_id: int, value: bytes = b"u=1") -> bytes:
    """PRIORITY_UPDATE for a push."""
    return frame(PRIORITY_UPDATE_PUSH, varint(push_id) + value)


def updates(rig: PushServerRig) -> list[PriorityUpdated]:
    return [event for event in rig.events if isinstance(event, PriorityUpdated)]


# PRIORITY_UPDATE


@ways_to_arrive
@pytest.mark.parametrize(
    ("limit", "push_id"), [(None, 0), (None, 5), (0, 1), (9, 10), (9, LARGEST_VARINT), (None, LARGEST_VARINT)]
)
@pytest.mark.rfc("PRI-7.2-01")
def test_above_the_limit_it_is_an_id_error(chunk, limit, push_id):
    """PRIORITY_UPDATE for a push with an ID above the maximum push ID, or with no MAX_PUSH_ID ever sent."""
    rig = PushServerRig(max_push_id=limit, chunk=chunk)
    rig.tell(update(push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.parametrize(("promises", "push_id"), [(0, 0), (0, 9), (2, 2), (2, 9)])
@pytest.mark.rfc("PRI-7.2-02")
def test_for_what_was_not_promised_it_is_an_id_error(chunk, promises, push_id):
    """PRIORITY_UPDATE for an in-range push that has not been promised."""
    rig = PushServerRig(max_push_id=9, chunk=chunk)
    stream_id = rig.ask()
    for number in range(promises):
        rig.core.send_push_promise(stream_id, promised(b"/%d" % number))
    rig.tell(update(push_id))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.parametrize("moment", ["promised", "open"])
@pytest.mark.rfc("PRI-7.2-03")
def test_it_moves_a_promised_push(chunk, moment):
    """PRIORITY_UPDATE for a promised push re-prioritises it: two large pushes, the second raised; it overtakes."""
    rig = PushServerRig(max_push_id=9, link=LinkSettings(rate=8_000_000), window=10_000_000)
    stream_id = rig.ask()
    for number in range(2):
        rig.core.send_push_promise(stream_id, promised(b"/%d" % number))
    streams = [rig.core.open_push_stream(push_id) for push_id in range(2)] if moment == "open" else []
    rig.tell(update(1, b"u=0"))
    assert updates(rig) == [PriorityUpdated(None, 1, Priority(0))]
    streams = streams or [rig.core.open_push_stream(push_id) for push_id in range(2)]
    for push_stream in streams:
        rig.core.send_response(push_stream, 200, [])
        rig.core.send_data(push_stream, b"x" * 200_000, True)
    rig.finish(stream_id)
    last = {one.stream_id: number for number, one in enumerate(rig.raw.log) if one.what == "data"}
    assert last[streams[1]] < last[streams[0]], "it did not overtake"
    assert last[stream_id] < last[streams[1]], "what was requested goes first all the same"
    assert all(rig.raw.stream(one).fin for one in streams)
    rig.expect_alive()


@pytest.mark.parametrize("ending", ["acknowledged", "cancelled", "cancelled by the client", "forgotten"])
@pytest.mark.rfc("PRI-7.2-03")
def test_for_a_push_that_is_over_it_is_ignored(ending):
    """PRIORITY_UPDATE for a finished or cancelled push is ignored, and nothing of it is kept."""
    rig = PushServerRig(max_push_id=9)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised())
    if ending == "cancelled":
        rig.core.cancel_push(0)
    elif ending == "cancelled by the client":
        rig.tell("03 01 00")
    else:
        rig.finish(rig.core.open_push_stream(0))
    if ending == "forgotten":
        rig.core._pushes._by_id.clear()
    rig.tell(update(0), update(0, b"u=7, i"))
    assert updates(rig) == []
    assert rig.core._pushing.priorities == {}
    rig.finish(stream_id)
    rig.expect_alive()


@pytest.mark.rfc("PRI-7.2-03")
def test_an_update_for_a_promise_that_is_called_off_is_forgotten():
    """A priority kept for a push stream that never opens goes with the push."""
    rig = PushServerRig(max_push_id=9)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised())
    rig.tell(update(0))
    assert len(rig.core._pushing.priorities) == 1
    rig.tell("03 01 00")
    assert rig.core._pushing.priorities == {}
    rig.finish(stream_id)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("value", [b"", b"u=9", b"u=x", b"???", b"\xff"])
@pytest.mark.rfc("PRI-7.2-03")
def test_a_value_that_says_nothing_means_the_defaults(chunk, value):
    """An update whose value is empty, or no dictionary, means the default priority; the connection lives."""
    rig = PushServerRig(max_push_id=9, chunk=chunk)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised())
    rig.tell(update(0, b"u=1"), update(0, value))
    assert updates(rig)[-1] == PriorityUpdated(None, 0, Priority())
    rig.finish(stream_id)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("payload", [b"", b"\0u=1", b"\x40"])
@pytest.mark.rfc("PRI-7.2-04")
def test_on_a_request_stream_it_is_unexpected(chunk, payload):
    """PRIORITY_UPDATE on any stream other than the client's control stream."""
    for before in (b"", GET):
        rig = PushServerRig(max_push_id=9, chunk=chunk)
        rig.send(before, frame(PRIORITY_UPDATE_PUSH, payload))
        rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("frame_type", [PRIORITY_UPDATE_REQUEST, PRIORITY_UPDATE_PUSH])
@pytest.mark.parametrize("where", ["control", "response", "push"])
@pytest.mark.rfc("PRI-7.2-04")
def test_from_a_server_it_is_unexpected(chunk, frame_type, where):
    """Any PRIORITY_UPDATE sent by a server, on control, response and push streams."""
    for payload in (b"", b"\0u=1"):
        rig = PushClientRig(chunk=chunk)
        stream_id = rig.ask()
        rig.respond(stream_id, promise(0))
        if where == "control":
            rig.tell(frame(frame_type, payload))
        elif where == "response":
            rig.respond(stream_id, OK, frame(frame_type, payload))
        else:
            rig.push(0, OK, frame(frame_type, payload), fin=False)
        rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("written", ["80 0f 07 01 00", "80 0f 07 01 01 40", "80 0f 07 01 03 80 00 00"])
@pytest.mark.rfc("PRI-7.2-05")
def test_without_a_whole_id_it_is_a_frame_error(chunk, written):
    """PRIORITY_UPDATE for a push with a truncated or missing element ID."""
    rig = PushServerRig(max_push_id=9, chunk=chunk)
    rig.tell(written)
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


# Scheduling


@pytest.mark.rfc("PRI-10-01")
def test_pushes_neither_starve_requests_nor_are_starved():
    """20 pushes of 1 MB and one request: the request is as fast as alone, and the pushes get the rest of the link."""

    def seconds(pushes: int) -> tuple[float, float]:
        content = b"x" * 100_000

        def application(server, event):
            if isinstance(event, RequestReceived) and event.request.path == b"/":
                for number in range(pushes):
                    push_id = server.send_push_promise(event.stream_id, promised(b"/%d" % number))
                    stream_id = server.open_push_stream(push_id)
                    server.send_response(stream_id, 200, [])
                    server.send_data(stream_id, b"p" * 1_000_000, True)
                server.send_response(event.stream_id, 200, [], True)
            elif isinstance(event, RequestReceived):
                server.send_response(event.stream_id, 200, [])
                server.send_data(event.stream_id, content, True)

        rig = PushServerRig(
            max_push_id=100,
            application=application,
            link=LinkSettings(delay=0.02, rate=10_000_000),
            window=10_000_000,
        )
        rig.send(request("GET", "/"), fin=True)
        rig.advance(0.2)
        begun = rig.pair.now
        wanted = rig.send(request("GET", "/wanted"), fin=True)
        rig.run()
        arrived = [one.at for one in rig.raw.log if one.stream_id == wanted and one.what == "data"]
        assert rig.raw.stream(wanted).fin
        assert all(rig.raw.stream(stream_id).fin for stream_id in rig.push_streams().values())
        return arrived[0] - begun, arrived[-1] - begun

    alone, crowded = seconds(0), seconds(20)
    packet = 2 * 1_200 * 8 / 10_000_000
    assert crowded[0] <= alone[0] + packet
    assert crowded[1] <= alone[1] + packet


@pytest.mark.rfc("PRI-5-01")
def test_the_priority_of_a_promise_orders_the_pushes():
    """A Priority field in the promised request sets the initial priority of that push, below every request."""
    rig = PushServerRig(max_push_id=9)
    stream_id = rig.ask("/", ("priority", "u=7, i"))
    by_urgency = {}
    for push_id, value in enumerate([b"u=6", b"u=0", b"u=3, i", b"", b"nonsense ?"]):
        fields = [(b"priority", value)] if value else []
        assert rig.core.send_push_promise(stream_id, promised(b"/%d" % push_id, fields)) == push_id
        by_urgency[push_id] = rig.core.open_push_stream(push_id)
    rig.run()
    numbers = {push_id: rig.raw.priorities[one] for push_id, one in by_urgency.items()}
    assert numbers[1] > numbers[3] > numbers[4] > numbers[2] > numbers[0]
    assert rig.raw.priorities[stream_id] > max(numbers.values())
    for one in by_urgency.values():
        rig.finish(one)
    rig.finish(stream_id)
    rig.expect_alive()


@pytest.mark.rfc("PRI-5-01")
def test_the_server_may_set_another_priority():
    """What the server says at the opening comes before the promised request's; what the client says comes before both."""
    rig = PushServerRig(max_push_id=9)
    stream_id = rig.ask()
    for number in range(3):
        rig.core.send_push_promise(stream_id, promised(b"/%d" % number, [(b"priority", b"u=5")]))
    rig.tell(update(2, b"u=1"))
    opened = [rig.core.open_push_stream(push_id, Priority(6) if push_id else None) for push_id in range(3)]
    numbers = [rig.raw.priorities[one] for one in opened]
    assert numbers[2] > numbers[0] > numbers[1]
    rig.core.set_priority(opened[1], Priority(0))
    assert rig.raw.priorities[opened[1]] > numbers[2]
    for one in (*opened, stream_id):
        rig.finish(one)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("PRI-5-01")
def test_the_client_sees_the_priority(chunk):
    """A Priority field in the promised request, or in the pushed response, is visible to the client's application."""
    rig = PushClientRig(chunk=chunk)
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/p")]
    rig.respond(rig.ask(), encoded_promise(0, section(*pseudo, ("priority", "u=6"))))
    rig.push(0, response("200", ("priority", "u=1, i")))
    (told,) = [event for event in rig.events if isinstance(event, PushPromiseReceived)]
    assert list(told.request.fields) == [(b"priority", b"u=6")]
    (answered,) = [event for event in rig.events if isinstance(event, ResponseReceived)]
    assert answered.response.fields == [(b"priority", b"u=1, i")]
    rig.expect_alive()


# The client sends it


@pytest.mark.rfc("PRI-7.2-01", "PRI-7.2-02", "PRI-7.2-03")
def test_a_client_prioritises_what_was_promised_only():
    """The client's PRIORITY_UPDATE for a push names one that was promised and is under way; others are local errors."""
    rig = PushClientRig()
    stream_id = rig.ask()
    rig.respond(stream_id, promise(0, "/0"), promise(1, "/1"))
    rig.push(2, OK, fin=False)
    rig.push(1, reply())
    for unknown in (1, 2, 3, 8, LARGEST_VARINT):
        with pytest.raises(LocalProtocolError):
            rig.core.send_priority_update(Priority(1), push_id=unknown)
    with pytest.raises(LocalProtocolError):
        rig.core.send_priority_update(Priority(1))
    with pytest.raises(LocalProtocolError):
        rig.core.send_priority_update(Priority(1), push_id=0, stream_id=stream_id)
    rig.core.send_priority_update(Priority(1, incremental=True), push_id=0)
    rig.core.send_priority_update(Priority(2), stream_id=stream_id)
    rig.run()
    control = [one for one in read_frames(rig.own_stream(0) or b"") if one.type >= 0xF0000]
    assert [(one.type, read_varint(one.payload)[0], one.payload[1:]) for one in control] == [
        (PRIORITY_UPDATE_PUSH, 0, b"u=1, i"),
        (PRIORITY_UPDATE_REQUEST, stream_id, b"u=2"),
    ]
    assert not [event for event in rig.events if isinstance(event, DataReceived) and event.push_id == 2]
    rig.expect_alive()
