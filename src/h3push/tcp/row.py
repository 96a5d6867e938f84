"""The access log's row of a response over TCP: written once, by whoever comes to know first how it ended."""

import asyncio
from datetime import UTC, datetime

from h3push.server.access_log import AccessLog
from h3push.server.log_row import Outcome, Row
from h3push.tcp.request import TcpRequest


class TcpRow:
    """One row. What a page view is, and what the path measured, nobody tells us of TCP: those columns stay empty."""

    __slots__ = ("_began", "_log", "_request", "_since", "_thought")

    def __init__(self, log: AccessLog, request: TcpRequest) -> None:
        self._log = log
        self._request = request
        self._began = datetime.now(UTC)
        self._since = asyncio.get_running_loop().time()
        self._thought: float | None = None

    def began(self) -> None:
        """Note that the final header section is there."""
        self._thought = self._elapsed()

    def write(self, outcome: Outcome) -> None:
        """Write the row of a response that is over."""
        request = self._request
        host, port = request.client
        headers = request.headers
        self._log.write(
            Row(
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
        )

    def _elapsed(self) -> float:
        return (asyncio.get_running_loop().time() - self._since) * 1000
