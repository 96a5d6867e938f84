"""HTTP semantics (RFC 9110) that more than one part of the house needs, each said once."""

from calendar import timegm
from collections.abc import Iterable, Sequence
from email.utils import parsedate_to_datetime

from h3push.http.fields import Field
from h3push.http.headers import has_field

NO_CONTENT_STATUSES = frozenset({204, 304})
"""Final responses that never have content, whatever Content-Length says (RFC 9110 section 6.4.1)."""

RESET_CONTENT = 205
"""A final response that must not be generated with content, and says so with a Content-Length of 0 (RFC 9110 section 15.3.6)."""

SAFE_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
"""Methods that ask for nothing to be changed (RFC 9110 section 9.2.1); without content, their requests may be repeated."""

PUSHABLE_METHODS = frozenset({b"GET", b"HEAD"})
"""Methods that are safe and cacheable (RFC 9110 sections 9.2.1 and 9.2.3); RFC 9114 section 4.6 lets no others be pushed."""

PRECONDITION_FIELDS = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"}
)
"""Fields that make a request conditional (RFC 9110 section 13.1)."""

_NOT_REUSABLE = frozenset({b"no-store", b"no-cache"})


def has_no_content(method: bytes, status: int) -> bool:
    """True when the final response to a request never has content, whatever its Content-Length says (RFC 9110 section 6.4.1)."""
    return method == b"HEAD" or status in NO_CONTENT_STATUSES


def parse_date(value: str) -> int | None:
    """An HTTP date (RFC 9110 section 5.6.7) in seconds since 1970; `None` for anything that is not a date.

    A recipient ignores a field with an invalid date (RFC 9110 section 13.1.3), so nothing is raised, however large its numbers.
    """
    try:
        date = parsedate_to_datetime(value)
        return timegm(date.utctimetuple())
    except (ValueError, OverflowError, TypeError, IndexError):  # the parser is made for mail, and raises all of them
        return None


def outdates(method: bytes, status: int) -> bool:
    """True for an answer after which a response that a cache has for its URL is good no more.

    After a request that is not safe, any answer but an error (RFC 9111 section 4.4). The answer to a GET or HEAD takes the place
    of the one before; one that says "unchanged", gives a part, or refuses this one request leaves it where it is.
    """
    if method not in SAFE_METHODS:
        return 200 <= status < 400
    return method in PUSHABLE_METHODS and status not in _OF_THE_SAME and (status < 400 or status in _GONE)


_OF_THE_SAME = frozenset({206, 304})
_GONE = frozenset({404, 410})


def names_validator(fields: Iterable[Field]) -> bool:
    """True for a request whose client has a copy already and asks whether it is still good (RFC 9110 section 13.1)."""
    named = dict(fields)
    return b"if-none-match" in named or b"if-modified-since" in named


def freshness_lifetime(fields: Sequence[Field]) -> float | None:
    """Seconds for which a private cache may use a response without asking (RFC 9111 section 4.2.1), less its Age.

    0 when it may not at all (`no-store`, `no-cache`), `None` when it says nothing.
    """
    if not (has_field(fields, b"cache-control") or has_field(fields, b"expires")):
        return None
    by_name: dict[bytes, bytes] = {}
    for name, value in fields:
        by_name[name] = by_name[name] + b"," + value if name in by_name else value
    directives = dict(_directives(by_name.get(b"cache-control", b"")))
    if not _NOT_REUSABLE.isdisjoint(directives):
        return 0.0
    lifetime = _seconds(directives.get(b"max-age"))
    if lifetime is None and b"expires" in by_name:
        lifetime = _until_expiry(by_name[b"expires"], by_name.get(b"date"))
    return None if lifetime is None else max(0.0, lifetime - (_seconds(by_name.get(b"age")) or 0.0))


def _directives(value: bytes) -> Iterable[tuple[bytes, bytes]]:
    for part in value.split(b","):
        name, _, argument = part.strip().partition(b"=")
        yield name.strip().lower(), argument.strip(b' \t"')


def _seconds(value: bytes | None) -> float | None:
    return float(value) if value is not None and value.isdigit() and len(value) <= 10 else None


def _until_expiry(expires: bytes, date: bytes | None) -> float | None:
    """Expires less Date. An Expires that is no date means "already expired"; without Date nothing can be told."""
    end = parse_date(expires.decode("latin-1"))
    if end is None:
        return 0.0
    begin = None if date is None else parse_date(date.decode("latin-1"))
    return None if begin is None else float(end - begin)
