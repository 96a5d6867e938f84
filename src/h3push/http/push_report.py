"""The request field `Push-Report`: a client tells its server which pushes of the connection it used, and which it did not.

    Push-Report: used=(0 2), unused=(1)

A dictionary of two lists of push IDs (RFC 9651 section 3.2), on a later request of the same connection. Each push is reported
once. The field is our own; who does not know it ignores it, and loses nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass

import http_sf

from h3push.http.fields import RequestHead

FIELD = "push-report"
"""Its name."""
_NAME = FIELD.encode("ascii")
MAX_IDS = 100
"""Push IDs that one field may name: far more than a page has pushes to report."""
MAX_VALUE_SIZE = 2048
"""Longest value that is parsed, in bytes: so many IDs of twelve digits, and room to spare."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """The fate of some pushes at their client."""

    used: tuple[int, ...] = ()
    """IDs of the pushes that answered a request of the client."""
    unused: tuple[int, ...] = ()
    """IDs of the pushes that arrived and answered none."""

    def among(self, known: Collection[int]) -> "PushReport":
        """Only what is said of the push IDs in `known`; of one that is called both, that it was unused."""
        unused = tuple(dict.fromkeys(push_id for push_id in self.unused if push_id in known))
        used = dict.fromkeys(push_id for push_id in self.used if push_id in known and push_id not in unused)
        return PushReport(tuple(used), unused)


class PendingReport:
    """A client's reports on one connection's pushes that are not sent; what is more than one field can name is forgotten."""

    __slots__ = ("_unused", "_used")

    def __init__(self) -> None:
        self._used: list[int] = []
        self._unused: list[int] = []

    def note(self, push_id: int, *, used: bool) -> None:
        """A push answered a request, or never will."""
        if len(self._used) + len(self._unused) < MAX_IDS:
            (self._used if used else self._unused).append(push_id)

    def onto(self, head: RequestHead) -> RequestHead:
        """The request with the report, which is pending no longer. A request that has one of its own stays as it is."""
        if any(name == _NAME for name, _ in head.fields):
            return head
        value = encode_push_report(PushReport(tuple(self._used), tuple(self._unused)))
        return head._replace(fields=[*head.fields, (_NAME, value.encode("ascii"))])


def encode_push_report(report: PushReport) -> str:
    """The field's value; at most `MAX_IDS` are named, used ones first."""
    used = report.used[:MAX_IDS]
    unused = report.unused[: MAX_IDS - len(used)]
    members = (("used", used), ("unused", unused))
    return ", ".join(f"{name}=({' '.join(map(str, ids))})" for name, ids in members if ids)


def parse_push_report(value: str) -> PushReport:
    """Read the field's value. What is no such report, or too long, says nothing: an empty report."""
    if len(value) > MAX_VALUE_SIZE:
        return PushReport()
    try:
        members = http_sf.parse(value.encode("latin-1"), tltype="dictionary")
    except (http_sf.StructuredFieldError, UnicodeError):
        return PushReport()
    if not isinstance(members, dict):
        return PushReport()
    report = PushReport(_ids(members.get("used")), _ids(members.get("unused")))
    return report if len(report.used) + len(report.unused) <= MAX_IDS else PushReport()


def _ids(member: object) -> tuple[int, ...]:
    """The push IDs of a member: an inner list, with the parameters that any structured item may have."""
    items = member[0] if isinstance(member, tuple) else None
    if not isinstance(items, list):
        return ()
    values = [item[0] if isinstance(item, tuple) else item for item in items]
    return tuple(value for value in values if type(value) is int and value >= 0)
