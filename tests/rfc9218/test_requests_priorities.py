"""Priorities of requests (RFC 9218)."""

import pytest

from conformance.support import (
    GET,
    GREASE_FRAME,
    LARGEST_VARINT,
    ClientRig,
    ServerRig,
    both_roles,
    frame,
    head,
    request,
    silent,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import Event, PriorityUpdated, RequestReceived
from h3push.h3.server import H3ServerConnection
from h3push.h3.urgency import CRITICAL_PRIORITY, transport_priority
from h3push.http.priority import Priority
from h3push.testing.memory import LinkSettings, MemorySettings


def update(stream_id: int, value: bytes) -> bytes:
    """A PRIORITY_UPDATE frame for a request."""
    return frame(0xF0700, varint(stream_id) + value)


def number(urgency: int, stream_id: int, incremental: bool = False) -> int:
    """What the transport is told for a requested stream."""
    return transport_priority(Priority(urgency, incremental), order=stream_id >> 2, pushed=False)


@pytest.mark.rfc("PRI-4-01")
@pytest.mark.parametrize(
    ("value", "urgency", "incremental"),
    [
        ("u=0", 0, False),
        ("u=7, i", 7, True),
        ("i", 3, True),
        ("i=?0, u=5", 5, False),
        ("u=8", 3, False),
        ("u=-1", 3, False),
        ("u=1.5", 3, False),
        ("u=a", 3, False),
        ("i=1", 3, False),
        ("u=2;x, foo, bar=(1 2)", 2, False),
        ("u=2, u=4", 4, False),
        ("", 3, False),
        ("u=", 3, False),
        ("u=1,,", 3, False),
    ],
)
def test_the_priority_field(value: str, urgency: int, incremental: bool) -> None:
    """Its two parameters; what is unknown, out of range or of a wrong type is ignored, and so is what is no dictionary."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("GET", "/", ("priority", value)), fin=True)
    rig.run()
    assert rig.raw.priorities[stream_id] == number(urgency, stream_id, incremental)
    rig.expect_alive()


@pytest.mark.rfc("PRI-7-01")
@pytest.mark.parametrize("value", [b"u=", b"\xff\xfe", b"u=1;;", b"=", b"u=1" + b" " * 2_000 + b"x"])
def test_an_update_that_cannot_be_parsed_means_the_defaults(value: bytes) -> None:
    """It is no reason to end anything."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("GET", "/", ("priority", "u=0")), fin=True)
    rig.run()
    rig.control(update(stream_id, value))
    rig.run()
    assert rig.raw.priorities[stream_id] == number(3, stream_id)
    rig.expect_alive()


@pytest.mark.rfc("PRI-7-02")
@ways_to_arrive
def test_the_last_update_wins_over_the_field(chunk: int | None) -> None:
    """Before the stream is there, before its header section is complete, and after."""
    rig = ServerRig(application=silent, chunk=chunk)
    rig.control(update(0, b"u=6"), update(0, b"u=1, i"), update(8, b"u=5"))
    rig.run()
    early = rig.send(request("GET", "/", ("priority", "u=7")), fin=True)
    rig.run()
    assert rig.raw.priorities[early] == number(1, early, incremental=True)
    half = rig.send(GET[:5])
    rig.run()
    rig.control(update(half, b"u=2"))
    rig.run()
    rig.write(half, GET[5:], fin=True)
    rig.run()
    assert rig.raw.priorities[half] == number(2, half)
    rig.control(update(half, b"u=0"))
    assert rig.run()[-1] == PriorityUpdated(half, None, Priority(0))
    assert rig.raw.priorities[half] == number(0, half)
    rig.expect_alive()


@pytest.mark.rfc("PRI-7-02")
@pytest.mark.parametrize("limit", [0, 1, 128])
def test_updates_for_streams_to_come_are_kept_within_a_bound(limit: int) -> None:
    """The oldest is dropped first; an update renews its place."""
    rig = ServerRig(H3Config(max_request_streams_buffered_priorities=limit), application=silent, streams=300)
    rig.control(*(update(4 * index, b"u=1") for index in range(200)), update(0, b"u=2"))
    streams = [rig.send(GET, fin=True) for _ in range(201)]
    rig.run()
    changed = [stream_id for stream_id in streams if rig.raw.priorities[stream_id] != number(3, stream_id)]
    kept = ([0] if limit else []) + [4 * index for index in range(200 - max(0, limit - 1), 200)]
    assert changed == kept
    rig.expect_alive()


@pytest.mark.rfc("PRI-7.2-06")
@both_roles
@pytest.mark.parametrize("after_headers", [False, True])
@pytest.mark.parametrize("sent", [update(0, b"u=1"), varint(0xF0700), varint(0xF0700) + b"\0"])
@ways_to_arrive
def test_updates_belong_on_the_clients_control_stream(
    make_rig: type, after_headers: bool, sent: bytes, chunk: int | None
) -> None:
    """On a request stream they are unexpected, in both directions."""
    rig = make_rig(chunk=chunk)
    rig.send(rig.message if after_headers else b"", sent)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("PRI-7.2-06")
@pytest.mark.parametrize("sent", [update(0, b"u=1"), varint(0xF0700)])
def test_a_server_sends_no_update(sent: bytes) -> None:
    """On its control stream it is unexpected too."""
    rig = ClientRig()
    rig.control(GREASE_FRAME, sent)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("PRI-7.2-07")
@pytest.mark.parametrize("stream_id", [1, 2, 3, 5, 7, LARGEST_VARINT])
def test_an_update_names_a_request_stream(stream_id: int) -> None:
    """Any other stream ID ends the connection."""
    rig = ServerRig()
    rig.control(update(stream_id, b"u=1"))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("PRI-7.2-08")
def test_an_update_far_beyond_the_streams_is_harmless() -> None:
    """2^62-4 is a request stream; an error is not asked for, and the bound holds."""
    rig = ServerRig()
    rig.control(update(LARGEST_VARINT - 3, b"u=1"))
    rig.expect_alive()


@pytest.mark.rfc("PRI-7.2-09")
@pytest.mark.parametrize("how", ["answered", "reset", "rejected"])
def test_an_update_for_a_stream_that_is_over_is_ignored(how: str) -> None:
    """Nothing is told and nothing is kept."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=how == "answered")
    rig.run()
    if how == "answered":
        rig.core.send_response(stream_id, 200, [], end_stream=True)
    elif how == "reset":
        rig.raw.reset(stream_id, 0)
        rig.run()
        rig.core.reset_stream(stream_id, 0x10C)
    else:
        rig.core.reject_request(stream_id)
    rig.run()
    before = dict(rig.raw.priorities)
    rig.control(update(stream_id, b"u=0"))
    assert rig.run() == []
    assert rig.raw.priorities == before
    assert not rig.core._arrivals.early_priorities
    rig.expect_alive()


@pytest.mark.rfc("PRI-7.2-10")
@pytest.mark.parametrize("payload", ["", "40", "80 00 00", "c0 00 00 00 00 00 00"])
@ways_to_arrive
def test_an_update_cut_inside_its_element(payload: str, chunk: int | None) -> None:
    """A layout error."""
    rig = ServerRig(chunk=chunk)
    rig.control(frame(0xF0700, payload))
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@pytest.mark.rfc("PRI-7.2-10")
def test_an_empty_update_means_the_defaults() -> None:
    """No field value: u=3, not incremental."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("GET", "/", ("priority", "u=0, i")), fin=True)
    rig.run()
    rig.control(update(stream_id, b""))
    rig.run()
    assert rig.raw.priorities[stream_id] == number(3, stream_id)
    rig.expect_alive()


def finishing_order(*priorities: str) -> list[int]:
    """In which order responses of 30 KB to requests with these priorities end, on a slow link."""
    rig = ServerRig(application=silent, memory=MemorySettings(link=LinkSettings(rate=1_000_000)))
    streams = [rig.send(request("GET", "/", ("priority", value)), fin=True) for value in priorities]
    rig.run()
    for stream_id in streams:
        rig.core.send_response(stream_id, 200, [])
        rig.core.send_data(stream_id, b"x" * 30_000, end_stream=True)
    rig.run()
    last = {record.stream_id: index for index, record in enumerate(rig.raw.log) if record.what == "data"}
    return [streams.index(stream_id) for stream_id in sorted(streams, key=lambda known: last[known])]


@pytest.mark.rfc("PRI-10-02")
def test_lower_urgency_goes_first_and_equals_in_order() -> None:
    """U decides; within one u, non-incremental responses go one after the other in stream order."""
    assert finishing_order("u=5", "u=1", "u=3", "u=0") == [3, 1, 2, 0]
    assert finishing_order("", "", "", "") == [0, 1, 2, 3]
    assert finishing_order("u=3", "u=2", "u=3", "u=2") == [1, 3, 0, 2]


@pytest.mark.rfc("PRI-10-02")
def test_incremental_responses_share() -> None:
    """Side by side: all have begun before the first has ended."""
    rig = ServerRig(application=silent, memory=MemorySettings(link=LinkSettings(rate=1_000_000)))
    streams = [rig.send(request("GET", "/", ("priority", "i")), fin=True) for _ in range(4)]
    rig.run()
    for stream_id in streams:
        rig.core.send_response(stream_id, 200, [])
        rig.core.send_data(stream_id, b"x" * 30_000, end_stream=True)
    rig.run()
    order = [record.stream_id for record in rig.raw.log if record.what == "data" and record.stream_id in streams]
    halfway = order[: len(order) // 2]
    assert all(len(order) / 10 < halfway.count(stream_id) < len(order) / 6 for stream_id in streams)


@pytest.mark.rfc("PRI-10-02")
def test_control_streams_go_before_everything() -> None:
    """Control and QPACK streams are never behind a response."""
    rig = ServerRig(application=silent)
    for stream_type in (0x00, 0x02, 0x03):
        assert rig.raw.priorities[rig.own_stream_id(stream_type)] == CRITICAL_PRIORITY
    assert number(0, 0) < CRITICAL_PRIORITY
    assert rig.core.open_message_streams == 0


def test_the_server_may_decide_otherwise() -> None:
    """`set_priority` overrides what the client asked for; a later update of the client applies again."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("GET", "/", ("priority", "u=7")), fin=True)
    rig.run()
    rig.core.set_priority(stream_id, Priority(1, incremental=True))
    assert rig.raw.priorities[stream_id] == number(1, stream_id, incremental=True)
    rig.control(update(stream_id, b"u=5"))
    rig.run()
    assert rig.raw.priorities[stream_id] == number(5, stream_id)
    with pytest.raises(LocalProtocolError):
        rig.core.set_priority(400, Priority())


@pytest.mark.rfc("PRI-7-02")
def test_a_client_sends_the_field_and_updates() -> None:
    """With the request, and later on its control stream; a real server applies both."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(), priority=Priority(5, incremental=True))
    rig.core.send_priority_update(Priority(1), stream_id=stream_id)
    with pytest.raises(LocalProtocolError):
        rig.core.send_priority_update(Priority(1))
    with pytest.raises(LocalProtocolError):
        rig.core.send_priority_update(Priority(1), stream_id=stream_id, push_id=0)
    rig.run()
    assert rig.request(stream_id)[0][0][-1] == (b"priority", b"u=5, i")
    assert [frame for frame in rig.control_frames() if frame.type == 0xF0700] == [(0xF0700, b"\0u=1")]


def test_priorities_do_not_change_what_is_sent() -> None:
    """The same responses, in whatever order."""

    def application(server: H3ServerConnection, event: Event) -> None:
        if isinstance(event, RequestReceived):
            server.send_response(event.stream_id, 200, [])
            server.send_data(event.stream_id, (event.request.path or b"") * 1_000, end_stream=True)

    rig = ServerRig(application=application)
    streams = [rig.send(request("GET", f"/{index}", ("priority", f"u={index}")), fin=True) for index in range(8)]
    rig.control(*(update(stream_id, b"u=0, i") for stream_id in streams))
    rig.run()
    assert [rig.response(stream_id)[1] for stream_id in streams] == [b"/%d" % index * 1_000 for index in range(8)]


@pytest.mark.rfc("PRI-4-01")
def test_two_priority_lines_are_one_dictionary() -> None:
    """Field lines of one name combine (RFC 9110 section 5.3): what the second line does not name, the first one says."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("GET", "/", ("priority", "u=1"), ("x", "y"), ("priority", "i")), fin=True)
    other_id = rig.send(request("GET", "/", ("priority", "u=1, i"), ("priority", "u=6")), fin=True)
    rig.run()
    assert rig.raw.priorities[stream_id] == number(1, stream_id, incremental=True)
    assert rig.raw.priorities[other_id] == number(6, other_id, incremental=True)
    rig.expect_alive()


@pytest.mark.parametrize("late_is_whole", [True, False])
def test_an_update_waits_for_a_request_that_later_ones_overtook(late_is_whole: bool) -> None:
    """PRIORITY_UPDATE for a request below the highest that was seen, which has not come yet, is kept for it.

    One for a request that is over is not: it would take the place of one that counts.
    """
    rig = ServerRig(H3Config(max_request_streams_buffered_priorities=1))
    first, late, last = (rig.raw.open(unidirectional=False) for _ in range(3))
    rig.write(first, GET, fin=True)
    rig.write(last, GET, fin=True)
    rig.run()
    rig.control(update(late, b"u=0"))
    rig.run()
    rig.control(update(first, b"u=7"))
    rig.run()
    rig.write(late, GET, fin=late_is_whole)
    rig.run()
    assert rig.raw.priorities[late] == number(0, late)
    assert rig.core._arrivals.gaps == 0
    rig.expect_alive()


def test_a_request_that_was_reset_before_it_came_is_not_waited_for() -> None:
    """RESET_STREAM on a stream that nothing was heard of counts as its coming."""
    rig = ServerRig()
    late, last = (rig.raw.open(unidirectional=False) for _ in range(2))
    rig.write(last, GET, fin=True)
    rig.run()
    assert rig.core._arrivals.awaits(late)
    rig.raw.reset(late, ErrorCode.H3_REQUEST_CANCELLED)
    rig.run()
    assert rig.core._arrivals.gaps == 0
    rig.expect_alive()
