"""Shutdown, immediate close and loss (RFC 9114 sections 3.3, 5 and 7.2.6)."""

import pytest

from conformance.support import (
    GREASE_FRAME,
    LARGEST_VARINT,
    OK,
    POST,
    ClientRig,
    Frame,
    ServerRig,
    both_roles,
    data,
    frame,
    head,
    promise,
    silent,
    varint,
    ways_to_arrive,
)
from h3push.errors import ErrorCode, LocalProtocolError, RequestNotProcessed
from h3push.h3.config import H3Config
from h3push.h3.events import (
    ConnectionTerminated,
    GoawayReceived,
    MessageFailed,
    RequestUnprocessed,
    StreamReset,
)

LAST_STREAM = LARGEST_VARINT - 3


def goaway(identifier: int) -> bytes:
    return frame(0x07, varint(identifier))


@pytest.mark.rfc("H3-5.2-09")
@pytest.mark.parametrize("identifier", [4, LAST_STREAM])
def test_no_new_request_after_goaway(identifier: int) -> None:
    """After a GOAWAY, with whatever identifier, requests are refused here and put nothing on the wire."""
    rig = ClientRig()
    first = rig.open_message()
    rig.control(goaway(identifier))
    rig.run()
    for _ in range(3):
        with pytest.raises(RequestNotProcessed):
            rig.core.send_request(head())
    rig.run()
    assert [stream_id for stream_id in rig.raw.streams if not stream_id & 2] == [first]
    rig.write(first, OK, fin=True)
    rig.run()
    assert rig.completed(first)
    assert rig.core.is_shutting_down
    assert rig.raw.closed is None


@pytest.mark.rfc("H3-5.2-10")
@ways_to_arrive
def test_requests_at_or_above_the_cut_off_are_unprocessed(chunk: int | None) -> None:
    """0 completes; 4 and 8 are told as not processed, and cancelled."""
    rig = ClientRig(chunk=chunk)
    streams = [rig.open_message(), rig.core.send_request(head(b"POST"), end_stream=False), rig.open_message()]
    assert streams == [0, 4, 8]
    rig.control(goaway(4))
    events = rig.run()
    assert events == [RequestUnprocessed(4), RequestUnprocessed(8), GoawayReceived(4)]
    assert rig.raw.stream(4).reset == rig.raw.stream(4).stop == ErrorCode.H3_REQUEST_CANCELLED
    rig.write(0, OK, data(b"x"), fin=True)
    rig.run()
    assert rig.completed(0)
    assert rig.core.open_message_streams == 0
    assert rig.raw.closed is None


@pytest.mark.rfc("H3-5.2-10")
def test_a_falling_goaway_takes_further_requests_back() -> None:
    """2^62-4 excludes nothing yet; the real value does."""
    rig = ClientRig()
    assert [rig.open_message() for _ in range(3)] == [0, 4, 8]
    rig.control(goaway(LAST_STREAM))
    assert rig.run() == [GoawayReceived(LAST_STREAM)]
    rig.control(goaway(8))
    assert rig.run() == [RequestUnprocessed(8), GoawayReceived(8)]
    rig.control(goaway(8), goaway(0))
    assert RequestUnprocessed(0) in rig.run()
    assert rig.raw.closed is None


@pytest.mark.rfc("H3-5.2-11")
@pytest.mark.parametrize(
    ("make_rig", "first", "second"),
    [
        (ClientRig, 4, 8),
        (ClientRig, 0, 4),
        (ClientRig, 0, LAST_STREAM),
        (ServerRig, 1, 2),
        (ServerRig, 0, LARGEST_VARINT),
    ],
)
@ways_to_arrive
def test_a_goaway_that_grows(make_rig: type, first: int, second: int, chunk: int | None) -> None:
    """An identifier greater than an earlier one ends the connection; an equal or smaller one does not."""
    rig = make_rig(chunk=chunk)
    rig.control(goaway(second), goaway(second), goaway(first), goaway(first))
    rig.run()
    assert rig.raw.closed is None
    rig.control(goaway(first + (4 if make_rig is ClientRig else 1)))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-5.2-12")
@pytest.mark.parametrize("identifier", [1, 2, 3, 5, 7, LARGEST_VARINT, LARGEST_VARINT - 1])
def test_a_servers_goaway_names_a_request_stream(identifier: int) -> None:
    """Any other stream ID ends the connection."""
    rig = ClientRig()
    rig.control(goaway(identifier))
    rig.expect_close(ErrorCode.H3_ID_ERROR)


@pytest.mark.rfc("H3-5.2-13")
@both_roles
@pytest.mark.parametrize("payload", ["07 01 00", "07 00", "07 40 01 00", "07 09 00"])
@pytest.mark.parametrize("after_headers", [False, True])
@ways_to_arrive
def test_goaway_belongs_on_the_control_stream(
    make_rig: type, payload: str, after_headers: bool, chunk: int | None
) -> None:
    """On a request stream it is unexpected in both directions, whatever its payload (erratum 7780)."""
    rig = make_rig(chunk=chunk)
    rig.send(rig.message if after_headers else b"", payload)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-5.2-13")
def test_goaway_on_a_push_stream() -> None:
    """Unexpected there too."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    rig.send(promise(0))
    rig.uni("01 00", "07 01 00")
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-5.2-14", "H3-7.1-01")
@both_roles
@pytest.mark.parametrize(
    "wrong", ["07 00", "07 01 40", "07 03 00 00 00", "07 02 00 00", "07 09 c0 00 00 00 00 00 00 00 00"]
)
@ways_to_arrive
def test_goaway_is_exactly_one_varint(make_rig: type, wrong: str, chunk: int | None) -> None:
    """Empty, cut off or with more behind it: a layout error."""
    rig = make_rig(chunk=chunk)
    rig.control(wrong, GREASE_FRAME)
    rig.expect_close(ErrorCode.H3_FRAME_ERROR)


@pytest.mark.rfc("H3-5.2-15", "H3-3.3-03")
@pytest.mark.parametrize("role", ["server", "client"])
def test_our_goaway_never_grows(role: str) -> None:
    """Shutdown in two phases: everything, then what was seen; never more again, and the application is told so."""
    rig = ServerRig() if role == "server" else ClientRig()
    largest = LAST_STREAM if role == "server" else LARGEST_VARINT
    rig.core.send_goaway(largest)
    rig.expect_alive() if role == "server" else rig.run()
    rig.core.send_goaway()
    rig.core.send_goaway()
    with pytest.raises(LocalProtocolError):
        rig.core.send_goaway(largest)
    with pytest.raises(LocalProtocolError):
        rig.core.send_goaway(-1)
    with pytest.raises(LocalProtocolError):
        rig.core.send_goaway(LARGEST_VARINT + 1)
    rig.run()
    sent = [frame.payload for frame in rig.control_frames() if frame.type == 0x07]
    seen = varint(4) if role == "server" else varint(0)
    assert sent == [varint(largest), seen, seen]


def test_a_servers_goaway_names_a_request_stream_when_we_send_it() -> None:
    """An identifier that no request stream has is refused."""
    rig = ServerRig()
    for identifier in (1, 2, 3):
        with pytest.raises(LocalProtocolError):
            rig.core.send_goaway(identifier)
    rig.expect_alive()


@pytest.mark.rfc("H3-5.2-16", "H3-3.3-03")
def test_requests_that_arrived_before_our_goaway_are_served() -> None:
    """GOAWAY is the first above all that was seen; what is below it completes, what is at it is refused."""
    rig = ServerRig()
    with rig.healthy_sibling():
        rig.core.send_goaway()
        late = rig.send(POST, data(b"x"))
        rig.run()
    assert [frame for frame in rig.control_frames() if frame.type == 0x07] == [Frame(0x07, varint(4))]
    assert late == 4
    assert rig.raw.stream(late).reset == rig.raw.stream(late).stop == ErrorCode.H3_REQUEST_REJECTED
    assert rig.core.open_message_streams == 0


@pytest.mark.rfc("H3-5.2-17")
@both_roles
def test_an_orderly_close_says_no_error(make_rig: type) -> None:
    """close() without an error is H3_NO_ERROR; it is told once, and nothing works after it."""
    rig = make_rig()
    rig.core.close()
    rig.core.close(ErrorCode.H3_INTERNAL_ERROR)
    rig.run()
    assert rig.raw.closed is not None
    assert rig.raw.closed.error_code == ErrorCode.H3_NO_ERROR
    assert [event for event in rig.events if isinstance(event, ConnectionTerminated)] == [
        ConnectionTerminated(ErrorCode.H3_NO_ERROR, "", by_peer=False)
    ]


@pytest.mark.rfc("H3-5.2-18")
@both_roles
@ways_to_arrive
def test_goaway_may_come_right_after_settings(make_rig: type, chunk: int | None) -> None:
    """Before any request."""
    rig = make_rig(greet=False, chunk=chunk)
    rig.control("07 01 00")
    rig.run()
    assert GoawayReceived(0) in rig.events
    assert rig.raw.closed is None
    if make_rig is ServerRig:
        rig.expect_alive()
    else:
        with pytest.raises(RequestNotProcessed):
            rig.core.send_request(head())


@pytest.mark.rfc("H3-5.3-01")
@both_roles
@pytest.mark.parametrize("by_peer", [True, False])
def test_a_close_ends_every_stream(make_rig: type, by_peer: bool) -> None:
    """With ten streams open: one ConnectionTerminated, nothing is left, further calls fail clearly."""
    rig = make_rig()
    if make_rig is ServerRig:
        rig.application = silent
    streams = [rig.send(rig.message, data(b"half")) for _ in range(10)]
    rig.run()
    before = len(rig.events)
    if by_peer:
        rig.raw.close(ErrorCode.H3_INTERNAL_ERROR, "bye")
    else:
        rig.control("04 00")
    rig.run()
    code = ErrorCode.H3_INTERNAL_ERROR if by_peer else ErrorCode.H3_FRAME_UNEXPECTED
    (last,) = rig.events[before:]
    assert isinstance(last, ConnectionTerminated)
    assert (last.error_code, last.by_peer) == (code, by_peer)
    assert rig.core.is_closed
    assert rig.core.open_message_streams == 0
    now = rig.pair.now
    for stream_id in streams:
        assert rig.core.receive_data(stream_id, data(b"x"), True, now) == []
        assert rig.core.receive_reset(stream_id, 0, now) == []
        assert rig.core.receive_stop(stream_id, 0, now) == []
        with pytest.raises(LocalProtocolError):
            rig.core.send_data(stream_id, b"x")
    assert rig.core.receive_closed(None, "again", by_peer=True) == []
    rig.core.start(now)


@pytest.mark.rfc("H3-5.4-01")
@both_roles
def test_loss_without_goaway_says_nothing_about_requests(make_rig: type) -> None:
    """A time-out carries no code, and no request is called unprocessed."""
    rig = make_rig()
    rig.send(rig.message)
    rig.run()
    rig.pair.time_out()
    *before, last = rig.raw.end.peer.events
    assert isinstance(last, ConnectionTerminated)
    assert last.error_code is None
    assert not any(isinstance(event, RequestUnprocessed) for event in before)
    if make_rig is ClientRig:
        with pytest.raises(RequestNotProcessed):
            rig.core.send_request(head())


@pytest.mark.rfc("H3-8-01")
@both_roles
@pytest.mark.parametrize("code", [0x0, 0x21, 0x1F21, 0x100, 0x4242, (1 << 62) - 1])
def test_unknown_error_codes_have_the_effect_of_known_ones(make_rig: type, code: int) -> None:
    """In RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE: what they close is closed, nothing else happens."""
    rig = make_rig()
    if make_rig is ServerRig:
        rig.application = silent
    stream_id = rig.send(rig.message)
    rig.run()
    rig.raw.reset(stream_id, code)
    if make_rig is ServerRig:
        rig.raw.stop(stream_id, code)
    rig.run()
    assert StreamReset(stream_id, code, None) in rig.events
    assert not any(isinstance(event, MessageFailed) for event in rig.events)
    if make_rig is ServerRig:
        assert rig.core.open_message_streams == 0
    rig.expect_alive()
    rig.raw.close(code)
    rig.run()
    assert rig.events[-1] == ConnectionTerminated(code, "", by_peer=True)


@pytest.mark.rfc("H3-5.2-17")
@both_roles
def test_nothing_but_goaway_goes_out_on_shutdown(make_rig: type) -> None:
    """GOAWAY closes no stream and no connection by itself; responses go on."""
    rig = make_rig()
    if make_rig is ServerRig:
        with rig.healthy_sibling():
            rig.core.send_goaway()
    else:
        with rig.healthy_sibling():
            rig.core.send_goaway()
        rig.expect_alive()
    assert rig.raw.closed is None
    assert all(stream.reset is None and stream.stop is None for stream in rig.raw.streams.values())
