"""CONNECT and Upgrade (RFC 9114 sections 4.4 and 4.5)."""

import pytest

from conformance.support import (
    GREASE_FRAME,
    OK,
    ClientRig,
    ServerRig,
    data,
    frame,
    head,
    headers,
    promise,
    response,
    silent,
)
from h3push.errors import ErrorCode, LocalProtocolError, StreamStateError
from h3push.h3.config import H3Config
from h3push.h3.events import DataReceived, MessageFailed, RequestReceived, ResponseReceived

CONNECT = headers((":method", "CONNECT"), (":authority", "b.test:443"))
WEBSOCKET = headers(
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")
)
TRAILERS = headers(("x", "y"))


@pytest.mark.rfc("H3-4.4-01")
@pytest.mark.parametrize(
    "fields",
    [
        ((":authority", "b.test:443"), (":path", "/")),
        ((":authority", "b.test:443"), (":scheme", "https")),
        ((":authority", "b.test:443"), (":scheme", "https"), (":path", "/")),
        (),
        ((":authority", ""),),
        ((":authority", "b.test"),),
        ((":authority", "b.test:"),),
        ((":authority", "b.test:x"),),
        ((":authority", "b.test:70000"),),
        (("host", "b.test:443"),),
    ],
)
def test_connect_names_host_and_port_and_nothing_else(fields: tuple[tuple[str, str], ...]) -> None:
    """:method and :authority with a port; :scheme or :path make it malformed."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(headers((":method", "CONNECT"), *fields))
    rig.run()
    assert [type(event) for event in rig.events_of(stream_id)] == [MessageFailed]
    rig.expect_stream_error(stream_id, ErrorCode.H3_MESSAGE_ERROR)


def open_tunnel(status: int = 200) -> tuple[ServerRig, int]:
    rig = ServerRig(application=silent)
    stream_id = rig.send(CONNECT)
    rig.run()
    rig.core.send_response(stream_id, status, [(b"Content-Length", b"7")])
    rig.run()
    return rig, stream_id


@pytest.mark.rfc("H3-4.4-01", "SEM-8.6-01")
def test_a_tunnel_carries_data_both_ways() -> None:
    """After 2xx, DATA flows; Content-Length is not sent; FIN ends each direction by itself."""
    rig, stream_id = open_tunnel()
    assert rig.response(stream_id)[0] == [[(b":status", b"200")]]
    rig.write(stream_id, data(b"up "), GREASE_FRAME, data(b"and up"))
    rig.run()
    received = b"".join(event.data for event in rig.events_of(stream_id) if isinstance(event, DataReceived))
    assert received == b"up and up"
    rig.core.send_data(stream_id, b"down", end_stream=True)
    rig.run()
    assert rig.response(stream_id)[1] == b"down"
    assert (rig.raw.stream(stream_id).fin, rig.raw.stream(stream_id).stop) == (True, None)
    rig.write(stream_id, data(b"still up"), fin=True)
    assert [(event.data, event.end_stream) for event in rig.run()] == [(b"still up", True)]
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.4-02")
@pytest.mark.parametrize("frame_", [TRAILERS, OK, frame(0x05, "00 00 00"), frame(0x04), frame(0x07, "00")])
def test_other_frames_in_a_tunnel_are_unexpected(frame_: bytes) -> None:
    """HEADERS and every other known frame end the connection."""
    rig, stream_id = open_tunnel()
    rig.write(stream_id, data(b"x"), frame_)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-4.4-02")
@pytest.mark.parametrize("frame_", [TRAILERS, OK, promise(0)])
def test_other_frames_in_a_tunnel_are_unexpected_at_a_client(frame_: bytes) -> None:
    """The same from a server, PUSH_PROMISE included."""
    rig = ClientRig(H3Config(max_concurrent_pushes=4))
    stream_id = rig.core.send_request(head(b"CONNECT", authority=b"b.test:443"), end_stream=False)
    rig.run()
    rig.write(stream_id, OK, GREASE_FRAME, data(b"x"))
    rig.run()
    assert not rig.core.is_closed
    rig.write(stream_id, frame_)
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("WS-3-06")
@pytest.mark.parametrize("frame_", [TRAILERS, OK, promise(0), frame(0x04), frame(0x07, "00")])
@pytest.mark.parametrize("role", ["server", "client"])
def test_other_frames_in_a_websocket_are_unexpected(role: str, frame_: bytes) -> None:
    """RFC 9220 section 3: after 2xx, a stream of extended CONNECT carries DATA alone; unknown frames are skipped."""
    if role == "server":
        rig = ServerRig(application=silent, config=H3Config(connect_protocol=True))
        stream_id = rig.send(WEBSOCKET)
        rig.run()
        rig.core.send_response(stream_id, 200, [])
        rig.write(stream_id, data(b"up"), GREASE_FRAME)
        rig.run()
        assert not rig.core.is_closed
        rig.write(stream_id, frame_)
        rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)
        return
    client = ClientRig(H3Config(max_concurrent_pushes=4), greet=False)
    client.control(settings=frame(0x04, b"\x08\x01"))
    client.run()
    websocket = head(b"GET")._replace(method=b"CONNECT", protocol=b"websocket")
    stream_id = client.core.send_request(websocket, end_stream=False)
    client.run()
    client.write(stream_id, OK, data(b"down"), GREASE_FRAME)
    client.run()
    assert not client.core.is_closed
    client.write(stream_id, frame_)
    client.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-4.4-02")
def test_neither_role_sends_anything_but_data_on_a_tunnel() -> None:
    """Trailers and promises are refused by our own side."""
    rig, stream_id = open_tunnel()
    with pytest.raises(StreamStateError):
        rig.core.send_trailers(stream_id, [(b"x", b"y")])
    with pytest.raises(StreamStateError):
        rig.core.send_informational_response(stream_id, 103, [])
    client = ClientRig()
    tunnel = client.core.send_request(head(b"CONNECT", authority=b"b.test:443"), end_stream=False)
    client.run()
    client.write(tunnel, OK)
    client.run()
    with pytest.raises(StreamStateError):
        client.core.send_trailers(tunnel, [(b"x", b"y")])
    client.core.send_data(tunnel, b"x", end_stream=True)
    client.run()
    assert client.request(tunnel)[1] == b"x"


@pytest.mark.rfc("H3-4.4-02")
def test_trailers_that_overtake_the_answer_do_no_harm() -> None:
    """A request is no tunnel before it is answered: trailers then are legal, and the answer is given all the same."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(CONNECT, TRAILERS)
    rig.run()
    rig.core.send_response(stream_id, 200, [])
    rig.write(stream_id, data(b"x"))
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)


@pytest.mark.rfc("H3-4.4-04")
def test_connect_can_be_refused_with_a_status() -> None:
    """501 like any other response; the rest of the request is stopped without error."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(headers((":method", "CONNECT"), (":authority", "127.0.0.1:22")))
    rig.run()
    assert [event.request.authority for event in rig.events if isinstance(event, RequestReceived)] == [b"127.0.0.1:22"]
    rig.core.send_response(stream_id, 501, [], end_stream=True)
    rig.run()
    stream = rig.raw.stream(stream_id)
    assert (rig.status(stream_id), stream.fin, stream.stop) == (501, True, ErrorCode.H3_NO_ERROR)
    assert rig.core.open_message_streams == 0
    rig.expect_alive()


@pytest.mark.rfc("H3-4.4-05")
def test_a_client_keeps_its_end_of_a_tunnel_open() -> None:
    """No FIN with CONNECT unless asked for, none while data comes."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"CONNECT", authority=b"b.test:443"), end_stream=False)
    rig.run()
    rig.write(stream_id, OK, data(b"x"))
    rig.run()
    assert not rig.raw.stream(stream_id).fin
    rig.write(stream_id, b"", fin=True)
    rig.run()
    assert not rig.raw.stream(stream_id).fin
    assert [type(event) for event in rig.events_of(stream_id)] == [ResponseReceived, DataReceived, DataReceived]
    rig.core.send_data(stream_id, b"", end_stream=True)
    rig.run()
    assert rig.raw.stream(stream_id).fin
    rig.expect_alive()


@pytest.mark.rfc("H3-4.4-03")
def test_a_broken_tunnel_is_reset_with_connect_error() -> None:
    """What the TCP side of a proxy says with RST is H3_CONNECT_ERROR on the stream."""
    rig, stream_id = open_tunnel()
    rig.core.stop_stream(stream_id, ErrorCode.H3_CONNECT_ERROR)
    rig.core.reset_stream(stream_id, ErrorCode.H3_CONNECT_ERROR)
    rig.expect_stream_error(stream_id, ErrorCode.H3_CONNECT_ERROR)
    assert rig.core.open_message_streams == 0


@pytest.mark.rfc("H3-4.4-01")
@pytest.mark.parametrize("length", ["7", "0"])
def test_a_length_in_the_answer_to_connect_means_nothing(length: str) -> None:
    """A client ignores Content-Length in a 2xx to CONNECT (RFC 9110 section 8.6)."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(b"CONNECT", authority=b"b.test:443"), end_stream=False)
    rig.run()
    rig.write(stream_id, response("200", ("content-length", length)), data(b"abc"), fin=True)
    rig.run()
    assert rig.completed(stream_id)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.5-01")
@pytest.mark.parametrize("after", [b"", OK])
def test_101_is_malformed(after: bytes) -> None:
    """There is no Upgrade in HTTP/3."""
    rig = ClientRig()
    with rig.healthy_sibling():
        stream_id = rig.send(response("101"), after, fin=True)
        rig.run()
        assert [type(event) for event in rig.events_of(stream_id)] == [MessageFailed]
        rig.expect_stream_error(stream_id, ErrorCode.H3_MESSAGE_ERROR)


@pytest.mark.rfc("WS-3-01")
@pytest.mark.parametrize("settings", [None, b"", b"\x08\x00", b"\x08\x01"])
def test_extended_connect_needs_the_server_s_word(settings: bytes | None) -> None:
    """RFC 9220 section 3: `:protocol` is sent only to a server whose SETTINGS_ENABLE_CONNECT_PROTOCOL is 1."""
    rig = ClientRig(greet=False)
    if settings is not None:
        rig.control(settings=frame(0x04, settings))
        rig.run()
    websocket = head(b"GET")._replace(method=b"CONNECT", protocol=b"websocket")
    if settings == b"\x08\x01":
        stream_id = rig.core.send_request(websocket, end_stream=False)
        rig.run()
        assert (b":protocol", b"websocket") in rig.request(stream_id)[0][0]
        return
    with pytest.raises(LocalProtocolError, match="extended CONNECT"):
        rig.core.send_request(websocket, end_stream=False)
    assert rig.core.open_message_streams == 0
