"""Extensible priorities (RFC 9218): the two parameters and their field value."""

from dataclasses import dataclass

import http_sf

DEFAULT_URGENCY = 3
"""RFC 9218 section 4.1."""
LOWEST_URGENCY = 7
"""RFC 9218 section 4.1: urgency is 0 (first) to 7 (last)."""
MAX_VALUE_SIZE = 1024
"""Longest priority field value that is parsed, in bytes; real ones have about six."""


@dataclass(frozen=True, slots=True)
class Priority:
    """Priority of one response (RFC 9218 section 4)."""

    urgency: int = DEFAULT_URGENCY
    """0 (most urgent) to 7."""
    incremental: bool = False
    """The response is useful in pieces, so that sharing bandwidth with others makes sense."""

    def __post_init__(self) -> None:
        """Refuse an urgency that RFC 9218 does not know."""
        if not 0 <= self.urgency <= LOWEST_URGENCY:
            raise ValueError(f"urgency is 0 to {LOWEST_URGENCY}, not {self.urgency}")


def encode_priority(priority: Priority) -> bytes:
    """Priority field value, such as `u=3` or `u=1, i` (RFC 9218 section 4)."""
    return b"u=%d, i" % priority.urgency if priority.incremental else b"u=%d" % priority.urgency


DEFAULT_PRIORITY = Priority()
"""The priority of what names none."""

_USUAL = {
    value: Priority(urgency, incremental)
    for urgency in range(LOWEST_URGENCY + 1)
    for value, incremental in ((b"u=%d" % urgency, False), (b"u=%d, i" % urgency, True), (b"u=%d,i" % urgency, True))
} | {b"": DEFAULT_PRIORITY, b"i": Priority(incremental=True)}


def parse_priority(value: bytes) -> Priority:
    """Parse a priority field value (RFC 9218 section 4, a dictionary of RFC 8941).

    Parameters that are unknown, out of range or of the wrong type are ignored, as section 4 asks.

    Raises:
        ValueError: `value` is no dictionary at all, or longer than `MAX_VALUE_SIZE`; whether that matters differs between
            the header field (ignored) and PRIORITY_UPDATE (RFC 9218 section 7), so callers decide.
    """
    usual = _USUAL.get(value)
    return usual if usual is not None else _parse_dictionary(value)


def _parse_dictionary(value: bytes) -> Priority:
    if len(value) > MAX_VALUE_SIZE:
        raise ValueError(f"priority of {len(value)} bytes; we read {MAX_VALUE_SIZE} at most")
    try:
        members = http_sf.parse(value, tltype="dictionary")
    except http_sf.StructuredFieldError as error:
        raise ValueError(f"priority is not a dictionary: {error}") from None
    assert isinstance(members, dict)
    urgency, incremental = _bare(members.get("u")), _bare(members.get("i"))
    if type(urgency) is not int or not 0 <= urgency <= LOWEST_URGENCY:
        urgency = DEFAULT_URGENCY
    return Priority(urgency, incremental is True)


def _bare(member: object) -> object:
    """Value of a dictionary member without its parameters; http-sf gives `(value, parameters)`."""
    return member[0] if isinstance(member, tuple) else None


def priority_or_default(value: bytes) -> Priority:
    """A priority field value; what cannot be parsed counts as absent (RFC 9218 section 4)."""
    try:
        return parse_priority(value)
    except ValueError:
        return DEFAULT_PRIORITY
