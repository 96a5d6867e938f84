"""HTTP semantics that the core answers for (RFC 9110, RFC 8297)."""

import pytest

from conformance.support import (
    GET,
    OK,
    ClientRig,
    ServerRig,
    both_roles,
    data,
    head,
    headers,
    read_frames,
    request,
    response,
    silent,
    ways_to_arrive,
)
from h3push.errors import LocalProtocolError, StreamStateError
from h3push.h3.events import (
    DataReceived,
    InformationalResponseReceived,
    MessageFailed,
    RequestReceived,
    ResponseReceived,
    TrailersReceived,
)


@pytest.mark.rfc("SEM-8.6-01")
@pytest.mark.parametrize("status", [100, 102, 103, 199])
def test_no_content_length_in_interim_responses(status: int) -> None:
    """It is taken off."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    rig.core.send_informational_response(stream_id, status, [(b"Content-Length", b"5"), (b"Link", b"</a>")])
    rig.core.send_response(stream_id, 200, [(b"content-length", b"0")], end_stream=True)
    rig.run()
    interim, final = rig.response(stream_id)[0]
    assert interim == [(b":status", b"%d" % status), (b"link", b"</a>")]
    assert (b"content-length", b"0") in final


@pytest.mark.rfc("SEM-8.6-01", "SEM-9.3-01")
@pytest.mark.parametrize(
    ("method", "status", "kept"),
    [("GET", 204, False), ("HEAD", 200, True), ("GET", 304, True), ("HEAD", 204, False), ("HEAD", 404, True)],
)
@pytest.mark.parametrize("how", ["one_piece", "pieces", "file", "trailers"])
def test_no_content_where_there_never_is_any(method: str, status: int, kept: bool, how: str) -> None:
    """HEAD, 204 and 304: the handler's body is dropped, the length of a HEAD or 304 may stay, the stream ends."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request(method), fin=True)
    rig.run()
    server = rig.core
    server.send_response(stream_id, status, [(b"content-length", b"5")])
    if how == "one_piece":
        server.send_data(stream_id, b"hello", end_stream=True)
    elif how == "pieces":
        server.send_data(stream_id, b"hel")
        server.send_data(stream_id, b"lo and more")
        server.send_data(stream_id, b"", end_stream=True)
    elif how == "file":
        assert not server.send_data_header(stream_id, 5, end_stream=True)
    else:
        server.send_data(stream_id, b"hello")
        server.send_trailers(stream_id, [(b"x", b"y")])
    rig.run()
    sections, content = rig.response(stream_id)
    assert content == b""
    assert not [
        frame for frame in read_frames(bytes(rig.raw.stream(stream_id).data)) if frame.type == 0 and frame.payload
    ]
    assert ((b"content-length", b"5") in sections[0]) == kept
    assert rig.raw.stream(stream_id).fin
    rig.expect_alive()


def test_a_file_is_framed_without_being_seen() -> None:
    """`send_data_header` announces content that the transport reads itself, and counts it."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    rig.core.send_response(stream_id, 200, [(b"content-length", b"8")])
    with pytest.raises(StreamStateError):
        rig.core.send_data_header(stream_id, 9)
    with pytest.raises(StreamStateError):
        rig.core.send_data_header(stream_id, 7, end_stream=True)
    assert rig.core.send_data_header(stream_id, 3)
    rig.pair.server.write(stream_id, b"abc", fin=False)
    assert not rig.core.send_data_header(stream_id, 0)
    assert rig.core.send_data_header(stream_id, 5, end_stream=True)
    rig.pair.server.write(stream_id, b"defgh", fin=True)
    rig.run()
    assert rig.response(stream_id)[1] == b"abcdefgh"
    assert rig.raw.stream(stream_id).fin
    rig.expect_alive()


@pytest.mark.rfc("SEM-6.5-01")
@both_roles
@pytest.mark.parametrize(
    "name",
    [
        "content-length",
        "host",
        "authorization",
        "cookie",
        "set-cookie",
        "te",
        "trailer",
        "content-encoding",
        "content-type",
        "content-range",
        "cache-control",
        "expect",
        "max-forwards",
        "range",
        "if-match",
        "www-authenticate",
        "location",
        "vary",
    ],
)
def test_trailers_that_would_change_the_message_are_dropped(make_rig: type, name: str) -> None:
    """Received, they are left out; our own side refuses to send them."""
    rig = make_rig()
    stream_id = rig.send(rig.message, data(b"x"), headers(("a", "b"), (name, "1"), ("c", "d")), fin=True)
    rig.run()
    assert rig.events_of(stream_id)[-1] == TrailersReceived(stream_id, [(b"a", b"b"), (b"c", b"d")], None)
    rig.expect_alive()
    client = ClientRig()
    upload = client.core.send_request(head(b"POST"), end_stream=False)
    if name != "te":
        with pytest.raises(LocalProtocolError):
            client.core.send_trailers(upload, [(name.encode(), b"1")])
    client.core.send_trailers(upload, [(b"x-checksum", b"1")])
    client.run()
    assert client.request(upload)[0][1] == [(b"x-checksum", b"1")]


@pytest.mark.rfc("SEM-5.5-01")
@both_roles
@pytest.mark.parametrize("value", [b"\xfe\xff", b"\x80", b"\xc3\x28", "é".encode("latin-1"), bytes(range(0x80, 0x100))])
def test_bytes_from_128_on_are_opaque(make_rig: type, value: bytes) -> None:
    """They come in as bytes and go out as they came."""
    rig = make_rig()
    if make_rig is ServerRig:
        rig.application = silent
        stream_id = rig.send(request("GET", "/", ("x", value)), fin=True)
        rig.run()
        assert list(rig.requests[0].fields) == [(b"x", value)]
        rig.core.send_response(stream_id, 200, [(b"x", value)], end_stream=True)
        rig.run()
        assert rig.response(stream_id)[0][0][1:] == [(b"x", value)]
    else:
        stream_id = rig.core.send_request(head(fields=[(b"x", value)]))
        rig.run()
        assert rig.request(stream_id)[0][0][-1] == (b"x", value)
        rig.write(stream_id, response("200", ("x", value)), fin=True)
        (told,) = rig.run()
        assert told.response.fields == [(b"x", value)]
    rig.expect_alive()


@pytest.mark.rfc("SEM-5.3-01")
@pytest.mark.parametrize("cut", [1, 2, 10, 30])
def test_a_request_is_told_when_its_section_is_complete(cut: int) -> None:
    """Pseudo-headers alone, the rest withheld: nothing reaches the application, and nothing ever does after a reset."""
    rig = ServerRig(application=silent)
    whole = request("GET", "/", ("x", "y" * 20))
    stream_id = rig.send(whole[:-cut])
    assert not any(isinstance(event, RequestReceived) for event in rig.run())
    rig.raw.reset(stream_id, 0x10C)
    rig.run()
    assert rig.events_of(stream_id) == []
    rig.expect_alive()


@pytest.mark.rfc("SEM-9.1-01")
def test_any_status_can_answer_any_method() -> None:
    """501 and 405 with Allow are the application's; the core passes methods and statuses through."""
    rig = ServerRig(application=silent)
    for method, status in (("BREW", 501), ("TRACE", 405)):
        stream_id = rig.send(request(method), fin=True)
        rig.run()
        assert rig.requests[-1].method == method.encode()
        rig.core.send_response(stream_id, status, [(b"allow", b"GET, HEAD")], end_stream=True)
        rig.run()
        assert rig.status(stream_id) == status
    rig.expect_alive()


# Early Hints and 100


@pytest.mark.rfc("EH-2-02")
@pytest.mark.parametrize("count", [1, 2, 5])
def test_early_hints_come_before_the_response(count: int) -> None:
    """One or more 103; their fields need not reappear."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    for number in range(count):
        rig.core.send_informational_response(stream_id, 103, [(b"link", b"</%d>; rel=preload" % number)])
        rig.run()
        assert rig.status(stream_id) == 103
    rig.core.send_response(stream_id, 200, [], end_stream=True)
    rig.run()
    sections = rig.response(stream_id)[0]
    assert [dict(section)[b":status"] for section in sections] == [b"103"] * count + [b"200"]
    assert sections[-1] == [(b":status", b"200")]
    rig.expect_alive()


@pytest.mark.rfc("EH-2-03")
@ways_to_arrive
def test_early_hints_say_nothing_about_the_response(chunk: int | None) -> None:
    """Content-Length, Content-Type and others in a 103 change neither it nor what comes after."""
    rig = ClientRig(chunk=chunk)
    hints = (("content-length", "1000"), ("content-type", "text/css"), ("content-encoding", "br"), ("link", "</a>"))
    stream_id = rig.send(response("103", *hints), response("200", ("x", "y")), data(b"abc"), fin=True)
    rig.run()
    interim, final, *rest = rig.events_of(stream_id)
    assert isinstance(interim, InformationalResponseReceived)
    assert interim.response.fields[-1] == (b"link", b"</a>")
    assert isinstance(final, ResponseReceived)
    assert (final.response.fields, final.response.content_length) == ([(b"x", b"y")], None)
    assert b"".join(event.data for event in rest if isinstance(event, DataReceived)) == b"abc"
    assert not any(isinstance(event, MessageFailed) for event in rest)
    rig.expect_alive()


@pytest.mark.rfc("SEM-10.1.1-01")
@pytest.mark.parametrize("answer", ["continue", "final"])
def test_expect_100_continue(answer: str) -> None:
    """The server can say 100 or answer at once; never 100 after the final response."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(request("POST", "/", ("expect", "100-continue"), ("content-length", "5")))
    rig.run()
    if answer == "continue":
        rig.core.send_informational_response(stream_id, 100, [])
        rig.run()
        assert rig.status(stream_id) == 100
        rig.write(stream_id, data(b"hello"), fin=True)
        rig.run()
        rig.core.send_response(stream_id, 200, [], end_stream=True)
    else:
        rig.core.send_response(stream_id, 417, [])
        with pytest.raises(StreamStateError):
            rig.core.send_informational_response(stream_id, 100, [])
        rig.core.send_data(stream_id, b"", end_stream=True)
    rig.run()
    assert rig.status(stream_id) == (200 if answer == "continue" else 417)
    assert rig.raw.stream(stream_id).fin
    rig.expect_alive()


@pytest.mark.rfc("SEM-10.1.1-01")
def test_a_client_hears_of_100_before_it_sends() -> None:
    """The interim response is told at once, while the request is open; the content can follow."""
    rig = ClientRig()
    stream_id = rig.core.send_request(
        head(b"POST", fields=[(b"expect", b"100-continue"), (b"content-length", b"5")]), end_stream=False
    )
    rig.run()
    rig.write(stream_id, response("100"))
    (told,) = rig.run()
    assert isinstance(told, InformationalResponseReceived)
    rig.core.send_data(stream_id, b"hello", end_stream=True)
    rig.run()
    rig.write(stream_id, OK, fin=True)
    rig.run()
    assert rig.completed(stream_id)
    assert rig.request(stream_id)[1] == b"hello"
