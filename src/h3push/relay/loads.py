"""The last page loads that went through, for the status page.

A load begins with a request for a document (`Sec-Fetch-Dest: document`, or an Accept that begins with HTML); every request to the
same origin that follows belongs to it, until the next one begins. What programs ask for without a page is one load of its own.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from h3push.client.answer import Source
from h3push.http.fields import Field
from h3push.relay.settings import RelaySettings

_PATH_SHOWN = 200
"""Characters of a path that are kept."""


@dataclass(slots=True)
class Row:
    """One request."""

    path: str
    """Path and query."""
    began: float
    """When it came (loop time, seconds)."""
    status: int = 0
    """Of the response; 0 while there is none."""
    source: str = ""
    """Where the answer came from: "server", "push", "store", or "relay" for one of our own."""
    answered: float | None = None
    """When the response began."""
    ended: float | None = None
    """When all of it had been handed on."""
    octets: int = 0
    """Content so far."""
    is_whole: bool = False
    """True when as much content was handed on as the response announced."""


@dataclass(slots=True)
class Load:
    """One page, and what was asked for after it."""

    authority: str
    """The origin's."""
    began: float
    """When it began (loop time, seconds)."""
    rows: list[Row] = field(default_factory=list)
    more: int = 0
    """Requests beyond the bound, which are counted and not told."""


class Loads:
    """The last page loads, and counts of all requests."""

    def __init__(self, settings: RelaySettings) -> None:
        self.sources = {source.value: 0 for source in Source} | {"relay": 0}
        """Requests by where their answer came from."""
        self.octets = 0
        """Content that was handed on."""
        self.under_way = 0
        """Requests whose response is not complete."""
        self.websockets = 0
        """WebSockets that are open, or about to be."""
        self.last: deque[Load] = deque(maxlen=settings.loads)
        """The last loads, the newest at the end."""
        self._rows = settings.rows

    def begin(self, authority: str, path: str, fields: Iterable[Field], now: float) -> Row:
        """A request has come."""
        load = next((one for one in reversed(self.last) if one.authority == authority), None)
        if load is None or is_document(fields):
            load = Load(authority, now)
            self.last.append(load)
        row = Row(path[:_PATH_SHOWN], now)
        if len(load.rows) < self._rows:
            load.rows.append(row)
        else:
            load.more += 1
        self.under_way += 1
        return row

    def answer(self, row: Row, now: float, status: int, source: str) -> None:
        """A response has begun."""
        row.answered, row.status, row.source = now, status, source
        self.sources[source] += 1

    def end(self, row: Row, now: float) -> None:
        """All of a response was handed on, or will not be."""
        row.ended = now
        self.under_way -= 1
        self.octets += row.octets


def is_document(fields: Iterable[Field]) -> bool:
    """True for the request of a page."""
    named = dict(fields)
    if b"sec-fetch-dest" in named:
        return named[b"sec-fetch-dest"] == b"document"
    return named.get(b"accept", b"").startswith(b"text/html")
