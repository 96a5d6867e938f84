"""The Date field of responses."""

import time
from email.utils import formatdate

from h3push.http.fields import Field


class DateField:
    """Gives the Date field (RFC 9110 section 6.6.1), made once a second."""

    __slots__ = ("_field", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._field: Field = (b"date", b"")

    def __call__(self) -> Field:
        """The field for now."""
        now = int(time.time())
        if self._second != now:
            self._second, self._field = now, (b"date", formatdate(now, usegmt=True).encode("ascii"))
        return self._field
