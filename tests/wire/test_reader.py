"""Cutting streams into frames (RFC 9114 sections 6.2 and 7.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pieces import cuts

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.frames import encode_frame, frame_header
from h3push.wire.reader import FrameReader, StreamHeaderReader
from h3push.wire.registry import FrameType, Role, StreamKind, reserved_number
from h3push.wire.varint import encode_varint

DATA, HEADERS = FrameType.DATA, FrameType.HEADERS
Frames = list[tuple[int, bytes]]


def reader(receiver: Role = Role.CLIENT, kind: StreamKind = StreamKind.REQUEST, **options: object) -> FrameReader:
    return FrameReader(receiver, kind, **{"max_buffered": 1000, **options})  # type: ignore[arg-type]


def control(receiver: Role = Role.SERVER) -> FrameReader:
    return reader(receiver, StreamKind.CONTROL, first=FrameType.SETTINGS)


def read(subject: FrameReader, pieces: list[bytes]) -> tuple[Frames, ErrorCode | None]:
    """All frames, pieces of DATA joined, and the error that ended them."""
    frames: Frames = []
    after_data = False
    try:
        for piece in pieces:
            for frame_type, payload in subject.receive(piece):
                if frame_type == DATA and after_data and payload and frames[-1][1]:
                    frames[-1] = (DATA, frames[-1][1] + payload)
                else:
                    frames.append((frame_type, payload))
                after_data = frame_type == DATA
    except H3ConnectionError as error:
        return frames, error.error_code
    return frames, None


CORPUS = {
    "response": ("0103 0000d9 0003 616263 01020000", [(1, b"\0\0\xd9"), (0, b"abc"), (1, b"\0\0")]),
    "promise and response": ("0504 010000d1 0103 0000d9", [(5, b"\1\0\0\xd1"), (1, b"\0\0\xd9")]),
    "long forms": ("c000000000000001 8000000200 00 4000 4001 61", [(1, b"\0\0"), (0, b"a")]),
    "empty DATA": ("0102 0000 0000 0000 0001 61 0000", [(1, b"\0\0"), (0, b""), (0, b""), (0, b"a"), (0, b"")]),
    "unknown": (
        "2100 0102 0000 2103 616263 0e01 00 0001 61",
        [(0x21, b""), (1, b"\0\0"), (0x21, b""), (0xE, b""), (0, b"a")],
    ),
    "only unknown": ("4040 05 0102030405", [(0x40, b"")]),
}


@pytest.mark.rfc("H3-4.1-07", "H3-4.1-18", "H3-4.1-19", "H3-4.1-21", "H3-7.2.8-02")
@pytest.mark.parametrize("name", CORPUS)
def test_frames_come_out_however_they_are_cut(name: str) -> None:
    """Whole, cut anywhere, byte by byte: the same frames; unknown ones told once and skipped."""
    encoded, expected = CORPUS[name]
    for pieces in cuts(bytes.fromhex(encoded)):
        subject = reader()
        assert read(subject, pieces) == (expected, None)
        assert subject.at_frame_boundary


@pytest.mark.rfc("H3-7.1-02")
@pytest.mark.parametrize("name", CORPUS)
def test_a_stream_that_ends_inside_a_frame_can_be_told(name: str) -> None:
    """After every proper beginning `at_frame_boundary` says whether a frame, known or not, is incomplete."""
    data = bytes.fromhex(CORPUS[name][0])
    boundaries = {0}
    subject = reader()
    for length in range(1, len(data) + 1):
        list(subject.receive(data[length - 1 : length]))
        if subject.at_frame_boundary:
            boundaries.add(length)
    assert len(boundaries) == 1 + len(CORPUS[name][1])
    for length in boundaries:
        fresh = reader()
        list(fresh.receive(data[:length]))
        assert fresh.at_frame_boundary


def test_data_streams_through() -> None:
    """A piece of DATA comes out as it came in, and nothing is held."""
    subject = reader()
    assert list(subject.receive(frame_header(DATA, 10**12))) == []
    piece = b"x" * 100_000
    for _ in range(3):
        assert list(subject.receive(piece)) == [(DATA, piece)]
    ((_, out),) = subject.receive(piece)
    assert out is piece
    assert not subject.at_frame_boundary


@pytest.mark.rfc("ROB-13", "H3-4.1-07")
def test_unknown_frames_of_any_length_are_not_held() -> None:
    """Megabytes of an unknown frame pass and leave nothing, then the next frame comes."""
    subject = reader()
    assert list(subject.receive(frame_header(reserved_number(7), 5_000_000))) == [(reserved_number(7), b"")]
    for _ in range(50):
        assert list(subject.receive(b"\x05" * 100_000)) == []
    assert list(subject.receive(b"\x01\x00")) == [(HEADERS, b"")]


FORBIDDEN = [
    (Role.SERVER, StreamKind.REQUEST, [0x03, 0x04, 0x05, 0x07, 0x0D, 0xF0700, 0xF0701, 0x02, 0x06, 0x08, 0x09]),
    (Role.CLIENT, StreamKind.REQUEST, [0x03, 0x04, 0x07, 0x0D, 0xF0700, 0xF0701, 0x02, 0x06, 0x08, 0x09]),
    (Role.CLIENT, StreamKind.PUSH, [0x03, 0x04, 0x05, 0x07, 0x0D, 0xF0700, 0xF0701, 0x02, 0x06, 0x08, 0x09]),
]


@pytest.mark.rfc("H3-7.1-04", "H3-7.2.8-01", "H3-7.2.4-05", "H3-7.2.7-02", "H3-7.2.7-03")
@pytest.mark.parametrize(("receiver", "kind", "types"), FORBIDDEN)
def test_a_forbidden_frame_fails_on_its_type(receiver: Role, kind: StreamKind, types: list[int]) -> None:
    """H3_FRAME_UNEXPECTED as soon as the type is there, with no length and no payload; what came before is told."""
    before = bytes.fromhex("01020000")
    for frame_type in types:
        for pieces in cuts(before + encode_varint(frame_type)):
            frames, error = read(reader(receiver, kind), pieces)
            assert (frames, error) == ([(1, b"\0\0")], ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-6.2.1-01", "H3-9-01")
@pytest.mark.parametrize("first", ["21", "07", "0d", "00", "01", "02", "05", "40 40", "800f0700"])
def test_the_control_stream_begins_with_settings(first: str) -> None:
    """Any other first type, unknown or forbidden too, is H3_MISSING_SETTINGS, judged on the type (PR-1)."""
    for pieces in cuts(bytes.fromhex(first)):
        assert read(control(), pieces) == ([], ErrorCode.H3_MISSING_SETTINGS)


@pytest.mark.rfc("H3-7.2.1-01", "H3-7.2.2-01", "H3-7.2.7-04")
@pytest.mark.parametrize(
    ("receiver", "second"), [(Role.SERVER, "00"), (Role.SERVER, "01"), (Role.CLIENT, "0d"), (Role.CLIENT, "800f0700")]
)
def test_after_settings_the_usual_rules_hold(receiver: Role, second: str) -> None:
    """DATA and HEADERS, and what only a client sends, are H3_FRAME_UNEXPECTED on a control stream."""
    for pieces in cuts(bytes.fromhex("0400" + second)):
        assert read(control(receiver), pieces) == ([(4, b"")], ErrorCode.H3_FRAME_UNEXPECTED)


def test_settings_cut_anywhere_is_still_first() -> None:
    """A first frame that arrives byte by byte counts as first once, and later frames are not measured by it."""
    for pieces in cuts(bytes.fromhex("4004 04 06010733 0d0105 2100")):
        expected = [(4, bytes.fromhex("06010733")), (0xD, b"\x05"), (0x21, b"")]
        assert read(control(), pieces) == (expected, None)


@pytest.mark.rfc("ROB-19")
@pytest.mark.parametrize("length", [1001, 2**30, 2**62 - 1])
def test_a_frame_too_large_to_hold_fails_on_its_length(length: int) -> None:
    """H3_EXCESSIVE_LOAD with the length alone; one byte less is held."""
    for pieces in cuts(frame_header(HEADERS, length)):
        assert read(reader(), pieces) == ([], ErrorCode.H3_EXCESSIVE_LOAD)
    assert read(reader(), [encode_frame(HEADERS, b"x" * 1000)]) == ([(1, b"x" * 1000)], None)


def test_frames_before_an_error_are_told() -> None:
    """Everything ahead of the bad frame comes out of the same delivery."""
    frames = reader(Role.SERVER).receive(bytes.fromhex("01020000 0001 61 0d 01 05"))
    assert next(frames) == (1, b"\0\0")
    assert next(frames) == (0, b"a")
    with pytest.raises(H3ConnectionError, match="MAX_PUSH_ID may not be sent here"):
        next(frames)


def test_what_is_left_early_goes_on_later() -> None:
    """Closing the iterator after a frame gives the rest back."""
    subject = reader()
    frames = subject.receive(bytes.fromhex("01020000 0002 6162 01"))
    assert next(frames) == (1, b"\0\0")
    frames.close()  # type: ignore[attr-defined]
    assert not subject.at_frame_boundary
    assert list(subject.receive(b"\x00")) == [(0, b"ab"), (1, b"")]


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 5, 0x21, 0xE, reserved_number(10**9)]), st.binary(max_size=40)), max_size=8
    ),
    st.data(),
)
def test_any_cutting_gives_the_same_frames(frames: Frames, data: st.DataObject) -> None:
    """Encoded frames come back, however the stream is cut."""
    stream = b"".join(encode_frame(frame_type, payload) for frame_type, payload in frames)
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
    whole = read(reader(), [stream])
    assert read(reader(), pieces) == whole
    assert whole[1] is None
    assert b"".join(p for t, p in whole[0] if t == 0) == b"".join(p for t, p in frames if t == 0)
    assert [f for f in whole[0] if f[0] in (1, 5)] == [f for f in frames if f[0] in (1, 5)]


@given(st.binary(max_size=60))
def test_any_bytes_are_frames_or_an_error(stream: bytes) -> None:
    """Nothing but H3ConnectionError leaves the reader."""
    read(reader(), [stream])
    read(control(), [stream])


# Stream headers


@pytest.mark.rfc("H3-6.2-05", "H3-6.2-03")
@pytest.mark.parametrize(
    ("encoded", "stream_type"),
    [("00", 0), ("c000000000000000", 0), ("02", 2), ("4003", 3), ("21", 0x21), ("ff" * 8, 2**62 - 1)],
)
@pytest.mark.parametrize("receiver", list(Role))
def test_a_stream_type_is_read_however_it_is_cut(receiver: Role, encoded: str, stream_type: int) -> None:
    """Types of any encoding, byte by byte; what follows belongs to the next reader and nothing is lost."""
    header = bytes.fromhex(encoded)
    tail = b"\x04\x00rest"
    for pieces in cuts(header + tail):
        subject = StreamHeaderReader(receiver)
        rest = b""
        for number, piece in enumerate(pieces):
            after = subject.receive(piece)
            if after is not None:
                rest = after + b"".join(pieces[number + 1 :])
                break
            assert subject.stream_type is None
        assert (subject.stream_type, subject.push_id, rest) == (stream_type, None, tail)


@pytest.mark.rfc("H3-6.2.2-02")
def test_a_push_stream_shows_its_type_before_its_push_id() -> None:
    """A client can judge on the type alone, before the push ID has come (PR-8)."""
    subject = StreamHeaderReader(Role.CLIENT)
    assert subject.receive(b"\x01") is None
    assert subject.stream_type == 1
    assert subject.push_id is None
    assert subject.receive(b"\x40") is None
    assert subject.receive(b"\x05\x01") == b"\x01"
    assert subject.push_id == 5


def test_a_push_header_is_read_however_it_is_cut() -> None:
    """Type and push ID in long forms."""
    header = bytes.fromhex("4001 c000000000000009")
    for pieces in cuts(header):
        subject = StreamHeaderReader(Role.CLIENT)
        assert [subject.receive(piece) for piece in pieces] == [None] * (len(pieces) - 1) + [b""]
        assert (subject.stream_type, subject.push_id) == (1, 9)


def test_a_server_needs_no_push_id() -> None:
    """No push stream may come to a server, so the type is all it waits for."""
    subject = StreamHeaderReader(Role.SERVER)
    assert subject.receive(b"\x01") == b""
    assert (subject.stream_type, subject.push_id) == (1, None)
