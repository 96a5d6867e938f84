"""Header and trailer sections (RFC 9114 sections 4.2 and 4.3): parsed once, then trusted.

Theory of operation
===================

A field section is a list of name and value pairs, pseudo-header fields first. `parse_request`, `parse_response` and
`parse_trailers` take what the QPACK decoder gave and either return something that no later code has to doubt, or raise
`H3StreamError` with H3_MESSAGE_ERROR and one sentence. `request_fields` and `response_fields` go the other way and hold our
own callers to the same rules, with `LocalProtocolError`.

Most sections are made of names seen before and innocent values, so what is usual is checked for all fields at once, in C:

* every name is a member of `_verified_names`, a bounded set of names that were once checked one by one;
* all values, joined, hold no control byte; and none changes when blanks are stripped from it.

Only names that fail the joint check are looked at one by one. The names that carry a rule of their own (`_REQUEST_RULES`,
`_RESPONSE_RULES`) are found the same way.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
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

_REQUEST_PSEUDO = frozenset({b":method", b":scheme", b":authority", b":path", b":protocol"})
_REQUEST_RULES = CONNECTION_SPECIFIC | {b"te", b"host", b"cookie", b"content-length"}
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
_MAX_VERIFIED_NAMES = 1024
_MAX_REMEMBERED_SIZE = 64

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
    pseudo: dict[bytes, bytes] = {}
    for name, value in fields:
        if name not in _REQUEST_PSEUDO:
            break
        if name in pseudo:
            _malformed(f"two {_show(name)} fields")
        pseudo[name] = value
    regular = fields[len(pseudo) :]
    content_length, host = None, None
    if regular:
        names, values = zip(*regular, strict=True)
        _check_names(names)
        _check_values((*pseudo.values(), *values))
        if not _REQUEST_RULES.isdisjoint(names):
            regular, content_length, host = _apply_request_rules(regular)
    else:
        _check_values((*pseudo.values(),))
    get = pseudo.get
    method, scheme, authority, path = get(b":method"), get(b":scheme"), get(b":authority"), get(b":path")
    if method == b"CONNECT" or b":protocol" in pseudo:
        _check_connect(pseudo, connect_protocol)
    else:
        _check_target(method, scheme, path)
    assert method is not None
    if host is not None or not authority:
        authority = _effective_authority(scheme, authority, host)
    if authority is not None:
        sentence = _authority_defect(authority)
        if sentence:
            _malformed(sentence)
    return RequestHead(method, scheme, authority, path, regular, content_length, get(b":protocol"))


def parse_promised_request(fields: Fields) -> RequestHead:
    """Parse the request in a PUSH_PROMISE (RFC 9114 section 7.2.5): the rules of any request.

    Whether it *may* be promised (method, content, authority; section 4.6) is not asked here: that has its own answer.

    Raises:
        H3StreamError: H3_MESSAGE_ERROR, with the first defect that was found.
    """
    return parse_request(fields)


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


def _check_connect(pseudo: dict[bytes, bytes], connect_protocol: bool) -> None:
    """CONNECT (RFC 9114 section 4.4) and extended CONNECT (RFC 9220 section 3, RFC 8441 section 4)."""
    protocol = pseudo.get(b":protocol")
    if protocol is None:
        if b":scheme" in pseudo or b":path" in pseudo:
            _malformed("CONNECT with :scheme or :path")
        match = _AUTHORITY.fullmatch(pseudo.get(b":authority", b""))
        if match is None or not match[1]:
            _malformed("CONNECT without a host and port in :authority")
        return
    if not connect_protocol:
        _malformed(":protocol is not known: extended CONNECT was not negotiated")
    if pseudo.get(b":method") != b"CONNECT":
        _malformed(":protocol with a method other than CONNECT")
    if not _TOKEN.fullmatch(protocol):
        _malformed(f":protocol {_show(protocol)} is not a token")
    if not pseudo.get(b":authority"):
        _malformed("extended CONNECT without :authority")
    _check_target(b"CONNECT", pseudo.get(b":scheme"), pseudo.get(b":path"))


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


@lru_cache(maxsize=256)
def _short_authority_defect(authority: bytes) -> str:
    match = _AUTHORITY.fullmatch(authority)
    if match is not None and (not match[1] or int(match[1]) <= 0xFFFF):
        return ""
    if b"@" in authority:
        return "user information in :authority"
    return f"{_show(authority)} is not a host, or a host and port"


def _authority_defect(authority: bytes) -> str:
    """Sentence about what is wrong with a host and optional port (RFC 9114 section 4.3.1); empty when nothing is."""
    if len(authority) <= _MAX_REMEMBERED_SIZE:
        return _short_authority_defect(authority)
    return _short_authority_defect.__wrapped__(authority)


def _apply_request_rules(fields: Fields) -> tuple[Fields, int | None, bytes | None]:
    """Check the fields with rules of their own. Returns the fields, Content-Length and Host."""
    kept: Fields = []
    content_length: int | None = None
    host: bytes | None = None
    cookie_at: int | None = None
    for field in fields:
        name, value = field
        if name not in _REQUEST_RULES:
            kept.append(field)
        elif name == b"cookie":
            if cookie_at is None:
                cookie_at = len(kept)
                kept.append(field)
            else:  # RFC 9114 section 4.2.1
                kept[cookie_at] = (name, b"; ".join((kept[cookie_at][1], value)))
        elif name == b"content-length":
            content_length, repeated = _content_length(value, content_length)
            if not repeated:
                kept.append(field)
        elif name == b"host":
            if host is not None:
                _malformed("two Host fields")
            host = value
            kept.append(field)
        elif name == b"te" and value.lower() == b"trailers":
            kept.append(field)
        else:
            _malformed(f"{_show(name)} has no meaning in HTTP/3")
    return kept, content_length, host


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
    if _verified_names.issuperset(names):
        return
    for name in names:
        if name in _verified_names:
            continue
        if not _NAME.fullmatch(name):
            _malformed(_name_defect(name))
        if len(_verified_names) < _MAX_VERIFIED_NAMES and len(name) <= _MAX_REMEMBERED_SIZE:
            _verified_names.add(name)


def _name_defect(name: bytes) -> str:
    if name.startswith(b":"):
        return f"pseudo-header field {_show(name)} is unknown here, or comes after a regular field"
    if name != name.lower():
        return f"upper case in field name {_show(name)}"
    return f"field name {_show(name)} is not a token"


def _check_values(values: tuple[bytes, ...]) -> None:
    """No value holds control bytes or begins or ends with a blank (RFC 9110 section 5.5); bytes from 0x80 on are opaque."""
    if b"".join(values).translate(None, _GOOD_VALUE_BYTES):
        _malformed("a field value holds a control character")
    if tuple(map(bytes.strip, values)) != values:
        _malformed("a field value begins or ends with a blank")


def _are_good_values(values: tuple[bytes, ...]) -> bool:
    return not b"".join(values).translate(None, _GOOD_VALUE_BYTES) and tuple(map(bytes.strip, values)) == values


def _show(value: bytes) -> str:
    """Peer bytes for a sentence: printable, and not long."""
    return repr(value if len(value) <= 64 else value[:61] + b"...")[1:]


def _malformed(sentence: str) -> NoReturn:
    raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, sentence)
