"""The Date field of responses."""

import time
from collections.abc import Callable
from email.utils import formatdate

from h3push.http.fields import Field


class DateField:
    """Gives the Date field (RFC 9110 section 6.6.1), made once a second.

    Within a second it is one and the same object. (Its type names `None` too, since compiled code takes a plain tuple apart and
    makes it anew each time.)

    Args:
        clock: tells the time in seconds since 1970.
    """

    __slots__ = ("_clock", "_field", "_second")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._field: Field | None = None

    def __call__(self) -> Field | None:
        """The field for now."""
        now = int(self._clock())
        if self._second != now:
            self._second, self._field = now, (b"date", formatdate(now, usegmt=True).encode("ascii"))
        return self._field
