"""Malformed messages (RFC 9114 sections 4.1.2, 4.2, 4.3 and 10.3): errors of a stream, never of the connection."""

import pytest

from conformance.support import (
    GET,
    OK,
    ClientRig,
    Rig,
    ServerRig,
    both_roles,
    data,
    head,
    headers,
    request,
    response,
    silent,
    ways_to_arrive,
)
from h3push.errors import ErrorCode
from h3push.h3.events import (
    DataReceived,
    MessageFailed,
    RequestReceived,
    ResponseReceived,
    TrailersReceived,
)

Pair = tuple[bytes | str, bytes | str]
METHOD, SCHEME, AUTHORITY, PATH = (":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")
TARGET = (METHOD, SCHEME, AUTHORITY, PATH)
STATUS = (":status", "200")


def expect_malformed(rig: Rig, *sent: bytes, fin: bool = True) -> None:
    """The stream fails with H3_MESSAGE_ERROR, the application gets no message of it, a sibling and the connection live."""
    with rig.healthy_sibling():
        stream_id = rig.send(*sent, fin=fin)
        rig.run()
        told = rig.events_of(stream_id)
        assert isinstance(told[-1], MessageFailed), told
        assert told[-1].error.error_code == ErrorCode.H3_MESSAGE_ERROR
        assert not any(isinstance(event, TrailersReceived) or getattr(event, "end_stream", False) for event in told)
        if isinstance(rig, ServerRig):
            assert rig.raw.stream(stream_id).reset == ErrorCode.H3_MESSAGE_ERROR
            assert rig.status(stream_id) is None
        if not fin:
            assert rig.raw.stream(stream_id).stop == ErrorCode.H3_MESSAGE_ERROR
        rig.expect_alive()


def expect_malformed_header(make_rig: type, *fields: Pair) -> None:
    """Malformed when added to a good header section, and the application hears of no message at all."""
    for fin in (True, False):
        rig = make_rig()
        opening = TARGET if isinstance(rig, ServerRig) else (STATUS,)
        before = len(rig.events)
        expect_malformed(rig, headers(*opening, *fields), fin=fin)
        heads = [event for event in rig.events[before:] if isinstance(event, RequestReceived | ResponseReceived)]
        assert len(heads) == 2, "the sibling and the ordinary exchange alone"


def expect_malformed_trailer(make_rig: type, *fields: Pair) -> None:
    """Malformed in the trailer section."""
    rig = make_rig()
    expect_malformed(rig, rig.message, data(b"x"), headers(*fields))


# Fields in general


@pytest.mark.rfc("H3-4.1.2-01")
@both_roles
@pytest.mark.parametrize("field", [("Foo", "bar"), ("AGE", "0"), ("content-typE", "a/b"), ("Connection", "close")])
def test_upper_case_in_a_name(make_rig: type, field: Pair) -> None:
    """A field name with an upper-case letter."""
    expect_malformed_header(make_rig, field)
    expect_malformed_header(make_rig, ("a", "b"), field, ("c", "d"))
    expect_malformed_trailer(make_rig, field)


@pytest.mark.rfc("H3-4.1.2-02")
@both_roles
@pytest.mark.parametrize(
    "name", [b"", b"a b", b"a:b", b"a\x00", b"\xff", b"a@b", b"a\x7f", b"a\r", b" a", b"a,b", b'a"']
)
def test_a_name_that_is_no_token(make_rig: type, name: bytes) -> None:
    """An empty name, or one with a byte that no token has."""
    expect_malformed_header(make_rig, (name, "x"))
    expect_malformed_trailer(make_rig, (name, "x"))


@pytest.mark.rfc("H3-4.1.2-03")
@both_roles
@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n"])
def test_nul_cr_and_lf_in_a_value(make_rig: type, byte: bytes) -> None:
    """Values with NUL, CR or LF at any place."""
    for value in (byte, b"a" + byte, byte + b"a", b"a" + byte + b"b"):
        expect_malformed_header(make_rig, ("x", value))
    expect_malformed_trailer(make_rig, ("x", b"a" + byte + b"b"))


@pytest.mark.rfc("H3-4.1.2-03")
@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n"])
@pytest.mark.parametrize("position", range(4))
def test_nul_cr_and_lf_in_a_pseudo_header(byte: bytes, position: int) -> None:
    """The same in :method, :scheme, :authority and :path."""
    fields = [(name, value.encode()) for name, value in TARGET]
    name, value = fields[position]
    fields[position] = (name, value + byte + b"x")
    expect_malformed(ServerRig(), headers(*fields))


@pytest.mark.rfc("H3-4.1.2-04")
@both_roles
@pytest.mark.parametrize("value", [b"\x01", b"a\x1fb", b"\x7f", b" x", b"x ", b"\tx", b"x\t", b" ", b"\x0b"])
def test_other_control_bytes_and_outer_blanks_in_a_value(make_rig: type, value: bytes) -> None:
    """Control characters, DEL, and blanks at either end."""
    expect_malformed_header(make_rig, ("x", value))
    expect_malformed_trailer(make_rig, ("x", value))


@pytest.mark.rfc("H3-4.1.2-04", "SEM-5.5-01")
@both_roles
@pytest.mark.parametrize("value", [b"\xfe\xff", bytes(range(0x80, 0x100)), b"a\tb c", "grün".encode(), b""])
def test_opaque_bytes_in_a_value_are_passed_on(make_rig: type, value: bytes) -> None:
    """Bytes from 0x80 on, inner blanks and nothing at all are legal, and come out as they went in."""
    rig = make_rig()
    opening = TARGET if isinstance(rig, ServerRig) else (STATUS,)
    stream_id = rig.send(headers(*opening, ("x", value)), data(b"x"), headers(("y", value)), fin=True)
    rig.run()
    told = rig.events_of(stream_id)
    message = told[0].request if isinstance(told[0], RequestReceived) else told[0].response
    assert list(message.fields) == [(b"x", value)]
    assert told[-1] == TrailersReceived(stream_id, [(b"y", value)], None)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-05", "H3-4.1-08")
@both_roles
@pytest.mark.parametrize(
    "field",
    [
        ("connection", "close"),
        ("connection", "x-hop"),
        ("connection", ""),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "trailers"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
    ],
)
def test_fields_about_a_connection(make_rig: type, field: Pair) -> None:
    """What HTTP/1.1 says about its connection makes an HTTP/3 message malformed, in headers and in trailers."""
    expect_malformed_header(make_rig, field)
    expect_malformed_trailer(make_rig, field)


@pytest.mark.rfc("H3-4.1.2-06")
@pytest.mark.parametrize("value", ["gzip", "trailers, deflate", "deflate, trailers", "", "trailers;q=1", "trailer"])
def test_te_says_trailers_or_nothing(value: str) -> None:
    """TE with any value other than 'trailers'."""
    expect_malformed_header(ServerRig, ("te", value))


@pytest.mark.rfc("H3-4.1.2-06")
def test_te_in_a_response() -> None:
    """TE is a request field."""
    expect_malformed_header(ClientRig, ("te", "trailers"))
    expect_malformed_header(ClientRig, ("te", "gzip"))


@pytest.mark.rfc("H3-4.1.2-06")
@pytest.mark.parametrize("value", ["trailers", "Trailers"])
def test_te_trailers_is_accepted(value: str) -> None:
    """'trailers' is allowed; its case does not matter, as for every transfer coding."""
    rig = ServerRig()
    stream_id = rig.send(request("GET", "/", ("te", value)), fin=True)
    rig.run()
    assert rig.status(stream_id) == 200
    rig.expect_alive()


# Pseudo-header fields


@pytest.mark.rfc("H3-4.1.2-07")
@pytest.mark.parametrize("double", TARGET)
def test_a_pseudo_header_twice_in_a_request(double: Pair) -> None:
    """Each of the four, right after itself or at the end."""
    expect_malformed(ServerRig(), headers(*TARGET, double))
    expect_malformed(ServerRig(), headers(double, *TARGET))


@pytest.mark.rfc("H3-4.1.2-07", "H3-4.1.2-13")
def test_two_statuses() -> None:
    """:status twice, the same or not."""
    expect_malformed(ClientRig(), headers(STATUS, STATUS))
    expect_malformed(ClientRig(), headers(STATUS, (":status", "404")))
    expect_malformed(ClientRig(), headers(STATUS, ("a", "b"), STATUS))


@pytest.mark.rfc("H3-4.1.2-08")
@pytest.mark.parametrize("name", [":foo", ":autority", ":", "::path", ":Path", ":protocol"])
def test_an_unknown_pseudo_header_in_a_request(name: str) -> None:
    """A pseudo-header that is not defined, or not negotiated, at any place."""
    expect_malformed(ServerRig(), headers(*TARGET, (name, "x")))
    expect_malformed(ServerRig(), headers((name, "x"), *TARGET))


@pytest.mark.rfc("H3-4.1.2-08")
@pytest.mark.parametrize("name", [":m", ":foo", ":", ":Status"])
def test_an_unknown_pseudo_header_in_a_response(name: str) -> None:
    """The same in a response."""
    expect_malformed(ClientRig(), headers(STATUS, (name, "x")))
    expect_malformed(ClientRig(), headers((name, "x"), STATUS))


@pytest.mark.rfc("H3-4.1.2-09")
@pytest.mark.parametrize("late", range(4))
def test_a_pseudo_header_after_a_field_in_a_request(late: int) -> None:
    """Pseudo-headers come first."""
    others = [field for index, field in enumerate(TARGET) if index != late]
    expect_malformed(ServerRig(), headers(*others, ("foo", "bar"), TARGET[late]))


@pytest.mark.rfc("H3-4.1.2-09")
def test_a_status_after_a_field() -> None:
    """:status comes first."""
    expect_malformed(ClientRig(), headers(("user-agent", "x"), STATUS))


@pytest.mark.rfc("H3-4.1.2-10")
@pytest.mark.parametrize("foreign", TARGET)
def test_a_request_pseudo_header_in_a_response(foreign: Pair) -> None:
    """:method, :scheme, :authority and :path have no place in a response."""
    expect_malformed(ClientRig(), headers(STATUS, foreign))
    expect_malformed(ClientRig(), headers(foreign, STATUS))


@pytest.mark.rfc("H3-4.1.2-10")
def test_a_status_in_a_request() -> None:
    """:status has no place in a request."""
    expect_malformed(ServerRig(), headers(*TARGET, STATUS))
    expect_malformed(ServerRig(), headers(STATUS, *TARGET))


@pytest.mark.rfc("H3-4.1.2-11")
@both_roles
@pytest.mark.parametrize("field", [STATUS, PATH, (":foo", "x"), AUTHORITY])
@pytest.mark.parametrize("before", [(), (("x-checksum", "1"),)])
def test_a_pseudo_header_in_trailers(make_rig: type, field: Pair, before: tuple[Pair, ...]) -> None:
    """Trailers have none."""
    expect_malformed_trailer(make_rig, *before, field)


@pytest.mark.rfc("H3-4.1.2-12")
@pytest.mark.parametrize("missing", [METHOD, SCHEME, PATH])
def test_a_missing_pseudo_header(missing: Pair) -> None:
    """:method, :scheme and :path are needed on everything but CONNECT."""
    expect_malformed(ServerRig(), headers(*(field for field in TARGET if field != missing)))


@pytest.mark.rfc("H3-4.1.2-12")
def test_an_empty_header_section() -> None:
    """No fields at all is a message without its pseudo-headers."""
    expect_malformed(ServerRig(), headers())
    expect_malformed(ClientRig(), headers())


@pytest.mark.rfc("H3-4.1.2-13")
@pytest.mark.parametrize(
    "status",
    [
        None,
        "",
        "20",
        "2000",
        "abc",
        "+200",
        "099",
        "20 ",
        " 200",
        "2.0",
        "0",
        "-20",
        b"\xef\xbc\x92\xef\xbc\x90\xef\xbc\x90",
    ],
)
def test_a_status_that_is_none(status: str | bytes | None) -> None:
    """Missing, or not three digits from 100 on."""
    fields = [] if status is None else [(":status", status)]
    expect_malformed(ClientRig(), headers(*fields, ("a", "b")))


@pytest.mark.rfc("H3-4.1.2-14")
@pytest.mark.parametrize("fields", [(), ((":authority", ""),), (("host", ""),), ((":authority", ""), ("host", ""))])
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_authority(fields: tuple[Pair, ...], scheme: str) -> None:
    """Http and https need :authority or Host, and not an empty one."""
    target = [METHOD, (":scheme", scheme), PATH]
    expect_malformed(ServerRig(), headers(*target, *fields))


@pytest.mark.rfc("H3-4.1.2-14", "H3-4.1.2-15")
@pytest.mark.parametrize(
    "fields", [((":authority", "a.test"),), (("host", "a.test"),), ((":authority", "a.test"), ("host", "a.test"))]
)
def test_an_authority_from_either_field(fields: tuple[Pair, ...]) -> None:
    """:authority, Host, or both with one value: the request has that authority."""
    rig = ServerRig()
    stream_id = rig.send(headers(METHOD, SCHEME, PATH, *fields), fin=True)
    rig.run()
    assert (rig.status(stream_id), rig.requests[0].authority) == (200, b"a.test")
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-15")
@pytest.mark.parametrize("host", ["b.test", "a.test:443", "A.test", "", "a.test, a.test"])
def test_authority_and_host_that_differ(host: str) -> None:
    """:authority and Host with different values; so are two Host fields."""
    expect_malformed(ServerRig(), headers(*TARGET, ("host", host)))
    expect_malformed(ServerRig(), headers(*TARGET, ("host", "a.test"), ("host", "a.test")))


@pytest.mark.rfc("H3-4.1.2-16")
@pytest.mark.parametrize("authority", ["user:pw@a.test", "user@a.test", "@a.test", "a.test@", "a.test:443@b.test"])
@pytest.mark.parametrize("name", [":authority", "host"])
def test_user_information_in_the_authority(authority: str, name: str) -> None:
    """user:password@host is not for http and https."""
    expect_malformed(ServerRig(), headers(METHOD, SCHEME, PATH, (name, authority)))


@pytest.mark.rfc("H3-4.1.2-17")
@pytest.mark.parametrize("path", ["", "foo", "*", "https://a.test/", "?a", "/a b", "/a#b", " /", "/\x7f"])
def test_a_path_that_is_none(path: str) -> None:
    """Empty, without a leading slash, or `*` on anything but OPTIONS."""
    expect_malformed(ServerRig(), headers(METHOD, SCHEME, AUTHORITY, (":path", path)))


@pytest.mark.rfc("H3-4.1.2-17")
def test_options_for_the_whole_server() -> None:
    """OPTIONS * is accepted."""
    rig = ServerRig()
    stream_id = rig.send(request("OPTIONS", "*"), fin=True)
    rig.run()
    assert (rig.status(stream_id), rig.requests[0].path) == (200, b"*")
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-18")
@pytest.mark.parametrize(
    ("method", "scheme"),
    [("GE T", "https"), ("", "https"), ("G\tT", "https"), ("GET", "1http"), ("GET", "ht tp"), ("GET", "")],
)
def test_a_method_or_scheme_of_bad_syntax(method: str, scheme: str) -> None:
    """:method is a token, :scheme begins with a letter."""
    expect_malformed(ServerRig(), headers((":method", method), (":scheme", scheme), AUTHORITY, PATH))


@pytest.mark.rfc("H3-4.1.2-18")
@pytest.mark.parametrize("method", ["PURGE", "M-SEARCH", "x!#$%&'*+-.^_`|~"])
def test_any_token_is_a_method(method: str) -> None:
    """Unknown methods reach the application."""
    rig = ServerRig()
    stream_id = rig.send(request(method), fin=True)
    rig.run()
    assert (rig.status(stream_id), rig.requests[0].method) == (200, method.encode())
    rig.expect_alive()


# Content-Length


def message_with_length(rig: Rig, *lengths: bytes | str) -> bytes:
    fields = [("content-length", length) for length in lengths]
    return request("POST", "/", *fields) if isinstance(rig, ServerRig) else response("200", *fields)


TRAILERS = headers(("x", "y"))


@pytest.mark.rfc("H3-4.1.2-19", "ROB-33")
@both_roles
@pytest.mark.parametrize(
    "pieces",
    [
        [data(b"abc"), b""],
        [data(b"abc")],
        [b""],
        [data(b"")],
        [data(b"ab"), data(b"c"), TRAILERS],
        [data(b"abc"), TRAILERS, b""],
        [TRAILERS],
        [data(b"abcdefg")],
        [data(b"abc"), data(b"def")],
        [data(b"abcde"), data(b"f"), TRAILERS],
    ],
)
@pytest.mark.parametrize("separately", [False, True])
@ways_to_arrive
def test_content_that_is_not_as_long_as_announced(
    make_rig: type, pieces: list[bytes], separately: bool, chunk: int | None
) -> None:
    """5 announced: fewer or more, with FIN on DATA, by itself, on HEADERS, or after trailers."""
    rig = make_rig(chunk=chunk)
    with rig.healthy_sibling():
        stream_id = rig.send(message_with_length(rig, "5"))
        for index, piece in enumerate(pieces):
            if separately:
                rig.run()
            rig.write(stream_id, piece, fin=index == len(pieces) - 1)
        rig.run()
        told = rig.events_of(stream_id)
        assert isinstance(told[-1], MessageFailed)
        assert told[-1].error.error_code == ErrorCode.H3_MESSAGE_ERROR
        received = b"".join(event.data for event in told if isinstance(event, DataReceived))
        assert len(received) <= 5
        assert not any(isinstance(event, TrailersReceived) or getattr(event, "end_stream", False) for event in told)
        rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-19")
@both_roles
def test_too_much_content_is_noticed_before_the_end(make_rig: type) -> None:
    """More than announced fails when it comes, not at the end."""
    rig = make_rig()
    expect_malformed(rig, message_with_length(rig, "5"), data(b"abcdef"), fin=False)


@pytest.mark.rfc("H3-4.1.2-19")
@both_roles
@pytest.mark.parametrize("content", [[data(b"hello")], [data(b"hel"), data(b""), data(b"lo"), TRAILERS]])
def test_content_as_long_as_announced(make_rig: type, content: list[bytes]) -> None:
    """5 announced, 5 come."""
    rig = make_rig()
    stream_id = rig.send(message_with_length(rig, "5"), *content, fin=True)
    rig.run()
    told = rig.events_of(stream_id)
    assert b"".join(event.data for event in told if isinstance(event, DataReceived)) == b"hello"
    assert not any(isinstance(event, MessageFailed) for event in told)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-20")
@both_roles
@pytest.mark.parametrize(
    "lengths",
    [
        *(
            [length]
            for length in ("-1", "+5", " 5", "5 ", "1_000", "5.0", "0x5", "", "5,6", "5, 5", "2" * 23, "9" * 5000)
        ),
        ["5", "6"],
        [b"\xb2"],
        [b"\xd9\xa5"],
    ],
)
def test_a_length_that_is_none(make_rig: type, lengths: list[bytes | str]) -> None:
    """Digits only, below 2^62, and one value."""
    rig = make_rig()
    expect_malformed(rig, message_with_length(rig, *lengths), data(b"hello"))


@pytest.mark.rfc("H3-4.1.2-20")
@both_roles
def test_the_same_length_twice_counts_once(make_rig: type) -> None:
    """Two equal Content-Length lines are taken as one; leading zeros are digits."""
    rig = make_rig()
    stream_id = rig.send(message_with_length(rig, "5", "005"), data(b"hello"), fin=True)
    rig.run()
    first = rig.events_of(stream_id)[0]
    message = first.request if isinstance(first, RequestReceived) else first.response
    assert (message.content_length, [name for name, _ in message.fields]) == (5, [b"content-length"])
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-21")
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", "200"), (b"GET", "304"), (b"GET", "204"), (b"HEAD", "404")])
@pytest.mark.parametrize("length", ["100", "0"])
@ways_to_arrive
def test_a_length_without_content_where_there_never_is_any(
    method: bytes, status: str, length: str, chunk: int | None
) -> None:
    """A response to HEAD, 304 and 204 may name a length and has no content."""
    rig = ClientRig(chunk=chunk)
    stream_id = rig.core.send_request(head(method))
    rig.run()
    rig.write(
        stream_id, response("103", ("content-length", "7")), response(status, ("content-length", length)), fin=True
    )
    rig.run()
    assert rig.completed(stream_id)
    assert not any(isinstance(event, MessageFailed) for event in rig.events)
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-21")
@pytest.mark.parametrize(("method", "status"), [(b"HEAD", "200"), (b"GET", "304"), (b"GET", "204")])
@pytest.mark.parametrize("fields", [(), (("content-length", "1"),)])
def test_content_where_there_never_is_any(method: bytes, status: str, fields: tuple[Pair, ...]) -> None:
    """DATA with content in such a response makes it malformed."""
    rig = ClientRig()
    stream_id = rig.core.send_request(head(method))
    rig.run()
    rig.write(stream_id, response(status, *fields), data(b"x"), fin=True)
    rig.run()
    assert not rig.completed(stream_id)
    assert isinstance(rig.events_of(stream_id)[-1], MessageFailed)
    rig.expect_alive()


# The scope


@pytest.mark.rfc("H3-4.1.2-22", "H3-8-02")
@both_roles
def test_one_malformed_message_among_ten(make_rig: type) -> None:
    """The nine others complete."""
    rig = make_rig()
    streams = [rig.open_message() for _ in range(10)]
    for stream_id in streams:
        rig.write(
            stream_id, headers((":bad", "x")) if stream_id == streams[4] else rig.message, fin=stream_id == streams[4]
        )
    rig.run()
    for stream_id in streams:
        if stream_id != streams[4]:
            rig.write(stream_id, data(b"x"), fin=True)
    rig.run()
    for stream_id in streams:
        told = rig.events_of(stream_id)
        if stream_id == streams[4]:
            assert [type(event) for event in told] == [MessageFailed]
        else:
            assert told[-1].end_stream
    rig.expect_alive()


MALFORMED_REQUESTS = [
    headers(),
    headers(*TARGET, ("Foo", "x")),
    headers(*TARGET, ("x", "a\nb")),
    headers(*TARGET, ("connection", "close")),
    headers(*TARGET, ("transfer-encoding", "chunked")),
    headers(*TARGET, ("content-length", "x")),
    headers(*TARGET, METHOD),
    headers(*TARGET[:3]),
    headers(METHOD, SCHEME, PATH),
]


@pytest.mark.rfc("H3-4.1.2-23")
@pytest.mark.parametrize("malformed", MALFORMED_REQUESTS)
def test_a_malformed_request_reaches_no_application(malformed: bytes) -> None:
    """What can be seen in the header section keeps the request from the application."""
    rig = ServerRig(application=silent)
    rig.send(malformed, data(b"x"), fin=True)
    rig.run()
    assert [type(event) for event in rig.events if not hasattr(event, "settings")] == [MessageFailed]
    rig.expect_alive()


@pytest.mark.rfc("H3-4.1.2-22")
@both_roles
def test_what_follows_a_malformed_section_is_dropped(make_rig: type) -> None:
    """After the stream error nothing more of this stream is judged, in one delivery as in many."""
    for chunk in (None, 1):
        rig = make_rig(chunk=chunk)
        stream_id = rig.send(headers(("Bad", "x")), OK, GET, data(b"x"))
        rig.run()
        assert [type(event) for event in rig.events_of(stream_id)] == [MessageFailed]
        rig.expect_alive()
