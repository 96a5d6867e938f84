"""Header and trailer sections (RFC 9114 sections 4.2 and 4.3): parsed once, then trusted.

Theory of operation
===================

A field section is a list of name and value pairs, pseudo-header fields first. `parse_request`, `parse_response` and
`parse_trailers` take what the QPACK decoder gave and either return something that no later code has to doubt, or raise
`H3StreamError` with H3_MESSAGE_ERROR and one sentence. `request_fields` and `response_fields` go the other way and hold our
own callers to the same rules, with `LocalProtocolError`.

Most fields were seen before: a client says the same about itself in each of its requests. So a field of a request is checked
once and then a member of `_plain_fields`, unless its name carries a rule of its own (`_REQUEST_RULES`), it holds a secret, or
it is long. Only what is not in that set is looked at, one by one.

The fields of responses and trailers change more often (lengths, dates, tags), so they are checked together, in C:

* every name is a member of `_verified_names`, a bounded set of names that were once checked one by one;
* all values, joined, hold no control byte; and none changes when blanks are stripped from it.

Only names that fail the joint check are looked at one by one. The names with a rule of their own (`_RESPONSE_RULES`) are found
the same way.
"""

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, NoReturn

from h3push.errors import ErrorCode, H3StreamError, LocalProtocolError

Field = tuple[bytes, bytes]
Fields = list[Field]


class RequestHead(NamedTuple):
    """A request's header section."""

    method: bytes
    """`:method`, a token."""
    scheme: bytes | None
    """`:scheme`; None for CONNECT."""
    authority: bytes | None
    """`:authority`, or the Host field's value where that is absent."""
    path: bytes | None
    """`:path`; None for CONNECT."""
    fields: Fields
    """The regular fields in order; Cookie lines joined."""
    content_length: int | None
    """Content-Length, where present."""
    protocol: bytes | None = None
    """`:protocol` of extended CONNECT (RFC 9220)."""


class ResponseHead(NamedTuple):
    """A response's header section."""

    status: int
    """Three digits, 100 to 599."""
    fields: Fields
    """The regular fields in order."""
    content_length: int | None
    """Content-Length, where present."""


FIELD_OVERHEAD = 32
"""What each field counts beyond its name and value (RFC 9114 section 4.2.2)."""
MAX_CONTENT_LENGTH = (1 << 62) - 1
"""No QUIC stream carries more bytes than this."""

CONNECTION_SPECIFIC = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""Fields that speak about an HTTP/1.1 connection and make an HTTP/3 message malformed (RFC 9114 section 4.2)."""

NOT_IN_TRAILERS = frozenset(
    # framing, routing, request modifiers, authentication, response control, content format (RFC 9110 section 6.5.1)
    b"content-length host cookie set-cookie max-forwards te trailer expect range cache-control pragma "
    b"if-match if-none-match if-modified-since if-unmodified-since if-range "
    b"authorization proxy-authorization proxy-authenticate www-authenticate authentication-info "
    b"proxy-authentication-info age date expires location retry-after vary warning "
    b"content-encoding content-type content-range".split()
)
"""Trailer fields that are dropped: merged into the header section they would change what the message means."""

SECRET_NAMES = frozenset(
    b"cookie set-cookie authorization proxy-authorization authentication-info proxy-authentication-info "
    b"x-api-key x-auth-token x-access-token x-csrf-token x-xsrf-token x-amz-security-token".split()
)
"""Fields with a secret: they never enter a dynamic table, are marked so that no intermediary puts them into one, and are
remembered nowhere."""

_REQUEST_RULES = CONNECTION_SPECIFIC | {b"te", b"host", b"cookie", b"content-length"}
_NEVER_PLAIN = _REQUEST_RULES | SECRET_NAMES
_RESPONSE_RULES = CONNECTION_SPECIFIC | {b"te", b"content-length"}
_NEVER_SENT = CONNECTION_SPECIFIC | {b"te"}
_USUAL_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT"})
_STATUSES = {b"%d" % status: status for status in range(100, 600) if status != 101}
_STATUS_FIELDS = {status: (b":status", text) for text, status in _STATUSES.items()}

_USUAL_NAMES = frozenset(
    b"accept accept-encoding accept-language accept-ranges access-control-allow-credentials access-control-allow-headers "
    b"access-control-allow-methods access-control-allow-origin access-control-expose-headers access-control-max-age "
    b"access-control-request-headers access-control-request-method age allow alt-svc authorization cache-control "
    b"content-disposition content-encoding content-language content-length content-location content-range "
    b"content-security-policy content-type cookie cross-origin-resource-policy date dnt early-data etag expect expires "
    b"forwarded host if-modified-since if-none-match if-range last-modified link location origin pragma priority range "
    b"referer retry-after sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site "
    b"sec-fetch-user server server-timing set-cookie strict-transport-security te timing-allow-origin traceparent "
    b"tracestate upgrade-insecure-requests user-agent vary via x-content-type-options x-forwarded-for "
    b"x-forwarded-proto x-frame-options x-request-id x-requested-with x-xss-protection".split()
)
_verified_names: set[bytes] = set(_USUAL_NAMES)
"""Names that were checked once ..."""
_MAX_VERIFIED_NAMES = 1024
_MAX_NAME_SIZE = 64
"""... as far as they are short, which names are: 64 kB at most."""
_plain_fields: set[Field] = set()
"""Fields of requests that were checked once: good name, good value, no rule of their own, no secret ..."""
_MAX_PLAIN_FIELDS = 1024
"""... this many of them, and forgotten when there are more: some hundred kinds of client, with a dozen fields each that others
have too ..."""
_MAX_PLAIN_SIZE = 256
"""... that are no longer, name and value: twice a browser's User-Agent. So all of them are 256 kB at most."""
_verified_authorities: set[bytes] = set()
"""Authorities that were checked once ..."""
_MAX_VERIFIED_AUTHORITIES = 256
_MAX_AUTHORITY_SIZE = 64
"""... as far as they are short: 16 kB at most."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-fv:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%\-]+)(?::([0-9]{0,5}))?")
_GOOD_VALUE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
_GOOD_PATH_BYTES = bytes(byte for byte in range(0x21, 0x100) if byte not in b"#\x7f")


def section_size(fields: Fields) -> int:
    """Size of a field section in bytes as RFC 9114 section 4.2.2 counts it: name + value + 32 for each field."""
    return sum(map(len, chain.from_iterable(fields))) + FIELD_OVERHEAD * len(fields)


# Requests


def parse_request(fields: Fields, *, connect_protocol: bool = False) -> RequestHead:
    """Parse a request's header section (RFC 9114 sections 4.2, 4.3.1 and 4.4).

    Args:
        fields: as decoded. Not changed.
        connect_protocol: extended CONNECT was negotiated, so that `:protocol` has a meaning (RFC 9220).

    Raises:
        H3StreamError: H3_MESSAGE_ERROR, with the first defect that was found.
    """
    method, scheme, authority, path, protocol, count = _read_pseudo_fields(fields)
    regular = fields[count:]
    content_length = host = None
    unknown = [field for field in regular if field not in _plain_fields]
    if unknown:
        regular, content_length, host = _check_request_fields(regular, unknown)
    if method == b"CONNECT" or protocol is not None:
        _check_connect(method, scheme, authority, path, protocol, connect_protocol)
    else:
        _check_target(method, scheme, path)
    assert method is not None
    if host is not None or not authority:
        authority = _effective_authority(scheme, authority, host)
    if authority is not None and authority not in _verified_authorities:
        _check_authority(authority)
    return RequestHead(method, scheme, authority, path, regular, content_length, protocol)


def parse_promised_request(fields: Fields) -> RequestHead:
    """Parse the request in a PUSH_PROMISE (RFC 9114 section 7.2.5): the rules of any request.

    Whether it *may* be promised (method, content, authority; section 4.6) is not asked here: that has its own answer.

    Raises:
        H3StreamError: H3_MESSAGE_ERROR, with the first defect that was found.
    """
    return parse_request(fields)


def _read_pseudo_fields(
    fields: Fields,
) -> tuple[bytes | None, bytes | None, bytes | None, bytes | None, bytes | None, int]:
    """`:method`, `:scheme`, `:authority`, `:path` and `:protocol`, and how many of them there are; not checked yet."""
    method = scheme = authority = path = protocol = before = None
    count = 0
    for name, value in fields:
        if name == b":method":
            before, method = method, value
        elif name == b":scheme":
            before, scheme = scheme, value
        elif name == b":authority":
            before, authority = authority, value
        elif name == b":path":
            before, path = path, value
        elif name == b":protocol":
            before, protocol = protocol, value
        else:
            break
        if before is not None:
            _malformed(f"two {_show(name)} fields")
        count += 1
    return method, scheme, authority, path, protocol, count


def _check_target(method: bytes | None, scheme: bytes | None, path: bytes | None) -> None:
    """RFC 9114 section 4.3.1, every method but CONNECT."""
    if method is None or scheme is None or path is None:
        missing = b":method" if method is None else b":scheme" if scheme is None else b":path"
        _malformed(f"no {_show(missing)} field")
    if method not in _USUAL_METHODS and not _TOKEN.fullmatch(method):
        _malformed(f":method {_show(method)} is not a token")
    if scheme not in (b"https", b"http"):
        if not _SCHEME.fullmatch(scheme):
            _malformed(f":scheme {_show(scheme)} is not a scheme")
    elif path[:1] != b"/" and (path != b"*" or method != b"OPTIONS"):
        _malformed(f":path {_show(path)} does not begin with '/'")
    if path.translate(None, _GOOD_PATH_BYTES):
        _malformed(":path holds a blank or a '#'")


def _check_connect(
    method: bytes | None,
    scheme: bytes | None,
    authority: bytes | None,
    path: bytes | None,
    protocol: bytes | None,
    connect_protocol: bool,
) -> None:
    """CONNECT (RFC 9114 section 4.4) and extended CONNECT (RFC 9220 section 3, RFC 8441 section 4)."""
    if protocol is None:
        if scheme is not None or path is not None:
            _malformed("CONNECT with :scheme or :path")
        match = _AUTHORITY.fullmatch(authority or b"")
        if match is None or not match[1]:
            _malformed("CONNECT without a host and port in :authority")
        return
    if not connect_protocol:
        _malformed(":protocol is not known: extended CONNECT was not negotiated")
    if method != b"CONNECT":
        _malformed(":protocol with a method other than CONNECT")
    if not _TOKEN.fullmatch(protocol):
        _malformed(f":protocol {_show(protocol)} is not a token")
    if not authority:
        _malformed("extended CONNECT without :authority")
    _check_target(method, scheme, path)


def _effective_authority(scheme: bytes | None, authority: bytes | None, host: bytes | None) -> bytes | None:
    """Agree on `:authority` and Host, which must say the same and may not be empty (RFC 9114 section 4.3.1)."""
    if authority is not None and host is not None and authority != host:
        _malformed(f":authority {_show(authority)} and Host {_show(host)} differ")
    effective = authority if authority is not None else host
    if scheme in (b"https", b"http"):
        if effective is None:
            _malformed("neither :authority nor Host")
        if not effective:
            _malformed("empty :authority or Host")
    return effective or None


def _check_authority(authority: bytes) -> None:
    """A host and optional port (RFC 9114 section 4.3.1)."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None or (match[1] and int(match[1]) > 0xFFFF):
        if b"@" in authority:
            _malformed("user information in :authority")
        _malformed(f"{_show(authority)} is not a host, or a host and port")
    if len(authority) <= _MAX_AUTHORITY_SIZE:
        if len(_verified_authorities) >= _MAX_VERIFIED_AUTHORITIES:
            _verified_authorities.clear()
        _verified_authorities.add(authority)


def _check_request_fields(fields: Fields, unknown: Fields) -> tuple[Fields, int | None, bytes | None]:
    """Check the regular fields that are `unknown`. Returns all as they are to be used, Content-Length and Host."""
    content_length: int | None = None
    host: bytes | None = None
    cookies, repeated = 0, False
    for field in unknown:
        name, value = field
        if name not in _verified_names:
            _check_name(name)
        _check_value(value)
        if name not in _NEVER_PLAIN:
            _remember_plain(field)
        elif name == b"cookie":
            cookies += 1
        elif name == b"content-length":
            content_length, repeated = _content_length(value, content_length)
        elif name == b"host":
            if host is not None:
                _malformed("two Host fields")
            host = value
        elif name in CONNECTION_SPECIFIC or (name == b"te" and value.lower() != b"trailers"):
            _malformed(f"{_show(name)} has no meaning in HTTP/3")
    if cookies > 1 or repeated:
        fields = _joined(fields)
    return fields, content_length, host


def _remember_plain(field: Field) -> None:
    if len(field[0]) + len(field[1]) <= _MAX_PLAIN_SIZE:
        if len(_plain_fields) >= _MAX_PLAIN_FIELDS:
            _plain_fields.clear()
        _plain_fields.add(field)


def _joined(fields: Fields) -> Fields:
    """The fields with all Cookie lines in the place of the first (RFC 9114 section 4.2.1), and Content-Length once."""
    cookie = b"; ".join(value for name, value in fields if name == b"cookie")
    joined: Fields = []
    seen: set[bytes] = set()
    for name, value in fields:
        if name == b"cookie" or name == b"content-length":
            if name in seen:
                continue
            seen.add(name)
        joined.append((name, cookie if name == b"cookie" else value))
    return joined


# Responses and trailers


def parse_response(fields: Fields) -> ResponseHead:
    """Parse a response's header section, interim or final (RFC 9114 sections 4.2 and 4.3.2).

    Raises:
        H3StreamError: H3_MESSAGE_ERROR, with the first defect that was found.
    """
    if not fields or fields[0][0] != b":status":
        _malformed("the response does not begin with :status")
    status = _STATUSES.get(fields[0][1])
    if status is None:
        _malformed(f":status {_show(fields[0][1])} is not a status of HTTP/3")
    regular = fields[1:]
    content_length = None
    if regular:
        names, values = zip(*regular, strict=True)
        _check_names(names)
        _check_values(values)
        lengths = names.count(b"content-length")
        if lengths > 1 or not _NEVER_SENT.isdisjoint(names):
            regular, content_length = _apply_response_rules(regular)
        elif lengths:
            content_length, _ = _content_length(values[names.index(b"content-length")], None)
    return ResponseHead(status, regular, content_length)


def parse_trailers(fields: Fields) -> Fields:
    """Parse a trailer section (RFC 9114 section 4.3, RFC 9110 section 6.5).

    Fields that make no sense after the content (`NOT_IN_TRAILERS`) are left out, as RFC 9110 section 6.5.1 asks.

    Raises:
        H3StreamError: H3_MESSAGE_ERROR, with the first defect that was found.
    """
    if not fields:
        return []
    names, values = zip(*fields, strict=True)
    _check_names(names)
    _check_values(values)
    for name in names:
        if name in CONNECTION_SPECIFIC:
            _malformed(f"{_show(name)} has no meaning in HTTP/3")
    return [field for field in fields if field[0] not in NOT_IN_TRAILERS]


def _apply_response_rules(fields: Fields) -> tuple[Fields, int | None]:
    """Check the fields with rules of their own. Returns the fields and Content-Length."""
    kept: Fields = []
    content_length: int | None = None
    for field in fields:
        name, value = field
        if name == b"content-length":
            content_length, repeated = _content_length(value, content_length)
            if not repeated:
                kept.append(field)
        elif name in _RESPONSE_RULES:
            _malformed(f"{_show(name)} has no meaning in an HTTP/3 response")
        else:
            kept.append(field)
    return kept, content_length


# What we send


def request_fields(head: RequestHead) -> Fields:
    """Header section for a request, or for a promise: pseudo-header fields first, then `head.fields`.

    Names are put in lower case, blanks around values and fields that only HTTP/1.1 has are taken off. A Host field is
    left out where `head.authority` says the same (RFC 9114 section 4.3.1). `head.content_length` is not looked at: the
    Content-Length field counts.

    Raises:
        LocalProtocolError: a receiver would have to treat the result as malformed; the sentence says why.
    """
    pseudo = (
        (b":method", head.method),
        (b":protocol", head.protocol),
        (b":scheme", head.scheme),
        (b":authority", head.authority),
        (b":path", head.path),
    )
    section = [(name, value) for name, value in pseudo if value is not None]
    regular = _presentable(head.fields, _REQUEST_RULES)
    if head.authority is not None:
        regular = [field for field in regular if field != (b"host", head.authority)]
    section += regular
    try:
        parse_request(section, connect_protocol=head.protocol is not None)
    except H3StreamError as error:
        raise LocalProtocolError(f"the request cannot be sent: {error.reason}") from None
    return section


def response_fields(status: int, fields: Fields) -> Fields:
    """Header section for a response: `:status` first, then `fields`.

    Names are put in lower case, blanks around values and fields that only HTTP/1.1 has are taken off, and so is
    Content-Length from an interim response and a 204 (RFC 9110 section 8.6).

    Raises:
        LocalProtocolError: a receiver would have to treat the result as malformed; the sentence says why.
    """
    status_field = _STATUS_FIELDS.get(status)
    if status_field is None:
        raise LocalProtocolError(f"{status} is not a status that HTTP/3 can carry")
    return [status_field, *_sendable(fields, no_content_length=status < 200 or status == 204)]


def trailer_fields(fields: Fields) -> Fields:
    """Trailer section: `fields` with names in lower case and without what only HTTP/1.1 has.

    Raises:
        LocalProtocolError: a receiver would have to treat the result as malformed, or would ignore a field
            (`NOT_IN_TRAILERS`).
    """
    sendable = _sendable(fields)
    for name, _ in sendable:
        if name in NOT_IN_TRAILERS:
            raise LocalProtocolError(f"{_show(name)} cannot be sent as a trailer field: receivers ignore it there")
    return sendable


def _sendable(fields: Fields, *, no_content_length: bool = False) -> Fields:
    """Fields of a response as they may be sent."""
    if not fields:
        return fields
    names, values = zip(*fields, strict=True)
    if (
        _verified_names.issuperset(names)
        and _are_good_values(values)
        and _NEVER_SENT.isdisjoint(names)
        and (b"content-length" not in names or (not no_content_length and _is_one_length(names, values)))
    ):
        return fields
    fields = _presentable(fields, _RESPONSE_RULES)
    if no_content_length:
        fields = [field for field in fields if field[0] != b"content-length"]
    try:
        return parse_response([_STATUS_FIELDS[200], *fields]).fields
    except H3StreamError as error:
        raise LocalProtocolError(f"the fields cannot be sent: {error.reason}") from None


def _is_one_length(names: tuple[bytes, ...], values: tuple[bytes, ...]) -> bool:
    value = values[names.index(b"content-length")]
    return names.count(b"content-length") == 1 and value.isdigit() and len(value) < 19


def _presentable(fields: Fields, rules: frozenset[bytes]) -> Fields:
    """Lower-case names, stripped values, and without what speaks about an HTTP/1.1 connection (RFC 9110 section 7.6.1)."""
    presentable = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    if rules.isdisjoint(name for name, _ in presentable):
        return presentable
    dropped = set(CONNECTION_SPECIFIC)
    for name, value in presentable:
        if name == b"connection":
            dropped.update(option.strip(b" \t").lower() for option in value.split(b","))
        elif name == b"te" and (rules is _RESPONSE_RULES or value.lower() != b"trailers"):
            dropped.add(name)
    return [field for field in presentable if field[0] not in dropped]


# Both directions


def _content_length(value: bytes, before: int | None) -> tuple[int, bool]:
    """Content-Length as a number, and whether an earlier line said the same (RFC 9110 section 8.6)."""
    if not value.isdigit() or len(value) > 19 or int(value) > MAX_CONTENT_LENGTH:
        _malformed(f"content-length {_show(value)} is not a length")
    if before is not None and before != int(value):
        _malformed("two content-length fields that differ")
    return int(value), before is not None


def _check_names(names: Sequence[bytes]) -> None:
    """Every name is a token in lower case (RFC 9114 section 4.2)."""
    if not _verified_names.issuperset(names):
        for name in names:
            if name not in _verified_names:
                _check_name(name)


def _check_name(name: bytes) -> None:
    if not _NAME.fullmatch(name):
        _malformed(_name_defect(name))
    if len(_verified_names) < _MAX_VERIFIED_NAMES and len(name) <= _MAX_NAME_SIZE:
        _verified_names.add(name)


def _name_defect(name: bytes) -> str:
    if name.startswith(b":"):
        return f"pseudo-header field {_show(name)} is unknown here, or comes after a regular field"
    if name != name.lower():
        return f"upper case in field name {_show(name)}"
    return f"field name {_show(name)} is not a token"


def _check_values(values: tuple[bytes, ...]) -> None:
    """No value holds control bytes or begins or ends with a blank (RFC 9110 section 5.5); bytes from 0x80 on are opaque."""
    if not _are_good_values(values):
        for value in values:
            _check_value(value)


def _check_value(value: bytes) -> None:
    if value.translate(None, _GOOD_VALUE_BYTES):
        _malformed("a field value holds a control character")
    if value.strip() != value:
        _malformed("a field value begins or ends with a blank")


def _are_good_values(values: tuple[bytes, ...]) -> bool:
    return not b"".join(values).translate(None, _GOOD_VALUE_BYTES) and tuple(map(bytes.strip, values)) == values


def _show(value: bytes) -> str:
    """Peer bytes for a sentence: printable, and not long."""
    return repr(value if len(value) <= 64 else value[:61] + b"...")[1:]


def _malformed(sentence: str) -> NoReturn:
    raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, sentence)
