"""Rules for fields in both directions: names, values, and the names that carry a rule of their own.

Most names were seen before and most values are innocent, so the fields of a section are checked together, in C (but for
requests, whose fields are remembered one by one: `received`):

* every name is a member of `verified_names`, a bounded set of names that were once checked one by one (and of
  `public_names` when it names no secret);
* all values, joined, hold no control byte; and none changes when blanks are stripped from it.

Only names that fail the joint check are looked at one by one.
"""

import re
from collections.abc import Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, NoReturn

from h3push.errors import ErrorCode, H3StreamError

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
    fields: Sequence[Field]
    """The regular fields in order; Cookie lines joined. A tuple where the request was received, as connections share it."""
    content_length: int | None
    """Content-Length, where present."""
    protocol: bytes | None = None
    """`:protocol` of extended CONNECT (RFC 9220)."""


class ResponseHead(NamedTuple):
    """A response's header section."""

    status: int
    """Three digits, 100 to 999 but not 101; from 600 on it is to be treated as 5xx (RFC 9110 section 15)."""
    fields: Fields
    """The regular fields in order."""
    content_length: int | None
    """Content-Length, where present."""


FIELD_OVERHEAD = 32
"""Bytes that each field counts beyond its name and value (RFC 9114 section 4.2.2)."""
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
    b"x-api-key x-auth-token x-access-token x-csrf-token x-xsrf-token x-amz-security-token x-csrftoken private-token "
    b"apikey api-key".split()
)
"""Fields with a secret, besides those that `is_secret` knows by their pattern: they never enter a dynamic table, are marked
so that no intermediary puts them into one, and are remembered nowhere."""

REQUEST_RULES = CONNECTION_SPECIFIC | {b"te", b"host", b"cookie", b"content-length"}
"""Fields of requests with a rule of their own ..."""
RESPONSE_RULES = CONNECTION_SPECIFIC | {b"te", b"content-length"}
"""... and of responses."""
NEVER_IN_RESPONSES = CONNECTION_SPECIFIC | {b"te"}
"""Fields that make a response malformed."""
STATUSES = {b"%d" % status: status for status in range(100, 1000) if status != 101}
"""Values of `:status` and what they mean; those above `MAX_STATUS` have no class and count as 5xx (RFC 9110 section 15)."""
MAX_STATUS = 599
"""The largest status that we send."""

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
verified_names: set[bytes] = set(_USUAL_NAMES)
"""Names that were checked once ..."""
public_names: set[bytes] = set()
"""... and those among them that name no secret, with the pseudo-header fields. A name that is not here may be anything ..."""
_MAX_VERIFIED_NAMES = 1024
_MAX_NAME_SIZE = 64
"""... as far as they are short, which names are: 64 kB at most in each of both."""

_name_of = itemgetter(0)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_GOOD_VALUE_BYTES = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])


def is_secret(name: bytes) -> bool:
    """True for the name (in lower case) of a field that holds a secret: one of `SECRET_NAMES`, `x-*-token`, `*-api-key`."""
    return name in SECRET_NAMES or name.endswith(b"-api-key") or (name.startswith(b"x-") and name.endswith(b"-token"))


def holds_secret(fields: Sequence[Field]) -> bool:
    """True when one of the fields, with names in lower case, holds a secret."""
    return not public_names.issuperset(map(_name_of, fields)) and any(map(is_secret, map(_name_of, fields)))


public_names.update(name for name in _USUAL_NAMES if not is_secret(name))
public_names.update((b":method", b":scheme", b":authority", b":path", b":protocol", b":status"))


def section_size(fields: Sequence[Field]) -> int:
    """Size of a field section in bytes as RFC 9114 section 4.2.2 counts it: name + value + 32 for each field."""
    return sum(map(len, chain.from_iterable(fields))) + FIELD_OVERHEAD * len(fields)


def read_content_length(value: bytes, before: int | None) -> tuple[int, bool]:
    """Content-Length as a number, and whether an earlier line said the same (RFC 9110 section 8.6)."""
    if not value.isdigit() or len(value) > 19 or int(value) > MAX_CONTENT_LENGTH:
        malformed(f"content-length {show(value)} is not a length")
    if before is not None and before != int(value):
        malformed("two content-length fields that differ")
    return int(value), before is not None


def check_names(names: Sequence[bytes]) -> None:
    """Every name is a token in lower case (RFC 9114 section 4.2)."""
    if not verified_names.issuperset(names):
        for name in names:
            if name not in verified_names:
                check_name(name)


def check_name(name: bytes) -> None:
    """Like `check_names`, for a name that is not in `verified_names`."""
    if not _NAME.fullmatch(name):
        malformed(_name_defect(name))
    if len(verified_names) < _MAX_VERIFIED_NAMES and len(name) <= _MAX_NAME_SIZE:
        verified_names.add(name)
        if not is_secret(name):
            public_names.add(name)


def _name_defect(name: bytes) -> str:
    if name.startswith(b":"):
        return f"pseudo-header field {show(name)} is unknown here, or comes after a regular field"
    if name != name.lower():
        return f"upper case in field name {show(name)}"
    return f"field name {show(name)} is not a token"


def check_values(values: tuple[bytes, ...]) -> None:
    """No value holds control bytes or begins or ends with a blank (RFC 9110 section 5.5); bytes from 0x80 on are opaque."""
    if not are_good_values(values):
        for value in values:
            check_value(value)


def check_value(value: bytes) -> None:
    """Like `check_values`, for one value."""
    if not is_printable(value) and value.translate(None, _GOOD_VALUE_BYTES):
        malformed("a field value holds a control character")
    if value.strip() != value:
        malformed("a field value begins or ends with a blank")


def is_printable(value: bytes) -> bool:
    """True for printable ASCII, blanks included, as most values and paths are; `translate` takes three times as long."""
    return value.isascii() and value.decode("ascii").isprintable()


def are_good_values(values: tuple[bytes, ...]) -> bool:
    """False when `check_values` would raise."""
    return not b"".join(values).translate(None, _GOOD_VALUE_BYTES) and tuple(map(bytes.strip, values)) == values


def show(value: bytes) -> str:
    """Peer bytes for a sentence: printable, and not long."""
    return repr(value if len(value) <= 64 else value[:61] + b"...")[1:]


def malformed(sentence: str) -> NoReturn:
    """Raise the error of a malformed message (RFC 9114 section 4.1.2)."""
    raise H3StreamError(ErrorCode.H3_MESSAGE_ERROR, sentence)
