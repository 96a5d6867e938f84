"""The access log: one row for each response, written when it is over; pushed ones with their ID, initiator and outcome.

As text, for people::

    2026-11-28T18:35:19.123Z 127.0.0.1:50412 "GET /guide/ HTTP/3" 200 6575
    2026-11-28T18:35:19.131Z 127.0.0.1:50412 "GET /guide/a.css HTTP/3" 200 832 push 0 for /guide/
    2026-11-28T18:35:19.131Z 127.0.0.1:50412 "GET /guide/b.png HTTP/3" 200 1024 push 1 for /guide/ (cancelled by the client)

As JSON lines, for programs: the fields of `Row`, one object a line. They have what `h3push learn` and `h3push report` count too.

Theory of operation. A row is opened when its request arrives (`ConnectionLog.begin`). The response itself says how it ends:
`ended`, `given_up` or `unwanted`. When QUIC has not taken nearly all of a response by then, as with a large file, the row waits
until it has, or until the client stops it.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, Protocol, TextIO

from h3push.errors import Timeout
from h3push.h3.events import CancelledBy, ConnectionTerminated
from h3push.http.push_report import FIELD, PushReport, parse_push_report
from h3push.server.log_row import ResponseOutcome, Row
from h3push.server.promised import Logged, PromisedPush
from h3push.server.request import Request
from h3push.server.views import ReportedPushes, View, ViewPosition, Views

logger = logging.getLogger("h3push.server")

LogFormat = Literal["text", "json"]
"""The format of the rows."""


class Observer(Protocol):
    """Counts what the access log writes."""

    def observe(self, row: Row) -> None:
        """A response is over."""

    def reported(self, pushes: ReportedPushes) -> None:
        """A client said which pushes it used."""


class AccessLog:
    """Writes rows to a stream.

    While the stream cannot be written, as on a full disk, rows are lost, which is logged once. When nobody reads it any more (a
    closed pipe), the access log ends. Serving goes on in any case.

    Arguments:
        stream: receives the lines. Give one without a buffer: a buffer keeps part of a row that could not be written for later.
            `None`: nothing is written, as when there is an `observer` alone.
        log_format: "text" or "json".
        render: makes a line of a row instead (`log_format.row_format`).
    """

    def __init__(
        self,
        stream: TextIO | None,
        log_format: LogFormat = "text",
        *,
        render: Callable[[Row], str] | None = None,
    ) -> None:
        self.observer: Observer | None = None
        """Is shown each row, whether or not it can be written."""
        self._stream = stream
        self._format = log_format
        self._render = render or (Row.json if log_format == "json" else Row.text)
        self._said_so = False
        self._name = secrets.token_hex(4)
        self._connections = 0

    def connection(
        self,
        waiting: Callable[[int], int],
        high_water: int,
        clock: Callable[[], float],
        stats: Callable[[], Mapping[str, int | float]],
    ) -> "ConnectionLog":
        """Open the log of one connection.

        Args:
            waiting: returns how many bytes of a stream QUIC has not taken.
            high_water: a response counts as taken when no more bytes than this wait.
            clock: returns the time in seconds, from any beginning.
            stats: returns the path's measures, `rtt` and `congestion_window` among them.
        """
        measured = stats if self._format == "json" else dict
        return ConnectionLog(self, waiting, high_water, clock, measured, self.name_connection())

    def name_connection(self) -> str:
        """Give a name to one more connection; it says nothing of the client."""
        self._connections += 1
        return f"{self._name}-{self._connections}"

    def write(self, row: Row) -> None:
        """Write a row. Errors of the stream are not raised."""
        if self.observer is not None:
            self.observer.observe(row)
        if self._stream is None:
            return
        try:
            self._stream.write(self._render(row) + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._stream = None
        except OSError as error:
            if not self._said_so:
                self._said_so = True
                logger.error("the access log cannot be written, and rows are lost: %s", error.strerror or error)


class ConnectionLog:
    """The rows of one connection that are not written yet."""

    __slots__ = ("_high_water", "_log", "_open", "_views", "_waiting", "clock", "name", "stats")

    def __init__(
        self,
        log: AccessLog,
        waiting: Callable[[int], int],
        high_water: int,
        clock: Callable[[], float],
        stats: Callable[[], Mapping[str, int | float]],
        name: str,
    ) -> None:
        self._log = log
        self._waiting = waiting
        self._high_water = high_water
        self._open: dict[OpenRow, None] = {}
        self._views = Views()
        self.clock = clock
        """The time in seconds."""
        self.stats = stats
        """The path's measures; none where nobody writes them."""
        self.name = name
        """The connection's name in the log."""

    def begin(self, request: Logged) -> "OpenRow":
        """Open a row for a request that has arrived, or for a push that is about to be answered."""
        place = self._views.place(request, _view_of_initiator(request), self.clock())
        said = request.headers.get(FIELD)
        report = None if said is None else self._reported(said)
        row = OpenRow(self, request, place, report)
        if isinstance(request, PromisedPush):
            request.row = row
        else:
            request.writer.row = row
        self._open[row] = None
        return row

    def _reported(self, said: str) -> PushReport:
        pushes = self._views.reported(parse_push_report(said))
        if self._log.observer is not None:
            self._log.observer.reported(pushes)
        return pushes.report

    def waiting(self, stream_id: int | None) -> int:
        """How many bytes of a stream QUIC has not taken."""
        return 0 if stream_id is None else self._waiting(stream_id)

    def unsent(self, stream_id: int, size: int) -> None:
        """Note that QUIC will not take what waited on a stream."""
        for row in self._open:
            row.note_unsent(stream_id, size)

    def is_taken(self, stream_id: int | None) -> bool:
        """True when QUIC took all of a response that has ended, but for what fits below the high-water mark."""
        return self.waiting(stream_id) <= self._high_water

    def drained(self, stream_id: int) -> None:
        """QUIC has taken most of what waited on a stream."""
        for row in self._of(stream_id):
            row.ended()

    def stopped(self, stream_id: int) -> None:
        """The client takes no more of a stream."""
        for row in self._of(stream_id):
            row.write(ResponseOutcome.CANCELLED_BY_CLIENT)

    def terminated(self, event: ConnectionTerminated) -> None:
        """The connection is over, and every response with it."""
        if event.by_peer:
            outcome = ResponseOutcome.CANCELLED_BY_CLIENT
        else:
            outcome = ResponseOutcome.LOST if event.error_code is None else ResponseOutcome.CANCELLED_BY_SERVER
        for row in list(self._open):
            row.write(outcome)

    def write(self, row: "OpenRow", written: Row) -> None:
        """Write a row, which is over."""
        self._open.pop(row, None)
        if written.push_id is not None:
            self._views.note_size(written.push_id, written.bytes)
        self._log.write(written)

    def _of(self, stream_id: int) -> "list[OpenRow]":
        return [row for row in self._open if row.is_sent_on(stream_id)]


def _view_of_initiator(request: Logged) -> View | None:
    """The view of the page that a request was pushed with; `None` for a request that was sent."""
    row = None if request.initiator is None else request.initiator.writer.row
    return row.place.view if isinstance(row, OpenRow) else None


class OpenRow:
    """The row of a response that is not over. It is written once; later news of the response change nothing.

    Once it is written it does not know its request, which leads here: a circle would leave both to the garbage collector.
    """

    __slots__ = (
        "_began",
        "_log",
        "_report",
        "_request",
        "_since",
        "_stats",
        "_thought",
        "_unsent",
        "place",
    )

    def __init__(self, log: ConnectionLog, request: Logged, place: ViewPosition, report: PushReport | None) -> None:
        self._log = log
        self._request: Logged | None = request
        self._report = report
        self._began = datetime.now(UTC)
        self._since = log.clock()
        self._stats: Mapping[str, int | float] = {} if place.position else log.stats()
        self._thought: float | None = None
        self._unsent = 0
        self.place = place
        """Where the response stands in its page view."""

    def move_to(self, request: Request) -> None:
        """Belong to the request that was made of a push."""
        if self._request is not None:
            self._request = request
        request.writer.row = self

    def began(self) -> None:
        """Note that the final header section is there."""
        self._thought = self._log.clock() - self._since

    def note_unsent(self, stream_id: int, size: int) -> None:
        """Note how much of the response QUIC will not take, if this is its stream."""
        if self._request is not None and self._request.stream_id == stream_id:
            self._unsent = size

    def is_sent_on(self, stream_id: int) -> bool:
        """True when this is the stream of the response, and its end has been handed to QUIC."""
        request = self._request
        return request is not None and request.response_ended and request.stream_id == stream_id

    def ended(self) -> None:
        """Write the row of a response whose end was handed to QUIC, unless QUIC has yet to take what precedes it."""
        request = self._request
        if request is not None and self._log.is_taken(request.stream_id):
            self._write(
                request, ResponseOutcome.FAILED if request.failed else ResponseOutcome.COMPLETE, request.bytes_sent
            )

    def given_up(self) -> None:
        """Write the row of a response that we are about to reset."""
        if self._request is not None:
            self.write(ResponseOutcome.FAILED if self._request.failed else ResponseOutcome.CANCELLED_BY_SERVER)

    def unwanted(self, error: Exception) -> None:
        """Write the row of a response that nobody takes any more."""
        if self._request is None:
            return
        push = self._request.fulfils
        by_us = isinstance(error, Timeout) or (push is not None and push.cancelled_by in _BY_US)
        self.write(ResponseOutcome.CANCELLED_BY_SERVER if by_us else ResponseOutcome.CANCELLED_BY_CLIENT)

    def write(self, outcome: ResponseOutcome) -> None:
        """Write the row of a response that is not whole, unless it has been written."""
        request = self._request
        if request is not None:
            self._write(request, outcome, request.bytes_sent - (self._unsent or self._log.waiting(request.stream_id)))

    def _write(self, request: Logged, outcome: ResponseOutcome, size: int) -> None:
        self._request = None
        host, port = request.client[:2]
        row = Row(
            time=self._began,
            client=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            method=request.method,
            path=request.path,
            protocol="HTTP/3",
            status=request.status,
            bytes=size,
            duration_ms=(self._log.clock() - self._since) * 1000,
            outcome=outcome.value,
            push_id=request.push_id,
            initiator=None if request.initiator is None else request.initiator.path,
            user_agent=request.headers.get("user-agent"),
            headers=request.headers,
        )
        self._add_evidence(row, request)
        self._log.write(self, row)

    def _add_evidence(self, row: Row, request: Logged) -> None:
        """Fill in what learning counts."""
        view, stats, headers = self.place.view, self._stats, request.headers
        row.connection, row.view, row.page = self._log.name, view.number, view.page
        row.position, row.since_page_ms = self.place.position, self.place.since_page * 1000
        row.think_ms = None if self._thought is None else self._thought * 1000
        if not self.place.position:
            row.warm = view.number > 1
        if stats:
            row.rtt_ms, row.window = stats["rtt"] * 1000, int(stats["congestion_window"])
        row.conditional = "if-none-match" in headers or "if-modified-since" in headers
        row.arm = request.arm
        if self._report is not None:
            row.pushes_used, row.pushes_unused = self._report.used, self._report.unused


_BY_US = (CancelledBy.LOCAL, CancelledBy.FAILED)
