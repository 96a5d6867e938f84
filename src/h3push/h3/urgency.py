"""Priorities as QUIC's scheduler understands them: one number a stream.

A transport sends by one number per stream, higher first, and shares among equals. This is the map, top to bottom::

    CRITICAL_PRIORITY        control and QPACK streams
    requested, urgency 0     one level a non-incremental stream, in order; below them one level for all incremental ones
    ...
    requested, urgency 7
    0                        what nobody set
    pushed, urgency 0        the same again
    ...
    pushed, urgency 7

Every push is below every request, whatever the urgencies say: a push never delays what was asked for (RFC 9218 section 10
leaves that to the server). Within an urgency the order is that of RFC 9218 section 10: non-incremental responses one after
the other, incremental ones side by side.
"""

from typing import Final

from h3push.http.fields import RequestHead
from h3push.http.priority import DEFAULT_PRIORITY, LOWEST_URGENCY, Priority, priority_or_default

CRITICAL_PRIORITY: Final = (1 << 31) - 1
"""Transport priority of control and QPACK streams: everything else waits for what they say."""

_LEVELS: Final = 1 << 27
"""Levels of one urgency: level 0 is shared by incremental streams, the others go to non-incremental ones in order."""
_REQUESTED: Final = tuple((1 << 30) + (LOWEST_URGENCY - urgency) * _LEVELS for urgency in range(LOWEST_URGENCY + 1))
_PUSHED: Final = tuple(-(1 << 30) + (LOWEST_URGENCY - urgency) * _LEVELS for urgency in range(LOWEST_URGENCY + 1))
"""Level 0 of each urgency."""


def requested_priority(request: RequestHead) -> Priority:
    """The request's Priority field (RFC 9218 section 5), or the default; several lines are one (RFC 9110 section 5.3)."""
    value: bytes | None = None
    for name, line in request.fields:
        if name == b"priority":
            value = line if value is None else value + b", " + line
    return DEFAULT_PRIORITY if value is None else priority_or_default(value)


def transport_priority(priority: Priority, *, order: int, pushed: bool) -> int:
    """Number for `Transport.set_priority`, as drawn at the top of this module.

    Args:
        priority: urgency and whether it may be sent in pieces.
        order: anything that rises from stream to stream, such as the stream ID or the push ID, not negative.
        pushed: True for a push stream.

    Returns:
        A signed number of 32 bits, below `CRITICAL_PRIORITY`. Orders from 2^27 - 2 on share one level.
    """
    base = (_PUSHED if pushed else _REQUESTED)[priority.urgency]
    if priority.incremental:
        return base
    return base + (_LEVELS - 2 - order if order < _LEVELS - 3 else 1)
