"""Header and trailer sections of a peer, parsed (RFC 9114 sections 4.2 and 4.3).

The fields of requests were mostly seen before: a client says the same about itself in each of them. So a field is checked once
and then a member of `_plain_fields`, unless its name carries a rule of its own, it holds a secret, or it is long. Only what is
not in that set is looked at, one by one. The fields of responses and trailers change more often (lengths, dates, tags): they are
checked together, as `rules` says.
"""

import re

from h3push.http.fields.rules import (
    CONNECTION_SPECIFIC,
    NEVER_IN_RESPONSES,
    NOT_IN_TRAILERS,
    REQUEST_RULES,
    RESPONSE_RULES,
    STATUSES,
    Field,
    Fields,
    RequestHead,
    ResponseHead,
    check_name,
    check_names,
    check_value,
    check_values,
    is_printable,
    malformed,
    public_names,
    read_content_length,
    show,
    verified_names,
)

_USUAL_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"CONNECT"})

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

_new_tuple = tuple.__new__
_USUAL_SCHEMES = frozenset({b"https", b"http"})
_LOWER_SCHEMES: frozenset[bytes | None] = frozenset({*_USUAL_SCHEMES, None})
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
_AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-fv:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%\-]+)(?::([0-9]{0,5}))?")
_BLANK, _HASH = b" #"
_GOOD_PATH_BYTES = bytes(byte for byte in range(0x21, 0x100) if byte not in b"#\x7f")


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
    if scheme not in _LOWER_SCHEMES and scheme is not None:
        scheme = scheme.lower()
    if host is not None or not authority:
        authority = _effective_authority(scheme, authority, host)
    if authority is not None and authority not in _verified_authorities:
        _check_authority(authority)
    values = (method, scheme, authority, path, tuple(regular), content_length, protocol)
    return _new_tuple(RequestHead, values)  # RequestHead's own constructor, in Python, costs three times as much


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
            malformed(f"two {show(name)} fields")
        count += 1
    return method, scheme, authority, path, protocol, count


def _check_target(method: bytes | None, scheme: bytes | None, path: bytes | None) -> None:
    """RFC 9114 section 4.3.1, every method but CONNECT."""
    if method is None or scheme is None or path is None:
        missing = b":method" if method is None else b":scheme" if scheme is None else b":path"
        malformed(f"no {show(missing)} field")
    if method not in _USUAL_METHODS and not _TOKEN.fullmatch(method):
        malformed(f":method {show(method)} is not a token")
    is_http = scheme in _USUAL_SCHEMES or _means_http(scheme)
    if is_http and path[:1] != b"/" and (path != b"*" or method != b"OPTIONS"):
        malformed(f":path {show(path)} does not begin with '/'")
    if (not is_printable(path) or _BLANK in path or _HASH in path) and path.translate(None, _GOOD_PATH_BYTES):
        malformed(":path holds a blank or a '#'")


def _means_http(scheme: bytes) -> bool:
    """True for http and https, which have no case (RFC 3986 section 3.1); H3_MESSAGE_ERROR for what is no scheme."""
    if not _SCHEME.fullmatch(scheme):
        malformed(f":scheme {show(scheme)} is not a scheme")
    return scheme.lower() in _USUAL_SCHEMES


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
            malformed("CONNECT with :scheme or :path")
        match = _AUTHORITY.fullmatch(authority or b"")
        if match is None or not match[1]:
            malformed("CONNECT without a host and port in :authority")
        return
    if not connect_protocol:
        malformed(":protocol is not known: extended CONNECT was not negotiated")
    if method != b"CONNECT":
        malformed(":protocol with a method other than CONNECT")
    if not _TOKEN.fullmatch(protocol):
        malformed(f":protocol {show(protocol)} is not a token")
    if not authority:
        malformed("extended CONNECT without :authority")
    _check_target(method, scheme, path)


def _effective_authority(scheme: bytes | None, authority: bytes | None, host: bytes | None) -> bytes | None:
    """Agree on `:authority` and Host, which must say the same and may not be empty (RFC 9114 section 4.3.1)."""
    if authority is not None and host is not None and authority != host:
        malformed(f":authority {show(authority)} and Host {show(host)} differ")
    effective = authority if authority is not None else host
    if scheme in _USUAL_SCHEMES:
        if effective is None:
            malformed("neither :authority nor Host")
        if not effective:
            malformed("empty :authority or Host")
    return effective or None


def _check_authority(authority: bytes) -> None:
    """A host and optional port (RFC 9114 section 4.3.1)."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None or (match[1] and int(match[1]) > 0xFFFF):
        if b"@" in authority:
            malformed("user information in :authority")
        malformed(f"{show(authority)} is not a host, or a host and port")
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
        if name not in verified_names:
            check_name(name)
        check_value(value)
        if name not in REQUEST_RULES:
            _remember_plain(field)
        elif name == b"cookie":
            cookies += 1
        elif name == b"content-length":
            content_length, repeated = read_content_length(value, content_length)
        elif name == b"host":
            if host is not None:
                malformed("two Host fields")
            host = value
        elif name in CONNECTION_SPECIFIC or (name == b"te" and value.lower() != b"trailers"):
            malformed(f"{show(name)} has no meaning in HTTP/3")
    if cookies > 1 or repeated:
        fields = joined(fields)
    return fields, content_length, host


def _remember_plain(field: Field) -> None:
    if len(field[0]) + len(field[1]) <= _MAX_PLAIN_SIZE and field[0] in public_names:
        if len(_plain_fields) >= _MAX_PLAIN_FIELDS:
            _plain_fields.clear()
        _plain_fields.add(field)


def joined(fields: Fields) -> Fields:
    """The fields with all Cookie lines in the place of the first, and Content-Length once.

    Over HTTP/2 and HTTP/3 a client may split its cookies (RFC 9113 section 8.2.3, RFC 9114 section 4.2.1). That all of several
    lengths say the same has been checked before.
    """
    cookie = b"; ".join(value for name, value in fields if name == b"cookie")
    kept: list[Field] = []
    seen: set[bytes] = set()
    for name, value in fields:
        if name == b"cookie" or name == b"content-length":
            if name in seen:
                continue
            seen.add(name)
        kept.append((name, cookie if name == b"cookie" else value))
    return kept


# Responses and trailers


def parse_response(fields: Fields) -> ResponseHead:
    """Parse a response's header section, interim or final (RFC 9114 sections 4.2 and 4.3.2).

    Raises:
        H3StreamError: H3_MESSAGE_ERROR, with the first defect that was found.
    """
    if not fields or fields[0][0] != b":status":
        malformed("the response does not begin with :status")
    status = STATUSES.get(fields[0][1])
    if status is None:
        malformed(f":status {show(fields[0][1])} is not a status of HTTP/3")
    regular = fields[1:]
    content_length = None
    if regular:
        names, values = zip(*regular, strict=True)
        check_names(names)
        check_values(values)
        lengths = names.count(b"content-length")
        if lengths > 1 or not NEVER_IN_RESPONSES.isdisjoint(names):
            regular, content_length = _apply_response_rules(regular)
        elif lengths:
            content_length, _ = read_content_length(values[names.index(b"content-length")], None)
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
    check_names(names)
    check_values(values)
    for name in names:
        if name in CONNECTION_SPECIFIC:
            malformed(f"{show(name)} has no meaning in HTTP/3")
    return [field for field in fields if field[0] not in NOT_IN_TRAILERS]


def _apply_response_rules(fields: Fields) -> tuple[Fields, int | None]:
    """Check the fields with rules of their own. Returns the fields and Content-Length."""
    kept: Fields = []
    content_length: int | None = None
    for field in fields:
        name, value = field
        if name == b"content-length":
            content_length, repeated = read_content_length(value, content_length)
            if not repeated:
                kept.append(field)
        elif name in RESPONSE_RULES:
            malformed(f"{show(name)} has no meaning in an HTTP/3 response")
        else:
            kept.append(field)
    return kept, content_length
