"""One row of the access log: its columns, as text and as JSON.

In text, everything that a client chose is escaped: it can neither break a line nor drive a terminal. JSON escapes by itself.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum


class ResponseOutcome(Enum):
    """How a response ended."""

    COMPLETE = "complete"
    """QUIC took all of it, but for `send_high_water` bytes at most."""
    CANCELLED_BY_CLIENT = "cancelled by the client"
    """The client stopped it, cancelled the push, or closed the connection."""
    CANCELLED_BY_SERVER = "cancelled by the server"
    """A limit, a time-out or a shutdown of ours ended it, or the application called its push off."""
    LOST = "connection lost"
    """Nothing came from the client for too long."""
    FAILED = "failed"
    """The handler raised, or returned too early. The client got 500; or a reset, when the response had begun or was a push's."""


@dataclass(slots=True)  # not frozen, which would triple its price
class Row:
    """One row: the facts of one response."""

    time: datetime
    """Arrival of the request, UTC; written in RFC 3339 with milliseconds."""
    client: str
    """Address and port."""
    method: str
    """The request's method."""
    path: str
    """Path with query, as it came."""
    protocol: str
    """Always "HTTP/3"."""
    status: int | None
    """Status that the client got; `None` when no response began."""
    bytes: int
    """Content that QUIC took, in bytes."""
    duration_ms: float
    """From the request to the end of the response; written with three decimals."""
    outcome: str
    """One of `ResponseOutcome`."""
    push_id: int | None = None
    """The push ID, for a pushed response."""
    initiator: str | None = None
    """Path of the page that it was pushed with."""
    user_agent: str | None = None
    """The client's User-Agent."""
    connection: str | None = None
    """A name for the connection that says nothing of the client; with `view` the name of a page view."""
    view: int | None = None
    """The number of the page view on its connection."""
    page: str | None = None
    """Path of the page that the response belongs to; its own path for a page."""
    position: int | None = None
    """Its place in the view: 0 for the page, then 1, 2, ... as requests and promises came."""
    since_page_ms: float | None = None
    """From the page's request to this one."""
    think_ms: float | None = None
    """From the request to the start of the response; `None` when none began."""
    warm: bool | None = None
    """True when the connection had served an earlier view. On pages only, as are the next two."""
    rtt_ms: float | None = None
    """The round trip that QUIC, or the kernel for TCP, measured when the page was asked for."""
    window: int | None = None
    """The congestion window at that moment, in bytes."""
    conditional: bool | None = None
    """True for a request with validators (If-None-Match, If-Modified-Since): the client has an earlier answer."""
    arm: str | None = None
    """The group of the page view in an experiment: "none", "hint" or "push"; `None` outside one."""
    pushes_used: tuple[int, ...] | None = None
    """IDs of earlier pushes of the connection that the client says it used (`Push-Report`)."""
    pushes_unused: tuple[int, ...] | None = None
    """Those that it says it did not."""
    headers: Mapping[str, str] | None = None
    """The request's fields, for a format of one's own; no column."""

    def text(self, status: str | None = None) -> str:
        """The row as a line of text; `status` stands for its own, as when it is coloured."""
        request = f"{printable(self.method)} {printable(self.path)} {self.protocol}"
        line = f'{_timestamp(self.time)} {self.client} "{request}" {status or self.status or "-"} {self.bytes}'
        if self.push_id is not None:
            line += f" push {self.push_id} for {printable(self.initiator or '-')}"
        return line if self.outcome == ResponseOutcome.COMPLETE.value else f"{line} ({self.outcome})"

    def json(self) -> str:
        """The row as a JSON object in one line."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        columns["time"] = _timestamp(self.time)
        for name in _MILLISECONDS:
            if columns[name] is not None:
                columns[name] = round(columns[name], 3)
        return _encode(columns)


_COLUMNS = tuple(column.name for column in fields(Row) if column.name != "headers")
_MILLISECONDS = tuple(name for name in _COLUMNS if name.endswith("_ms"))
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _timestamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    """Escape everything but printable ASCII in text from a peer."""
    return text.encode("unicode_escape").decode("ascii").replace('"', "%22")
