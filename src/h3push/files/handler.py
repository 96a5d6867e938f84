"""A directory as a handler of this server: each file, and with each page what it needs.

Theory of operation. What a directory answers is known when the request is there: no task, no scope and no events are needed to
send it. Planners are asked for whole pages alone: who has the page already (304) most likely has the rest too, and costs no scan.
What goes with a page is promised before its first byte: a promise that comes after the reference crosses the client's own request
on the way, and both are answered (RFC 9114 section 4.6 asks for this order). What is promised is sent behind the page; the core's
priorities see to that. A client that takes no pushes is told the same as 103 Early Hints.

A response is sent in the handler's call wherever that is possible. A task is for what has to wait: a push without a stream, a
page that is held open for credit, content above the high-water mark.

A directory says nothing of freshness, so all that a connection's holdings learn from a response is that it was asked for.
"""

import logging
from collections.abc import Awaitable
from http import HTTPStatus
from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr

from h3push.delivery.counters import PushTotals
from h3push.delivery.page import PageDelivery
from h3push.delivery.state import DeliveryState
from h3push.errors import LocalProtocolError, NoStreamCredit
from h3push.files.directory import Answer, Directory
from h3push.files.page_source import DirectoryPages
from h3push.http.content import FileContent
from h3push.http.fields import Fields
from h3push.http.headers import Headers
from h3push.plans.cache import PlanCache, PlanCacheSettings
from h3push.plans.page import PageScanSettings
from h3push.plans.plan import PushPlan
from h3push.plans.planner import Planner, ScanPlanner
from h3push.server.promised import PromisedPush
from h3push.server.request import Request
from h3push.server.response import Response

if TYPE_CHECKING:
    from h3push.control.controller import Controller

_OK = HTTPStatus.OK.value

logger = logging.getLogger("h3push.server")


@mypyc_attr(allow_interpreted_subclasses=True)
class DirectoryHandler:
    """Handler for `h3push.serve`: the files of a directory, and with each page what it needs.

    Arguments:
        directory: what to serve.
        scan_settings: bounds of a scan of a page; `None`: pages are not read for what they need.
        cache_settings: bounds of the plans that are kept, and of the time for scans.
        planners: further ways to tell what goes with a page, asked before the page itself is read.
        push_wait: seconds that a page is held open, after all of its content, for more push credit; 0: it is not.
        controller: decides which pushes pay; `None`: all that are known go out.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        scan_settings: PageScanSettings | None = PageScanSettings(),  # noqa: B008 - frozen
        cache_settings: PlanCacheSettings = PlanCacheSettings(),  # noqa: B008 - frozen
        planners: tuple[Planner, ...] = (),
        push_wait: float = 0.0,
        controller: "Controller | None" = None,
    ) -> None:
        self.directory = directory
        """The directory that is served."""
        self.delivery = DeliveryState(push_wait=push_wait, controller=controller)
        """State and counters of pushes and hints, over all connections."""
        self._given = planners
        self._pages: DirectoryPages | None = None
        self._scans: ScanPlanner | None = None
        if scan_settings is not None:
            self._pages = DirectoryPages(directory)
            self._scans = ScanPlanner(self._pages, scan_settings, cache_settings)
        if self._scans is not None:
            planners = (*planners, self._scans)
        self.planners: tuple[Planner, ...] = planners if controller is None else (*planners, controller.plan)
        """They tell what goes with a page, in this order."""

    @property
    def plans(self) -> PlanCache | None:
        """The plans of the pages; `None` when pages are not read."""
        return None if self._scans is None else self._scans.plans

    @property
    def totals(self) -> PushTotals:
        """Totals of the resources that pages needed, over all connections."""
        return PushTotals.of(self.delivery.counters, 0 if self._scans is None else self._scans.missing)

    def __call__(self, request: Request) -> Response | Awaitable[None] | None:
        """Answer one request; `None` when that is done."""
        if request.method == "CONNECT":
            return Response(HTTPStatus.NOT_IMPLEMENTED)  # a 2xx would open a tunnel
        answer = self.directory.answer(request)
        plans = self._plans(request) if answer.status == _OK else []
        delivery = self._begin_delivery(request, plans) if plans else None
        if delivery is None:
            self.delivery.asked(request)
        if self._send(request, answer, delivery):
            return None
        return self._send_waiting(request, answer, delivery)

    def at_hand(self, push: PromisedPush) -> Response | None:
        """The response to a promise of a small file with which nothing goes; `None` for all others, which take the way above."""
        path = push.path
        if self.delivery.controller is not None:  # it wants to see the request
            return None
        if push.head.method != b"GET" or (self._pages is not None and self._pages.is_page(path.partition("?")[0])):
            return None
        if self._given and any(planner(push.request) is not None for planner in self._given):
            return None
        answer = self.directory.answer_head("GET", path, push.head.fields)
        content = answer.content
        if answer.status != _OK or isinstance(content, FileContent):
            return None
        return Response.wrap(answer.status, answer.fields, content, answer.known)

    def _plans(self, request: Request) -> list[PushPlan]:
        if request.method != "GET":
            return []
        return [plan for planner in self.planners if (plan := planner(request)) is not None]

    def _begin_delivery(self, request: Request, plans: list[PushPlan]) -> PageDelivery:
        delivery = PageDelivery(request, self.delivery)
        for plan in plans:
            delivery.carry_out(plan)
        delivery.flush_hints()
        return delivery

    def _send(self, request: Request, answer: Answer, delivery: PageDelivery | None) -> bool:
        """Send a whole response, and account for it. False, and nothing done, when it has to wait."""
        if delivery is not None and delivery.waits_for_credit:
            return False
        sent, failed = False, True
        try:
            links = [] if delivery is None else delivery.link_fields(answer.fields)
            sent = (bool(links) and _sent_with_links(request, answer, links)) or _sent(request, answer, answer.fields)
            failed = False
        finally:
            if sent or failed:
                self._end(request, delivery, failed=failed)
        return sent

    async def _send_waiting(self, request: Request, answer: Answer, delivery: PageDelivery | None) -> None:
        """Send a response piece by piece, and hold it open for promises that wait for credit."""
        failed = True
        try:
            links = [] if delivery is None else delivery.link_fields(answer.fields)
            await _start(request, answer, links)
            hold = delivery is not None and delivery.waits_for_credit
            if isinstance(answer.content, FileContent):
                part = answer.content
                await request.send_file(part.path, part.offset, part.length, end_stream=not hold)
            else:
                await request.send(answer.content, end_stream=not hold)
            if delivery is not None and hold:
                await delivery.wait_for_credit()
                request.writer.write(b"", True)
            failed = False
        finally:
            self._end(request, delivery, failed=failed)

    def _end(self, request: Request, delivery: PageDelivery | None, *, failed: bool) -> None:
        if delivery is None:
            self.delivery.ended(request, failed=failed)
        else:
            delivery.ended(failed=failed)


async def _start(request: Request, answer: Answer, links: Fields) -> None:
    """Start a response with its Link fields, or without them where the client has no room for both."""
    if links:
        try:
            await request.start_response(answer.status, Headers.wrap(answer.fields + links))
        except LocalProtocolError:
            logger.debug("%r: no room for Link fields beside the file's own", request)
        else:
            return
    await request.start_response(answer.status, Headers.wrap(answer.fields))


def _sent_with_links(request: Request, answer: Answer, links: Fields) -> bool:
    try:
        return _sent(request, answer, answer.fields + links)
    except LocalProtocolError:
        logger.debug("%r: no room for Link fields beside the file's own", request)
        return False


def _sent(request: Request, answer: Answer, fields: Fields) -> bool:
    """Send a response if that is possible now: not without a stream, and not above the high-water mark."""
    if not isinstance(answer.content, FileContent):
        known = answer.known if fields is answer.fields else None
        return request.writer.respond_now(Response.wrap(answer.status, fields, answer.content, known))
    try:
        request.writer.begin(answer.status, fields, False)
    except NoStreamCredit:
        return False
    request.writer.write_file(answer.content, True)
    return True
