"""The families of metrics, and the cell of each series in a process's row of the page.

Theory of operation. Every series that there can be is known beforehand: versions, statuses, outcomes, reasons. So each has a cell
of its own in a row of numbers, and the row of one process can be added to that of another without a word between them.
A histogram has one cell for each bucket, not cumulated, and one for the sum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

from h3push.delivery.decision import Way
from h3push.h3.push.rules import PushRefusal
from h3push.server.log_row import ResponseOutcome

PREFIX = "h3push_"
"""In front of each name."""
VERSIONS = ("1.0", "1.1", "2", "3", "other")
"""Versions of HTTP, as the label `version` has them."""
STATUSES = (*map(str, range(100, 600)), "none")
"""Statuses as labels; "none" is a response that never began."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram's buckets, in seconds: from a file on this machine to a handler that nobody waits for any more."""


class Kind(Enum):
    """The kind of a metric."""

    COUNTER = "counter"
    """It only grows."""
    GAUGE = "gauge"
    """A state of a process, which ends with it."""
    HISTOGRAM = "histogram"
    """Durations, by bucket."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all of its series."""

    name: str
    """The name, without `PREFIX` and without the `_total` of a counter."""
    kind: Kind
    """How it behaves."""
    help: str
    """One sentence."""
    labels: tuple[str, ...]
    """Names of the labels."""
    series: tuple[tuple[str, ...], ...]
    """Values of the labels, for each series."""
    first: int
    """The cell of the first series; the others follow."""
    sparse: bool = False
    """True when a series that counted nothing is not shown."""

    @property
    def width(self) -> int:
        """Cells of one series."""
        return len(BUCKETS) + 2 if self.kind is Kind.HISTOGRAM else 1

    @property
    def end(self) -> int:
        """The first cell behind it."""
        return self.first + self.width * len(self.series)

    def cell(self, *values: str) -> int:
        """The (first) cell of a series."""
        return self.first + self.width * self.series.index(values)


FAMILIES: list[Family] = []
"""All of them, in the order in which they are shown."""


def _family(name: str, kind: Kind, sentence: str, *, sparse: bool = False, **labels: Iterable[str]) -> Family:
    first = FAMILIES[-1].end if FAMILIES else 0
    series = tuple(product(*(tuple(values) for values in labels.values())))
    FAMILIES.append(Family(name, kind, sentence, tuple(labels), series, first, sparse))
    return FAMILIES[-1]


def names_of(members: Iterable[Enum]) -> list[str]:
    """The labels that members of an enumeration have."""
    return [member.name.lower() for member in members]


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

REQUESTS = _family("requests", _COUNTER, "Requests whose response is over, pushes apart.", sparse=True,
                   version=VERSIONS, status=STATUSES)  # fmt: skip
STARTS = _family(
    "response_start_seconds", _HISTOGRAM, "From a request to the start of its final response.", version=VERSIONS
)
DURATIONS = _family("response_duration_seconds", _HISTOGRAM, "From a request to the end of its complete response.",
                    version=VERSIONS)  # fmt: skip
CONTENT = _family("response_bytes", _COUNTER, "Content of responses, pushes apart.", version=VERSIONS)
BROKEN_OFF = _family("responses_broken_off", _COUNTER, "Responses that were not completed, pushes apart, by the reason.",
                     outcome=names_of(one for one in ResponseOutcome if one is not ResponseOutcome.COMPLETE))  # fmt: skip

HANDSHAKES = _family("handshakes", _COUNTER, "HTTP/3 handshakes.", outcome=("completed", "failed"))
CONNECTIONS = _family(
    "connections", _GAUGE, "Connections that are open, by what they speak.", version=("1.1", "2", "3")
)
REFUSED = _family("requests_refused", _COUNTER, "Requests that no handler saw.", reason=("rejected", "timed_out"))
FAILURES = _family("handler_failures", _COUNTER, "Handlers that raised, or whose response was given up.")
STALLED = _family("responses_stalled", _COUNTER, "Responses that were reset, for their client did not take them.")

PROMISES = _family("pushes_promised", _COUNTER, "Promises made.")
PUSHES = _family("pushes", _COUNTER, "Pushes that are over, by outcome.",
                 outcome=("fulfilled", "cancelled_by_server", "cancelled_by_client", "failed"))  # fmt: skip
PUSHED = _family("pushed_bytes", _COUNTER, "Content of pushed responses that went out; all but complete ones is wasted.",
                 outcome=names_of(ResponseOutcome))  # fmt: skip
REPORTED = _family("pushes_reported", _COUNTER, "Pushes that clients reported on (Push-Report); a used one saved a request.",
                   use=("used", "unused"))  # fmt: skip
REPORTED_BYTES = _family("pushed_bytes_reported", _COUNTER, "Content of these pushes: saved, or wasted.",
                         use=("used", "unused"))  # fmt: skip
REFUSALS = _family(
    "push_refusals", _COUNTER, "Resources that were not pushed, by the reason.", reason=names_of(PushRefusal)
)
WAYS = _family("resources", _COUNTER, "Resources that go with pages, by the way they took.", way=names_of(Way))
LEFT_OUT = _family("resources_left_out", _COUNTER, "Resources over the bound of one page.")
HINTS = _family("early_hints", _COUNTER, "103 responses sent.")

WORKERS = _family("workers", _GAUGE, "Processes that serve.")
WORKER_STARTS = _family("worker_starts", _COUNTER, "Processes that began to serve.")

CELLS = FAMILIES[-1].end
"""Cells of a row."""


def cells(families: Sequence[Family]) -> list[int]:
    """Every cell of some families."""
    return [cell for family in families for cell in range(family.first, family.end)]
