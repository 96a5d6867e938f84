"""Decoding field sections and the encoder stream (RFC 9204)."""

from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pieces import cuts, ending
from qpack_model import Line, ModelDecoder, ModelError, decode_section

from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError, ProtocolError
from h3push.http.fields import Fields, section_size
from h3push.wire.qpack import FieldDecoder, FieldSectionTooLarge
from h3push.wire.qpack.instructions import LARGEST_STATIC, STATIC_SIZES, encode_integer

CAPACITY_4096 = bytes.fromhex("3fe11f")
INSERT_AB = bytes.fromhex("4161 0162")
FAILED = ErrorCode.QPACK_DECOMPRESSION_FAILED


def decoder(capacity: int = 4096, blocked: int = 16, size: int = 65_536, expansion: int = 16) -> FieldDecoder:
    return FieldDecoder(
        max_table_capacity=capacity, blocked_streams=blocked, max_field_section_size=size, max_expansion=expansion
    )


def with_entries(count: int, capacity: int = 4096, **options: int) -> FieldDecoder:
    subject = decoder(capacity, **options)
    subject.receive_encoder_stream(encode_integer(0x20, 5, capacity) + INSERT_AB * count)
    subject.take_decoder_stream()
    return subject


def failure(subject: FieldDecoder, section: str, stream_id: int = 0) -> ProtocolError:
    with pytest.raises(ProtocolError) as raised:
        subject.decode(stream_id, bytes.fromhex(section))
    return raised.value


def fails_connection(subject: FieldDecoder, section: str, code: ErrorCode = FAILED, stream_id: int = 1000) -> None:
    error = failure(subject, section, stream_id)
    assert isinstance(error, H3ConnectionError)
    assert error.error_code is code


# What is legal


@pytest.mark.rfc("QP-3.1-01")
def test_static_table() -> None:
    """Indices 0 to 98 are the entries of appendix A: checked by number, ends, sizes and a few in between."""
    section = b"\0\0" + b"".join(encode_integer(0xC0, 6, index) for index in range(99))
    fields = decoder().decode(0, section)
    assert fields is not None
    assert len(fields) == len(STATIC_SIZES) == 99
    assert fields[0] == (b":authority", b"")
    assert fields[17] == (b":method", b"GET")
    assert fields[25] == (b":status", b"200")
    assert fields[31] == (b"accept-encoding", b"gzip, deflate, br")
    assert fields[62] == (b"x-xss-protection", b"1; mode=block")
    assert fields[63] == (b":status", b"100")
    assert fields[73] == (b"access-control-allow-credentials", b"FALSE")
    assert fields[98] == (b"x-frame-options", b"sameorigin")
    assert section_size(fields) == sum(size for _, size in STATIC_SIZES)
    assert max(len(name) + len(value) + 32 for name, value in fields) == LARGEST_STATIC


@pytest.mark.rfc("QP-4.5-01", "QP-2.1-01")
@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("0000 510b 2f696e6465782e68746d6c", [(b":path", b"/index.html")]),  # RFC 9204 appendix B.1
        ("0000 d1 d1 c1", [(b":method", b"GET"), (b":method", b"GET"), (b":path", b"/")]),
        ("0000 7101 62 3161 0162", [(b":path", b"b"), (b"a", b"b")]),  # never indexed
        ("0000 2161 811f", [(b"a", b"a")]),  # Huffman
        ("0000 2161 00", [(b"a", b"")]),
        ("007f 80ffffffffffffff3f d1", [(b":method", b"GET")]),  # Base is anything when nothing refers to it
        ("0000 ff 8080808000", [(b":status", b"100")]),  # a long form of 63
        ("0000", []),
    ],
)
def test_sections_without_the_dynamic_table(section: str, fields: Fields) -> None:
    """Static and literal lines, in order, with duplicates, from tables of any size; nothing to acknowledge."""
    for capacity in (0, 4096):
        subject = decoder(capacity)
        assert subject.decode(0, bytes.fromhex(section)) == fields
        assert subject.decode(4, bytes.fromhex(section)) == fields
        assert subject.take_decoder_stream() == b""


RFC_ENCODER_STREAM = [  # RFC 9204 appendix B.2 to B.5
    "3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468",
    "4a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    "02",
    "810d637573746f6d2d76616c756532",
]


@pytest.mark.rfc("QP-4.3-01", "QP-4.5-01", "QP-2.2.2-01", "QP-2.2.2-03")
def test_rfc_example_at_every_cut() -> None:
    """Appendix B of RFC 9204, the encoder stream cut anywhere; what our decoder stream says for it."""
    stream = bytes.fromhex("".join(RFC_ENCODER_STREAM))
    for pieces in cuts(stream):
        subject = decoder(220)
        for piece in pieces:
            assert subject.receive_encoder_stream(piece) == []
        assert subject.take_decoder_stream() == b"\x05"  # Insert Count Increment 5
        # B.4 after the eviction of B.5: absolute 3 is the duplicate of :authority, 2 custom-key
        assert subject.decode(8, bytes.fromhex("050080c181")) == [
            (b":authority", b"www.example.com"),
            (b":path", b"/"),
            (b"custom-key", b"custom-value"),
        ]
        assert subject.take_decoder_stream() == b"\x88"
        assert subject.decode(8, bytes.fromhex("060080")) == [(b"custom-key", b"custom-value2")]
        assert subject.take_decoder_stream() == b"\x88"


@pytest.mark.rfc("QP-2.1.2-02", "QP-2.2.2-01")
def test_rfc_example_blocked() -> None:
    """Appendix B.2: the section comes first, waits, and is acknowledged when it could be decoded."""
    subject = decoder(220)
    assert subject.decode(4, bytes.fromhex("03811011")) is None
    assert subject.take_decoder_stream() == b""
    assert subject.receive_encoder_stream(bytes.fromhex(RFC_ENCODER_STREAM[0])) == [4]
    assert subject.resume(4) == [(b":authority", b"www.example.com"), (b":path", b"/sample/path")]
    assert subject.take_decoder_stream() == b"\x84"
    assert subject.take_decoder_stream() == b""


@pytest.mark.rfc("QP-2.2.2-03")
def test_increments_never_count_what_was_acknowledged() -> None:
    """A Section Acknowledgment covers the insertions it needed; the increment tells the rest, once."""
    subject = decoder()
    subject.receive_encoder_stream(CAPACITY_4096 + INSERT_AB * 3)
    assert subject.decode(0, bytes.fromhex("0300 80")) == [(b"a", b"b")]  # needs 2 of 3
    assert subject.take_decoder_stream() == bytes.fromhex("80 01")
    subject.receive_encoder_stream(INSERT_AB)
    assert subject.decode(4, bytes.fromhex("0500 80")) == [(b"a", b"b")]  # needs all 4
    assert subject.decode(8, bytes.fromhex("0500 80")) == [(b"a", b"b")]
    assert subject.take_decoder_stream() == bytes.fromhex("84 88")
    subject.receive_encoder_stream(INSERT_AB * 70)
    assert subject.take_decoder_stream() == encode_integer(0, 6, 70)


@pytest.mark.rfc("QP-2.2.2-01")
def test_a_section_that_is_decoded_at_once_is_acknowledged_when_it_was_of_use() -> None:
    """Until then nothing has happened, the first time and when it is remembered: `decode` may judge the section again."""
    for remembered in (False, True):
        subject = with_entries(1)
        section = bytes.fromhex("0200 80")
        if remembered:
            subject.decode(400, section)
            subject.take_decoder_stream()
        assert subject.decode_at_once(4, section) == ([(b"a", b"b")], 1)
        assert subject.take_decoder_stream() == b""
        assert subject.decode(4, section) == [(b"a", b"b")]
        assert subject.take_decoder_stream() == b"\x84"
        decoded = subject.decode_at_once(8, section)
        assert decoded is not None
        subject.acknowledge(8, decoded[1])
        assert subject.take_decoder_stream() == b"\x88"


@pytest.mark.rfc("QP-2.1.2-02")
@pytest.mark.parametrize("section", ["0300 80", "0200 81", "0200 80 ff24", "0200", "0200 80 200161", ""])
def test_what_has_to_wait_or_is_wrong_is_not_decoded_at_once(section: str) -> None:
    """`decode` then finds the decoder as if it had not been asked before."""
    asked, fresh = with_entries(1), with_entries(1)
    assert asked.decode_at_once(4, bytes.fromhex(section)) is None
    outcomes: list[object] = []
    for subject in (asked, fresh):
        try:
            outcomes.append(subject.decode(4, bytes.fromhex(section)))
        except ProtocolError as error:
            outcomes.append((type(error), error.error_code, error.reason))
        outcomes.append(subject.take_decoder_stream())
    assert outcomes[:2] == outcomes[2:]


def test_a_section_over_the_limit_is_not_decoded_at_once() -> None:
    """It is `decode` that measures."""
    subject = with_entries(1, size=60)
    assert subject.decode_at_once(4, bytes.fromhex("0200 80 80")) is None
    with pytest.raises(FieldSectionTooLarge):
        subject.decode(4, bytes.fromhex("0200 80 80"))
    assert subject.take_decoder_stream() == b"\x84"


@pytest.mark.rfc("QP-2.2.2-02")
def test_cancellations() -> None:
    """Cancelling tells the encoder while there is a table, blocked or not; without a table nothing is said."""
    subject = decoder()
    assert subject.decode(4, bytes.fromhex("0200 80")) is None
    subject.cancel(4)
    subject.cancel(400)
    assert subject.take_decoder_stream() == b"\x44" + encode_integer(0x40, 6, 400)
    assert subject.receive_encoder_stream(CAPACITY_4096 + INSERT_AB) == []
    without = decoder(0)
    without.cancel(4)
    assert without.take_decoder_stream() == b""


@pytest.mark.rfc("QP-3.2-01", "QP-3.2.2-02", "QP-3.2.2-03")
def test_table_edges() -> None:
    """Equal entries, empty values, capacity to 0 and back, and a name whose entry its own insertion evicts."""
    subject = decoder(4096)
    subject.receive_encoder_stream(bytes.fromhex("3f03 4161 0162"))  # capacity 34, one entry of 34
    subject.receive_encoder_stream(bytes.fromhex("80 0163"))  # name of the entry that has to go
    assert subject.decode(0, bytes.fromhex("0300 80")) == [(b"a", b"c")]
    subject.receive_encoder_stream(b"\x20")
    fails_connection(subject, "0300 80")
    subject.receive_encoder_stream(CAPACITY_4096 + bytes.fromhex("4161 00 4161 00"))
    assert subject.decode(0, bytes.fromhex("0500 80 81")) == [(b"a", b""), (b"a", b"")]


@pytest.mark.rfc("QP-3.2-01", "H3-4.1.2-02")
def test_an_empty_name_is_not_a_qpack_error() -> None:
    """A literal or inserted name of no bytes decodes; refusing it is the message's business."""
    assert decoder().decode(0, bytes.fromhex("0000 d1 20 0162 28 0163 c1")) == [
        (b":method", b"GET"),
        (b"", b"b"),
        (b"", b"c"),
        (b":path", b"/"),
    ]
    subject = decoder()
    subject.receive_encoder_stream(CAPACITY_4096 + bytes.fromhex("40 0162"))
    assert subject.decode(8, bytes.fromhex("0200 80 20 00")) == [(b"", b"b"), (b"", b"")]
    assert subject.take_decoder_stream() == b"\x88"


def test_results_belong_to_the_caller() -> None:
    """The same bytes again give an equal list, untouched by what happened to the first one."""
    subject = with_entries(1)
    section = bytes.fromhex("0200 80 d1")
    for stream_id in (0, 4, 8):
        fields = subject.decode(stream_id, section)
        assert fields == [(b"a", b"b"), (b":method", b"GET")]
        fields.clear()
    assert subject.take_decoder_stream() == b"\x80\x84\x88"


def test_the_same_bytes_mean_something_else_after_wrapping() -> None:
    """The Required Insert Count wraps; a result must not be given again once entries came in between."""
    subject = with_entries(1, capacity=64)
    assert subject.decode(0, bytes.fromhex("0200 80")) == [(b"a", b"b")]
    subject.receive_encoder_stream(bytes.fromhex("4161 0163") * 4)  # 2 * MaxEntries later
    assert subject.decode(4, bytes.fromhex("0200 80")) == [(b"a", b"c")]


# What is not


@pytest.mark.rfc("QP-4.5.1-01", "QP-4.5.1-02", "QP-4.5.1-03", "QP-3.1-02", "QP-4.1.2-01")
@pytest.mark.parametrize(
    "section",
    [
        "",
        "00",
        "ff",
        "007f",
        "02",
        "0000 ff24",  # static 99
        "0000 5f54 0161",  # a name of static 99
        "0000 ff",
        "0000 2161",
        "0000 2161 0561",
        "0000 27",
        "0000 2761",
        "0000 51",
        "0000 51ff",
        "0081 c0",  # Sign 1 with Required Insert Count 0
        "0080 d1",
        "ff8001 00 d1",  # more than 2 * MaxEntries
        "0100 d1",  # wraps to 0
        "c800 80",  # more than MaxEntries ahead
        "0000 80",
        "0000 10",
        "0000 40 0161",
        "0000 00 0161",
        "0000 2161 8118",  # Huffman padding of zeros
        "0000 2161 821fff",  # of more than 7 bits
        "0000 2161 84ffffffff",  # EOS
    ],
)
def test_what_is_no_section(section: str) -> None:
    """Cut sections, impossible counts and bases, indices that are not there, bad Huffman code; with and without a table."""
    for subject in (decoder(0), decoder(), with_entries(1)):
        fails_connection(subject, section)


@pytest.mark.rfc("QP-2.2.1-01", "QP-2.2.1-02", "QP-2.2.3-01")
@pytest.mark.parametrize(
    "section",
    [
        "0200 10",  # count 1, refers to the second
        "0201 80",
        "0300 81",  # count 2, needs 1
        "0200 d1",  # count 1, needs none
        "0200",
        "0281 10",  # Base -1
        "0200 bfc101",  # relative 256: before the first, and 0 modulo 2 * MaxEntries
        "02 7f8101 80",  # Base 257, which is 1 modulo 2 * MaxEntries
        "0200 1ff101",  # post-Base 256
        "0200 4ff101 0161",
        "0200 07f901 0161",
        "0200 bf808080808080808001",
    ],
)
def test_references_beyond_the_count(section: str) -> None:
    """References must be to entries before the Required Insert Count, the last of which is referred to."""
    fails_connection(with_entries(2), section)


@pytest.mark.rfc("QP-2.2.3-01")
def test_references_to_what_was_evicted() -> None:
    """An entry that had to go cannot be referred to."""
    subject = with_entries(3, capacity=64)
    fails_connection(subject, "0400 81")
    subject = with_entries(3, capacity=64)
    fails_connection(subject, "0400 83")
    assert with_entries(3, capacity=64).decode(0, bytes.fromhex("0400 80")) == [(b"a", b"b")]


@pytest.mark.rfc("QP-2.1.2-02", "ROB-07")
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_no_more_blocked_streams_than_announced(limit: int) -> None:
    """The first stream beyond the limit ends the connection, with a limit of 0 too; cancelled ones do not count."""
    subject = decoder(blocked=limit)
    for stream_id in range(0, 4 * limit, 4):
        assert subject.decode(stream_id, bytes.fromhex("0200 80")) is None
    if limit:
        subject.cancel(0)
        assert subject.decode(400, bytes.fromhex("0200 80")) is None
    fails_connection(subject, "0200 80")


def test_a_blocked_section_can_turn_out_wrong() -> None:
    """What could not be judged before its insertions came is judged then."""
    subject = decoder()
    assert subject.decode(0, bytes.fromhex("0200 bfc101")) is None
    assert subject.decode(4, bytes.fromhex("0200 ff24")) is None
    assert subject.receive_encoder_stream(CAPACITY_4096 + INSERT_AB) == [0, 4]
    for stream_id in (0, 4):
        with pytest.raises(H3ConnectionError) as raised:
            subject.resume(stream_id)
        assert raised.value.error_code is FAILED


@pytest.mark.rfc("QP-2.2.3-02", "QP-3.1-03", "QP-3.2.2-01", "QP-3.2.2-03", "QP-3.2.3-01", "QP-4.1.2-01")
@pytest.mark.parametrize(
    ("capacity", "data"),
    [
        (4096, "4161 0162"),  # insertion before any capacity was set
        (4096, "c1 00"),
        (4096, "20 4161 0162"),
        (0, "4161 0162"),
        (0, "21"),
        (4096, "3fe21f"),  # 4097
        (4096, "3fe1c7afa025"),
        (4096, "3f21 4161 20" + "78" * 32),  # capacity 64, entry of 65
        (4096, "3f21 c1 1c" + "78" * 28),  # :path and 28 bytes: 65
        (4096, "3f21 4161 94" + "00" * 20),  # Huffman: 20 bytes of '0' are 32
        (4096, "3fe11f 01"),  # duplicate of what is not there
        (4096, "3fe11f 00"),
        (4096, "3fe11f 4161 0162 81 0161"),
        (4096, "3fe11f ff24 0161"),  # static 99
        (4096, "3fe11f 4161 84ffffffff"),
        (4096, "3fe11f 2fffffffffffffffffff01"),
        (4096, "3fe11f 3fffffffffffffffffff01"),
        (4096, "3fe11f 5fffffffff0f"),  # a name of 4 GiB
        (4096, "3fe11f 4161 7fffffffff0f"),
    ],
)
def test_what_is_no_encoder_stream(capacity: int, data: str) -> None:
    """QPACK_ENCODER_STREAM_ERROR however the bytes are cut, and never more held than a table could take."""
    for pieces in cuts(bytes.fromhex(data)):
        subject = decoder(capacity)
        outcomes = {ending(partial(subject.receive_encoder_stream, piece)) for piece in pieces}
        assert outcomes - {None} == {ErrorCode.QPACK_ENCODER_STREAM_ERROR}


@pytest.mark.rfc("QP-3.2.1-01")
def test_an_entry_may_fill_the_table() -> None:
    """Size counts name, decoded value and 32, to the byte."""
    for insertion in ("4161 1f" + "78" * 31, "c1 1b" + "78" * 27, "4161 93" + "00" * 18 + "07"):
        subject = decoder()
        subject.receive_encoder_stream(bytes.fromhex("3f21" + insertion))
        assert subject.decode(0, bytes.fromhex("0200 80")) is not None


@pytest.mark.rfc("QP-4.1.1-01", "QP-7-01")
@pytest.mark.parametrize(
    "section", ["00" + "7f" + "ff" * 9 + "7f" + "d1", "ff" + "80" * 10 + "01", "02" + "00" + "ff" + "ff" * 8 + "7f"]
)
def test_numbers_beyond_62_bits_concern_the_stream(section: str) -> None:
    """More than we can decode is a stream error of QPACK_DECOMPRESSION_FAILED (RFC 9204 section 7.4)."""
    error = failure(with_entries(1), section)
    assert isinstance(error, H3StreamError)
    assert error.error_code is FAILED


@pytest.mark.rfc("QP-7-01")
def test_strings_beyond_64_kib_concern_the_stream() -> None:
    """So is a string longer than pylsqpack decodes."""
    literal = b"\0\0\x21a" + encode_integer(0, 7, 70_000) + b"x" * 70_000
    error = failure(decoder(size=200_000), literal.hex())
    assert isinstance(error, H3StreamError)
    assert error.error_code is FAILED


# Sizes


@pytest.mark.rfc("H3-4.2.2-01", "H3-4.2.2-03")
def test_the_size_limit_is_exact() -> None:
    """Name, value and 32 for each field: the limit passes, one more is FieldSectionTooLarge and the rest goes on."""
    section = b"\0\0" + b"\x21a" + encode_integer(0, 7, 467) + b"x" * 467
    assert decoder(size=500).decode(0, section) == [(b"a", b"x" * 467)]
    subject = decoder(size=499)
    with pytest.raises(FieldSectionTooLarge) as raised:
        subject.decode(0, section)
    assert isinstance(raised.value, H3StreamError)
    assert raised.value.error_code is ErrorCode.H3_EXCESSIVE_LOAD
    assert subject.decode(4, bytes.fromhex("0000d1")) == [(b":method", b"GET")]


@pytest.mark.rfc("H3-4.2.2-01")
def test_a_section_too_large_is_acknowledged() -> None:
    """QPACK stays in step with a section that was thrown away."""
    subject = with_entries(1, size=60)
    with pytest.raises(FieldSectionTooLarge):
        subject.decode(4, bytes.fromhex("0200 80 80"))
    assert subject.take_decoder_stream() == b"\x84"
    assert subject.decode(8, bytes.fromhex("0200 80")) == [(b"a", b"b")]


LONG = encode_integer(0, 7, 66_000) + b"x" * 66_000


@pytest.mark.rfc("QP-7-01")
@pytest.mark.parametrize(
    ("line", "path"),
    [
        (b"\x51" + LONG, True),
        (b"\x25:path" + LONG, True),
        (b"\x2c\xb9\x58\xd3\x3f" + LONG, True),
        (b"\x5f\x00" + LONG, False),
        (b"\x21a" + LONG, False),
    ],
)
@pytest.mark.parametrize("blocked", [False, True])
def test_a_string_too_long_to_decode_concerns_its_stream_alone(line: bytes, path: bool, blocked: bool) -> None:
    """As every section that is too large, it is acknowledged; it may have waited for the table first (issue 9, point 40)."""
    subject = decoder() if blocked else with_entries(1)
    section = b"\x02\x00\x80" + line
    if blocked:
        assert subject.decode(4, section) is None
        assert subject.receive_encoder_stream(CAPACITY_4096 + INSERT_AB) == [4]
    with pytest.raises(FieldSectionTooLarge) as raised:
        subject.resume(4) if blocked else subject.decode(4, section)
    assert (raised.value.error_code, raised.value.path) == (FAILED, path)
    assert subject.take_decoder_stream() == b"\x84"
    assert subject.decode(8, bytes.fromhex("0200 80")) == [(b"a", b"b")]


@pytest.mark.rfc("ROB-06", "QP-7-01")
def test_a_bomb_is_not_decoded() -> None:
    """16 KB that would become 62 MB: one large entry, referred to again and again."""
    subject = decoder()
    subject.receive_encoder_stream(CAPACITY_4096 + b"\x41a" + encode_integer(0, 7, 4000) + b"x" * 4000)
    section = b"\x02\x00" + b"\x80" * 16_000
    fails_connection(subject, section.hex(), ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.rfc("ROB-06")
def test_a_bomb_of_names_is_not_decoded() -> None:
    """The same by name references, with empty values, and blocked at first."""
    subject = decoder()
    assert subject.decode(0, b"\x02\x00" + b"\x40\x00" * 16_000) is None
    name = encode_integer(0x40, 5, 4000) + b"x" * 4000
    assert subject.receive_encoder_stream(CAPACITY_4096 + name + b"\x00") == [0]
    with pytest.raises(H3ConnectionError) as raised:
        subject.resume(0)
    assert raised.value.error_code is ErrorCode.H3_EXCESSIVE_LOAD


@pytest.mark.rfc("ROB-06")
def test_static_and_literal_bombs() -> None:
    """Static references and Huffman code expand by so little that only the size limit is needed; both are bounded."""
    with pytest.raises(FieldSectionTooLarge):
        decoder().decode(0, b"\0\0" + b"\xea" * 5_000)  # 500 KB
    fails_connection(decoder(), (b"\0\0" + b"\xff\x16" * 32_000).hex(), ErrorCode.H3_EXCESSIVE_LOAD)  # 3.4 MB
    huffman = b"\x21a" + encode_integer(0x80, 7, 25_000) + b"\0" * 25_000  # 40 KB of '0'
    with pytest.raises(FieldSectionTooLarge):
        decoder().decode(0, b"\0\0" + huffman * 2)


def test_many_small_entries_are_no_bomb() -> None:
    """The bound follows the entries that there are, not the table's capacity."""
    subject = with_entries(1, size=2_000)
    assert subject.decode(0, b"\x02\x00" + b"\x80" * 58) == [(b"a", b"b")] * 58


# Against the model

names = st.sampled_from([b"a", b"bb", b"x-long-name", b""])
values = st.sampled_from([b"", b"1", b"22", b"x" * 40])
indices = st.integers(0, 6) | st.sampled_from([15, 62, 63, 64, 98, 99, 127, 128, 255, 256, 257, 1000])
instructions = st.one_of(
    st.tuples(st.just("capacity"), st.sampled_from([0, 32, 64, 100, 160, 161]), names, values),
    st.tuples(st.just("literal"), st.just(0), names, values),
    st.tuples(st.just("static"), st.integers(0, 98), names, values),
    st.tuples(st.just("dynamic"), st.integers(0, 3), names, values),
    st.tuples(st.just("duplicate"), st.integers(0, 3), names, values),
)
lines = st.builds(
    Line,
    st.sampled_from(["static", "relative", "post-base", "static-name", "relative-name", "post-base-name", "literal"]),
    indices,
    names,
    values,
)
STATIC = decoder().decode(0, b"\0\0" + b"".join(encode_integer(0xC0, 6, index) for index in range(99)))
assert STATIC is not None


def apply(model: ModelDecoder, instruction: tuple[str, int, bytes, bytes]) -> bytes:
    """Do to the model what the returned bytes do to the decoder; raises ModelError."""
    kind, number, name, value = instruction
    literal = encode_integer(0, 7, len(value)) + value
    if kind == "capacity":
        model.set_capacity(number)
        return encode_integer(0x20, 5, number)
    if kind == "literal":
        model.insert(name, value)
        return encode_integer(0x40, 5, len(name)) + name + literal
    if kind == "static":
        model.insert(model.static_entry(number)[0], value)
        return encode_integer(0xC0, 6, number) + literal
    entry = model.relative(number)
    model.insert(entry[0], value if kind == "dynamic" else entry[1])
    return encode_integer(0x80, 6, number) + literal if kind == "dynamic" else encode_integer(0, 5, number)


@given(
    st.lists(instructions, max_size=25),
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1), indices, st.lists(lines, max_size=4)), max_size=6),
)
@settings(max_examples=400)
def test_the_decoder_agrees_with_the_rfc(
    stream: list[tuple[str, int, bytes, bytes]], sections: list[tuple[int, int, int, list[Line]]]
) -> None:
    """Whatever is referred to, decoder and model give the same fields, wait, or both refuse."""
    model = ModelDecoder(160, STATIC)
    subject = decoder(160)
    subject.receive_encoder_stream(apply(model, ("capacity", 160, b"", b"")))
    for instruction in stream:
        try:
            encoded = apply(model, instruction)
        except ModelError:
            continue
        assert subject.receive_encoder_stream(encoded) == []
    for number, (count, sign, delta, section_lines) in enumerate(sections):
        section = encode_integer(0, 8, count) + encode_integer(sign * 0x80, 7, delta)
        section += b"".join(line.encode() for line in section_lines)
        try:
            expected = decode_section(model, count, sign, delta, section_lines)
        except ModelError:
            fails_connection(subject, section.hex())
        else:
            try:
                assert subject.decode(4 * number, section) == expected
            except H3ConnectionError:
                assert delta > 5, "only a Base that no encoder chooses, beyond every entry, may be too much for us"


@given(st.binary(max_size=60), st.binary(max_size=60))
@settings(max_examples=300)
def test_any_bytes_are_decoded_or_refused(stream: bytes, section: bytes) -> None:
    """Nothing but our own errors leaves the decoder."""
    subject = with_entries(2)
    with suppress(ProtocolError):
        subject.decode(0, section)
        subject.receive_encoder_stream(stream)
        subject.decode(4, section)
