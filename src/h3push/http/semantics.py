"""HTTP semantics (RFC 9110) that more than one part of the house needs, each said once."""

from calendar import timegm
from email.utils import parsedate_to_datetime

NO_CONTENT_STATUSES = frozenset({204, 304})
"""Final responses that never have content, whatever Content-Length says (RFC 9110 section 6.4.1)."""

RESET_CONTENT = 205
"""A final response that must not be generated with content, and says so with a Content-Length of 0 (RFC 9110 section 15.3.6)."""


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
