"""QPACK where it meets streams (RFC 9204 sections 2, 3.2, 4.2 to 4.5 and 5); the coding itself is held in tests/wire."""

import pytest

from conformance.push_support import dynamic_section, insert, read_decoder_stream, set_capacity
from conformance.support import (
    ClientRig,
    Rig,
    ServerRig,
    both_roles,
    data,
    frame,
    head,
    headers,
    prefixed,
    request,
    silent,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.client import H3ClientConnection
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, Event, MessageFailed, RequestReceived, ResponseReceived, TrailersReceived
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import RequestHead
from h3push.testing.memory import EndSettings, MemoryPair, MemorySettings

DECOMPRESSION_FAILED = ErrorCode.QPACK_DECOMPRESSION_FAILED
ENCODER_STREAM, DECODER_STREAM = ErrorCode.QPACK_ENCODER_STREAM_ERROR, ErrorCode.QPACK_DECODER_STREAM_ERROR
X_Y = insert(b"x", b"y")


def opening(rig: Rig) -> tuple[tuple[str, str], ...]:
    """Pseudo-headers of a message that the peer may send to this rig."""
    if isinstance(rig, ServerRig):
        return ((":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/"))
    return ((":status", "200"),)


def dynamic_headers(rig: Rig, required: int, *indices: int) -> bytes:
    """HEADERS of a good message that refers to dynamic entries."""
    return frame(0x01, dynamic_section(required, *opening(rig), *indices))


def fields_of(rig: Rig, stream_id: int) -> list[tuple[bytes, bytes]]:
    """The fields of the message that was told first on a stream."""
    first = rig.events_of(stream_id)[0]
    assert isinstance(first, RequestReceived | ResponseReceived)
    return list((first.request if isinstance(first, RequestReceived) else first.response).fields)


def decoder_stream(rig: Rig) -> list[tuple[str, int]]:
    """What the core said on its decoder stream."""
    return read_decoder_stream(rig.own_stream(0x03) or b"")


# Errors and their scope: always the connection


@pytest.mark.rfc(
    "QP-2.2.1-01", "QP-2.2.3-01", "QP-3.1-02", "QP-4.1.2-01", "QP-4.5.1-01", "QP-4.5.1-02", "QP-4.5.1-03", "QP-2.2.1-02"
)
@both_roles
@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"", id="no prefix"),
        pytest.param(b"\0", id="half a prefix"),
        pytest.param(b"\0\0\xff\x24", id="static entry 99"),
        pytest.param(b"\0\0\x5f\x54\x01y", id="static name 99"),
        pytest.param(b"\0\0\xd1\x21", id="cut line"),
        pytest.param(b"\0\0\x21", id="cut name"),
        pytest.param(b"\0\0\x21x\x05abc", id="cut value"),
        pytest.param(b"\0\0\x21x\x81\x00", id="Huffman padding of zeros"),
        pytest.param(b"\0\0\x21x\x84\xff\xff\xff\xff", id="Huffman EOS"),
        pytest.param(b"\0\x81\xd1", id="negative Base"),
        pytest.param(b"\2\x82\x80", id="Base below zero"),
        pytest.param(b"\2\0\x81", id="relative index beyond the table"),
        pytest.param(b"\2\0\x10", id="post-Base index at RIC"),
        pytest.param(b"\xff\x02\0\xd1", id="insert count beyond the range"),
        pytest.param(b"\0\0\x80", id="dynamic reference with RIC 0"),
    ],
)
@pytest.mark.parametrize("where", ["headers", "trailers"])
def test_a_section_that_cannot_be_decoded(make_rig: type, encoded: bytes, where: str) -> None:
    """QPACK_DECOMPRESSION_FAILED ends the connection, in a header section as in a trailer section."""
    rig = make_rig()
    rig.uni("02", set_capacity(), X_Y)
    rig.run()
    rig.send(*([rig.message, data(b"x")] if where == "trailers" else []), frame(0x01, encoded))
    rig.expect_close(DECOMPRESSION_FAILED)


@pytest.mark.rfc("QP-4.5.1-02", "QP-5-01")
@both_roles
def test_any_insert_count_is_impossible_without_a_table(make_rig: type) -> None:
    """We announced a capacity of 0: MaxEntries is 0."""
    rig = make_rig(H3Config(qpack_max_table_capacity=0, qpack_blocked_streams=0))
    rig.send(frame(0x01, b"\1\0\x80"))
    rig.expect_close(DECOMPRESSION_FAILED)


@pytest.mark.rfc("QP-2.2.3-02", "QP-3.1-03", "QP-3.2.2-01", "QP-3.2.2-03", "QP-3.2.3-01", "QP-4.1.1-01", "QP-4.1.2-01")
@both_roles
@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param(X_Y, id="insert while the capacity is 0"),
        pytest.param(set_capacity() + set_capacity(0) + X_Y, id="insert after the capacity was 0 again"),
        pytest.param(set_capacity(4097), id="capacity above ours"),
        pytest.param(bytes.fromhex("3f e1 c7 af a0 25"), id="capacity far above ours"),
        pytest.param(set_capacity() + b"\0", id="duplicate of nothing"),
        pytest.param(set_capacity() + X_Y + b"\1", id="duplicate of an entry never made"),
        pytest.param(set_capacity() + b"\x80\x01y", id="name of an entry never made"),
        pytest.param(set_capacity() + b"\xff\x24\x01y", id="static name 99"),
        pytest.param(set_capacity(64) + insert(b"x" * 16, b"y" * 17), id="larger than the table"),
        pytest.param(set_capacity() + b"\x61\xff\x01y", id="Huffman name of padding"),
        pytest.param(b"\x3f" + b"\xff" * 12, id="endless integer"),
    ],
)
@ways_to_arrive
def test_an_instruction_that_cannot_be_followed(make_rig: type, instructions: bytes, chunk: int | None) -> None:
    """QPACK_ENCODER_STREAM_ERROR ends the connection."""
    rig = make_rig(chunk=chunk)
    rig.uni("02", instructions)
    rig.expect_close(ENCODER_STREAM)


@pytest.mark.rfc("QP-3.2.3-01", "QP-4.2-03", "QP-5-01")
@both_roles
def test_with_a_capacity_of_0_the_streams_are_there_and_useless(make_rig: type) -> None:
    """The peer may open both QPACK streams, or neither; a capacity of 1 is above the maximum."""
    for greeting in ([], ["02", "03"], ["03"]):
        rig = make_rig(H3Config(qpack_max_table_capacity=0, qpack_blocked_streams=0))
        for stream_type in greeting:
            rig.uni(stream_type)
        rig.expect_alive()
    rig = make_rig(H3Config(qpack_max_table_capacity=0))
    rig.uni("02", set_capacity(0))
    rig.expect_alive()
    rig = make_rig(H3Config(qpack_max_table_capacity=0))
    rig.uni("02", set_capacity(1))
    rig.expect_close(ENCODER_STREAM)


@pytest.mark.rfc("QP-4.4.1-01", "QP-4.4.3-01", "QP-4.1.1-01")
@both_roles
@pytest.mark.parametrize(
    "instructions",
    [
        pytest.param(b"\x80", id="ack of stream 0"),
        pytest.param(b"\x84", id="ack of stream 4"),
        pytest.param(prefixed(0x80, 7, 1 << 40), id="ack of a far stream"),
        pytest.param(b"\0", id="increment of 0"),
        pytest.param(b"\1", id="increment beyond what was inserted"),
        pytest.param(b"\x3f" + b"\xff" * 8 + b"\x01", id="huge increment"),
        pytest.param(b"\x3f" + b"\xff" * 12, id="endless integer"),
    ],
)
@pytest.mark.parametrize("with_table", [False, True])
@ways_to_arrive
def test_an_acknowledgment_of_nothing(make_rig: type, instructions: bytes, with_table: bool, chunk: int | None) -> None:
    """QPACK_DECODER_STREAM_ERROR ends the connection, with or without a table of ours."""
    rig = make_rig(greet=False, chunk=chunk)
    rig.control(settings=frame(0x04, "01 50 00 07 10" if with_table else b""))
    rig.expect_alive()
    rig.uni("03", instructions)
    rig.expect_close(DECODER_STREAM)


@pytest.mark.rfc("QP-4.4.2-01")
@both_roles
@pytest.mark.parametrize("stream_id", [0, 4, 400, 1 << 60])
@ways_to_arrive
def test_the_cancellation_of_an_unknown_stream_is_harmless(make_rig: type, stream_id: int, chunk: int | None) -> None:
    """Whether it never was, is over, or had no section that used the table."""
    rig = make_rig(chunk=chunk)
    rig.expect_alive()
    rig.uni("03", prefixed(0x40, 6, stream_id) * 3)
    rig.expect_alive()


# Sections that wait


@pytest.mark.rfc("QP-2.2.2-01", "QP-2.2.2-03", "QP-4.3-01")
@both_roles
@ways_to_arrive
def test_a_blocked_message_goes_on_when_its_insertions_come(make_rig: type, chunk: int | None) -> None:
    """Headers wait, what is behind them waits too, and all is told in order once the encoder stream caught up."""
    rig = make_rig(chunk=chunk)
    with rig.healthy_sibling():
        stream_id = rig.send(dynamic_headers(rig, 2, 0, 1), data(b"content"), headers(("t", "u")), fin=True)
        rig.run()
        assert rig.events_of(stream_id) == []
        rig.expect_alive()
        encoder = rig.uni("02", set_capacity(), X_Y)
        rig.run()
        assert rig.events_of(stream_id) == []
        rig.write(encoder, insert(b"second", b"value"))
        rig.run()
        told = rig.events_of(stream_id)
        assert fields_of(rig, stream_id) == [(b"x", b"y"), (b"second", b"value")]
        assert b"".join(event.data for event in told if isinstance(event, DataReceived)) == b"content"
        assert told[-1] == TrailersReceived(stream_id, [(b"t", b"u")], None)
    assert decoder_stream(rig) in ([("increment", 1), ("ack", stream_id)], [("ack", stream_id)])


@pytest.mark.rfc("QP-2.2.2-01")
@both_roles
def test_every_section_is_acknowledged_in_its_order(make_rig: type) -> None:
    """Header section and trailer section that used the table: two acknowledgments of that stream; others have none."""
    rig = make_rig()
    rig.uni("02", set_capacity(), X_Y)
    stream_id = rig.send(dynamic_headers(rig, 1, 0), data(b"x"), frame(0x01, dynamic_section(1, 0)), fin=True)
    other = rig.send(rig.message, fin=True)
    rig.run()
    said = decoder_stream(rig)
    assert said.count(("ack", stream_id)) == 2
    assert ("ack", other) not in said
    assert not [value for what, value in said if what == "cancel"]
    rig.expect_alive()


@pytest.mark.rfc("QP-2.2.2-01")
@pytest.mark.parametrize("parts", [1, 2])
def test_a_request_that_used_the_table_is_acknowledged_once(parts: int) -> None:
    """Whole or in pieces, the same as one before or not, good or malformed: what was decoded is acknowledged, once."""
    rig = ServerRig()
    rig.uni("02", set_capacity(), X_Y, insert(b"upgrade", b"h2c"))
    good = dynamic_headers(rig, 1, 0)
    malformed = dynamic_headers(rig, 2, 0, 1)
    sent = []
    for message in (good, good, malformed, malformed, good):
        cut = len(message) if parts == 1 else len(message) - 1
        stream_id = rig.send(message[:cut], fin=parts == 1)
        if parts == 2:
            rig.run()
            rig.write(stream_id, message[cut:], fin=True)
        rig.run()
        sent.append(stream_id)
    said = decoder_stream(rig)
    assert [said.count(("ack", stream_id)) for stream_id in sent] == [1] * 5
    assert len(rig.requests) == 3
    assert rig.requests[0] == rig.requests[1] == rig.requests[2]
    rig.expect_alive()


@pytest.mark.rfc("QP-2.2.1-01")
def test_a_request_that_used_the_table_is_read_anew_when_the_table_has_changed() -> None:
    """The same bytes mean something else on another connection."""
    for value in (b"y", b"z"):
        rig = ServerRig()
        rig.uni("02", set_capacity(), insert(b"x", value))
        for _ in range(3):
            stream_id = rig.send(dynamic_headers(rig, 1, 0), fin=True)
            rig.run()
            assert fields_of(rig, stream_id) == [(b"x", value)]


@pytest.mark.rfc("QP-2.2.2-01")
def test_interim_sections_are_acknowledged_too() -> None:
    """1xx, final and trailers: three."""
    rig = ClientRig()
    rig.uni("02", set_capacity(), X_Y)
    interim = frame(0x01, dynamic_section(1, (":status", "103"), 0))
    stream_id = rig.send(interim, dynamic_headers(rig, 1, 0), frame(0x01, dynamic_section(1, 0)), fin=True)
    rig.run()
    assert rig.completed(stream_id)
    assert decoder_stream(rig).count(("ack", stream_id)) == 3
    rig.expect_alive()


@pytest.mark.rfc("QP-2.2.2-02")
@both_roles
@pytest.mark.parametrize("when", ["blocked", "before", "after_headers"])
def test_a_reset_stream_is_cancelled(make_rig: type, when: str) -> None:
    """Reset while a section is blocked, before there is one, or with more to come: one Stream Cancellation."""
    rig = make_rig()
    if make_rig is ServerRig:
        rig.application = silent
    sent = {"blocked": dynamic_headers(rig, 1, 0), "before": frame(0x21), "after_headers": rig.message}[when]
    stream_id = rig.send(sent)
    rig.run()
    rig.raw.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    rig.run()
    assert decoder_stream(rig) == [("cancel", stream_id)]
    rig.uni("02", set_capacity(), X_Y)
    rig.expect_alive()
    assert not any(isinstance(event, RequestReceived) for event in rig.events_of(stream_id)) or when == "after_headers"


@pytest.mark.rfc("QP-2.2.2-02")
@both_roles
def test_an_abandoned_stream_is_cancelled_and_a_complete_one_is_not(make_rig: type) -> None:
    """We stop reading: Stream Cancellation. The message was complete: none."""
    rig = make_rig()
    if make_rig is ServerRig:
        rig.application = silent
    complete = rig.send(rig.message, fin=True)
    abandoned = rig.send(rig.message, data(b"x"))
    malformed = rig.send(headers((":bad", "x")))
    rig.run()
    rig.core.stop_stream(abandoned, ErrorCode.H3_REQUEST_CANCELLED)
    rig.expect_alive()
    cancelled = [value for what, value in decoder_stream(rig) if what == "cancel"]
    assert sorted(cancelled) == sorted([abandoned, malformed])
    assert complete not in cancelled


@pytest.mark.rfc("QP-2.1.2-02", "ROB-07")
@both_roles
@pytest.mark.parametrize("limit", [0, 1, 16])
@ways_to_arrive
def test_no_more_streams_may_wait_than_announced(make_rig: type, limit: int, chunk: int | None) -> None:
    """The limit passes, one more ends the connection; at 0 the first one does."""
    rig = make_rig(H3Config(qpack_blocked_streams=limit), chunk=chunk)
    for _ in range(limit):
        rig.send(dynamic_headers(rig, 1, 0))
    rig.expect_alive()
    rig.send(dynamic_headers(rig, 1, 0))
    rig.expect_close(DECOMPRESSION_FAILED)


@pytest.mark.rfc("QP-2.1.2-02", "ROB-07")
@both_roles
def test_streams_that_were_reset_wait_no_more(make_rig: type) -> None:
    """The count goes down on reset and on unblocking, again and again."""
    rig = make_rig(H3Config(qpack_blocked_streams=2))
    for _ in range(10):
        streams = [rig.send(dynamic_headers(rig, 1, 0)) for _ in range(2)]
        rig.run()
        for stream_id in streams:
            rig.raw.reset(stream_id, 0)
        rig.run()
    encoder = rig.uni("02", set_capacity())
    for round_ in range(10):
        streams = [rig.send(dynamic_headers(rig, round_ + 1, round_), fin=True) for _ in range(2)]
        rig.run()
        assert all(rig.events_of(stream_id) == [] for stream_id in streams)
        rig.write(encoder, insert(b"x", b"%d" % round_))
        rig.run()
        assert [fields_of(rig, stream_id) for stream_id in streams] == [[(b"x", b"%d" % round_)]] * 2
    assert rig.core._pauses == {}
    rig.expect_alive()


@pytest.mark.rfc("QP-2.2.1-03", "ROB-07")
@both_roles
def test_a_blocked_stream_gets_no_further_credit(make_rig: type) -> None:
    """What waits behind a blocked section stays within the stream's window."""
    rig = make_rig(H3Config(qpack_blocked_streams=4), window=10_000)
    streams = [rig.send(dynamic_headers(rig, 1, 0)) for _ in range(4)]
    rig.run()
    for stream_id in streams:
        rig.write(stream_id, *[data(b"x" * 1000)] * 1000)
    rig.run()
    for stream_id in streams:
        held = sum(len(payload) for _, payload in rig.core._receivers[stream_id]._waiting)
        half = rig.raw.end.peer._receiving[stream_id]
        assert held + len(half.buffer) <= 10_000
        assert half.granted <= 10_000
    rig.expect_alive()
    rig.uni("02", set_capacity(), X_Y)
    rig.run()
    for stream_id in streams:
        received = sum(len(event.data) for event in rig.events_of(stream_id) if isinstance(event, DataReceived))
        assert received == 1_000_000


@both_roles
@pytest.mark.parametrize("then", ["malformed", "cancelled", "unexpected"])
def test_a_message_may_end_while_it_is_blocked(make_rig: type, then: str) -> None:
    """What waits behind a blocked section is judged when its turn comes, and dropped when we do not want it any more."""
    rig = make_rig()
    stream_id = rig.send(
        frame(0x01, dynamic_section(1, *opening(rig), ("Bad", "x"), 0))
        if then == "malformed"
        else dynamic_headers(rig, 1, 0),
        data(b"x"),
        headers(("t", "u")),
        data(b"after the trailers") if then == "unexpected" else b"",
    )
    rig.run()
    assert rig.raw.closed is None
    if then == "cancelled":
        rig.core.stop_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    rig.uni("02", set_capacity(), X_Y)
    rig.run()
    if then == "unexpected":
        rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)
    else:
        expected = [MessageFailed] if then == "malformed" else []
        assert [type(event) for event in rig.events_of(stream_id)] == expected
        rig.expect_alive()


# Our encoder on a connection


@pytest.mark.rfc("QP-2.1.2-01", "QP-2.1-01")
@both_roles
def test_our_sections_do_not_wait_for_the_encoder_stream_when_nothing_may_block(make_rig: type) -> None:
    """0x07=0 with 0x01=4096: every section can be decoded although no byte of our encoder stream was read."""
    rig = make_rig(greet=False)
    rig.control(settings=frame(0x04, "01 50 00"))
    fields = [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"1")]
    rig.run()
    for _ in range(5):
        if make_rig is ServerRig:
            rig.application = silent
            stream_id = rig.send(request(), fin=True)
            rig.run()
            rig.core.send_response(stream_id, 200, fields, end_stream=True)
            rig.run()
            assert rig.response(stream_id)[0][0][1:] == fields
        else:
            stream_id = rig.core.send_request(head(fields=fields))
            rig.run()
            assert rig.request(stream_id)[0][0][4:] == fields


@pytest.mark.rfc("QP-2.1.3-01", "ROB-22")
@pytest.mark.parametrize("window", [10, 40, 100, 1_000])
def test_tiny_windows_do_not_deadlock(window: int) -> None:
    """A dynamic table over a few bytes of flow control for every stream, in both directions: all complete."""
    limits = EndSettings(stream_window=window)
    pair = MemoryPair(MemorySettings(client=limits, server=limits))
    client, server = H3ClientConnection(pair.client), H3ServerConnection(pair.server)

    def application(event: Event) -> None:
        if isinstance(event, RequestReceived):
            server.send_response(
                event.stream_id, 200, [(b"x-answer", event.request.path or b""), (b"x-same", b"s" * 300)]
            )
            server.send_data(event.stream_id, b"d" * 3_000, end_stream=True)

    pair.join(client, server, on_server_event=application)
    pair.run()
    fields = [(b"x-custom", b"v" * 300), (b"x-other", b"w" * 100)]
    for round_ in range(10):
        for number in range(5):
            client.send_request(RequestHead(b"GET", b"https", b"a.test", b"/%d/%d" % (round_, number), fields, None))
        pair.run()
    ended = [event for event in pair.client.events if isinstance(event, DataReceived) and event.end_stream]
    assert len(ended) == 50
    assert client.open_message_streams == server.open_message_streams == 0
    assert not client.is_closed


@pytest.mark.rfc("QP-4.2-03", "H3-6.2.1-08")
@both_roles
def test_a_peer_without_qpack_streams(make_rig: type) -> None:
    """It need not open what it does not use."""
    rig = make_rig(greet=False)
    rig.control(settings=frame(0x04, varint(0x01) + varint(4096) + varint(0x07) + varint(16)))
    for _ in range(5):
        stream_id = rig.send(rig.message, fin=True)
        rig.run()
        assert rig.events_of(stream_id)
    assert rig.raw.closed is None
