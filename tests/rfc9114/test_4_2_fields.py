"""Fields that we send, and how large sections may be (RFC 9114 sections 4.2 and 4.3)."""

import pytest

from conformance.support import (
    GET,
    OK,
    ClientRig,
    Rig,
    ServerRig,
    answer,
    both_roles,
    data,
    frame,
    head,
    headers,
    request,
    response,
    silent,
    varint,
)
from h3push.errors import ErrorCode, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import (
    DataReceived,
    Event,
    MessageFailed,
    RequestReceived,
    RequestTooLarge,
    ResponseReceived,
    TrailersReceived,
)
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import Fields, RequestHead


def sent_by_server(fields: Fields, *, interim: Fields | None = None, trailers: Fields | None = None) -> list[Fields]:
    """What arrives when a handler answers with these fields."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    if interim is not None:
        rig.core.send_informational_response(stream_id, 103, interim)
    rig.core.send_response(stream_id, 200, fields, end_stream=trailers is None)
    if trailers is not None:
        rig.core.send_trailers(stream_id, trailers)
    rig.run()
    rig.expect_alive()
    return rig.response(stream_id)[0]


def sent_by_client(request_head: RequestHead) -> Fields:
    """What arrives when a client sends this request."""
    rig = ClientRig()
    stream_id = rig.core.send_request(request_head)
    rig.run()
    rig.write(stream_id, OK, fin=True)
    rig.expect_alive()
    return rig.request(stream_id)[0][0]


@pytest.mark.rfc("H3-4.2-01")
def test_names_are_sent_in_lower_case() -> None:
    """'Content-Type' goes out as content-type, in every section of either role."""
    mixed = [(b"Content-Type", b"text/plain"), (b"X-UPPER", b" padded\t")]
    lower = [(b"content-type", b"text/plain"), (b"x-upper", b"padded")]
    interim, final, trailers = sent_by_server(mixed, interim=mixed, trailers=mixed[1:])
    assert interim[1:] == lower
    assert final[1:] == lower
    assert trailers == lower[1:]
    assert sent_by_client(head(fields=mixed))[4:] == lower


BAD_FIELDS = [
    (b"x", b"a\r\nset-cookie: b"),
    (b"x", b"a\nb"),
    (b"x", b"a\0"),
    (b"x", b"\x7f"),
    (b"", b"x"),
    (b"a b", b"x"),
    (b"x:", b"x"),
    (b":status", b"500"),
    (b":path", b"/x"),
    (b"x\n", b"y"),
]


@pytest.mark.rfc("H3-4.2-01", "H3-4.3-01")
@pytest.mark.parametrize("field", BAD_FIELDS)
def test_a_malformed_message_cannot_be_sent(field: tuple[bytes, bytes]) -> None:
    """CR, LF, bad names, pseudo-headers among the fields: refused, and nothing goes out."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    with pytest.raises(LocalProtocolError):
        rig.core.send_response(stream_id, 200, [(b"a", b"b"), field])
    with pytest.raises(LocalProtocolError):
        rig.core.send_informational_response(stream_id, 103, [field])
    rig.core.send_response(stream_id, 200, [])
    with pytest.raises(LocalProtocolError):
        rig.core.send_trailers(stream_id, [field])
    rig.core.send_data(stream_id, b"", end_stream=True)
    rig.run()
    assert rig.response(stream_id) == ([[(b":status", b"200")]], b"")
    rig.expect_alive()
    client = ClientRig()
    with pytest.raises(LocalProtocolError):
        client.core.send_request(head(fields=[field]))
    client.run()
    assert all(stream_id & 2 for stream_id in client.raw.streams)
    client.expect_alive()


@pytest.mark.rfc("H3-4.2-01")
@pytest.mark.parametrize("length", [b"+5", b"", b"5, 5", b"-1", b"1" * 30])
def test_a_bad_content_length_cannot_be_sent(length: bytes) -> None:
    """Neither in a response nor in a request."""
    rig = ServerRig(application=silent)
    stream_id = rig.send(GET, fin=True)
    rig.run()
    with pytest.raises(LocalProtocolError):
        rig.core.send_response(stream_id, 200, [(b"content-length", length)])
    client = ClientRig()
    with pytest.raises(LocalProtocolError):
        client.core.send_request(RequestHead(b"GET", b"https", b"a.test", b"/", [(b"content-length", length)], None))
    client.expect_alive()


@pytest.mark.rfc("H3-4.2-02", "H3-4.1-08")
def test_fields_about_a_connection_are_taken_off() -> None:
    """Connection and what it names, Keep-Alive, Upgrade, Proxy-Connection, Transfer-Encoding, TE: not sent."""
    hop_by_hop = [
        (b"Connection", b"keep-alive, X-Hop"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Hop", b"1"),
        (b"Proxy-Connection", b"close"),
        (b"Upgrade", b"websocket"),
        (b"Transfer-Encoding", b"chunked"),
        (b"TE", b"gzip"),
        (b"X-Kept", b"1"),
    ]
    kept = [(b"x-kept", b"1")]
    interim, final, trailers = sent_by_server(
        hop_by_hop, interim=hop_by_hop, trailers=hop_by_hop[:-2] + hop_by_hop[-1:]
    )
    assert (interim[1:], final[1:], trailers) == (kept, kept, kept)
    assert sent_by_client(head(fields=hop_by_hop))[4:] == kept
    assert sent_by_client(head(fields=[(b"TE", b"trailers")]))[4:] == [(b"te", b"trailers")]
    assert sent_by_server([(b"te", b"trailers")])[0][1:] == []


@pytest.mark.rfc("H3-4.2.1-01")
def test_cookie_lines_are_joined() -> None:
    """Several Cookie lines reach the application as one, where the first stood."""
    rig = ServerRig()
    stream_id = rig.send(
        request("GET", "/", ("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")), fin=True
    )
    rig.run()
    assert list(rig.requests[0].fields) == [(b"cookie", b"a=b; c=d; e=f"), (b"x", b"y")]
    assert rig.status(stream_id) == 200
    rig.expect_alive()


# The size of a section


def section_of(size: int, *, many: bool = False) -> tuple[tuple[str, str], ...]:
    """Fields that make a request section of exactly `size` bytes, as RFC 9114 section 4.2.2 counts."""
    used = sum(len(name) + len(value) + 32 for name, value in (
        (":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/"),
    ))  # fmt: skip
    left = size - used
    fields = []
    if many:
        while left >= 2 * 34:
            fields.append(("a", "b"))
            left -= 34
    fields.append(("x", "v" * (left - 33)))
    return tuple(fields)


def answer_too_large(server: H3ServerConnection, event: Event) -> None:
    if isinstance(event, RequestTooLarge):
        server.send_response(event.stream_id, 431, [], end_stream=True)
    else:
        answer(server, event)


@pytest.mark.rfc("H3-4.2.2-01", "ROB-09")
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("end", [False, True])
def test_a_request_over_the_limit_gets_431(many: bool, end: bool) -> None:
    """Exactly the limit passes, one byte more does not; pseudo-headers and 32 bytes a field count; the rest lives on."""
    rig = ServerRig(H3Config(max_field_section_size=1000), application=answer_too_large)
    with rig.healthy_sibling():
        exact = rig.send(request("GET", "/", *section_of(1000, many=many)), fin=True)
        over = rig.send(request("GET", "/", *section_of(1001, many=many)), data(b"x"), fin=end)
        rig.run()
        assert (rig.status(exact), rig.status(over)) == (200, 431)
        assert rig.raw.stream(over).fin
        assert rig.raw.stream(over).stop == (None if end else ErrorCode.H3_NO_ERROR)
        assert [type(event) for event in rig.events_of(over)] == [RequestTooLarge]
        rig.expect_alive()
    assert rig.core.open_message_streams == 0


@pytest.mark.rfc("H3-4.2.2-01")
@pytest.mark.parametrize("size", [900, 1001, 66_000, 120_000])
@pytest.mark.parametrize("longest", ["field", "path", "both"])
def test_one_string_over_the_limit_is_told_as_many_are(size: int, longest: str) -> None:
    """Whether we can decode it or not; and the path alone is told apart, for 414 (issue 9, point 40)."""
    rig = ServerRig(H3Config(max_field_section_size=min(size - 1, 65_536)), application=silent)
    long = "v" * size
    path = "/" if longest == "field" else "/" + long
    fields = [] if longest == "path" else [("x", long)]
    if len(path) + len(long) * len(fields) > 131_000:
        return  # such a frame is not even held
    stream_id = rig.send(request("GET", path, *fields), fin=True)
    rig.run()
    assert rig.events_of(stream_id) == [RequestTooLarge(stream_id, longest != "field")]
    rig.expect_alive()


@pytest.mark.rfc("H3-4.2.2-01")
@pytest.mark.parametrize(("limit", "status"), [(582, 200), (581, 431)])
def test_the_decoded_size_counts_and_not_the_encoded(limit: int, status: int) -> None:
    """Ten times `accept: */*` from the static table is ten bytes on the wire and 410 of the limit."""
    rig = ServerRig(H3Config(max_field_section_size=limit), application=answer_too_large)
    stream_id = rig.send(frame(0x01, b"\0\0\xd1\xd7\xc1\x50\x06a.test" + b"\xdd" * 10), fin=True)
    rig.run()
    assert rig.status(stream_id) == status
    assert rig.raw.stream(stream_id).fin


@pytest.mark.rfc("H3-4.2.2-01", "ROB-09")
@both_roles
def test_there_is_a_limit_by_default_and_it_is_told(make_rig: type) -> None:
    """SETTINGS_MAX_FIELD_SECTION_SIZE goes out, 64 KiB."""
    rig = make_rig()
    settings = rig.control_frames()[0]
    assert settings.type == 0x04
    assert varint(0x06) + varint(65_536) in settings.payload


@pytest.mark.rfc("H3-4.2.2-01")
def test_request_trailers_over_the_limit_fail_the_request() -> None:
    """Too late for 431 by itself: the stream is reset, the connection lives."""
    rig = ServerRig(H3Config(max_field_section_size=1000), application=silent)
    stream_id = rig.send(request("POST"), data(b"x"), headers(("x", "v" * 2000)))
    rig.run()
    assert isinstance(rig.events_of(stream_id)[-1], MessageFailed)
    assert rig.raw.stream(stream_id).reset == ErrorCode.H3_EXCESSIVE_LOAD
    rig.expect_alive()


@pytest.mark.rfc("H3-4.2.2-03")
@pytest.mark.parametrize(
    "sent",
    [
        [response("200", ("x", "v" * 2000)), data(b"x")],
        [response("103", ("x", "v" * 2000)), OK],
        [OK, data(b"x"), headers(("x", "v" * 2000))],
        [OK, data(b"x"), headers(*[("a", "b")] * 40)],
    ],
    ids=["headers", "interim", "trailers", "many"],
)
@pytest.mark.parametrize("end", [False, True])
def test_a_response_over_the_limit_fails_alone(sent: list[bytes], end: bool) -> None:
    """Headers, interim headers and trailers that are too large fail the response and harm no other."""
    rig = ClientRig(H3Config(max_field_section_size=1000))
    with rig.healthy_sibling():
        stream_id = rig.send(*sent, fin=end)
        rig.run()
        failure = rig.events_of(stream_id)[-1]
        assert isinstance(failure, MessageFailed)
        assert failure.error.error_code == ErrorCode.H3_EXCESSIVE_LOAD
        assert rig.raw.stream(stream_id).stop == (None if end else ErrorCode.H3_EXCESSIVE_LOAD)
        assert not rig.completed(stream_id)
        rig.expect_alive()


@pytest.mark.rfc("H3-4.2.2-03", "ROB-19")
def test_a_megabyte_of_response_headers() -> None:
    """What is far over the limit is not even held: the connection ends before the payload comes."""
    rig = ClientRig()
    stream_id = rig.open_message()
    rig.write(stream_id, varint(0x01), varint(1 << 20))
    rig.expect_close(ErrorCode.H3_EXCESSIVE_LOAD)


@pytest.mark.rfc("H3-4.2.2-02")
def test_the_server_respects_the_clients_limit() -> None:
    """A section above the peer's SETTINGS_MAX_FIELD_SECTION_SIZE is refused locally; a smaller one can follow."""
    rig = ServerRig(application=silent, greet=False)
    rig.control(settings=frame(0x04, "06 40 64"))
    stream_id = rig.send(GET, fin=True)
    rig.run()
    fits = [(b"x", b"v" * (100 - 32 - len(":status200") - 33))]
    too_large = [(b"x", fits[0][1] + b"v")]
    for call in (rig.core.send_response, rig.core.send_informational_response):
        with pytest.raises(LocalProtocolError):
            call(stream_id, 200 if call == rig.core.send_response else 103, too_large)
    rig.core.send_response(stream_id, 200, fits)
    with pytest.raises(LocalProtocolError):
        rig.core.send_trailers(stream_id, [(b"x", b"v" * 68)])
    rig.core.send_trailers(stream_id, [(b"x", b"v" * 67)])
    rig.run()
    assert len(rig.response(stream_id)[0]) == 2
    assert rig.raw.stream(stream_id).fin


@pytest.mark.rfc("H3-4.2.2-02")
def test_the_client_respects_the_servers_limit() -> None:
    """Exactly the limit goes out; one byte more uses up no stream."""
    rig = ClientRig(greet=False)
    rig.control(settings=frame(0x04, "06 41 2c"))
    rig.run()
    used = sum(len(name) + len(value) + 32 for name, value in sent_by_client(head()))
    fits = head(fields=[(b"x", b"v" * (300 - used - 33))])
    with pytest.raises(LocalProtocolError):
        rig.core.send_request(head(fields=[(b"x", b"v" * (301 - used - 33))]))
    assert rig.core.send_request(fits) == 0
    rig.expect_alive()


def test_a_request_that_cannot_be_encoded_leaves_nothing_open() -> None:
    """A value that QPACK cannot carry is refused; the stream that was opened for it ends."""
    rig = ClientRig(streams=4)
    for _ in range(6):
        with pytest.raises(LocalProtocolError):
            rig.core.send_request(head(fields=[(b"x", b"v" * 70_000)]))
        rig.run()
    assert rig.core.open_message_streams == 0


# What is generated


@pytest.mark.rfc("H3-4.3-01", "H3-4.3.1-01")
def test_pseudo_headers_come_first_and_only_the_defined_ones() -> None:
    """A request has its four and a response its one, before all fields; Host is not sent beside :authority."""
    fields = sent_by_client(head(b"GET", b"/x?y", [(b"host", b"a.test"), (b"accept", b"*/*")]))
    assert [name for name, _ in fields] == [b":method", b":scheme", b":authority", b":path", b"accept"]
    assert [name for name, _ in sent_by_server([(b"a", b"b")])[0]] == [b":status", b"a"]
    options = sent_by_client(head(b"OPTIONS", b"*"))
    assert dict(options)[b":path"] == b"*"
    connect = sent_by_client(head(b"CONNECT", authority=b"a.test:443"))
    assert connect == [(b":method", b"CONNECT"), (b":authority", b"a.test:443")]


@pytest.mark.rfc("H3-4.3.1-01")
@pytest.mark.parametrize("path", [b"", b"x", b"*", b"/a#fragment", b"/a b"])
def test_a_bad_target_cannot_be_sent(path: bytes) -> None:
    """An empty path or one with a fragment never goes out."""
    rig = ClientRig()
    with pytest.raises(LocalProtocolError):
        rig.core.send_request(head(path=path))
    rig.expect_alive()


@pytest.mark.rfc("H3-4.3.1-03")
def test_a_scheme_without_authority_sends_none() -> None:
    """For a scheme whose URIs need no authority, neither :authority nor Host is sent."""
    fields = sent_by_client(RequestHead(b"GET", b"urn", None, b"example", [], None))
    assert fields == [(b":method", b"GET"), (b":scheme", b"urn"), (b":path", b"example")]


@pytest.mark.rfc("SEM-5.3-01")
def test_no_application_before_the_whole_header_section() -> None:
    """A request is told when its header section is complete and valid, not before."""
    rig = ServerRig(application=silent)
    whole = request("GET", "/", ("x", "y"))
    stream_id = rig.open_message()
    for byte in whole[:-1]:
        rig.write(stream_id, bytes([byte]))
        assert rig.run() == []
    rig.write(stream_id, whole[-1:])
    assert [type(event) for event in rig.run()] == [RequestReceived]


def _kinds(rig: Rig) -> set[type]:
    return {type(event) for event in rig.events}


@pytest.mark.rfc("H3-4.2-01")
def test_whatever_a_server_sends_a_client_can_read() -> None:
    """Sections that one core sends are accepted by the other role's rules."""
    sections = sent_by_server(
        [(b"Set-Cookie", b"a=b"), (b"Set-Cookie", b"c=d"), (b"Content-Length", b"0")],
        interim=[(b"Link", b"</a>; rel=preload")],
    )
    rig = ClientRig()
    stream_id = rig.send(*(headers(*section) for section in sections), fin=True)
    rig.run()
    assert rig.completed(stream_id)
    assert {ResponseReceived} <= _kinds(rig)
    assert not {MessageFailed, TrailersReceived, DataReceived} & _kinds(rig)
