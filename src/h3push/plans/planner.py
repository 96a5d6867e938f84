"""Planners: they tell what goes with a page when it is asked for."""

import logging
from collections.abc import Callable
from dataclasses import replace

from h3push.plans.cache import PageSource, PlanCache, PlanCacheSettings
from h3push.plans.page import PageScanSettings
from h3push.plans.plan import PlannedResource, PushPlan
from h3push.runtime.notices import Notices
from h3push.server.request import Request

logger = logging.getLogger("h3push.server")

Planner = Callable[[Request], PushPlan | None]
"""Tells what goes with a page, from its request alone: a manifest, a scan of the file that will be sent."""


class ScanPlanner:
    """Tells what goes with a page from the page itself.

    Only the authority of a connection's first request has its pages read: paths of another one are other resources, and a scan
    for each name that a client makes up would be cheap for the client and dear for us.

    Arguments:
        source: where the pages are: a directory, a proxy's cache.
        scan_settings: bounds of a scan.
        cache_settings: bounds of the plans that are kept, and of the time for scans.
    """

    def __init__(
        self,
        source: PageSource,
        scan_settings: PageScanSettings = PageScanSettings(),  # noqa: B008 - frozen
        cache_settings: PlanCacheSettings = PlanCacheSettings(),  # noqa: B008 - frozen
    ) -> None:
        self.plans = PlanCache(source, scan_settings, cache_settings)
        """The plans of the pages that were asked for."""
        self.missing = 0
        """Resources that pages name and that are not there, counted at each request."""
        self._source = source
        self._notices = Notices(logger)

    def __call__(self, request: Request) -> PushPlan | None:
        """The plan of a page, without what is not there; `None` for anything but a page."""
        authority: str = request.tied.setdefault(self, request.authority)
        path = request.path.partition("?")[0]
        if authority != request.authority or not self._source.is_page(path):
            return None
        plan = self.plans.plan(f"https://{authority}{path}")
        if plan is None:
            return None
        there = tuple(one for one in plan.resources if self._source.is_there(one.path))
        if len(there) == len(plan.resources):
            return plan
        self.missing += len(plan.resources) - len(there)
        self._tell_of_missing(plan, there)
        return replace(plan, resources=there)

    def _tell_of_missing(self, plan: PushPlan, there: tuple[PlannedResource, ...]) -> None:
        for one in plan.resources:
            if one not in there:
                self._notices.warn("%s names %s, which is not there", one.named_in, one.path)
