"""PUSH_PROMISE as a server sends it, and refuses it (RFC 9114 sections 4.6 and 7.2.5)."""

import pytest

from conformance.push_support import (
    CANCELLED,
    DATA,
    HEADERS,
    MAX_PUSH_ID,
    PUSH_PROMISE,
    PushServerRig,
    answering,
    id_frame,
    promised,
)
from conformance.support import (
    GET,
    data,
    frame,
    headers,
    prefixed,
    promise,
    read_frames,
    read_varint,
    request,
    ways_to_arrive,
)
from h3push.errors import ErrorCode, LocalProtocolError, NoPushCredit, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.events import RequestReceived

QPACK = b"\x01" + b"\x50\x00" + b"\x07\x10"
"""Client settings: a dynamic table of 4096 bytes, 16 blocked streams."""


@ways_to_arrive
@pytest.mark.rfc("H3-7.2.5-01")
def test_it_goes_on_the_stream_of_the_request(chunk):
    """PUSH_PROMISE goes on the client-initiated bidirectional stream of the request: push ID, then a request section."""
    rig = PushServerRig(max_push_id=100, chunk=chunk)
    rig.tell()
    first, second = rig.ask("/a"), rig.ask("/b")
    fields = [(b"accept", b"text/css"), (b"cookie", b"secret")]
    for push_id in range(70):
        stream_id = second if push_id % 2 else first
        assert rig.core.send_push_promise(stream_id, promised(b"/%d" % push_id, fields)) == push_id
    rig.finish(first)
    rig.finish(second)
    for stream_id, expected in ((first, range(0, 70, 2)), (second, range(1, 70, 2))):
        assert stream_id % 4 == 0
        assert rig.promises(stream_id) == [
            (
                push_id,
                rig_fields(b"/%d" % push_id) + fields,
            )
            for push_id in expected
        ]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-02")
def test_the_limit_holds_under_concurrency():
    """The push ID never exceeds the client's current MAX_PUSH_ID, also under concurrency."""
    refused = []

    def application(server, event):
        if isinstance(event, RequestReceived):
            for number in range(4):
                try:
                    server.send_push_promise(event.stream_id, promised(b"/%d" % number))
                except NoPushCredit:
                    refused.append(event.stream_id)
            server.send_response(event.stream_id, 200, [], True)

    rig = PushServerRig(max_push_id=3, application=application)
    for _ in range(50):
        rig.send(GET, fin=True)
    rig.run()
    assert sorted(rig.promised_ids()) == [0, 1, 2, 3]
    assert len(refused) == 50 * 4 - 4 == rig.core.push_counters.refused.total()
    rig.control(id_frame(MAX_PUSH_ID, 5))
    for _ in range(10):
        rig.send(GET, fin=True)
    rig.run()
    assert sorted(rig.promised_ids()) == [0, 1, 2, 3, 4, 5]
    rig.expect_alive()


@ways_to_arrive
@pytest.mark.parametrize("enable_push", [True, False])
@pytest.mark.parametrize("before", [b"", GET, GET + data(b"x"), GET + headers(("x-sum", "1"))])
@pytest.mark.parametrize("written", [promise(0), b"\x05\x00"])
@pytest.mark.rfc("H3-7.2.5-07")
def test_from_a_client_it_is_unexpected(chunk, enable_push, before, written):
    """Any PUSH_PROMISE from a client, on a request stream, is unexpected."""
    rig = PushServerRig(H3Config(enable_push=enable_push), max_push_id=3, chunk=chunk)
    rig.send(before, written)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@ways_to_arrive
@pytest.mark.parametrize("enable_push", [True, False])
@pytest.mark.rfc("H3-7.2.5-07")
def test_from_a_client_on_its_control_stream_it_is_unexpected(chunk, enable_push):
    """Any PUSH_PROMISE from a client, on its control stream, is unexpected."""
    rig = PushServerRig(H3Config(enable_push=enable_push), chunk=chunk)
    rig.tell(promise(0))
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


# Promising again


@pytest.mark.rfc("H3-7.2.5-17", "H3-7.2.5-02")
def test_a_repeat_is_the_same_list_of_fields():
    """When re-promising, the server reproduces the identical field list and order, and uses no further ID."""
    rig = PushServerRig(max_push_id=0, settings=QPACK)
    first, second = rig.ask(), rig.ask()
    fields = [(b"b", b"2"), (b"a", b"1"), (b"b", b"2")]
    assert rig.core.send_push_promise(first, promised(fields=fields)) == 0
    assert rig.core.send_push_promise(second, promised(fields=fields), push_id=0) == 0
    rig.run()
    assert rig.promises(first) == rig.promises(second)
    assert rig.core.push_counters.promised == 1
    rig.finish(rig.core.open_push_stream(0))
    rig.finish(first)
    rig.finish(second)
    rig.expect_alive()


@pytest.mark.parametrize(
    "other", [[(b"a", b"1"), (b"b", b"2")], [(b"b", b"2")], [(b"b", b"2"), (b"a", b"1"), (b"c", b"")]]
)
@pytest.mark.rfc("H3-7.2.5-17")
def test_a_repeat_with_other_fields_is_refused(other):
    """What would be a mismatch for the client does not go out."""
    rig = PushServerRig(max_push_id=3)
    request_stream = rig.ask()
    rig.core.send_push_promise(request_stream, promised(fields=[(b"b", b"2"), (b"a", b"1")]))
    with pytest.raises(LocalProtocolError, match="other fields"):
        rig.core.send_push_promise(request_stream, promised(fields=other), push_id=0)
    with pytest.raises(StreamStateError):
        rig.core.send_push_promise(request_stream, promised(fields=other), push_id=1)
    rig.finish(request_stream)
    assert rig.promised_ids() == [0]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-18")
def test_a_push_is_not_promised_long_after_it_finished():
    """A push ID is not re-promised long after its push finished: the window is `remembered_pushes`."""
    rig = PushServerRig(H3Config(remembered_pushes=2), max_push_id=9)
    stream_id = rig.ask()
    for push_id in range(4):
        rig.core.send_push_promise(stream_id, promised(b"/%d" % push_id))
        rig.finish(rig.core.open_push_stream(push_id))
    assert rig.core.pushes_under_way == 0
    for push_id in (0, 1):
        with pytest.raises(StreamStateError, match="too long ago"):
            rig.core.send_push_promise(stream_id, promised(b"/%d" % push_id), push_id=push_id)
    for push_id in (2, 3):
        assert rig.core.send_push_promise(stream_id, promised(b"/%d" % push_id), push_id=push_id) == push_id
    rig.finish(stream_id)
    assert rig.promised_ids() == [0, 1, 2, 3, 2, 3]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-18")
def test_a_push_is_not_promised_too_often():
    """Repeats of one promise are bounded on our side too."""
    rig = PushServerRig(H3Config(max_repeated_promises=3), max_push_id=9)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised())
    rig.core.send_push_promise(stream_id, promised(), push_id=0)
    rig.core.send_push_promise(stream_id, promised(), push_id=0)
    with pytest.raises(StreamStateError, match="already"):
        rig.core.send_push_promise(stream_id, promised(), push_id=0)
    rig.finish(stream_id)
    assert rig.promised_ids() == [0, 0, 0]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-18")
def test_a_cancelled_push_is_not_promised_again():
    """A promise that is called off is not made again."""
    rig = PushServerRig(max_push_id=9)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised())
    rig.tell("03 01 00")
    with pytest.raises(StreamStateError):
        rig.core.send_push_promise(stream_id, promised(), push_id=0)
    rig.finish(stream_id)
    assert rig.promised_ids() == [0]
    rig.expect_alive()


# When it may go out


@pytest.mark.parametrize("window", [16, 64, 262_144])
@pytest.mark.rfc("H3-7.2.5-19")
def test_it_precedes_what_refers_to_it(window):
    """PUSH_PROMISE precedes the bytes that reference the pushed resource, under small flow-control windows too."""
    rig = PushServerRig(max_push_id=3, window=window)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised(b"/style.css"))
    rig.core.send_response(stream_id, 200, [])
    rig.core.send_push_promise(stream_id, promised(b"/script.js"))
    rig.core.send_data(stream_id, b"<link href=style.css>" * 50)
    rig.core.send_push_promise(stream_id, promised(b"/late.png"))
    rig.core.send_data(stream_id, b"<img src=late.png>", True)
    rig.run()
    kinds = [kind for kind, _ in read_frames(bytes(rig.raw.stream(stream_id).data))]
    assert kinds == [PUSH_PROMISE, HEADERS, PUSH_PROMISE, DATA, PUSH_PROMISE, DATA]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-27")
def test_a_section_that_the_client_does_not_take_is_not_promised():
    """A server does not promise a section larger than the client's MAX_FIELD_SECTION_SIZE."""
    rig = PushServerRig(max_push_id=3, settings=b"\x06\x41\x2c")
    stream_id = rig.ask()
    size = sum(len(name) + len(value) + 32 for name, value in rig_fields(b"/"))
    largest = 300 - size - len(b"x") - 32
    with pytest.raises(LocalProtocolError, match="301 bytes"):
        rig.core.send_push_promise(stream_id, promised(b"/", [(b"x", b"x" * (largest + 1))]))
    assert rig.core.push_counters.promised == 0
    assert rig.core.send_push_promise(stream_id, promised(b"/", [(b"x", b"x" * largest)])) == 0
    rig.finish(stream_id)
    assert rig.promised_ids() == [0]
    rig.expect_alive()


def rig_fields(path: bytes) -> list[tuple[bytes, bytes]]:
    return [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", path)]


@pytest.mark.parametrize("how", ["stopped", "ended", "reset", "reset with the request", "rejected"])
@pytest.mark.rfc("H3-7.2.5-28")
def test_it_needs_an_open_response(how):
    """No promise is sent on a request stream whose sending side is closed or reset."""
    rig = PushServerRig(max_push_id=3)
    stream_id = rig.ask(fin=False)
    rig.core.send_response(stream_id, 200, [])
    rig.run()
    if how == "stopped":
        rig.raw.stop(stream_id, CANCELLED)
    elif how == "ended":
        rig.core.send_data(stream_id, b"", True)
    elif how == "reset":
        rig.core.reset_stream(stream_id, ErrorCode.H3_INTERNAL_ERROR)
    elif how == "rejected":
        rig.core.reject_request(stream_id)
    else:
        rig.raw.reset(stream_id, CANCELLED)
        rig.raw.stop(stream_id, CANCELLED)
    rig.run()
    before = bytes(rig.raw.stream(stream_id).data)
    with pytest.raises(StreamStateError):
        rig.core.send_push_promise(stream_id, promised())
    rig.run()
    assert bytes(rig.raw.stream(stream_id).data) == before
    assert rig.core.push_counters.promised == 0
    assert rig.pair.server.ignored == []
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-28", "H3-7.2.5-01")
def test_it_needs_a_request_stream():
    """A promise goes on the stream of a request: not on a push stream, not on one that does not exist."""
    rig = PushServerRig(max_push_id=3)
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised())
    push_stream = rig.core.open_push_stream(0)
    for wrong in (push_stream, 4, 400, 3, 2):
        with pytest.raises(StreamStateError):
            rig.core.send_push_promise(wrong, promised())
    rig.finish(push_stream)
    rig.finish(stream_id)
    assert rig.promised_ids() == [0]
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.5-30")
def test_a_tunnel_carries_no_promise():
    """No PUSH_PROMISE on a CONNECT stream after the 2xx: a local error, nothing goes out."""
    rig = PushServerRig(max_push_id=3)
    tunnel = rig.send(headers((":method", "CONNECT"), (":authority", "a.test:443")))
    rig.run()
    rig.core.send_response(tunnel, 200, [])
    with pytest.raises(StreamStateError, match="tunnel"):
        rig.core.send_push_promise(tunnel, promised(authority=b"a.test:443"))
    rig.run()
    assert [kind for kind, _ in read_frames(bytes(rig.raw.stream(tunnel).data))] == [HEADERS]
    rig.expect_alive()


# QPACK


def section_ack(stream_id: int) -> bytes:
    return prefixed(0x80, 7, stream_id)


def required_inserts(encoded: bytes) -> int:
    return encoded[0]


@pytest.mark.rfc("H3-7.2.5-31")
def test_acknowledgments_count_promises_in_order():
    """The first Section Acknowledgment for a stream acknowledges the first dynamic section on it, even if that was a promise."""
    rig = PushServerRig(max_push_id=20, settings=QPACK)
    fields = [(b"x-shared", b"v" * 40)]
    for _ in range(3):  # the encoder inserts what it has seen before
        stream_id = rig.ask()
        rig.core.send_push_promise(stream_id, promised(b"/same", fields))
        rig.core.send_response(stream_id, 200, fields)
        rig.core.send_data(stream_id, b"", True)
        rig.run()
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised(b"/same", fields))
    rig.core.send_response(stream_id, 200, fields)
    rig.core.send_push_promise(stream_id, promised(b"/same", fields), push_id=3)
    rig.core.send_data(stream_id, b"", True)
    rig.run()
    dynamic = []
    for known in (0, 4, 8, stream_id):
        for kind, payload in read_frames(bytes(rig.raw.stream(known).data)):
            if kind in (HEADERS, PUSH_PROMISE):
                encoded = payload[read_varint(payload)[1] :] if kind == PUSH_PROMISE else payload
                if required_inserts(encoded):
                    dynamic.append((known, kind))
    assert (stream_id, PUSH_PROMISE) in dynamic, "the encoder did not use its table: the test says nothing"
    assert (stream_id, HEADERS) in dynamic
    assert rig.core._sections.encoder._unacknowledged.keys() == {known for known, _ in dynamic}
    for number, (known, _) in enumerate(dynamic):
        rig.on_decoder(section_ack(known))
        assert sum(map(len, rig.core._sections.encoder._unacknowledged.values())) == len(dynamic) - number - 1
    rig.expect_open()
    rig.on_decoder(section_ack(stream_id))
    rig.expect_close(ErrorCode.QPACK_DECODER_STREAM_ERROR)


@pytest.mark.parametrize("refusal", ["too often", "cancelled", "no credit", "ended"])
@pytest.mark.rfc("H3-7.2.5-31")
def test_a_promise_that_is_refused_leaves_nothing_to_acknowledge(refusal):
    """What is not sent is not encoded: no reference, no insertion waits for a promise that never went out."""
    rig = PushServerRig(H3Config(max_repeated_promises=4), max_push_id=0, settings=QPACK)
    fields = [(b"x-shared", b"v" * 40)]
    stream_id = rig.ask()
    rig.core.send_push_promise(stream_id, promised(fields=fields))
    for _ in range(3):
        rig.core.send_push_promise(stream_id, promised(fields=fields), push_id=0)
    if refusal == "cancelled":
        rig.core.cancel_push(0)
    elif refusal == "ended":
        rig.finish(stream_id)
    rig.run()
    waiting = {known: len(counts) for known, counts in rig.core._sections.encoder._unacknowledged.items()}
    instructions = rig.own_stream(2)
    assert sum(waiting.values()) > 0, "the encoder did not use its table: the test says nothing"
    with pytest.raises(LocalProtocolError):
        rig.core.send_push_promise(stream_id, promised(fields=fields), push_id=None if refusal == "no credit" else 0)
    rig.run()
    assert {known: len(counts) for known, counts in rig.core._sections.encoder._unacknowledged.items()} == waiting
    assert rig.own_stream(2) == instructions
    rig.expect_open()


@pytest.mark.rfc("H3-6.2.2-31")
def test_without_blocked_streams_nothing_risks_blocking():
    """With QPACK_BLOCKED_STREAMS 0 the server never risks blocking: nothing refers to what is not acknowledged."""
    rig = PushServerRig(max_push_id=200, settings=b"\x01\x50\x00\x07\x00")
    fields = [(b"x-shared", b"v" * 40)]
    for _ in range(12):
        stream_id = rig.ask()
        push_id = rig.core.send_push_promise(stream_id, promised(b"/same", fields))
        push_stream = rig.core.open_push_stream(push_id)
        for known in (push_stream, stream_id):
            rig.core.send_response(known, 200, fields)
            rig.core.send_data(known, b"x", True)
        rig.run()
        for encoded in every_section(rig, stream_id) + every_section(rig, push_stream):
            assert required_inserts(encoded) == 0, "nothing was acknowledged"
    rig.expect_open()


def every_section(rig: PushServerRig, stream_id: int) -> list[bytes]:
    encoded = bytes(rig.raw.stream(stream_id).data)
    start = read_varint(encoded, 1)[1] if stream_id & 2 else 0
    found = []
    for kind, payload in read_frames(encoded[start:]):
        if kind == PUSH_PROMISE:
            found.append(payload[read_varint(payload)[1] :])
        elif kind == HEADERS:
            found.append(payload)
    return found


@pytest.mark.rfc("H3-7.2.5-19")
def test_requests_with_pushes_and_without_mix():
    """Promises on one stream do not touch another."""
    rig = PushServerRig(max_push_id=3, application=answering)
    plain = rig.send(request("GET", "/plain"), fin=True)
    rig.run()
    assert PUSH_PROMISE not in [kind for kind, _ in read_frames(bytes(rig.raw.stream(plain).data))]
    assert frame(DATA, b"ok") in bytes(rig.raw.stream(plain).data)
    rig.expect_alive()
