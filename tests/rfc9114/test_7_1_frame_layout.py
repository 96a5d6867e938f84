"""Frames, their layout and their places (RFC 9114 sections 7.1, 7.2.1, 7.2.2 and 7.2.8)."""

import pytest

from conformance.support import (
    GET,
    GREASE_FRAME,
    LARGEST_VARINT,
    OK,
    SETTINGS,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    frame,
    headers,
    promise,
    read_frames,
    request,
    silent,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, RequestReceived, ResponseReceived, StreamReset
from h3push.wire.frames import encode_frame, frame_header

TRAILERS = headers(("x", "y"))


@pytest.mark.rfc("H3-7.1-01")
@both_roles
@pytest.mark.parametrize("payload", ["06", "06 40", "06 80 00 00", "06 05 07", "01 05 06", "21 40"])
@ways_to_arrive
def test_settings_cut_inside_a_pair(make_rig: type, payload: str, chunk: int | None) -> None:
    """SETTINGS whose payload ends inside an identifier or before its value."""
    rig = make_rig(greet=False, chunk=chunk)
    rig.control(settings=frame(0x04, payload))
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@pytest.mark.rfc("H3-7.1-01")
@pytest.mark.parametrize("frame_type", [0xF0700, 0xF0701])
@pytest.mark.parametrize("payload", ["", "40", "c0 00"])
def test_priority_update_cut_inside_its_element(frame_type: int, payload: str) -> None:
    """PRIORITY_UPDATE without a whole element ID."""
    rig = ServerRig()
    rig.control(frame(frame_type, payload))
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@pytest.mark.rfc("H3-7.1-01")
@pytest.mark.parametrize("payload", ["", "40", "c0 00 00"])
def test_push_promise_cut_inside_its_push_id(payload: str) -> None:
    """PUSH_PROMISE without a whole push ID."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    rig.send(frame(0x05, payload))
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


LAST_FRAMES = [data(b"content"), TRAILERS, frame(0x21, b"grease"), frame(0x4242, b"x" * 70), frame(0x21 + 0x1F * 999)]


@pytest.mark.rfc("H3-7.1-02")
@both_roles
@pytest.mark.parametrize("last", LAST_FRAMES)
@pytest.mark.parametrize("separately", [False, True])
def test_an_end_inside_a_frame(make_rig: type, last: bytes, separately: bool) -> None:
    """FIN at every offset inside the last frame, header or payload, known type or not."""
    for cut in range(1, len(last)):
        rig = make_rig()
        stream_id = rig.send(rig.message, last[:cut], fin=not separately)
        if separately:
            rig.run()
            rig.write(stream_id, b"", fin=True)
        rig.expect_close(ErrorCode.H3_FRAME_ERROR)
        assert not any(getattr(event, "end_stream", False) for event in rig.events)


@pytest.mark.rfc("H3-7.1-02")
@both_roles
def test_an_end_inside_the_first_frame(make_rig: type) -> None:
    """The same in the header section: no message is told."""
    message = make_rig.message
    for cut in range(1, len(message)):
        rig = make_rig()
        rig.send(message[:cut], fin=True)
        rig.expect_close(ErrorCode.H3_FRAME_ERROR)
        assert not any(isinstance(event, RequestReceived | ResponseReceived) for event in rig.events)


@pytest.mark.rfc("H3-7.1-03")
@both_roles
@pytest.mark.parametrize("cut", [b"\0", varint(0) + varint(9) + b"half", GET[:5], varint(0x21) + varint(100) + b"x"])
@pytest.mark.parametrize("after_headers", [False, True])
def test_a_reset_inside_a_frame(make_rig: type, cut: bytes, after_headers: bool) -> None:
    """RESET_STREAM may come anywhere: it ends this stream and nothing else."""
    rig = make_rig()
    if make_rig is ServerRig:
        rig.application = silent
    if not after_headers and cut[:1] == b"\0":
        return
    stream_id = rig.send(rig.message if after_headers else b"", cut)
    rig.run()
    rig.raw.reset(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    rig.run()
    told = StreamReset(stream_id, ErrorCode.H3_REQUEST_CANCELLED, None)
    assert (told in rig.events) == (after_headers or make_rig is ClientRig)
    rig.expect_alive()


@pytest.mark.rfc("H3-7.1-04")
@both_roles
@pytest.mark.parametrize("frame_type", [0x02, 0x03, 0x04, 0x06, 0x07, 0x08, 0x09, 0x0D, 0xF0700, 0xF0701])
@pytest.mark.parametrize("rest", [b"", varint(1000), varint(LARGEST_VARINT), varint(0)])
def test_a_frame_is_judged_on_its_type(make_rig: type, frame_type: int, rest: bytes) -> None:
    """An illegal frame on a request stream is an error before its length or payload is there."""
    rig = make_rig()
    rig.send(rig.message, varint(frame_type), rest)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.1-04", "H3-7.2.1-01", "H3-7.2.2-01")
@both_roles
@pytest.mark.parametrize("sent", ["00", "00 00", "00 01 61", "01", "01 00", "01 02 00 00", "40 00", "05", "05 00"])
@ways_to_arrive
def test_message_frames_on_the_control_stream(make_rig: type, sent: str, chunk: int | None) -> None:
    """DATA, HEADERS and PUSH_PROMISE have no place there, with or without payload."""
    rig = make_rig(chunk=chunk)
    rig.control(GREASE_FRAME, sent)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


# 7.2.8


@pytest.mark.rfc("H3-7.2.8-01")
@both_roles
@pytest.mark.parametrize("frame_type", [0x02, 0x06, 0x08, 0x09])
@pytest.mark.parametrize("where", ["control", "first", "after_headers", "after_data"])
@pytest.mark.parametrize("payload", [b"", b"x" * 8])
@ways_to_arrive
def test_frames_that_only_http2_has(
    make_rig: type, frame_type: int, where: str, payload: bytes, chunk: int | None
) -> None:
    """PRIORITY, PING, WINDOW_UPDATE and CONTINUATION are unexpected on every stream."""
    rig = make_rig(chunk=chunk)
    wrong = frame(frame_type, payload)
    if where == "control":
        rig.control(wrong)
    else:
        before = {"first": b"", "after_headers": rig.message, "after_data": rig.message + data(b"x")}[where]
        rig.send(before, wrong)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.8-01")
@pytest.mark.parametrize("frame_type", [0x02, 0x06, 0x08, 0x09])
@pytest.mark.parametrize("promised", [False, True])
def test_frames_that_only_http2_has_on_a_push_stream(frame_type: int, promised: bool) -> None:
    """Unexpected there too, once the stream is read as a response."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    stream_id = rig.open_message()
    if promised:
        rig.write(stream_id, promise(0))
    rig.uni("01 00", frame(frame_type))
    rig.run()
    if not promised:
        rig.write(stream_id, promise(0))
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-7.2.8-02")
@both_roles
@pytest.mark.parametrize(
    "unknown",
    [
        "21 00",
        "40 5f 03 61 62 63",
        "ff ff ff ff ff ff ff fe 01 00",
        "0e 01 00",
        "0c 00",
        "0f 02 00 00",
        "0a 00",
        "0b 01 00",
    ],
)
@ways_to_arrive
def test_unknown_types_are_ignored_everywhere(make_rig: type, unknown: str, chunk: int | None) -> None:
    """Reserved types, types never registered, and the obsolete DUPLICATE_PUSH (0x0e)."""
    rig = make_rig(chunk=chunk)
    rig.control(unknown, "07 01 00" if make_rig is ServerRig else GREASE_FRAME, unknown)
    stream_id = rig.send(unknown, rig.message, unknown, data(b"x"), unknown, fin=True)
    rig.run()
    received = b"".join(event.data for event in rig.events_of(stream_id) if isinstance(event, DataReceived))
    assert received == b"x"
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.8-02")
def test_unknown_types_are_ignored_on_a_push_stream() -> None:
    """Before, between and after the frames of the pushed response."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    rig.send(promise(0))
    stream_id = rig.uni("01 00", GREASE_FRAME, OK, "0e 01 00", data(b"x"), GREASE_FRAME, fin=True)
    rig.run()
    assert rig.completed(stream_id)
    rig.expect_alive()


@pytest.mark.rfc("H3-7.2.8-03", "H3-7.2.4-13")
@both_roles
def test_what_we_send_is_made_of_known_and_reserved_types(make_rig: type) -> None:
    """No HTTP/2 frame ever, SETTINGS once and on the control stream alone; the frame encoder refuses the others."""
    for frame_type in (0x02, 0x06, 0x08, 0x09):
        with pytest.raises(ValueError, match="HTTP/3 never carries"):
            encode_frame(frame_type, b"")
        with pytest.raises(ValueError, match="HTTP/3 never carries"):
            frame_header(frame_type, 0)
    rig = make_rig(H3Config(max_concurrent_pushes=2))
    for _ in range(3):
        rig.expect_alive()
    rig.core.send_goaway()
    rig.run()
    control = [frame.type for frame in rig.control_frames()]
    assert control.count(0x04) == 1
    assert {kind for kind in control if kind < 0x21} <= {0x04, 0x07, 0x0D}
    for stream_id, stream in rig.raw.streams.items():
        if not stream_id & 2:
            assert {frame.type for frame in read_frames(bytes(stream.data))} <= {0x00, 0x01}


@pytest.mark.rfc("H3-4.1-19")
@both_roles
def test_many_frames_in_one_delivery(make_rig: type) -> None:
    """Hundreds of frames that arrive together are the same as one by one."""
    rig = make_rig()
    stream_id = rig.send(rig.message, *[data(b"%d," % number) for number in range(300)], TRAILERS, fin=True)
    rig.run()
    received = b"".join(event.data for event in rig.events_of(stream_id) if isinstance(event, DataReceived))
    assert received == b"".join(b"%d," % number for number in range(300))
    rig.expect_alive()


def test_good_frames_before_a_bad_one_count() -> None:
    """In one delivery as in many, what came before an illegal frame is told before the connection ends."""
    for chunk in (None, 1):
        rig = ServerRig(application=silent, chunk=chunk)
        stream_id = rig.send(request("POST", "/"), data(b"x"), SETTINGS)
        rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)
        kinds = [type(event) for event in rig.events_of(stream_id)]
        assert kinds == [RequestReceived, DataReceived]
