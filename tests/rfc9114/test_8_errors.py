"""Errors, extensions and security (RFC 9114 sections 8, 9 and 10)."""

import pylsqpack
import pytest

from conformance.support import (
    GET,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    frame,
    head,
    headers,
    read_frames,
    request,
    silent,
    varint,
)
from h3push.errors import ErrorCode, H3ConnectionError, H3StreamError, describe_error_code
from h3push.h3.config import H3Config
from h3push.h3.events import ConnectionTerminated, MessageFailed, RequestReceived
from h3push.http.fields import Fields
from h3push.wire.qpack import SECRET_NAMES

STREAM_ERRORS = {
    "malformed": (headers((":bad", "x")), ErrorCode.H3_MESSAGE_ERROR),
    "length": (request("GET", "/", ("content-length", "x")), ErrorCode.H3_MESSAGE_ERROR),
    "trailers": (request("POST") + headers(("Bad", "x")), ErrorCode.H3_MESSAGE_ERROR),
    "second": (request("POST") + GET, ErrorCode.H3_MESSAGE_ERROR),
}


@pytest.mark.rfc("H3-8-02")
@pytest.mark.parametrize("case", STREAM_ERRORS)
def test_stream_errors_are_not_promoted(case: str) -> None:
    """A hundred stream errors of each kind end a hundred streams and no connection."""
    sent, code = STREAM_ERRORS[case]
    rig = ServerRig(application=silent)
    with_sibling = rig.send(request("POST"))
    for _ in range(100):
        stream_id = rig.send(sent)
        rig.run()
        assert rig.raw.stream(stream_id).reset == rig.raw.stream(stream_id).stop == code
    assert isinstance(rig.events[-1], MessageFailed)
    rig.write(with_sibling, data(b"x"), fin=True)
    rig.run()
    rig.core.send_response(with_sibling, 200, [], end_stream=True)
    rig.expect_alive()


@pytest.mark.rfc("H3-8-03")
@both_roles
def test_a_connection_error_is_told_on_both_sides_with_its_reason(make_rig: type) -> None:
    """One CONNECTION_CLOSE with code and reason; one event for the application, the last one."""
    rig = make_rig()
    rig.control("04 00")
    rig.expect_close(ErrorCode.H3_FRAME_UNEXPECTED)
    terminated = [event for event in rig.events if isinstance(event, ConnectionTerminated)]
    assert terminated == [rig.events[-1]]
    assert terminated[0].error_code == ErrorCode.H3_FRAME_UNEXPECTED
    assert terminated[0].reason == rig.raw.closed.reason == "a second SETTINGS frame"


def test_errors_know_their_code_and_scope() -> None:
    """What is raised inside carries the code for the wire; unknown codes can be shown too."""
    for kind in (H3ConnectionError, H3StreamError):
        error = kind(ErrorCode.H3_ID_ERROR, "a reason")
        assert (error.error_code, error.reason, str(error)) == (0x108, "a reason", "a reason [H3_ID_ERROR]")
    assert describe_error_code(0x108) == "H3_ID_ERROR (0x108)"
    assert describe_error_code(0x4242) == "0x4242"


@pytest.mark.rfc("H3-9-02")
def test_extended_connect_is_malformed_while_it_was_not_negotiated() -> None:
    """We do not announce it, so :protocol means nothing."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(
        headers(
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":authority", "a.test"),
            (":path", "/"),
        )
    )
    rig.expect_stream_error(stream_id, ErrorCode.H3_MESSAGE_ERROR)
    assert not any(isinstance(event, RequestReceived) and event.request.protocol for event in rig.events)


# 10.6: compression and secrets

ALLOWS_A_TABLE = frame(0x04, varint(0x01) + varint(4096) + varint(0x07) + varint(16))


def field_lines(section: bytes) -> list[int]:
    """First bytes of the literal lines of a section that uses no Huffman lengths beyond 126."""
    firsts, offset = [], 2
    while offset < len(section):
        first = section[offset]
        firsts.append(first)
        if first >= 0x80:  # indexed
            offset += 1
            continue
        if first >= 0x40:  # name reference: 4-bit index
            offset += 1 + (section[offset + 1] >= 0 and first & 0x0F == 0x0F)
        else:
            offset += 1 + (first & 0x07 if first & 0x07 != 0x07 else 7 + section[offset + 1] + 1)
        length = section[offset] & 0x7F
        offset += 1 + length
    return firsts


def decoded(rig: ClientRig | ServerRig, stream_id: int) -> tuple[bytes, Fields]:
    """First encoded section of a stream, and its fields as a peer with a table decodes them."""
    decoder = pylsqpack.Decoder(4096, 16)
    decoder.feed_encoder(rig.own_stream(0x02) or b"")
    section = next(frame.payload for frame in read_frames(bytes(rig.raw.stream(stream_id).data)) if frame.type == 0x01)
    return section, decoder.feed_header(stream_id, section)[1]


@pytest.mark.rfc("H3-10.6-01")
@both_roles
@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
def test_secrets_are_never_indexed(make_rig: type, name: bytes) -> None:
    """A secret never reaches the encoder stream, however often it comes, and its literal has the N bit."""
    rig = make_rig(greet=False)
    rig.control(settings=ALLOWS_A_TABLE)
    rig.run()
    secret = b"Zq9 secret ~ value"
    fields = [(b"x-public", b"public value"), (name, secret)]
    if make_rig is ServerRig:
        rig.application = silent
    for _ in range(5):
        if make_rig is ServerRig:
            stream_id = rig.send(GET, fin=True)
            rig.run()
            rig.core.send_response(stream_id, 200, fields, end_stream=True)
        else:
            stream_id = rig.core.send_request(head(fields=fields))
        rig.run()
    instructions = rig.own_stream(0x02)
    table = pylsqpack.Decoder(4096, 16)
    table.feed_encoder(instructions)
    assert len(instructions) > 10, "the public field is in the table"
    section, fields = decoded(rig, stream_id)
    assert (name, secret) in fields
    lines = [first for first in field_lines(section) if first < 0x80]
    (line,) = lines[-1:]
    assert line & 0x20 if line >= 0x40 else line & 0x10, "the N bit"
    for length in (4, 6, 8):
        assert secret[:length] not in instructions


@pytest.mark.rfc("H3-10.6-01")
def test_secrets_leave_no_trace_in_the_size_of_what_is_sent() -> None:
    """A guess that equals the secret compresses no better than one that does not."""

    def size(guess: bytes) -> int:
        rig = ClientRig(greet=False)
        rig.control(settings=ALLOWS_A_TABLE)
        rig.run()
        for _ in range(3):
            stream_id = rig.core.send_request(head(fields=[(b"cookie", b"secret=abcdef")]))
            rig.run()
            stream_id = rig.core.send_request(head(fields=[(b"cookie", guess)]))
            rig.run()
        return len(rig.raw.stream(stream_id).data) + len(rig.own_stream(0x02) or b"")

    assert size(b"secret=abcdef") == size(b"secret=abcdee")


@pytest.mark.rfc("H3-10.5-01")
@both_roles
@pytest.mark.parametrize("what", ["unknown frames", "empty DATA", "GOAWAY", "unknown streams"])
def test_useless_work_is_limited(make_rig: type, what: str) -> None:
    """Beyond a named budget, unknown elements and repetitions end the connection with H3_EXCESSIVE_LOAD."""
    rig = make_rig(H3Config(flood_burst=50, flood_rate=0), streams=1000)
    stream_id = rig.send(rig.message)
    for _ in range(60):
        if what == "unknown frames":
            rig.write(stream_id, frame(0x21))
        elif what == "empty DATA":
            rig.write(stream_id, data(b""))
        elif what == "GOAWAY":
            rig.control("07 01 00")
        else:
            rig.uni("21")
        rig.run()
        if rig.raw.closed:
            break
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)
