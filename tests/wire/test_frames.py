"""Frame types, who may send them where, and short payloads (RFC 9114 section 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.frames import (
    FRAMES,
    Disposition,
    dispositions,
    encode_frame,
    encode_priority_update,
    encode_push_promise,
    encode_single_varint,
    frame_header,
    frame_name,
    parse_priority_update,
    parse_push_promise,
    parse_single_varint,
)
from h3push.wire.registry import (
    HTTP2_FRAME_TYPES,
    FrameType,
    Role,
    StreamKind,
    is_reserved,
    reserved_number,
)
from h3push.wire.varint import VARINT_MAX

C, S = Role.CLIENT, Role.SERVER
CONTROL, REQUEST, PUSH = StreamKind.CONTROL, StreamKind.REQUEST, StreamKind.PUSH
SINGLE = [FrameType.CANCEL_PUSH, FrameType.GOAWAY, FrameType.MAX_PUSH_ID]

ACCEPTED = {
    (S, CONTROL): {0x3, 0x4, 0x7, 0xD, 0xF0700, 0xF0701},
    (C, CONTROL): {0x3, 0x4, 0x7},
    (S, REQUEST): {0x0, 0x1},
    (C, REQUEST): {0x0, 0x1, 0x5},
    (C, PUSH): {0x0, 0x1},
}


@pytest.mark.rfc(
    "H3-7.2.1-01",
    "H3-7.2.2-01",
    "H3-7.2.4-05",
    "H3-7.2.7-02",
    "H3-7.2.7-03",
    "H3-7.2.7-04",
    "H3-7.2.5-07",
    "H3-7.2.8-01",
    "PRI-7.2-04",
    "PRI-7.2-06",
)
@pytest.mark.parametrize(("receiver", "kind"), ACCEPTED)
def test_frames_come_where_the_rfc_permits_them(receiver: Role, kind: StreamKind) -> None:
    """Table 1 of RFC 9114 section 7, by receiver; every other known type is unexpected there."""
    table = dispositions(receiver, kind)
    accepted = {number for number, what in table.items() if what is not Disposition.UNEXPECTED}
    assert accepted == ACCEPTED[receiver, kind]
    assert set(table) == set(FRAMES)
    assert [number for number, what in table.items() if what is Disposition.STREAM] == [0][: 0 in accepted]


@pytest.mark.rfc("H3-7.2.8-01")
@pytest.mark.parametrize("number", [0x02, 0x06, 0x08, 0x09])
def test_http2_frames_come_nowhere(number: int) -> None:
    """PRIORITY, PING, WINDOW_UPDATE and CONTINUATION of HTTP/2 are unexpected on every stream."""
    for receiver in Role:
        for kind in StreamKind:
            assert dispositions(receiver, kind)[number] is Disposition.UNEXPECTED


@pytest.mark.rfc("H3-7.2.8-02")
@pytest.mark.parametrize("number", [0x0E, 0x21, 0x40, 0x5F, 2**62 - 2])
def test_unknown_types_are_in_no_table(number: int) -> None:
    """Reserved and unknown types, the obsolete DUPLICATE_PUSH among them, are skipped everywhere."""
    for receiver in Role:
        for kind in StreamKind:
            assert number not in dispositions(receiver, kind)


@pytest.mark.rfc("H3-7.2.8-03")
@pytest.mark.parametrize("number", HTTP2_FRAME_TYPES)
def test_http2_frames_are_never_sent(number: int) -> None:
    """No call makes a frame of a type that only HTTP/2 has."""
    with pytest.raises(ValueError, match="HTTP/2"):
        frame_header(number, 0)
    with pytest.raises(ValueError, match="HTTP/2"):
        encode_frame(number, b"")


@pytest.mark.rfc("H3-6.2.3-01")
def test_reserved_numbers() -> None:
    """0x1f * N + 0x21 and nothing else is reserved for grease."""
    assert [number for number in range(0x70) if is_reserved(number)] == [0x21, 0x40, 0x5F]
    assert reserved_number(0) == 0x21
    assert is_reserved(reserved_number(10**15))
    assert not any(is_reserved(number) for number in FRAMES)


def test_names() -> None:
    """A frame has its RFC name, or its number."""
    assert frame_name(0x0D) == "MAX_PUSH_ID"
    assert frame_name(0x06) == "HTTP/2 PING"
    assert frame_name(0x21) == "frame of type 0x21"


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (encode_frame(FrameType.HEADERS, b"\0\0\xd1"), "01030000d1"),
        (frame_header(FrameType.DATA, 70_000), "0080011170"),
        (encode_single_varint(FrameType.MAX_PUSH_ID, 64), "0d024040"),
        (encode_push_promise(1, b"\0\0\xd1"), "0504010000d1"),
        (encode_priority_update(FrameType.PRIORITY_UPDATE_PUSH, 2, b"u=1"), "800f07010402753d31"),
    ],
)
def test_encoding(encoded: bytes, expected: str) -> None:
    """Frames as they stand on the wire."""
    assert encoded.hex() == expected


@pytest.mark.rfc("H3-7.2.7-13", "H3-7.2.3-18", "H3-5.2-14", "H3-7.1-01")
@pytest.mark.parametrize("frame_type", SINGLE)
@pytest.mark.parametrize("payload", ["", "40", "c0000000000000", "0000", "05ff", "400000"])
def test_an_id_frame_is_exactly_one_varint(frame_type: FrameType, payload: str) -> None:
    """CANCEL_PUSH, GOAWAY and MAX_PUSH_ID with an empty, cut or longer payload are H3_FRAME_ERROR."""
    with pytest.raises(H3ConnectionError) as raised:
        parse_single_varint(frame_type, bytes.fromhex(payload))
    assert raised.value.error_code is ErrorCode.H3_FRAME_ERROR


@pytest.mark.rfc("H3-7.2.7-12", "H3-7.2.7-14")
@pytest.mark.parametrize("frame_type", SINGLE)
@pytest.mark.parametrize(("payload", "value"), [("05", 5), ("c000000000000005", 5), ("ff" * 8, VARINT_MAX)])
def test_an_id_frame_takes_every_varint(frame_type: FrameType, payload: str, value: int) -> None:
    """Every encoding and the whole range of an ID is accepted."""
    assert parse_single_varint(frame_type, bytes.fromhex(payload)) == value


@pytest.mark.parametrize("payload", ["", "40", "800000"])
def test_a_promise_has_a_whole_push_id(payload: str) -> None:
    """PUSH_PROMISE that ends within the push ID is H3_FRAME_ERROR."""
    with pytest.raises(H3ConnectionError) as raised:
        parse_push_promise(bytes.fromhex(payload))
    assert raised.value.error_code is ErrorCode.H3_FRAME_ERROR


def test_a_promise() -> None:
    """Push ID, then the section, which may be empty as far as the frame is concerned."""
    assert parse_push_promise(bytes.fromhex("40050000d1")) == (5, b"\0\0\xd1")
    assert parse_push_promise(b"\x05") == (5, b"")


@pytest.mark.rfc("PRI-7.2-05", "PRI-7.2-10")
@pytest.mark.parametrize("payload", ["", "40"])
def test_a_priority_update_has_a_whole_element_id(payload: str) -> None:
    """PRIORITY_UPDATE that ends within the element ID is H3_FRAME_ERROR."""
    with pytest.raises(H3ConnectionError) as raised:
        parse_priority_update(bytes.fromhex(payload))
    assert raised.value.error_code is ErrorCode.H3_FRAME_ERROR


@pytest.mark.rfc("PRI-7.2-10")
def test_a_priority_update_may_have_no_value() -> None:
    """An empty field value is legal."""
    assert parse_priority_update(b"\x04") == (4, b"")
    assert parse_priority_update(b"\x04u=1") == (4, b"u=1")


@given(st.integers(0, VARINT_MAX), st.binary(max_size=40))
def test_round_trips(number: int, rest: bytes) -> None:
    """Payloads come back as they were given, behind a header of at most 16 bytes."""
    frame = encode_push_promise(number, rest)
    assert parse_push_promise(frame[2:]) == (number, rest)
    frame = encode_priority_update(FrameType.PRIORITY_UPDATE_REQUEST, number, rest)
    assert parse_priority_update(frame[5:]) == (number, rest)
    frame = encode_single_varint(FrameType.GOAWAY, number)
    assert parse_single_varint(FrameType.GOAWAY, frame[2:]) == number
