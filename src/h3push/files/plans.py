"""A directory that pushes: a request for a page promises what the page needs, before the page's first byte.

Why before: a promise that comes after the reference crosses the client's own request on the way, and both are answered (RFC
9114 section 4.6 asks for this order). What is promised is sent behind the page; the core's priorities see to that. A client that
takes no pushes is told the same as 103 Early Hints.

The directory itself is a handler of its own; what is special here is the planner, which reads the page and its style sheets to
tell what goes with it. What is never promised: what is not there, what this connection was given already, and anything for a
request that does not get the whole page (304: the client has it, and most likely the rest too).
"""

import logging
import os
from dataclasses import dataclass, replace

from h3push.asgi.handler import Planner
from h3push.delivery.decision import DeliveryCounters, Way, WhyNot
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.files.media_types import HTML, media_type
from h3push.files.notices import Notices
from h3push.files.paths import INDEX, version_of
from h3push.plans.cache import PlanCache, Stamp
from h3push.plans.page import PageScanSettings
from h3push.plans.plan import PlannedResource, PushPlan
from h3push.server.request import Request

logger = logging.getLogger("h3push.server")


class DirectoryPages:
    """The pages of a directory, to be planned for (a `PageSource`)."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def stamp(self, path: str) -> Stamp | None:
        """The present state of a file."""
        found = self._directory.find(path)
        return None if found is None else Stamp(found.version, found.size)

    def read(self, path: str, limit: int, known: Stamp | None = None) -> tuple[Stamp, bytes | None] | None:
        """A file's state, and its first bytes. `None` when it cannot be read, too: then nothing is pushed."""
        found = self._directory.find_afresh(path)
        if found is None:
            return None
        try:
            with open(found.path, "rb", buffering=0) as opened:  # noqa: PTH123 - three times as cheap as by Path
                status = os.fstat(opened.fileno())
                stamp = Stamp(version_of(status), status.st_size)
                return stamp, None if stamp == known else opened.read(min(limit, stamp.size))
        except OSError:
            return None


class ScanPlanner:
    """Tells what goes with a page of a directory, from the page itself.

    Only the authority of a connection's first request has its pages read: paths of another one are other resources, and a scan
    for each name that a client makes up would be cheap for the client and dear for us.
    """

    def __init__(self, directory: Directory, settings: PageScanSettings) -> None:
        self.plans = PlanCache(DirectoryPages(directory), settings)
        """What the pages need."""
        self.missing = 0
        """Resources that pages name and that are not there."""
        self._notices = Notices(logger)
        self._directory = directory

    def __call__(self, request: Request) -> PushPlan | None:
        """The plan of a page; `None` for what is no page, or is asked for in part."""
        authority: str = request.connection.tied.setdefault(self, request.authority)
        path = request.path.partition("?")[0]
        name = path.rpartition("/")[2] or INDEX
        if authority != request.authority or media_type(name) != HTML or "range" in request.headers:
            return None
        plan = self.plans.plan(f"https://{authority}{path}")
        if plan is None:
            return None
        there = tuple(one for one in plan.resources if self._directory.find(one.path) is not None)
        missing = len(plan.resources) - len(there)
        self.missing += missing
        if missing:
            self._tell_of_missing(plan, there)
        return replace(plan, resources=there) if missing else plan

    def _tell_of_missing(self, plan: PushPlan, there: tuple[PlannedResource, ...]) -> None:
        for one in plan.resources:
            if one not in there:
                self._notices.warn("%s names %s, which is not there", one.named_in, one.path)


class PushingDirectory(DirectoryHandler):
    """Handler for `h3push.serve`: the files of a directory, and with each page what it needs.

    Arguments:
        directory: what to serve.
        scan_settings: bounds of a scan.
        promise_wait: `ASGISettings.push_wait`, seconds.
        planners: further ways to tell what goes with a page, asked before the page itself is read.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        scan_settings: PageScanSettings = PageScanSettings(),  # noqa: B008 - frozen
        promise_wait: float = 0.0,
        planners: tuple[Planner, ...] = (),
    ) -> None:
        self._planner = ScanPlanner(directory, scan_settings)
        super().__init__(directory, planners=(*planners, self._planner), promise_wait=promise_wait)
        self.plans = self._planner.plans
        """What the pages need."""

    @property
    def totals(self) -> "PushTotals":
        """What became of the resources that pages needed, over all connections."""
        return PushTotals.of(self.delivery.counters, self._planner.missing)


@dataclass(frozen=True, slots=True)
class PushTotals:
    """What became of the resources that requested pages needed, over all connections."""

    promised: int
    """Promises sent."""
    refused: int
    """Not promised: the client gave no credit for it, or is going away."""
    given_before: int
    """Not promised: this connection has it already."""
    missing: int
    """Not promised: the page names it, and there is no such file."""
    left_out: int
    """Not promised: over the bound on resources of one page."""
    hinted: int
    """Named in a 103 or a Link field instead."""

    @classmethod
    def of(cls, counters: DeliveryCounters, missing: int) -> "PushTotals":
        """The totals of a server, from what its deliveries counted."""
        return cls(
            promised=counters.ways[Way.PUSH],
            refused=sum(counters.refusals[one] for one in (WhyNot.NO_CREDIT, WhyNot.LIMIT, WhyNot.GOING_AWAY)),
            given_before=counters.refusals[WhyNot.HAS_IT],
            missing=missing,
            left_out=counters.left_out,
            hinted=counters.ways[Way.EARLY_HINT] + counters.ways[Way.LINK],
        )
