"""HTTP semantics (RFC 9110) that more than one part of the house needs, each said once."""

from calendar import timegm
from email.utils import parsedate_to_datetime


def parse_date(value: str) -> int | None:
    """An HTTP date (RFC 9110 section 5.6.7) in seconds since 1970; `None` for anything that is not a date.

    A recipient ignores a field with an invalid date (RFC 9110 section 13.1.3), so nothing is raised, however large its numbers.
    """
    try:
        date = parsedate_to_datetime(value)
        return timegm(date.utctimetuple())
    except (ValueError, OverflowError, TypeError, IndexError):  # the parser is made for mail, and raises all of them
        return None
