"""The port at which the figures can be read, in the formats of Prometheus and OpenMetrics.

Theory of operation. Each worker listens on the one socket, and whichever takes a connection answers for all: it has the page.
One thread serves one reader at a time, and between two readers copies the server's counts into the page, so that neither costs
the event loop a turn and a blocked handler hides nothing. A reader that says nothing is dropped after `READ_TIMEOUT`.
"""

import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from itertools import accumulate
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from h3push.metrics.families import BUCKETS, FAMILIES, PREFIX, Family, Kind
from h3push.metrics.page import MetricsPage
from h3push.metrics.tally import Tally

logger = logging.getLogger("h3push.server")

SAMPLE_INTERVAL = 0.5
"""Seconds between two copies of the server's counts; what a killed process can lose of them."""
READ_TIMEOUT = 5.0
"""Seconds that a reader may be silent."""
_BOUNDS = (*(f"{bound:g}" for bound in BUCKETS), "+Inf")


class PageCollector(Collector):
    """The page's sums as metrics of prometheus-client."""

    def __init__(self, page: MetricsPage, tally: Tally | None) -> None:
        self._page = page
        self._tally = tally

    def describe(self) -> Iterable[Metric]:
        """The families without their figures, so that nothing is read when this is registered."""
        return [_empty(family) for family in FAMILIES]

    def collect(self) -> Iterator[Metric]:
        """Sum up all processes."""
        if self._tally is not None:
            self._tally.sample()
        totals = self._page.totals()
        for family in FAMILIES:
            yield _filled(family, totals)


def _empty(family: Family) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    name, labels = PREFIX + family.name, family.labels
    if family.kind is Kind.HISTOGRAM:
        return HistogramMetricFamily(name, family.help, labels=labels)
    if family.kind is Kind.GAUGE:
        return GaugeMetricFamily(name, family.help, labels=labels)
    return CounterMetricFamily(name, family.help, labels=labels)


def _filled(family: Family, totals: list[float]) -> Metric:
    metric, width = _empty(family), family.width
    for number, values in enumerate(family.series):
        first = family.first + width * number
        cells = totals[first : first + width]
        if family.sparse and not any(cells):
            continue
        if isinstance(metric, HistogramMetricFamily):
            buckets = list(zip(_BOUNDS, accumulate(cells[:-1]), strict=True))
            metric.add_metric(values, buckets, cells[-1])
        else:
            metric.add_metric(values, cells[0])
    return metric


class _Reader(WSGIRequestHandler):
    """One reader's connection."""

    timeout = READ_TIMEOUT

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Log nothing: readers come every few seconds."""


class _Port(WSGIServer):
    """Serves on a socket that listens already, and copies the server's counts in between."""

    def __init__(self, listening: socket.socket, page: MetricsPage, tally: Tally) -> None:
        super().__init__(listening.getsockname()[:2], _Reader, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()[:2]
        self.setup_environ()
        registry = CollectorRegistry()
        registry.register(PageCollector(page, tally))
        self.set_app(make_wsgi_app(registry))
        self._tally = tally

    def service_actions(self) -> None:
        """Copy the counts: called by the base class after each wait."""
        self._tally.sample()

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader went away, most likely."""
        logger.debug("%s: the metrics could not be sent", client_address, exc_info=True)


class MetricsListener:
    """The thread that answers readers.

    Arguments:
        listening: a socket that listens and does not block; it is this one's from now on.
        page: the figures of all processes.
        tally: those of this process.
    """

    def __init__(self, listening: socket.socket, page: MetricsPage, tally: Tally) -> None:
        self._port = _Port(listening, page, tally)
        self._tally = tally
        self._thread = threading.Thread(
            target=self._port.serve_forever, args=(SAMPLE_INTERVAL,), name="h3push metrics", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and count for the last time. Blocks for `SAMPLE_INTERVAL` at most, or for the reader that is being served."""
        self._port.shutdown()
        self._thread.join()
        self._port.server_close()
        self._tally.close()
