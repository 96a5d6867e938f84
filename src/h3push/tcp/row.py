"""The access log's row of a response over TCP: written once, by whoever comes to know first how it ended."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

from h3push.server.access_log import AccessLog
from h3push.server.log_row import ResponseOutcome, Row
from h3push.server.views import ViewPosition
from h3push.tcp.path import PathMeasures
from h3push.tcp.request import TcpRequest
from h3push.tcp.tls import IdentityContext, TlsConnection
from h3push.tcp.visits import ClientViews


def _visit_of(tls: ssl.SSLObject | None, request: TcpRequest, log: AccessLog) -> ClientViews | None:
    if not isinstance(tls, TlsConnection):
        return None
    if tls.visit is None:
        context = tls.context
        assert isinstance(context, IdentityContext)
        tls.visit = context.visits.of(request, log)
    return tls.visit


class TcpRow:
    """One row. Its page view is known by the connection's TLS; without, as behind a proxy, those columns stay empty.

    Args:
        log: takes the row.
        request: the request.
        tls: that of the connection.
        path: measures the path, for a page.
    """

    __slots__ = ("_began", "_log", "_name", "_path", "_place", "_request", "_since", "_thought")

    def __init__(
        self,
        log: AccessLog,
        request: TcpRequest,
        tls: ssl.SSLObject | None = None,
        path: Callable[[], PathMeasures | None] = lambda: None,
    ) -> None:
        self._log = log
        self._request = request
        self._began = datetime.now(UTC)
        self._since = asyncio.get_running_loop().time()
        self._thought: float | None = None
        self._name: str | None = None
        self._place: ViewPosition | None = None
        visit = _visit_of(tls, request, log)
        if visit is not None:
            self._name, self._place = visit.name, visit.views.place(request, None, self._since)
        is_page = self._place is not None and not self._place.position
        self._path = path() if is_page else None

    def began(self) -> None:
        """Note that the final header section is there."""
        self._thought = self._elapsed()

    def write(self, outcome: ResponseOutcome) -> None:
        """Write the row of a response that is over."""
        request = self._request
        host, port = request.client
        headers = request.headers
        row = Row(
            time=self._began,
            client=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            method=request.method,
            path=request.path,
            protocol=f"HTTP/{request.http_version}",
            status=request.status,
            bytes=request.bytes_sent,
            duration_ms=self._elapsed(),
            outcome=outcome.value,
            user_agent=headers.get("user-agent"),
            headers=headers,
            think_ms=self._thought,
            conditional="if-none-match" in headers or "if-modified-since" in headers,
        )
        self._add_view(row)
        self._log.write(row)

    def _add_view(self, row: Row) -> None:
        place, path = self._place, self._path
        if place is not None:
            row.connection, row.view, row.page = self._name, place.view.number, place.view.page
            row.position, row.since_page_ms = place.position, place.since_page * 1000
            if not place.position:
                row.warm = place.view.number > 1
        if path is not None:
            row.rtt_ms, row.window = path.rtt * 1000, path.window

    def _elapsed(self) -> float:
        return (asyncio.get_running_loop().time() - self._since) * 1000
