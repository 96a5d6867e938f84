"""Encoding field sections and taking the decoder stream (RFC 9204)."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import cuts, ending

from h3push.errors import ErrorCode, H3ConnectionError, LocalProtocolError
from h3push.http.fields import Fields
from h3push.wire.qpack import SECRET_NAMES, FieldDecoder, FieldEncoder
from h3push.wire.qpack.instructions import decode_prefix, encode_integer, read_field_line

REQUEST: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.com"),
    (b":path", b"/index.html?q=1"),
    (b"user-agent", b"h3push-test/1.0"),
    (b"x-request-kind", b"repeated"),
]


def decoder(capacity: int = 4096, blocked: int = 16) -> FieldDecoder:
    return FieldDecoder(max_table_capacity=capacity, blocked_streams=blocked, max_field_section_size=65_536)


def encoder(capacity: int = 4096, blocked: int = 16, limit: int = 4096) -> tuple[FieldEncoder, bytes]:
    subject = FieldEncoder(limit)
    return subject, subject.apply_settings(capacity, blocked)


def warmed_up(inserts_at_least: int = 1) -> tuple[FieldEncoder, int]:
    """An encoder that has inserted entries, none acknowledged, and how many."""
    subject, instructions = encoder()
    peer = decoder()
    peer.receive_encoder_stream(instructions)
    for number in range(3 + inserts_at_least):
        instructions, _ = subject.encode(4 * number, [(b"x-number", b"%d" % (number // 3))])
        peer.receive_encoder_stream(instructions)
    increment = peer.take_decoder_stream()
    assert 0 < increment[0] < 0x3F
    return subject, increment[0]


def refused(subject: FieldEncoder, data: bytes) -> None:
    with pytest.raises(H3ConnectionError) as raised:
        subject.receive_decoder_stream(data)
    assert raised.value.error_code is ErrorCode.QPACK_DECODER_STREAM_ERROR


def required_inserts(section: bytes, capacity: int, inserts: int) -> int:
    return decode_prefix(section, inserts, capacity // 32).required_inserts


@pytest.mark.rfc("QP-3.2.3-02", "H3-7.2.4-14", "H3-6.2.1-08")
@pytest.mark.parametrize("settings_seen", [None, (0, 0), (0, 100), (31, 100)])
def test_no_table_until_the_peer_allows_one(settings_seen: tuple[int, int] | None) -> None:
    """Before SETTINGS, and with a capacity of 0, nothing goes on the encoder stream and everything decodes at once."""
    subject = FieldEncoder(4096)
    if settings_seen is not None:
        assert subject.apply_settings(*settings_seen) == b""
    peer = decoder(0, 0)
    for stream_id in range(0, 40, 4):
        instructions, section = subject.encode(stream_id, REQUEST)
        assert instructions == b""
        assert peer.decode(stream_id, section) == REQUEST


def test_our_own_limit_of_0_uses_no_table() -> None:
    """Whatever the peer allows."""
    subject, instructions = encoder(limit=0)
    assert instructions == b""
    assert [subject.encode(number, REQUEST)[0] for number in range(5)] == [b""] * 5


def test_settings_count_once() -> None:
    """A table that is in use stays as it is."""
    subject, instructions = encoder()
    assert instructions == bytes.fromhex("3fe11f")
    assert subject.apply_settings(65_536, 100) == b""


def test_settings_of_any_size_are_taken() -> None:
    """62-bit settings mean as much as we use."""
    subject, instructions = encoder(2**62 - 1, 2**62 - 1)
    assert instructions == bytes.fromhex("3fe11f")
    assert subject.encode(0, REQUEST)[1]


@pytest.mark.rfc("QP-2.1-01")
def test_repetition_gets_short() -> None:
    """The third equal request takes a byte a field and a prefix."""
    subject, instructions = encoder()
    peer = decoder()
    peer.receive_encoder_stream(instructions)
    for stream_id in (0, 4, 8, 12):
        instructions, section = subject.encode(stream_id, REQUEST)
        peer.receive_encoder_stream(instructions)
        assert peer.decode(stream_id, section) == REQUEST
        subject.receive_decoder_stream(peer.take_decoder_stream())
    assert instructions == b""
    assert len(section) == len(REQUEST) + 2


# Secrets


@pytest.mark.rfc("H3-10.6-01", "QP-4.5.4-01")
@pytest.mark.parametrize("name", [*sorted(SECRET_NAMES), b"x-vault-token", b"maps-api-key"])
def test_secrets_are_literals_that_are_never_indexed(name: bytes) -> None:
    """Sent again and again, a secret never reaches the encoder stream, and its line has the N bit."""
    subject, _ = encoder()
    for stream_id in range(0, 40, 4):
        instructions, section = subject.encode(stream_id, [(b":method", b"GET"), (name, b"top-secret")])
        assert instructions == b""
        line = section[3:]
        assert line[0] & 0xE0 == 0x60 or line[0] & 0xF0 == 0x30
        assert read_field_line(section, 3).end == len(section)


@pytest.mark.rfc("H3-10.6-01")
def test_an_empty_secret_tells_nothing() -> None:
    """An empty value may come from the static table."""
    subject, _ = encoder()
    fields = [(b"cookie", b""), (b"authorization", b""), (b"x-api-key", b"")]
    assert decoder().decode(0, subject.encode(0, fields)[1]) == fields


field_names = st.sampled_from(
    [
        b":path",
        b"cookie",
        b"set-cookie",
        b"authorization",
        b"x-a",
        b"x-b",
        b"content-type",
        b"accept",
        b"x-" + b"l" * 150,
    ]
)
field_values = st.sampled_from([b"", b"1", b"v" * 30, b"\xff\x00\x80", b"text/html; charset=utf-8", b"w" * 200])
sections = st.lists(st.tuples(field_names, field_values), max_size=8)


@pytest.mark.rfc("QP-2.1-01")
@given(st.lists(sections, max_size=8), st.sampled_from([0, 4096]))
def test_order_is_kept(messages: list[Fields], capacity: int) -> None:
    """Secrets stay between their neighbours: what is decoded is what was given, every time."""
    subject, instructions = encoder(capacity)
    peer = decoder(capacity)
    peer.receive_encoder_stream(instructions)
    for number, fields in enumerate(messages + messages):
        instructions, section = subject.encode(4 * number, fields)
        peer.receive_encoder_stream(instructions)
        assert peer.decode(4 * number, section) == fields
        subject.receive_decoder_stream(peer.take_decoder_stream())


# The peer's limits


@pytest.mark.rfc("QP-2.1.2-01")
@pytest.mark.parametrize("limit", [0, 1, 5])
def test_no_more_streams_at_risk_than_the_peer_takes(limit: int) -> None:
    """With the encoder stream held back, at most `limit` streams need it; with 0 none does."""
    subject, _ = encoder(blocked=limit)
    inserts = 0
    waiting = set()
    for number in range(60):
        stream_id = 4 * (number % 20)
        _, section = subject.encode(stream_id, [(b"x-a", b"%d" % (number // 6)), *REQUEST])
        if required_inserts(section, 4096, inserts):
            waiting.add(stream_id)
    assert len(waiting) <= limit


@pytest.mark.rfc("QP-2.1.2-01", "QP-2.2.2-03")
def test_increments_make_a_table_useful_without_blocking() -> None:
    """A peer that takes no blocked streams still gets short sections once it has told what it received."""
    subject, instructions = encoder(blocked=0)
    peer = decoder(blocked=0)
    peer.receive_encoder_stream(instructions)
    sizes = []
    for number in range(5):
        instructions, section = subject.encode(4 * number, REQUEST)
        peer.receive_encoder_stream(instructions)
        subject.receive_decoder_stream(peer.take_decoder_stream())
        sizes.append(len(section))
    assert sizes[-1] == len(REQUEST) + 2


@pytest.mark.rfc("QP-4.5.1-02")
@pytest.mark.parametrize("peer_capacity", [4096, 4127, 65_536, 2**30])
def test_the_peer_may_allow_more_than_we_use(peer_capacity: int) -> None:
    """The Required Insert Count wraps by the peer's maximum, not by ours, over many times its range."""
    subject, instructions = encoder(peer_capacity, limit=128)
    peer = decoder(min(peer_capacity, 2**31))
    peer.receive_encoder_stream(instructions)
    used = 0
    for number in range(600):
        fields = [(b"x-a", b"%d" % (number // 2))]
        instructions, section = subject.encode(4 * number, fields)
        peer.receive_encoder_stream(instructions)
        assert peer.decode(4 * number, section) == fields
        used += section[0] != 0
        subject.receive_decoder_stream(peer.take_decoder_stream())
    assert used > 200


@pytest.mark.rfc("QP-2.1.1-01", "QP-2.1.2-01", "QP-4.4.2-01", "QP-2.1-01")
@given(
    st.sampled_from([32, 64, 100, 256, 4096]),
    st.integers(0, 3),
    st.lists(st.tuples(st.sampled_from(["send", "send", "send", "carry", "answer", "cancel"]), sections), max_size=40),
)
@settings(max_examples=150)
def test_a_slow_peer_is_never_asked_for_too_much(capacity: int, blocked: int, steps: list[tuple[str, Fields]]) -> None:
    """Both streams delayed at random: nothing that is referred to was evicted, no limit is passed, everything decodes."""
    subject, forward = encoder(capacity, blocked)
    peer = decoder(capacity, blocked)
    sent: dict[int, Fields] = {}
    backward = b""
    for number, (step, fields) in enumerate(steps):
        if step == "send":
            instructions, section = subject.encode(number, fields)
            forward += instructions
            decoded = peer.decode(number, section)
            if decoded is None:
                sent[number] = fields
            else:
                assert decoded == fields
        elif step == "cancel" and sent:
            stream_id = min(sent)
            del sent[stream_id]
            peer.cancel(stream_id)
        elif step == "carry":
            for stream_id in peer.receive_encoder_stream(forward):
                assert peer.resume(stream_id) == sent.pop(stream_id)
            forward = b""
        backward += peer.take_decoder_stream()
        if step == "answer":
            subject.receive_decoder_stream(backward)
            backward = b""
    for stream_id in peer.receive_encoder_stream(forward):
        assert peer.resume(stream_id) == sent.pop(stream_id)
    assert not sent
    subject.receive_decoder_stream(backward + peer.take_decoder_stream())


# The decoder stream


@pytest.mark.rfc("QP-4.4.3-01")
@pytest.mark.parametrize("data", ["00", "01", "3f00", "3fffffffffffffffff7f", "3fffffffffffffffffff7f"])
def test_increments_of_nothing(data: str) -> None:
    """Insert Count Increment 0, and any increment when nothing was inserted, with and without a table."""
    for pieces in cuts(bytes.fromhex(data)):
        for subject in (FieldEncoder(4096), encoder()[0]):
            outcomes = [ending(partial(subject.receive_decoder_stream, piece)) for piece in pieces]
            assert ErrorCode.QPACK_DECODER_STREAM_ERROR in outcomes
            assert set(outcomes) <= {None, ErrorCode.QPACK_DECODER_STREAM_ERROR}


@pytest.mark.rfc("QP-4.4.3-01")
def test_increments_up_to_what_was_inserted() -> None:
    """All insertions may be told, at once or in steps, and not one more."""
    subject, inserts = warmed_up()
    subject.receive_decoder_stream(bytes((inserts,)))
    refused(subject, b"\x01")
    subject, inserts = warmed_up(9)
    for _ in range(inserts):
        subject.receive_decoder_stream(b"\x01")
    refused(subject, b"\x01")
    subject, inserts = warmed_up()
    refused(subject, bytes((inserts + 1,)))


@pytest.mark.rfc("QP-4.4.3-01", "QP-2.2.2-03")
def test_increments_count_from_what_was_acknowledged() -> None:
    """A Section Acknowledgment moves the Known Received Count, and an increment goes on from there."""
    subject, instructions = encoder()
    peer = decoder()
    peer.receive_encoder_stream(instructions)
    inserts = 0
    for number in range(6):
        instructions, section = subject.encode(4 * number, [(b"x-a", b"1"), (b"x-b", b"2")])
        peer.receive_encoder_stream(instructions)
        peer.decode(4 * number, section)
    said = peer.take_decoder_stream()
    inserts = 2
    assert said[0] >= 0x80
    assert said[-1] >= 0x80, "the acknowledgments cover every insertion"
    subject.receive_decoder_stream(said)
    refused(subject, bytes((inserts,)))


@pytest.mark.rfc("QP-4.4.1-01")
def test_acknowledgments_of_nothing() -> None:
    """An unknown stream, a section without dynamic references, and a second time for the same section."""
    for subject in (FieldEncoder(4096), encoder()[0]):
        subject.encode(0, [(b":method", b"GET")])
        refused(subject, b"\x80")
    subject, instructions = encoder()
    peer = decoder()
    peer.receive_encoder_stream(instructions)
    for stream_id in (0, 4, 8):
        instructions, section = subject.encode(stream_id, REQUEST)
        peer.receive_encoder_stream(instructions)
        peer.decode(stream_id, section)
    said = peer.take_decoder_stream()
    assert said
    subject.receive_decoder_stream(said)
    refused(subject, said[-1:])


@pytest.mark.rfc("QP-4.4.2-01")
def test_cancellations_are_harmless() -> None:
    """Of unknown and finished streams, and cut anywhere; a cancelled section cannot be acknowledged any more."""
    for pieces in cuts(b"\x40\x7f\xff\x01"):
        for subject in (FieldEncoder(4096), warmed_up()[0]):
            for piece in pieces:
                subject.receive_decoder_stream(piece)
    subject, _ = encoder()
    for stream_id in (0, 4, 8):
        _, section = subject.encode(stream_id, REQUEST)
    assert section[0]
    subject.receive_decoder_stream(b"\x48")
    refused(subject, b"\x88")


@given(st.binary(max_size=30))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    """Nothing but our own error leaves the encoder."""
    subject, _ = warmed_up()
    outcome = ending(lambda: subject.receive_decoder_stream(data))
    assert outcome in (None, ErrorCode.QPACK_DECODER_STREAM_ERROR)


@pytest.mark.parametrize("fields", [[(b"", b"x")], [(b"x", b"y" * 65_536)], [(b"cookie", b"y" * 65_536)]])
def test_what_cannot_be_encoded_is_our_own_error(fields: Fields) -> None:
    """An empty name or 64 KiB in one string, and the encoder goes on."""
    subject, _ = encoder()
    with pytest.raises(LocalProtocolError, match="cannot be encoded"):
        subject.encode(0, fields)
    assert subject.encode(0, REQUEST)[1]


def test_prefixed_integers() -> None:
    """RFC 7541 appendix C.1."""
    assert encode_integer(0, 5, 10).hex() == "0a"
    assert encode_integer(0, 5, 1337).hex() == "1f9a0a"
    assert encode_integer(0, 8, 42).hex() == "2a"
