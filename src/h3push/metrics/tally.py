"""The figures of one process, on their way into its row of the page.

What the access log would write is counted as it comes; what the server counts anyway is copied from there now and then
(`sample`). So a server with metrics does the work of one with an access log, and no more.
"""

from bisect import bisect_left
from collections.abc import Mapping
from types import MappingProxyType

from h3push.delivery.counters import DeliveryCounters
from h3push.delivery.decision import Way
from h3push.h3.push.rules import PushRefusal
from h3push.metrics import families as known
from h3push.metrics.page import MetricsPage
from h3push.server.log_row import ResponseOutcome, Row
from h3push.server.server import Server
from h3push.server.views import ReportedPushes

_OTHER = "other"
_WIDTH = len(known.STATUSES)
_REQUESTS: Mapping[str, int] = MappingProxyType(
    {f"HTTP/{version}": known.REQUESTS.first + _WIDTH * n for n, version in enumerate(known.VERSIONS)}
)
_VERSION: Mapping[str, int] = MappingProxyType({f"HTTP/{version}": n for n, version in enumerate(known.VERSIONS)})
_PUSHED: Mapping[str, int] = MappingProxyType(
    {one.value: known.PUSHED.cell(one.name.lower()) for one in ResponseOutcome}
)
_BROKEN_OFF: Mapping[str, int] = MappingProxyType(
    {
        one.value: known.BROKEN_OFF.cell(one.name.lower())
        for one in ResponseOutcome
        if one is not ResponseOutcome.COMPLETE
    }
)
_OVER_TCP = ("1.1", "2")
_COMPLETE = ResponseOutcome.COMPLETE.value
_SUM = len(known.BUCKETS) + 1


class Tally:
    """Counts what one process does into its row.

    Arguments:
        page: the page of all processes.
        number: the row of this one.
        server: the server.
        delivery: the counts of what goes with its pages.
    """

    def __init__(self, page: MetricsPage, number: int, server: Server, delivery: DeliveryCounters) -> None:
        self._page = page
        self._number = number
        self._row = page.row(number)
        self._base = self._row.tolist()
        self._server = server
        self._delivery = delivery
        self._row[known.WORKERS.first] = 1.0
        self._row[known.WORKER_STARTS.first] += 1.0

    # what the access log tells

    def observe(self, row: Row) -> None:
        """A response is over."""
        cells = self._row
        if row.push_id is not None:
            cells[_PUSHED[row.outcome]] += row.bytes
            return
        version = row.protocol if row.protocol in _VERSION else f"HTTP/{_OTHER}"
        status = -1 if row.status is None or not 100 <= row.status < 600 else row.status - 100
        cells[_REQUESTS[version] + status % _WIDTH] += 1.0
        number = _VERSION[version]
        cells[known.CONTENT.first + number] += row.bytes
        if row.think_ms is not None:
            self._time(known.STARTS, number, row.think_ms / 1000)
        if row.outcome != _COMPLETE:
            cells[_BROKEN_OFF[row.outcome]] += 1.0
        else:
            self._time(known.DURATIONS, number, row.duration_ms / 1000)

    def reported(self, pushes: ReportedPushes) -> None:
        """A client said which pushes it used."""
        cells = self._row
        cells[known.REPORTED.first] += len(pushes.report.used)
        cells[known.REPORTED.first + 1] += len(pushes.report.unused)
        cells[known.REPORTED_BYTES.first] += pushes.used_bytes
        cells[known.REPORTED_BYTES.first + 1] += pushes.unused_bytes

    def _time(self, family: known.Family, number: int, seconds: float) -> None:
        first = family.first + family.width * number
        self._row[first + bisect_left(known.BUCKETS, seconds)] += 1.0
        self._row[first + _SUM] += seconds

    # what the server counts anyway

    def sample(self) -> None:
        """Copy the counts of the server into the row. Any thread may: it only reads numbers."""
        companion = self._server.companion
        over_tcp = {} if companion is None else companion.connections()
        for version in _OVER_TCP:
            self._row[known.CONNECTIONS.cell(version)] = over_tcp.get(version, 0)
        self._row[known.CONNECTIONS.cell("3")] = self._server.connections
        for cell, count in self._counts().items():
            self._row[cell] = self._base[cell] + count

    def _counts(self) -> dict[int, int]:
        counters, delivery = self._server.counters, self._delivery
        push = counters.push
        found = {
            known.HANDSHAKES.cell("completed"): counters.connections,
            known.HANDSHAKES.cell("failed"): counters.handshakes_failed,
            known.REFUSED.cell("rejected"): counters.rejected,
            known.REFUSED.cell("timed_out"): counters.timed_out,
            known.FAILURES.first: counters.failed,
            known.STALLED.first: counters.stalled,
            known.PROMISES.first: push.promised,
            known.PUSHES.cell("fulfilled"): push.fulfilled,
            known.PUSHES.cell("cancelled_by_server"): push.cancelled,
            known.PUSHES.cell("cancelled_by_client"): push.cancelled_by_peer,
            known.PUSHES.cell("failed"): push.failed,
            known.LEFT_OUT.first: delivery.left_out,
            known.HINTS.first: delivery.early_hints,
        }
        found.update((known.WAYS.first + n, delivery.ways[way]) for n, way in enumerate(Way))
        found.update((known.REFUSALS.first + n, delivery.refusals[one]) for n, one in enumerate(PushRefusal))
        return found

    def close(self) -> None:
        """Copy for the last time; the process serves no more."""
        self.sample()
        self._page.clear_gauges(self._number)
