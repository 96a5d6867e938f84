"""The streams that a connection cannot live without."""

import pytest

from conformance.support import GREASE_FRAME, SETTINGS, frame
from h3push.errors import ErrorCode, H3ConnectionError
from h3push.h3.control import ControlStream, QpackStream, closed_critical_stream
from h3push.wire.registry import FrameType, Role


def stream(receiver: Role = Role.SERVER) -> tuple[ControlStream, list[tuple[int, bytes]], list[str]]:
    told: list[tuple[int, bytes]] = []
    spent: list[str] = []
    handled = (FrameType.SETTINGS, FrameType.GOAWAY, FrameType.MAX_PUSH_ID)
    handlers = {kind: (lambda payload, kind=kind: told.append((kind, payload))) for kind in handled}
    return ControlStream(receiver, handlers, charge=spent.append, max_frame_size=100), told, spent


def code_of(subject: ControlStream | QpackStream, data: bytes, end: bool = False) -> ErrorCode:
    with pytest.raises(H3ConnectionError) as raised:
        subject.receive(data, end)
    return raised.value.error_code


def test_frames_go_to_their_handlers_in_order() -> None:
    """Whole or byte by byte; unknown frames are counted and nothing else."""
    sent = SETTINGS + GREASE_FRAME + frame(0x07, b"\1") + frame(0x0D, b"\2")
    for step in (1, len(sent)):
        subject, told, spent = stream()
        for start in range(0, len(sent), step):
            subject.receive(sent[start : start + step], False)
        assert told == [(0x04, b""), (0x07, b"\1"), (0x0D, b"\2")]
        assert spent == ["frames of unknown types"]


def test_settings_first_once_and_never_an_end() -> None:
    """The three rules of the stream, each with its code."""
    assert code_of(stream()[0], GREASE_FRAME) is ErrorCode.H3_MISSING_SETTINGS
    assert code_of(stream()[0], SETTINGS * 2) is ErrorCode.H3_FRAME_UNEXPECTED
    for sent in (b"", SETTINGS, SETTINGS + b"\7"):
        assert code_of(stream()[0], sent, end=True) is ErrorCode.H3_CLOSED_CRITICAL_STREAM


def test_the_roles_differ_in_what_they_may_hear() -> None:
    """MAX_PUSH_ID is the client's to send."""
    assert code_of(stream(Role.CLIENT)[0], SETTINGS + frame(0x0D, b"\0")) is ErrorCode.H3_FRAME_UNEXPECTED
    subject, told, _ = stream(Role.SERVER)
    subject.receive(SETTINGS + frame(0x0D, b"\0"), False)
    assert told[-1] == (0x0D, b"\0")


def test_frames_are_bounded() -> None:
    """At `max_frame_size` yes, beyond no."""
    stream()[0].receive(frame(0x04, b"x" * 100), False)
    assert code_of(stream()[0], frame(0x04, b"x" * 101)) is ErrorCode.H3_EXCESSIVE_LOAD


def test_a_qpack_stream_passes_bytes_on_and_never_ends() -> None:
    """Nothing is passed for nothing."""
    taken: list[bytes] = []
    subject = QpackStream("QPACK encoder stream", taken.append)
    subject.receive(b"", False)
    subject.receive(b"ab", False)
    assert taken == [b"ab"]
    assert code_of(subject, b"c", end=True) is ErrorCode.H3_CLOSED_CRITICAL_STREAM
    assert taken == [b"ab", b"c"]
    assert closed_critical_stream("x").reason == "the peer closed its x"
