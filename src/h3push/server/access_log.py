"""The access log: a row for each response when it is over, pushed ones with their ID, initiator and outcome.

As text, for people::

    127.0.0.1:50412 "GET /guide/ HTTP/3" 200 6575
    127.0.0.1:50412 "GET /guide/a.css HTTP/3" 200 832 push 0 for /guide/
    127.0.0.1:50412 "GET /guide/b.png HTTP/3" 200 1024 push 1 for /guide/ (cancelled by the client)

As JSON lines, for programs: the fields of `Row`, one object a line. In text, what a client chose stays percent-encoded or is
escaped, so that nothing it sends can break a line or drive a terminal; JSON escapes by itself.
"""

import json
import time
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Literal, TextIO

from h3push.h3.events import CancelledBy
from h3push.server.push import PushState
from h3push.server.request import Request

LogFormat = Literal["text", "json"]
"""How rows are written."""


class Outcome(Enum):
    """How a response ended."""

    COMPLETE = "complete"
    """All of it was handed to QUIC."""
    CANCELLED_BY_CLIENT = "cancelled by the client"
    """The client reset it, cancelled the push, or closed the connection."""
    CANCELLED_BY_SERVER = "cancelled by the server"
    """A limit or a shutdown ended it, or the application called its push off."""
    FAILED = "failed"
    """The application raised, or returned too early."""


@dataclass(slots=True)  # not frozen, which would triple its price
class Row:
    """What the log says of one response."""

    time: datetime
    """When the request was there, UTC; written in ISO 8601 with milliseconds."""
    client: str
    """Address and port."""
    method: str
    """The request's method."""
    path: str
    """Path with query, as it came."""
    protocol: str
    """Always "HTTP/3"."""
    status: int | None
    """Status of the response; `None` when it never began."""
    bytes: int
    """Content handed to QUIC."""
    duration_ms: float
    """From the request to the end of the response; written with three decimals."""
    outcome: str
    """One of `Outcome`."""
    push_id: int | None = None
    """The push ID, for a pushed response."""
    initiator: str | None = None
    """Path of the page that it was pushed with."""
    user_agent: str | None = None
    """What the client calls itself."""

    def text(self) -> str:
        """The row as a line of text."""
        request = f"{printable(self.method)} {printable(self.path)} {self.protocol}"
        line = f'{self.client} "{request}" {self.status or "-"} {self.bytes}'
        if self.push_id is not None:
            line += f" push {self.push_id} for {printable(self.initiator or '-')}"
        return line if self.outcome == Outcome.COMPLETE.value else f"{line} ({self.outcome})"

    def json(self) -> str:
        """The row as a JSON object in one line."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        columns["time"] = self.time.isoformat(timespec="milliseconds")
        columns["duration_ms"] = round(self.duration_ms, 3)
        return _encode(columns)


_COLUMNS = tuple(column.name for column in fields(Row))
_encode = json.JSONEncoder(separators=(",", ":")).encode


class AccessLog:
    """Writes rows to a stream.

    Arguments:
        stream: where the lines go; when nobody reads it any more, logging ends and serving goes on.
        log_format: "text" or "json".
    """

    def __init__(self, stream: TextIO, log_format: LogFormat = "text") -> None:
        self._stream: TextIO | None = stream
        self._format = log_format

    def begin(self, request: Request) -> "OpenRow":
        """A request is there."""
        return OpenRow(self, request)

    def write(self, row: Row) -> None:
        """Write a row."""
        if self._stream is None:
            return
        try:
            self._stream.write((row.json() if self._format == "json" else row.text()) + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._stream = None


class OpenRow:
    """A row whose response is not over."""

    __slots__ = ("_began", "_log", "_request", "_since", "_written")

    def __init__(self, log: AccessLog, request: Request) -> None:
        self._log = log
        self._request = request
        self._began = datetime.now(UTC)
        self._since = time.perf_counter()
        self._written = False

    def end(self, *, failed: bool = False) -> None:
        """The response is over; `failed`: the application raised. Only the first call writes."""
        if self._written:
            return
        self._written = True
        request = self._request
        host, port = request.client[:2]
        self._log.write(
            Row(
                time=self._began,
                client=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
                method=request.method,
                path=request.path,
                protocol="HTTP/3",
                status=request.status,
                bytes=request.bytes_sent,
                duration_ms=(time.perf_counter() - self._since) * 1000,
                outcome=outcome_of(request, failed=failed).value,
                push_id=request.push_id,
                initiator=None if request.initiator is None else request.initiator.path,
                user_agent=request.headers.get("user-agent"),
            )
        )


def outcome_of(request: Request, *, failed: bool) -> Outcome:
    """How a response ended."""
    push = request.fulfils
    if push is not None and push.state is PushState.CANCELLED:
        by_peer = push.cancelled_by is CancelledBy.PEER
        return Outcome.CANCELLED_BY_CLIENT if by_peer else Outcome.CANCELLED_BY_SERVER
    if request.disconnected:
        return Outcome.CANCELLED_BY_CLIENT
    if failed or not request.response_ended:
        return Outcome.FAILED
    return Outcome.COMPLETE


def printable(text: str) -> str:
    """Text from a peer, with everything but printable ASCII escaped."""
    return text.encode("unicode_escape").decode("ascii").replace('"', "%22")
