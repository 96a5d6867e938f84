"""MAX_PUSH_ID (RFC 9114 section 7.2.7): who sends it, what it means, and how it grows."""

import random
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.push_support import (
    CANCEL_PUSH,
    MAX_PUSH_ID,
    SETTINGS,
    WHOLE,
    PushClientRig,
    PushServerRig,
    answering,
    id_frame,
    is_grease,
    promised,
    push_header,
    read_varint,
    reply,
)
from conformance.support import GET, LARGEST_VARINT, OK, ServerRig, frame, promise, read_frames, ways_to_arrive
from h3push.errors import ErrorCode, NoPushCredit
from h3push.h3.config import H3Config
from h3push.h3.events import MaxPushIdReceived, RequestReceived
from h3push.h3.server import H3ServerConnection


def sent_frame_types(rig: PushClientRig | PushServerRig) -> dict[int, list[int]]:
    """Frame types by stream, of everything that the core sent on control, request and push streams."""
    found = {}
    for stream_id, stream in rig.raw.streams.items():
        encoded, start = bytes(stream.data), 0
        if stream_id & 2 and encoded:
            stream_type, start = read_varint(encoded)
            if stream_type not in (0, 1):
                continue
            if stream_type == 1:
                start = read_varint(encoded, start)[1]
        found[stream_id] = [frame_type for frame_type, _ in read_frames(encoded[start:])]
    return found


# The client's side


@pytest.mark.rfc("H3-7.2.7-01")
def test_a_client_sends_it_on_its_control_stream_after_settings():
    """MAX_PUSH_ID is only ever emitted on the client control stream, after SETTINGS."""
    rig = PushClientRig(pushes=2)
    for push_id in range(5):
        rig.promise_and_push(push_id)
    control = [kind for kind, _ in rig.control_frames() if not is_grease(kind)]
    assert control[:2] == [SETTINGS, MAX_PUSH_ID]
    assert control.count(MAX_PUSH_ID) == 6
    carriers = [stream_id for stream_id, kinds in sent_frame_types(rig).items() if MAX_PUSH_ID in kinds]
    assert carriers == [rig.own_stream_id(0)]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("payload", ["01 05", "00", "02 05 05"])
@pytest.mark.rfc("H3-7.2.7-03")
def test_on_a_response_stream_it_is_unexpected(chunk, payload):
    """MAX_PUSH_ID on a response stream is illegal, whatever its payload."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), "0d", payload)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.7-03")
def test_behind_a_response_it_is_unexpected():
    """MAX_PUSH_ID on a response stream is illegal, after HEADERS too."""
    rig = PushClientRig()
    rig.respond(rig.ask(), OK, "0d 01 05")
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("before", [b"", OK])
@pytest.mark.rfc("H3-7.2.7-03")
def test_on_a_push_stream_it_is_unexpected(chunk, before):
    """MAX_PUSH_ID on a promised push stream is illegal, before and after HEADERS."""
    rig = PushClientRig(chunk=chunk)
    rig.respond(rig.ask(), promise(0))
    rig.push(0, before, "0d 01 05", fin=False)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("pushes", [None, 4])
@pytest.mark.rfc("H3-7.2.7-04")
def test_from_a_server_it_is_unexpected(chunk, pushes):
    """A MAX_PUSH_ID arriving on the server's control stream is illegal: only clients send it."""
    rig = PushClientRig(pushes, chunk=chunk)
    rig.tell("0d 01 00")
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.parametrize("pushes", [1, 2, 9])
@pytest.mark.rfc("H3-7.2.7-10")
def test_the_largest_granted_id_may_be_used(pushes):
    """The client's check is inclusive: an ID equal to the advertised maximum is legal on promise, stream and CANCEL_PUSH."""
    rig = PushClientRig(pushes)
    assert rig.limits == [pushes - 1]
    rig.promise_and_push(pushes - 1)
    assert rig.pushed(pushes - 1) == WHOLE
    rig.expect_alive()

    rig = PushClientRig(pushes)
    rig.tell(id_frame(CANCEL_PUSH, pushes - 1))
    rig.expect_alive()


@pytest.mark.parametrize("ending", ["complete", "cancelled by the server", "cancelled by us", "reset", "refused"])
@pytest.mark.rfc("H3-7.2.7-15", "H3-7.2.3-19")
def test_credit_comes_back_when_all_permitted_pushes_end_in_one_flight(ending):
    """The client raises the maximum as pushes finish, are cancelled, refused or reset, and never stalls when all end at once."""
    rig = PushClientRig(pushes=3)
    request = rig.ask()
    if ending == "refused":
        for push_id in range(3):
            rig.write(request, promise(push_id, host="other.test"))
    else:
        rig.write(request, *(promise(push_id) for push_id in range(3)))
    if ending == "cancelled by us":
        rig.run()
        for push_id in range(3):
            rig.core.cancel_push(push_id)
    for push_id in range(3):
        if ending == "cancelled by the server":
            rig.control(id_frame(CANCEL_PUSH, push_id))
        elif ending in ("complete", "reset"):
            stream_id = rig.uni(push_header(push_id), reply(b"pushed"), fin=ending == "complete")
            if ending == "reset":
                rig.run()
                rig.raw.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    rig.run()
    assert rig.limits == [2, 3, 4, 5]
    rig.promise_and_push(5)
    assert rig.pushed(5) == WHOLE
    assert rig.core.pushes_under_way == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.7-16")
@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(1, 5), st.booleans(), st.integers(0, 2**32))
def test_the_maximum_never_goes_back(pushes, release_pushes, seed):
    """The client never sends a smaller value than before, under any sequence of what the API and the server can do."""
    rig = PushClientRig(pushes, release_pushes=release_pushes)
    choice = random.Random(seed)
    ended: set[int] = set()
    for _ in range(25):
        what = choice.choice(["promise", "push", "cancel", "server cancels", "release", "goaway", "time"])
        push_id = choice.randint(0, rig.core.max_push_id or 0)
        if what == "promise":
            rig.respond(rig.ask() if not rig.core.is_shutting_down else 0, promise(push_id, f"/{push_id}"))
        elif what == "push" and push_id not in ended:
            ended.add(push_id)
            rig.push(push_id, reply())
        elif what == "cancel" and push_id in rig.promised():
            rig.core.cancel_push(push_id)
        elif what == "server cancels":
            rig.tell(id_frame(CANCEL_PUSH, push_id))
        elif what == "release":
            rig.core.release_push(push_id)
        elif what == "goaway" and choice.random() < 0.1:
            rig.core.send_goaway()
        elif what == "time":
            rig.advance(choice.choice([1, 11, 61]))
        rig.run()
        assert rig.limits == sorted(set(rig.limits)), "it went back, or said nothing new"
        assert rig.core.pushes_granted_and_unfinished <= pushes
        assert rig.limits[-1] == rig.core.max_push_id
    rig.expect_open()


@pytest.mark.rfc("H3-7.2.7-17")
@pytest.mark.parametrize("pushes", [None, 0])
def test_without_push_no_maximum_is_sent(pushes):
    """With push disabled (the default) no MAX_PUSH_ID is sent at all."""
    assert H3Config().max_concurrent_pushes is None
    rig = PushClientRig(pushes)
    for _ in range(3):
        rig.expect_alive()
    rig.core.send_goaway()
    rig.run()
    assert all(MAX_PUSH_ID not in kinds for kinds in sent_frame_types(rig).values())
    assert rig.core.max_push_id is None


# The server's side


@ways_to_arrive
@pytest.mark.parametrize("payload", ["01 00", "00", "02 00 00"])
@pytest.mark.parametrize("enable_push", [True, False])
@pytest.mark.rfc("H3-7.2.7-02")
def test_on_a_request_stream_it_is_unexpected(chunk, payload, enable_push):
    """MAX_PUSH_ID on a request stream is illegal before HEADERS, whatever its payload."""
    rig = PushServerRig(H3Config(enable_push=enable_push), chunk=chunk)
    rig.send("0d", payload)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.parametrize("payload", ["01 00", "00"])
@pytest.mark.rfc("H3-7.2.7-02")
def test_behind_a_request_it_is_unexpected(payload):
    """MAX_PUSH_ID on a request stream is illegal after HEADERS."""
    rig = PushServerRig(max_push_id=3)
    rig.send(GET, "0d", payload)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.7-05")
def test_a_server_never_sends_it():
    """A server never generates MAX_PUSH_ID; the API offers no way to do it."""
    assert not hasattr(H3ServerConnection, "release_push")
    assert not [name for name in vars(H3ServerConnection) if "grant" in name]
    assert getattr(H3ServerConnection.max_push_id, "fset", None) is None
    rig = PushServerRig(max_push_id=5, application=answering)
    rig.expect_alive()
    request = rig.ask(fin=False)
    rig.core.send_goaway()
    rig.run()
    rig.raw.reset(request, 0x10C)
    rig.run()
    assert all(MAX_PUSH_ID not in kinds for kinds in sent_frame_types(rig).values())


@pytest.mark.parametrize(
    ("first", "second"), [(8, 7), (1, 0), (LARGEST_VARINT, 0), (LARGEST_VARINT, LARGEST_VARINT - 1)]
)
@pytest.mark.rfc("H3-7.2.7-06")
def test_a_smaller_value_is_an_id_error(first, second):
    """A value lower than one already received is an error."""
    rig = PushServerRig(max_push_id=first)
    rig.tell(id_frame(MAX_PUSH_ID, second))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.7-07")
def test_the_same_value_again_is_tolerated(chunk):
    """Repeating the same value is not a reduction."""
    rig = PushServerRig(chunk=chunk)
    rig.tell(*[id_frame(MAX_PUSH_ID, 8)] * 3)
    assert rig.core.max_push_id == 8
    assert [event for event in rig.events if isinstance(event, MaxPushIdReceived)] == [MaxPushIdReceived(8)]
    request = rig.ask()
    assert rig.core.send_push_promise(request, promised()) == 0
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.7-08")
def test_unset_is_not_zero():
    """The limit starts unset, which is different from 0: no promise and no push stream before the first MAX_PUSH_ID."""
    rig = PushServerRig()
    assert rig.core.max_push_id is None
    assert rig.core.push_allowance() == 0
    request = rig.ask()
    with pytest.raises(NoPushCredit, match="not allowed any push"):
        rig.core.send_push_promise(request, promised())
    assert rig.core.push_counters.refused.total() == 1
    rig.finish(request)
    assert rig.status(request) == 200
    assert rig.promised_ids() == []
    assert rig.push_streams() == {}
    assert rig.cancelled == []
    rig.expect_alive()


@pytest.mark.parametrize("limit", [0, 1, 3])
@pytest.mark.rfc("H3-7.2.7-09")
def test_the_limit_is_inclusive(limit):
    """The value is the largest usable ID: N permits N + 1 pushes, so that 0 permits exactly push ID 0."""
    rig = PushServerRig(max_push_id=limit)
    request = rig.ask()
    assert rig.core.push_allowance() == limit + 1
    assert [rig.core.send_push_promise(request, promised()) for _ in range(limit + 1)] == list(range(limit + 1))
    assert rig.core.push_allowance() == 0
    with pytest.raises(NoPushCredit):
        rig.core.send_push_promise(request, promised())
    for push_id in range(limit + 1):
        rig.finish(rig.core.open_push_stream(push_id))
    rig.finish(request)
    assert rig.promised_ids() == list(range(limit + 1))
    assert sorted(rig.push_streams()) == list(range(limit + 1))
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.7-11")
def test_a_raised_limit_takes_effect_at_once():
    """A raised limit takes effect at once and releases pushes that were waiting for credit, without using an ID again."""
    wanted = [b"/a", b"/b", b"/c", b"/d"]
    used = []

    def application(server, event):
        if isinstance(event, RequestReceived) or (isinstance(event, MaxPushIdReceived) and used):
            while wanted and server.push_allowance():
                used.append(server.send_push_promise(0, promised(wanted.pop(0))))

    rig = PushServerRig(max_push_id=0)
    rig.application = application
    request = rig.ask()
    assert request == 0
    assert used == [0]
    rig.tell(id_frame(MAX_PUSH_ID, 3))
    assert used == [0, 1, 2, 3]
    rig.finish(request)
    assert [(push_id, dict(fields)[b":path"]) for push_id, fields in rig.promises(0)] == [
        (0, b"/a"),
        (1, b"/b"),
        (2, b"/c"),
        (3, b"/d"),
    ]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.7-12")
def test_the_whole_range_is_handled():
    """2^62-1 is handled with no overflow, pre-allocation or O(N) work."""
    rig = PushServerRig()
    begun = time.perf_counter()
    before = sys.getsizeof(rig.core._pushes._by_id)
    rig.tell("0d 08 ff ff ff ff ff ff ff ff")
    assert rig.core.max_push_id == LARGEST_VARINT
    assert rig.core.push_allowance() > 0
    request = rig.ask()
    assert rig.core.send_push_promise(request, promised()) == 0
    rig.finish(rig.core.open_push_stream(0), b"pushed")
    assert sys.getsizeof(rig.core._pushes._by_id) < before + 1_000
    assert time.perf_counter() - begun < 5
    assert rig.pushed_body(0) == b"pushed"
    rig.finish(request)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize(
    "written",
    ["0d 00", "0d 01 40", "0d 02 05 ff", "0d 02 80 00", "0d 04 c0 00 00 00", "0d 09 c0 00 00 00 00 00 00 05 00"],
)
@pytest.mark.parametrize("enable_push", [True, False])
@pytest.mark.rfc("H3-7.2.7-13", "H3-7.2.7-19")
def test_the_payload_is_exactly_one_varint(chunk, written, enable_push):
    """Empty, truncated and trailing-byte payloads are layout errors, with push on and off."""
    rig = PushServerRig(H3Config(enable_push=enable_push), chunk=chunk)
    rig.tell(written)
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@ways_to_arrive
@pytest.mark.parametrize("written", ["0d 01 05", "0d 02 40 05", "0d 04 80 00 00 05", "0d 08 c0 00 00 00 00 00 00 05"])
@pytest.mark.rfc("H3-7.2.7-14")
def test_every_encoding_of_the_value_is_accepted(chunk, written):
    """Non-minimal varint encodings of the value are accepted."""
    rig = PushServerRig(chunk=chunk)
    rig.tell(written)
    assert rig.core.max_push_id == 5
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize(
    "header", ["01 03", "40 01 40 03", "80 00 00 01 80 00 00 03", "c0 00 00 00 00 00 00 01 c0 00 00 00 00 00 00 03"]
)
@pytest.mark.rfc("H3-7.2.7-14")
def test_every_encoding_of_a_push_id_is_accepted(chunk, header):
    """Non-minimal varint encodings of any push ID are accepted: promise, push stream and CANCEL_PUSH."""
    rig = PushClientRig(chunk=chunk)
    encoded = promise(3)[2:] if promise(3)[1] < 0x40 else promise(3)[3:]
    rig.respond(rig.ask(), frame(0x05, b"\x80\0\0" + encoded))
    assert rig.promised() == [3]
    rig.uni(header, reply(b"pushed"), fin=True)
    rig.run()
    assert rig.pushed(3) == WHOLE
    rig.tell("03 04 80 00 00 03")
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.7-18")
def test_as_the_first_frame_it_is_a_missing_settings_error(chunk):
    """MAX_PUSH_ID as the very first control frame is a missing-SETTINGS error."""
    rig = ServerRig(chunk=chunk, greet=False)
    rig.control("0d 01 01", settings=None)
    rig.expect_close(ErrorCode.H3_MISSING_SETTINGS)


@pytest.mark.rfc("H3-7.2.7-19")
def test_with_push_switched_off_it_is_still_checked():
    """A server with push switched off still parses and validates MAX_PUSH_ID and otherwise ignores it."""
    rig = PushServerRig(H3Config(enable_push=False), max_push_id=8)
    assert not [event for event in rig.events if isinstance(event, MaxPushIdReceived)]
    request = rig.ask()
    assert rig.core.push_allowance() == 0
    with pytest.raises(NoPushCredit, match="switched off"):
        rig.core.send_push_promise(request, promised())
    rig.finish(request)
    assert rig.promised_ids() == []
    rig.expect_alive()
    rig.tell(id_frame(MAX_PUSH_ID, 7))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-7.2.7-11")
@pytest.mark.parametrize(("pushes", "steps"), [(1, [0]), (2, [0, 1]), (10, [8, 9])])
def test_a_moving_limit_can_show_itself_at_once(pushes: int, steps: list[int]) -> None:
    """A limit that is granted in two steps tells the server that it moves; one frame alone says nothing about that."""
    rig = PushClientRig(pushes, grant_in_two_steps=True)
    assert rig.limits == steps
    server = PushServerRig(max_push_id=steps[0])
    assert not server.core.push_limit_moves
    for step in steps[1:]:
        server.tell(id_frame(MAX_PUSH_ID, step))
    assert server.core.push_limit_moves is (len(steps) > 1)
