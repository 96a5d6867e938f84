"""Push streams as a server opens them, and refuses them (RFC 9114 sections 4.6, 6.2 and 6.2.2)."""

import pytest

from conformance.push_support import (
    CANCEL_PUSH,
    CANCELLED,
    DATA,
    HEADERS,
    PushServerRig,
    id_frame,
    promised,
)
from conformance.support import ServerRig, read_varint, ways_to_arrive
from h3push.errors import ErrorCode, LocalProtocolError, NoPushCredit, NoStreamCredit, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy, PushCancelled, RequestReceived, StreamCreditReceived


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-01")
def test_a_push_is_answered_on_a_unidirectional_stream(chunk):
    """A push is fulfilled on a server-initiated unidirectional stream: 0x01, push ID, then the frames of one response."""
    rig = PushServerRig(max_push_id=100, chunk=chunk)
    request = rig.ask()
    for push_id in range(66):
        rig.core.send_push_promise(request, promised(b"/%d" % push_id))
    for push_id in (65, 0, 64, 63):
        stream_id = rig.core.open_push_stream(push_id)
        assert stream_id % 4 == 3
        rig.core.send_response(stream_id, 200, [(b"x-push", b"%d" % push_id)])
        rig.core.send_data(stream_id, b"pushed")
        rig.core.send_trailers(stream_id, [(b"x-sum", b"1")])
        rig.run()
        stream = rig.raw.stream(stream_id)
        assert read_varint(bytes(stream.data)) == (1, 1)
        assert read_varint(bytes(stream.data), 1)[0] == push_id
        assert [kind for kind, _ in rig.pushed_frames(push_id)] == [HEADERS, DATA, HEADERS]
        assert rig.pushed_body(push_id) == b"pushed"
        assert stream.fin
    rig.finish(request)
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(("status", "content"), [(200, b"pushed"), (200, b""), (404, b"x" * 20_000), (204, b"")])
@pytest.mark.parametrize("settings", ["", "01 50 00 07 10"], ids=["static", "dynamic table"])
@pytest.mark.rfc("H3-6.2.2-01")
def test_a_whole_push_is_the_same_as_one_in_steps(chunk, method, status, content, settings):
    """Header, HEADERS, DATA and FIN in one write are what the separate calls send."""
    rig = PushServerRig(max_push_id=100, chunk=chunk, settings=settings)
    request = rig.ask()
    fields = [(b"x-push", b"1"), (b"content-type", b"text/plain")]
    for _ in range(4):  # the third time, sections are remembered
        steps, whole = (rig.core.send_push_promise(request, promised(method=method)) for _ in range(2))
        stream_id = rig.core.open_push_stream(steps)
        rig.core.send_whole_response(stream_id, status, fields, content)
        other = rig.core.send_whole_push(whole, status, fields, content)
        assert other == stream_id + 4
        assert rig.core.pushes_under_way == 2, "nothing was acknowledged yet"
        rig.run()
        frames, expected = rig.pushed_frames(whole), rig.pushed_frames(steps)
        assert [kind for kind, _ in frames] == [kind for kind, _ in expected]
        assert frames == expected or settings
        assert rig.pushed_body(whole) == (b"" if method == b"HEAD" else content)
        assert rig.raw.stream(other).fin
    assert rig.core.pushes_under_way == 0
    assert rig.core.push_counters.fulfilled == 8
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.parametrize(
    "settings", ["", "01 50 00 07 10", "06 40 fa"], ids=["static", "dynamic table", "small sections"]
)
@pytest.mark.parametrize("content", [b"hello", b"", b"x" * 20_000], ids=["small", "empty", "large"])
@pytest.mark.rfc("H3-6.2.2-01")
def test_a_whole_push_that_cannot_be_sent_opens_nothing(settings, content):
    """What is wrong with a response is found before its stream is opened, so that another can be sent instead."""
    rig = PushServerRig(max_push_id=9, streams=3 + 2, settings=settings)
    request = rig.ask()
    push_id = rig.core.send_push_promise(request, promised())
    wrong = [
        (200, [(b"bad name", b"")], LocalProtocolError),
        (200, [(b"content-length", b"9")], StreamStateError),
        (200, [(b"content-length", b"nine")], LocalProtocolError),
        (99, [], LocalProtocolError),
    ]
    if settings.startswith("06"):
        wrong.append((200, [(b"x", b"y" * 250)], LocalProtocolError))
    for status, fields, error in wrong:
        with pytest.raises(error):
            rig.core.send_whole_push(push_id, status, fields, content)
    with pytest.raises(StreamStateError):
        rig.core.send_whole_push(push_id + 1, 200, [], content)
    rig.run()
    assert rig.push_streams() == {}
    rig.core.send_whole_push(push_id, 200, [], content)
    with pytest.raises(StreamStateError):
        rig.core.send_whole_push(push_id, 200, [], content)
    rig.run()
    assert rig.pushed_body(push_id) == content
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-24")
def test_stream_credit_that_our_own_streams_use_up_is_not_promised_again():
    """A client that allows too few streams at first: the control streams take what comes, and no promise counts on it."""
    rig = PushServerRig(max_push_id=9, streams=2)
    request = rig.ask()
    assert rig.core.send_push_promise(request, promised(b"/0")) == 0
    rig.raw.end.allow_streams(True, 2 + 2)
    rig.run()
    with pytest.raises(NoStreamCredit):
        rig.core.send_push_promise(request, promised(b"/1"))
    rig.core.send_whole_push(0, 200, [], b"pushed")
    rig.finish(request)
    rig.run()
    assert sorted(rig.push_streams()) == [0]


@ways_to_arrive
@pytest.mark.parametrize("written", ["01", "01 00", "40 01", "01 00 01 00"])
@pytest.mark.parametrize("enable_push", [True, False])
@pytest.mark.parametrize("limit", ["", "0d 01 05"])
@pytest.mark.rfc("H3-6.2.2-02")
def test_from_a_client_it_is_refused_on_its_type(chunk, written, enable_push, limit):
    """A client-initiated push stream is refused as soon as the type is read, with push on and off."""
    rig = PushServerRig(H3Config(enable_push=enable_push), chunk=chunk)
    rig.tell(limit)
    rig.uni(written)
    rig.expect_close(ErrorCode.H3_STREAM_CREATION_ERROR)


@pytest.mark.parametrize("moment", ["open", "sent", "acknowledged", "cancelled"])
@pytest.mark.rfc("H3-6.2.2-07")
def test_a_push_has_one_stream(moment):
    """Each push ID is used in at most one push stream header."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    stream_id = rig.core.open_push_stream(0)
    if moment == "cancelled":
        rig.core.cancel_push(0)
    elif moment != "open":
        if moment == "sent":
            rig.raw.end.hold(stream_id)
        rig.finish(stream_id)
        assert rig.core.push_state(0).name == {"sent": "SENT", "acknowledged": "FULFILLED"}[moment]
    with pytest.raises(StreamStateError):
        rig.core.open_push_stream(0)
    for unknown in (1, 3, 4, -1):
        with pytest.raises(StreamStateError):
            rig.core.open_push_stream(unknown)
    rig.finish(request)
    assert len(rig.push_streams()) <= 1
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.rfc("H3-6.2.2-14", "EH-2-01")
def test_a_pushed_response_may_have_interim_ones(chunk):
    """A server can push 103 and then 200; after the final response there is no other."""
    rig = PushServerRig(max_push_id=3, chunk=chunk)
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    stream_id = rig.core.open_push_stream(0)
    rig.core.send_informational_response(stream_id, 103, [(b"link", b"</a>")])
    with pytest.raises(StreamStateError):
        rig.core.send_data(stream_id, b"too early")
    rig.core.send_response(stream_id, 200, [])
    for again in (rig.core.send_response, rig.core.send_informational_response):
        with pytest.raises(LocalProtocolError):
            again(stream_id, 200, [])
    with pytest.raises(StreamStateError):
        rig.core.send_informational_response(stream_id, 103, [])
    rig.core.send_data(stream_id, b"pushed", True)
    rig.run()
    sections = [rig.decode(payload, stream_id) for kind, payload in rig.pushed_frames(0) if kind == HEADERS]
    assert [dict(fields)[b":status"] for fields in sections] == [b"103", b"200"]
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-24")
def test_stream_credit_is_not_exceeded():
    """A server never exceeds the client's MAX_STREAMS: credit is asked for before the promise."""
    rig = PushServerRig(max_push_id=9, streams=3 + 2)
    request = rig.ask()
    assert rig.core.push_allowance() == 2
    assert [rig.core.send_push_promise(request, promised(b"/%d" % number)) for number in range(2)] == [0, 1]
    assert rig.core.push_allowance() == 0
    with pytest.raises(NoStreamCredit):
        rig.core.send_push_promise(request, promised(b"/2"))
    assert rig.core.push_counters.refused.total() == 1
    rig.finish(rig.core.open_push_stream(1))
    with pytest.raises(NoStreamCredit):
        rig.core.send_push_promise(request, promised(b"/2"))
    rig.finish(rig.core.open_push_stream(0))
    rig.raw.end.allow_streams(True, 3 + 4)
    assert StreamCreditReceived(True) in rig.run()
    assert [rig.core.send_push_promise(request, promised(b"/%d" % number)) for number in (2, 3)] == [2, 3]
    rig.core.cancel_push(2)
    assert rig.core.push_allowance() == 1, "a cancelled promise gives its stream back"
    assert rig.core.send_push_promise(request, promised(b"/4")) == 4
    for push_id in (4, 3):
        rig.finish(rig.core.open_push_stream(push_id))
    rig.finish(request)
    assert sorted(rig.push_streams()) == [0, 1, 3, 4]
    assert len([stream for stream in rig.raw.streams if stream % 4 == 3]) == 7
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-24")
def test_without_any_stream_credit_nothing_is_promised():
    """With room for the critical streams only, no promise goes out."""
    rig = PushServerRig(max_push_id=9, streams=3)
    request = rig.ask()
    with pytest.raises(NoStreamCredit):
        rig.core.send_push_promise(request, promised())
    rig.finish(request)
    assert rig.promised_ids() == []
    rig.expect_alive()


@pytest.mark.parametrize("moment", ["header only", "in the content", "all written"])
@pytest.mark.rfc("H3-6.2.2-26")
def test_stop_sending_ends_that_push_alone(moment):
    """STOP_SENDING from the client on a push stream is answered with RESET_STREAM; only that push ends."""
    rig = PushServerRig(max_push_id=3, window=2_000)
    rig.raw._auto_resume = False
    request = rig.ask()
    for number in range(2):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    first, second = rig.core.open_push_stream(0), rig.core.open_push_stream(1)
    rig.core.send_response(request, 200, [])
    if moment != "header only":
        rig.core.send_response(first, 200, [])
        rig.core.send_data(first, b"x" * 10_000, moment == "all written")
    rig.run()
    rig.raw.stop(first, CANCELLED)
    rig.run()
    assert first not in rig.pair.server._outgoing, "QUIC answers with RESET_STREAM"
    assert not rig.raw.stream(first).fin
    assert rig.cancellations() == [PushCancelled(0, CancelledBy.PEER, CANCELLED)]
    assert rig.core.push_counters.cancelled_by_peer == 1
    with pytest.raises(StreamStateError):
        rig.core.send_data(first, b"more")
    rig.raw.end.resume(second)
    rig.finish(second, b"second")
    rig.core.send_data(request, b"page", True)
    rig.run()
    assert rig.pushed_body(1) == b"second"
    assert rig.raw.stream(request).fin
    assert rig.cancelled == []
    rig.expect_alive()


@pytest.mark.parametrize("how", ["reset", "stopped", "ended"])
@pytest.mark.rfc("H3-6.2.2-28")
def test_a_push_outlives_its_request(how):
    """Resetting or finishing the request stream does not kill promised pushes; one may begin after the response ended."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask(fin=False)
    for number in range(2):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    first = rig.core.open_push_stream(0)
    rig.core.send_response(first, 200, [])
    rig.run()
    if how == "reset":
        rig.raw.reset(request, CANCELLED)
        rig.raw.stop(request, CANCELLED)
    elif how == "stopped":
        rig.raw.stop(request, CANCELLED)
    else:
        rig.finish(request)
    rig.run()
    rig.core.send_data(first, b"first", True)
    rig.finish(rig.core.open_push_stream(1), b"second")
    assert rig.pushed_body(0) == b"first"
    assert rig.pushed_body(1) == b"second"
    assert rig.cancelled == []
    rig.expect_alive()


@pytest.mark.parametrize("code", [ErrorCode.H3_INTERNAL_ERROR, CANCELLED])
@pytest.mark.rfc("H3-6.2.2-29", "H3-7.2.3-15")
def test_a_push_that_failed_is_reset_and_cancelled(code):
    """A push whose handler failed is reset, and CANCEL_PUSH says so; it counts as failed, as it does at the client."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    rig.core.send_push_promise(request, promised())
    stream_id = rig.core.open_push_stream(0)
    rig.core.send_response(stream_id, 200, [])
    rig.core.send_data(stream_id, b"half")
    rig.run()
    rig.core.reset_stream(stream_id, code)
    rig.run()
    assert rig.raw.stream(stream_id).reset == code
    assert not rig.raw.stream(stream_id).fin
    assert rig.cancelled == [0]
    counters = rig.core.push_counters
    assert (counters.cancelled, counters.failed) == ((1, 0) if code == CANCELLED else (0, 1))
    assert rig.core.pushes_under_way == 0
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-29")
def test_a_push_ends_with_its_response():
    """A push stream is closed with FIN right after its final response or trailers."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    endings = {}
    for number in range(3):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
        stream_id = endings[number] = rig.core.open_push_stream(number)
        rig.core.send_response(stream_id, 204 if number == 0 else 200, [], number == 0)
        if number == 1:
            rig.core.send_data(stream_id, b"x", True)
        elif number == 2:
            rig.core.send_trailers(stream_id, [(b"x", b"1")])
    rig.run()
    assert all(rig.raw.stream(stream_id).fin for stream_id in endings.values())
    rig.finish(request)
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-32")
def test_what_becomes_of_a_push_does_not_touch_the_response():
    """A failed, cancelled or refused push never changes the parent response: every failure mode gives the same bytes."""

    def parent(mischief: str) -> bytes:
        rig = PushServerRig(
            max_push_id=None if mischief == "no limit" else 3, streams=3 if mischief == "no streams" else 9
        )
        request = rig.ask()
        rig.core.send_response(request, 200, [(b"content-type", b"text/html")])
        try:
            push_id = rig.core.send_push_promise(request, promised(method=b"PUT" if mischief == "method" else b"GET"))
        except LocalProtocolError:
            push_id = None
        if push_id is not None:
            if mischief == "cancelled early":
                rig.tell(id_frame(CANCEL_PUSH, push_id))
            else:
                stream_id = rig.core.open_push_stream(push_id)
                rig.run()
                if mischief == "cancelled late":
                    rig.tell(id_frame(CANCEL_PUSH, push_id))
                elif mischief == "stopped":
                    rig.raw.stop(stream_id, CANCELLED)
                elif mischief == "failed":
                    rig.core.reset_stream(stream_id, ErrorCode.H3_INTERNAL_ERROR)
                elif mischief == "errors":
                    with pytest.raises(LocalProtocolError):
                        rig.core.send_response(stream_id, 200, [(b"bad name", b"")])
                    rig.finish(stream_id)
        rig.run()
        rig.core.send_data(request, b"<html>", True)
        rig.run()
        assert rig.raw.stream(request).fin
        frames = [one for one in rig_frames(rig, request) if one[0] in (HEADERS, DATA)]
        rig.expect_alive()
        return repr(frames).encode()

    def rig_frames(rig: PushServerRig, stream_id: int) -> list[tuple[int, bytes]]:
        sections, content = rig.response(stream_id)
        return [(HEADERS, repr(sections).encode()), (DATA, content)]

    modes = [
        "no limit",
        "no streams",
        "method",
        "cancelled early",
        "cancelled late",
        "stopped",
        "failed",
        "errors",
        "fine",
    ]
    assert len({parent(mode) for mode in modes}) == 1


@pytest.mark.rfc("ROB-04")
def test_a_request_cannot_trigger_more_pushes_than_the_limits():
    """A tiny request must not trigger unbounded pushes: push IDs and stream credit hold, and what is not read waits."""

    def application(server, event):
        if isinstance(event, RequestReceived):
            for _ in range(50):
                try:
                    push_id = server.send_push_promise(event.stream_id, promised())
                    stream_id = server.open_push_stream(push_id)
                except (NoPushCredit, NoStreamCredit):
                    break
                server.send_response(stream_id, 200, [])
                server.send_data(stream_id, b"x" * 10_000, True)
            server.send_response(event.stream_id, 200, [], True)

    rig = PushServerRig(max_push_id=1_000_000, streams=3 + 20, window=1_000, application=application)
    rig.raw._auto_resume = False
    for _ in range(100):
        rig.send(rig.message, fin=True)
    rig.run()
    assert rig.core.push_counters.promised == 20
    received = sum(len(rig.raw.stream(stream_id).data) for stream_id in rig.push_streams().values())
    assert received <= 20 * 1_000
    rig.expect_alive()


@pytest.mark.rfc("H3-6.2.2-01")
def test_content_of_pushes_is_counted():
    """What a push sends is counted, also when the transport reads it from a file."""
    rig = PushServerRig(max_push_id=3)
    request = rig.ask()
    for number in range(2):
        rig.core.send_push_promise(request, promised(b"/%d" % number))
    stream_id = rig.core.open_push_stream(0)
    rig.core.send_response(stream_id, 200, [])
    rig.core.send_data(stream_id, b"12345")
    assert rig.core.send_data_header(stream_id, 3, end_stream=True)
    rig.pair.server.write(stream_id, b"678", True)
    rig.run()
    assert rig.pushed_body(0) == b"12345678"
    assert rig.core.push_counters.content_bytes == 8
    rig.core.send_whole_response(rig.core.open_push_stream(1), 200, [], b"whole")
    rig.run()
    assert rig.pushed_body(1) == b"whole"
    assert rig.raw.stream(rig.push_streams()[1]).fin
    assert rig.core.push_counters.content_bytes == 13
    rig.finish(request)
    rig.expect_alive()


def test_the_plain_rig_refuses_push_streams_too():
    """Without any SETTINGS from the client, the type alone decides."""
    rig = ServerRig(greet=False)
    rig.uni("01")
    rig.expect_close(ErrorCode.H3_STREAM_CREATION_ERROR)
