"""Header and trailer sections, received and sent (RFC 9114 sections 4.1.2, 4.2, 4.3, 4.4)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h3push.errors import ErrorCode, H3StreamError, LocalProtocolError
from h3push.http.fields import (
    CONNECTION_SPECIFIC,
    NOT_IN_TRAILERS,
    SECRET_NAMES,
    Fields,
    RequestHead,
    ResponseHead,
    holds_secret,
    is_secret,
    parse_promised_request,
    parse_request,
    parse_response,
    parse_trailers,
    received,
    request_fields,
    response_fields,
    section_size,
    trailer_fields,
)

GET: Fields = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"example.com"),
    (b":path", b"/index.html?q=1"),
]
OK: Fields = [(b":status", b"200")]
PARSERS = {
    "request": (parse_request, GET),
    "promise": (parse_promised_request, GET),
    "response": (parse_response, OK),
    "trailers": (parse_trailers, []),
}


def malformed(parser: str, fields: Fields) -> str:
    """The sentence with which the section is refused."""
    with pytest.raises(H3StreamError) as raised:
        PARSERS[parser][0](fields)
    assert raised.value.error_code is ErrorCode.H3_MESSAGE_ERROR
    return raised.value.reason


def request(**changes: bytes | None) -> Fields:
    """GET with pseudo-header fields changed, or left out for None."""
    pseudo = {name[1:].decode(): value for name, value in GET} | changes
    return [(b":" + name.encode(), value) for name, value in pseudo.items() if value is not None]


# Good messages


def test_a_request() -> None:
    """Pseudo-header fields become attributes, the others stay in order."""
    fields = [(b"accept", b"*/*"), (b"accept", b"text/html"), (b"x-empty", b"")]
    assert parse_request(GET + fields) == RequestHead(
        b"GET", b"https", b"example.com", b"/index.html?q=1", tuple(fields), None
    )
    assert parse_promised_request(GET) == parse_request(GET)


def test_a_response() -> None:
    """Status, fields, length."""
    fields = [(b"content-type", b"text/html"), (b"content-length", b"12")]
    assert parse_response(OK + fields) == ResponseHead(200, fields, 12)
    assert parse_response([(b":status", b"103"), (b"link", b"</a.css>; rel=preload")]).status == 103


def test_what_was_decoded_is_not_changed() -> None:
    """Parsers leave their argument alone."""
    fields = [*GET, (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"content-length", b"1"), (b"content-length", b"1")]
    before = list(fields)
    parse_request(fields)
    assert fields == before


def test_pseudo_headers_come_in_any_order() -> None:
    """Only their place before the other fields matters."""
    assert parse_request(GET[::-1]) == parse_request(GET)


@pytest.mark.rfc("SEM-5.5-01")
@pytest.mark.parametrize("parser", PARSERS)
def test_bytes_from_0x80_are_opaque(parser: str) -> None:
    """Values need not be UTF-8, nor anything else."""
    parse, start = PARSERS[parser]
    fields = [(b"x-opaque", b"\xfe\xff \xc3\x28"), (b"x-tab", b"a\tb")]
    parsed = parse(start + fields)
    assert list(parsed if isinstance(parsed, list) else parsed.fields) == fields


@pytest.mark.rfc("H3-4.2.1-01")
def test_cookie_lines_are_joined() -> None:
    """Several lines become one, where the first one stood."""
    fields = [(b"cookie", b"a=b"), (b"accept", b"*/*"), (b"cookie", b"c=d"), (b"cookie", b"e=f")]
    assert list(parse_request(GET + fields).fields) == [(b"cookie", b"a=b; c=d; e=f"), (b"accept", b"*/*")]


@pytest.mark.rfc("H3-4.1.2-20")
def test_equal_content_lengths_count_once() -> None:
    """Repeats that say the same are one field."""
    twice = [(b"content-length", b"5"), (b"accept", b"*/*"), (b"content-length", b"5")]
    head = parse_request(GET + twice)
    assert (head.content_length, list(head.fields)) == (5, twice[:2])
    response = parse_response(OK + twice)
    assert (response.content_length, response.fields) == (5, twice[:2])


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"007", 7), (b"%d" % (2**62 - 1), 2**62 - 1)])
def test_content_lengths(value: bytes, length: int) -> None:
    """Digits, up to what a QUIC stream can carry."""
    assert parse_response([*OK, (b"content-length", value)]).content_length == length


@pytest.mark.rfc("H3-4.1.2-06")
def test_te_trailers() -> None:
    """The one value of TE that a request may have."""
    assert list(parse_request([*GET, (b"te", b"trailers")]).fields) == [(b"te", b"trailers")]
    assert parse_request([*GET, (b"te", b"Trailers")])


@pytest.mark.rfc("H3-4.1.2-17")
def test_options_of_a_server() -> None:
    """OPTIONS may ask for '*'."""
    assert parse_request(request(method=b"OPTIONS", path=b"*")).path == b"*"


@pytest.mark.parametrize(
    "authority",
    [
        b"example.com",
        b"example.com:443",
        b"example.com:",
        b"127.0.0.1:1",
        b"[2001:db8::1]",
        b"[::1]:4433",
        b"a_b.test",
        b"h" * 300 + b":1",
    ],
)
def test_authorities(authority: bytes) -> None:
    """Names and addresses, with and without a port."""
    assert parse_request(request(authority=authority)).authority == authority


@pytest.mark.rfc("H3-4.1.2-14", "H3-4.1.2-15")
def test_host_stands_in_for_authority() -> None:
    """Host alone is enough; beside :authority it must say the same."""
    head = parse_request([*request(authority=None), (b"host", b"example.com")])
    assert head.authority == b"example.com"
    assert list(head.fields) == [(b"host", b"example.com")]
    assert parse_request([*GET, (b"host", b"example.com")]).authority == b"example.com"


@pytest.mark.rfc("H3-4.3.1-03")
def test_other_schemes_need_no_authority() -> None:
    """Only http and https have a mandatory authority and a path that begins with '/'."""
    head = parse_request(request(scheme=b"urn", authority=None, path=b"isbn:0451450523"))
    assert (head.scheme, head.authority, head.path) == (b"urn", None, b"isbn:0451450523")


@pytest.mark.rfc("H3-4.4-01")
def test_connect() -> None:
    """CONNECT has a method and an authority with port."""
    head = parse_request(request(method=b"CONNECT", scheme=None, path=None, authority=b"example.com:443"))
    assert head == RequestHead(b"CONNECT", None, b"example.com:443", None, (), None)


@pytest.mark.rfc("WS-3-02")
def test_extended_connect() -> None:
    """With :protocol, once that is negotiated, CONNECT has everything that other requests have."""
    fields = request(method=b"CONNECT", protocol=b"websocket")
    head = parse_request(fields, connect_protocol=True)
    assert (head.method, head.protocol, head.path) == (b"CONNECT", b"websocket", b"/index.html?q=1")


@pytest.mark.rfc("SEM-6.5-01", "H3-4.1-20")
def test_trailers_leave_out_what_would_change_the_message() -> None:
    """Framing, routing, authentication and the like are dropped from trailers."""
    bad = [(name, b"1") for name in sorted(NOT_IN_TRAILERS)]
    assert parse_trailers([(b"x-checksum", b"abc"), *bad, (b"server-timing", b"db")]) == [
        (b"x-checksum", b"abc"),
        (b"server-timing", b"db"),
    ]
    assert parse_trailers([]) == []


# Malformed messages


@pytest.mark.rfc("H3-4.1.2-01")
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("name", [b"Foo", b"AGE", b"content-Length", b"x-Y"])
def test_upper_case_names(parser: str, name: bytes) -> None:
    """One upper-case letter in a name is malformed."""
    assert "upper case" in malformed(parser, [*PARSERS[parser][1], (name, b"0")])


@pytest.mark.rfc("H3-4.1.2-02")
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "name",
    [b"", b"a b", b"a:b", b"a\0", b"a\n", b"\xff", b"a@b", b"a\x7f", b" a", b"a ", b"a,b", b'"a"', b"a/b", b"(a)"],
)
def test_names_that_are_no_tokens(parser: str, name: bytes) -> None:
    """Whatever is not a token is malformed, the empty name too."""
    malformed(parser, [*PARSERS[parser][1], (name, b"0")])
    malformed(parser, [*PARSERS[parser][1], (b"accept", b"*/*"), (name, b"0")])


@pytest.mark.rfc("H3-4.1.2-03", "H3-4.1.2-04")
@pytest.mark.parametrize("parser", PARSERS)
def test_control_characters_in_values(parser: str) -> None:
    """NUL, CR, LF, every other control character but TAB, and DEL: malformed, wherever in the value."""
    for byte in [*range(9), *range(10, 32), 127]:
        for value in (b"%c", b"a%cb", b"%cb", b"a%c"):
            malformed(parser, [*PARSERS[parser][1], (b"x-a", value % byte)])


@pytest.mark.rfc("H3-4.1.2-03", "H3-4.1.2-18")
@pytest.mark.parametrize("name", ["method", "scheme", "authority", "path"])
@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n", b"\x7f", b" ", b"\t", b"\x01"])
def test_no_blank_or_control_character_in_pseudo_headers(name: str, byte: bytes) -> None:
    """None of the four takes a control character or a blank."""
    good = dict(GET)[b":" + name.encode()]
    for place in (0, 1, len(good)):
        malformed("request", request(**{name: good[:place] + byte + good[place:]}))


@pytest.mark.rfc("H3-4.1.2-04")
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("value", [b" x", b"x ", b"\tx", b"x\t", b" ", b"\t"])
def test_blanks_around_values(parser: str, value: bytes) -> None:
    """A value neither begins nor ends with a blank."""
    assert "blank" in malformed(parser, [*PARSERS[parser][1], (b"x-a", value)])


@pytest.mark.rfc("H3-4.1.2-05", "H3-4.1-08")
@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("name", sorted(CONNECTION_SPECIFIC))
@pytest.mark.parametrize("value", [b"close", b"chunked", b"trailers", b""])
def test_connection_specific_fields(parser: str, name: bytes, value: bytes) -> None:
    """Connection, Keep-Alive, Proxy-Connection, Transfer-Encoding and Upgrade, whatever they say."""
    malformed(parser, [*PARSERS[parser][1], (name, value)])


@pytest.mark.rfc("H3-4.1.2-06")
@pytest.mark.parametrize("value", [b"gzip", b"trailers, deflate", b"", b"trailers;q=1"])
def test_te(value: bytes) -> None:
    """TE other than 'trailers' in a request, and any TE in a response."""
    malformed("request", [*GET, (b"te", value)])
    malformed("response", [*OK, (b"te", value)])
    malformed("response", [*OK, (b"te", b"trailers")])


@pytest.mark.rfc("H3-4.1.2-07")
@pytest.mark.parametrize("field", GET)
def test_repeated_pseudo_headers(field: tuple[bytes, bytes]) -> None:
    """Twice is malformed, with the same value too."""
    assert malformed("request", [*GET, field]).startswith("two ")
    malformed("response", OK * 2)


@pytest.mark.rfc("H3-4.1.2-08", "H3-4.1.2-10")
@pytest.mark.parametrize("name", [b":foo", b":autority", b":", b":Method", b":status", b":protocol"])
def test_undefined_pseudo_headers_in_requests(name: bytes) -> None:
    """Unknown ones, those of responses, and :protocol as long as it is not negotiated."""
    malformed("request", [*GET, (name, b"200")])
    malformed("request", [(name, b"200"), *GET])


@pytest.mark.rfc("H3-4.1.2-08", "H3-4.1.2-10")
@pytest.mark.parametrize("name", [b":m", b":method", b":path", b":scheme", b":authority", b":protocol"])
def test_undefined_pseudo_headers_in_responses(name: bytes) -> None:
    """Unknown ones and those of requests."""
    malformed("response", [*OK, (name, b"GET")])
    malformed("response", [(name, b"GET"), *OK])


@pytest.mark.rfc("H3-4.1.2-09")
def test_pseudo_headers_after_other_fields() -> None:
    """They come first, all of them."""
    for index in range(4):
        fields = [*GET[:index], *GET[index + 1 :], (b"foo", b"1"), GET[index]]
        assert "regular field" in malformed("request", fields)
    malformed("response", [(b"user-agent", b"x"), *OK])


@pytest.mark.rfc("H3-4.1.2-11")
@pytest.mark.parametrize("name", [b":status", b":path", b":method"])
def test_pseudo_headers_in_trailers(name: bytes) -> None:
    """None may come there."""
    malformed("trailers", [(name, b"200")])
    malformed("trailers", [(b"x-a", b"1"), (name, b"200")])


@pytest.mark.rfc("H3-4.1.2-12")
@pytest.mark.parametrize("name", ["method", "scheme", "path"])
def test_missing_pseudo_headers(name: str) -> None:
    """A request other than CONNECT has all three."""
    assert malformed("request", request(**{name: None})).startswith("no ")
    malformed("request", [])


@pytest.mark.rfc("H3-4.1.2-13", "H3-4.5-01")
@pytest.mark.parametrize(
    "value",
    [b"", b"20", b"2000", b"abc", b"+200", b"099", b"0200", b"2 0", b"\xb2\xb0\xb0", b"101", b"-10"],
)
def test_statuses(value: bytes) -> None:
    """Three digits from 100 on, and not 101."""
    malformed("response", [(b":status", value)])


def test_a_response_has_a_status() -> None:
    """Without one it is malformed."""
    malformed("response", [])
    malformed("response", [(b"server", b"x")])


@pytest.mark.rfc("H3-4.1.2-14")
@pytest.mark.parametrize(
    "fields",
    [
        request(authority=None),
        request(authority=b""),
        request(authority=None, scheme=b"http"),
        [*request(authority=None), (b"host", b"")],
        [*request(authority=b""), (b"host", b"")],
        [*request(authority=b""), (b"host", b"example.com")],
        [*GET, (b"host", b"")],
        [*GET, (b"host", b"example.com"), (b"host", b"example.com")],
    ],
)
def test_no_authority(fields: Fields) -> None:
    """Requests for http and https need :authority or Host, and neither may be empty."""
    malformed("request", fields)


@pytest.mark.rfc("H3-4.1.2-15")
@pytest.mark.parametrize("host", [b"b.test", b"example.com:443", b"EXAMPLE.com", b"example.com."])
def test_host_that_differs_from_authority(host: bytes) -> None:
    """Both say the same, to the byte."""
    assert "differ" in malformed("request", [*GET, (b"host", host)])


@pytest.mark.rfc("H3-4.1.2-16")
@pytest.mark.parametrize("authority", [b"user:pw@example.com", b"user@example.com", b"@example.com", b"a@b@c"])
def test_user_information(authority: bytes) -> None:
    """Never in :authority or Host."""
    assert "user information" in malformed("request", request(authority=authority))
    malformed("request", [*request(authority=None), (b"host", authority)])


@pytest.mark.parametrize(
    "authority",
    [b"a b", b"a/b", b"a?b", b"a#b", b"a\\b", b"a:b", b"a:65536", b"a:1:2", b"[::1", b"::1", b"[x]", b":443", b"\xff"],
)
def test_authorities_that_are_none(authority: bytes) -> None:
    """Neither a host nor a host and port."""
    malformed("request", request(authority=authority))


@pytest.mark.rfc("H3-4.1.2-17")
@pytest.mark.parametrize("path", [b"", b"foo", b"*", b"?q", b"https://example.com/", b"/a b", b"/a#b", b"/\t"])
def test_paths(path: bytes) -> None:
    """A path begins with '/', and has no blank and no fragment."""
    malformed("request", request(path=path))


@pytest.mark.rfc("H3-4.1.2-18")
@pytest.mark.parametrize("method", [b"", b"GE T", b"GET/", b"G\xc3\x89T", b'"GET"', b"GET,"])
def test_methods(method: bytes) -> None:
    """A method is a token."""
    malformed("request", request(method=method))
    assert parse_request(request(method=b"M-SEARCH")).method == b"M-SEARCH"


@pytest.mark.rfc("H3-4.1.2-18")
@pytest.mark.parametrize("scheme", [b"", b"1http", b"ht tp", b"http:", b"h\xff", b"+x"])
def test_schemes(scheme: bytes) -> None:
    """A scheme begins with a letter."""
    malformed("request", request(scheme=scheme))


@pytest.mark.rfc("H3-4.1.2-20")
@pytest.mark.parametrize("parser", ["request", "response", "promise"])
@pytest.mark.parametrize(
    "value",
    [b"-1", b"+5", b"1_000", b"5.0", b"0x5", b"", b"5,6", b"5, 5", b"\xb2", b"%d" % 2**62, b"%d" % 2**70, b"9" * 5000],
)
def test_content_lengths_that_are_none(parser: str, value: bytes) -> None:
    """Digits only, and not more than a QUIC stream can carry."""
    malformed(parser, [*PARSERS[parser][1], (b"content-length", value)])


@pytest.mark.rfc("H3-4.1.2-20")
@pytest.mark.parametrize("parser", ["request", "response"])
def test_content_lengths_that_differ(parser: str) -> None:
    """Two lines that say different things."""
    malformed(parser, [*PARSERS[parser][1], (b"content-length", b"5"), (b"content-length", b"6")])


@pytest.mark.rfc("H3-4.4-01")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"path": None},
        {"scheme": None},
        {"scheme": None, "path": None},  # no port
        {"scheme": None, "path": None, "authority": None},
        {"scheme": None, "path": None, "authority": b"example.com:"},
        {"scheme": None, "path": None, "authority": b"example.com:99999"},
        {"scheme": None, "path": None, "authority": b"a@example.com:443"},
    ],
)
def test_connect_with_too_much_or_too_little(changes: dict[str, bytes | None]) -> None:
    """CONNECT with :scheme or :path, or without a host and port."""
    malformed("request", request(method=b"CONNECT", **changes))


@pytest.mark.rfc("WS-3-02")
@pytest.mark.parametrize(
    "changes",
    [
        {"method": b"GET"},
        {"protocol": b"web socket"},
        {"protocol": b""},
        {"authority": None},
        {"authority": b""},
        {"scheme": None},
        {"path": None},
        {"path": b""},
    ],
)
def test_extended_connect_with_too_much_or_too_little(changes: dict[str, bytes | None]) -> None:
    """:protocol with another method, no token, or without :scheme, :path and :authority."""
    fields = request(**({"method": b"CONNECT", "protocol": b"websocket"} | changes))
    with pytest.raises(H3StreamError) as raised:
        parse_request(fields, connect_protocol=True)
    assert raised.value.error_code is ErrorCode.H3_MESSAGE_ERROR


def test_what_is_shown_of_a_defect_is_short_and_printable() -> None:
    """Megabytes of peer bytes do not end up in a log."""
    sentence = malformed("request", [*GET, (b"A" * 10_000 + b"\x1b", b"1")])
    assert len(sentence) < 150
    assert sentence.isprintable()


any_name = st.sampled_from(
    [name for name, _ in GET] + [b":status", b"host", b"cookie", b"te", b"content-length", b"x-a"]
)
any_fields = st.lists(
    st.tuples(any_name | st.binary(max_size=8), st.sampled_from([b"GET", b"/", b"1", b"a"]) | st.binary(max_size=8)),
    max_size=8,
)


@given(any_fields)
def test_any_fields_are_a_message_or_malformed(fields: Fields) -> None:
    """Nothing but H3StreamError leaves a parser."""
    for parse, start in PARSERS.values():
        for section in (fields, start + fields):
            with suppress(H3StreamError):
                parse(section)


# What we send


def head(fields: Fields | None = None, **changes: object) -> RequestHead:
    values: dict[str, object] = {
        "method": b"GET",
        "scheme": b"https",
        "authority": b"example.com",
        "path": b"/",
        "fields": tuple(fields or ()),
        "content_length": None,
    }
    return RequestHead(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.rfc("H3-4.2-01", "H3-4.3-01")
def test_requests_are_sent_in_order_and_in_lower_case() -> None:
    """Pseudo-header fields first, names in lower case, values without blanks around them."""
    assert request_fields(head([(b"Content-Type", b" text/plain "), (b"X-A", b"1")])) == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":authority", b"example.com"),
        (b":path", b"/"),
        (b"content-type", b"text/plain"),
        (b"x-a", b"1"),
    ]


@pytest.mark.rfc("H3-4.3.1-01")
def test_authority_replaces_host() -> None:
    """A Host field that says the same as :authority is left out; one that differs is refused."""
    assert (b"host", b"example.com") not in request_fields(head([(b"Host", b"example.com")]))
    with pytest.raises(LocalProtocolError, match="differ"):
        request_fields(head([(b"Host", b"other.test")]))


@pytest.mark.rfc("H3-4.2-02", "H3-4.1-08")
def test_connection_specific_fields_are_not_sent() -> None:
    """Neither the five, nor what Connection names, nor TE beyond 'trailers'."""
    fields = [
        (b"Connection", b"close, X-Hop"),
        (b"keep-alive", b"1"),
        (b"proxy-connection", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"x-hop", b"1"),
        (b"te", b"gzip"),
        (b"x-kept", b"1"),
    ]
    assert request_fields(head(fields))[4:] == [(b"x-kept", b"1")]
    assert request_fields(head([(b"te", b"trailers")]))[4:] == [(b"te", b"trailers")]
    assert response_fields(200, fields)[1:] == [(b"x-kept", b"1")]
    assert response_fields(200, [(b"te", b"trailers")])[1:] == []
    assert trailer_fields(fields) == [(b"x-kept", b"1")]


@pytest.mark.rfc("H3-4.2-01", "H3-4.3-01")
@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"a\r\nb"),
        (b"x-a", b"\0"),
        (b"x-a", b"a\nb"),
        (b"x a", b"1"),
        (b"", b"1"),
        (b":path", b"/"),
        (b":x", b"/"),
        (b"content-length", b"x"),
        (b"x-a", b"\x7f"),
    ],
)
def test_nothing_malformed_is_sent(field: tuple[bytes, bytes]) -> None:
    """What a receiver would refuse is refused here, in one sentence."""
    with pytest.raises(LocalProtocolError):
        request_fields(head([field]))
    with pytest.raises(LocalProtocolError):
        response_fields(200, [field])
    with pytest.raises(LocalProtocolError):
        response_fields(200, [(b"server", b"x"), field])
    with pytest.raises(LocalProtocolError):
        trailer_fields([field])


@pytest.mark.parametrize(
    "changes",
    [{"path": b""}, {"path": None}, {"method": b"a b"}, {"authority": b""}, {"authority": b"u@h"}, {"scheme": None}],
)
def test_no_malformed_request_is_sent(changes: dict[str, bytes | None]) -> None:
    """The rules for received requests hold for ours."""
    with pytest.raises(LocalProtocolError, match="the request cannot be sent"):
        request_fields(head(**changes))


def test_connect_is_sent() -> None:
    """Both forms."""
    plain = head(method=b"CONNECT", scheme=None, path=None, authority=b"example.com:443")
    assert request_fields(plain) == [(b":method", b"CONNECT"), (b":authority", b"example.com:443")]
    extended = head(method=b"CONNECT", protocol=b"websocket")
    assert parse_request(request_fields(extended), connect_protocol=True) == extended


@pytest.mark.rfc("SEM-8.6-01")
@pytest.mark.parametrize(("status", "kept"), [(103, False), (204, False), (200, True), (304, True)])
def test_content_length_where_it_may_be(status: int, kept: bool) -> None:
    """Not in an interim response and not in a 204."""
    fields = [(b"content-length", b"5"), (b"server", b"x")]
    assert (fields[0] in response_fields(status, fields)) is kept


def test_equal_content_lengths_are_sent_once() -> None:
    """And different ones not at all."""
    assert response_fields(200, [(b"content-length", b"5")] * 2)[1:] == [(b"content-length", b"5")]
    with pytest.raises(LocalProtocolError, match="differ"):
        response_fields(200, [(b"content-length", b"5"), (b"Content-Length", b"6")])


@pytest.mark.rfc("H3-4.5-01")
@pytest.mark.parametrize("status", [0, 99, 101, 600, -1])
def test_statuses_that_are_not_sent(status: int) -> None:
    """101 has no meaning in HTTP/3, and others are none."""
    with pytest.raises(LocalProtocolError, match="status"):
        response_fields(status, [])


def test_responses_do_not_share_their_list() -> None:
    """The caller's list stays the caller's."""
    fields = [(b"server", b"x")]
    sent = response_fields(200, fields)
    sent.append((b"x-a", b"1"))
    assert fields == [(b"server", b"x")]
    assert response_fields(204, []) == [(b":status", b"204")]


def test_trailers_that_would_be_ignored_are_not_sent() -> None:
    """A field that receivers drop from trailers is our caller's mistake."""
    assert trailer_fields([(b"X-Checksum", b"abc")]) == [(b"x-checksum", b"abc")]
    with pytest.raises(LocalProtocolError, match="trailer"):
        trailer_fields([(b"content-length", b"5")])


tokens = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=12).map(str.encode)
texts = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20).map(
    lambda text: text.strip(" \x85\xa0").encode("latin-1")
)
plain_fields = st.lists(st.tuples(tokens.filter(lambda name: name not in NOT_IN_TRAILERS | CONNECTION_SPECIFIC), texts))


@given(plain_fields)
def test_what_is_sent_is_what_is_parsed(fields: Fields) -> None:
    """Requests, responses and trailers come through unchanged."""
    fields = [(name, value.strip()) for name, value in fields]
    assert parse_request(request_fields(head(fields))) == head(fields)
    assert parse_response(response_fields(200, fields)) == ResponseHead(200, fields, None)
    assert parse_trailers(trailer_fields(fields)) == fields


@pytest.mark.rfc("H3-4.2.2-01")
def test_section_size() -> None:
    """Name, value and 32 bytes for each field, pseudo-header fields too."""
    assert section_size([]) == 0
    assert section_size([(b":method", b"GET"), (b"a", b"")]) == (7 + 3 + 32) + (1 + 32)


# What is remembered


@pytest.fixture
def _forgetful() -> None:
    received._plain_fields.clear()


@pytest.mark.usefixtures("_forgetful")
def test_what_was_seen_before_is_parsed_just_the_same() -> None:
    """The second time nothing is checked, and nothing is different."""
    fields = [
        (b"accept", b"*/*"),
        (b"host", b"example.com"),
        (b"x-some", b"thing"),
        (b"te", b"trailers"),
        (b"cookie", b"a=b"),
    ]
    first, second = parse_request(GET + fields), parse_request(GET + fields)
    assert first == second
    assert list(first.fields) == fields
    assert received._plain_fields == {(b"accept", b"*/*"), (b"x-some", b"thing")}


@pytest.mark.usefixtures("_forgetful")
def test_one_bad_field_among_known_ones_is_found() -> None:
    """A known name does not vouch for its value, nor a known value for its name."""
    good = [(b"accept", b"*/*"), (b"x-some", b"thing")]
    parse_request(GET + good)
    for bad in (
        (b"x-some", b"thing "),
        (b"x-some", b"th\ning"),
        (b"X-Some", b"thing"),
        (b":path", b"/"),
        (b"upgrade", b"h2c"),
    ):
        malformed("request", [*GET, good[0], bad, good[1]])
        malformed("request", [*GET, good[0], bad, good[1]])


@pytest.mark.usefixtures("_forgetful")
def test_neither_a_secret_nor_a_long_field_is_remembered() -> None:
    """Only what is short, and of use to others, outlives its request."""
    secrets = [(name, b"secret") for name in sorted(SECRET_NAMES)]
    long = [(b"x-long", b"v" * 251), (b"n" * 256, b"v")]
    parse_request(GET + secrets + long)
    assert not received._plain_fields


@pytest.mark.usefixtures("_forgetful")
def test_the_fields_that_are_remembered_are_bounded() -> None:
    """Fields that never come again, and authorities, take no more room than their bounds say."""
    for number in range(2000):
        parse_request([*request(authority=b"%d.example" % number), (b"x-request-id", b"%d" % number)])
        assert len(received._plain_fields) <= received._MAX_PLAIN_FIELDS
        assert len(received._verified_authorities) <= received._MAX_VERIFIED_AUTHORITIES


@pytest.mark.parametrize("scheme", [b"HTTPS", b"Http"])
def test_schemes_have_no_case(scheme: bytes) -> None:
    """RFC 3986 section 3.1: what holds for https holds for HTTPS, and everybody after the parser sees it in lower case."""
    assert parse_request(request(scheme=scheme)).scheme == scheme.lower()
    malformed("request", request(scheme=scheme, path=b"no-slash"))
    malformed("request", request(scheme=scheme, authority=None))


@pytest.mark.parametrize("value", [b"600", b"777", b"999"])
def test_a_status_without_a_class_is_told_and_never_sent(value: bytes) -> None:
    """RFC 9110 section 15: 600 to 999 come through, for a client to treat as 5xx; we send none."""
    assert parse_response([(b":status", value)]).status == int(value)
    with pytest.raises(LocalProtocolError):
        response_fields(int(value), [])


def test_a_request_that_was_received_cannot_be_changed() -> None:
    """What connections share is a tuple all the way down."""
    assert hash(parse_request([*GET, (b"x-a", b"1"), (b"x-b", b"2")]))


@pytest.mark.parametrize(
    "name",
    [b"x-csrftoken", b"private-token", b"x-vault-token", b"x-gitlab-token", b"apikey", b"my-api-key", b"x-api-key"],
)
def test_names_of_secrets(name: bytes) -> None:
    """Secrets are known by name and by pattern; no request with one is remembered, field by field or whole."""
    assert is_secret(name)
    field = (name, b"secret-%s" % name)
    for _ in range(2):
        parse_request([*GET, field])
    assert field not in received._plain_fields
    assert holds_secret([*GET, field])
    assert not holds_secret([*GET, (b"x-token-count", b"1"), (b"tokens", b"2")])
