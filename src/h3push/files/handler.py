"""A directory as a handler of this server: every file is answered in the handler's call.

Theory of operation. What a directory answers is known when the request is there: no task, no scope and no events are needed to
send it, and a page is on its way before anything that is pushed with it. Planners are asked for whole pages alone: who has the
page already (304) most likely has the rest too, and costs no scan. Only what has to wait goes the way of every ASGI
application (`DirectoryApp`): a push without a stream, a page that is held open for credit, content above the high-water mark.

Both ways give the same response, for `Directory` decides it for both. A directory says nothing of freshness, so all that a
connection's memory learns from a response is that it was asked for.
"""

import logging
from collections.abc import Awaitable
from http import HTTPStatus

from h3push.asgi.handler import ASGIHandler, ASGISettings, Planner
from h3push.delivery.page import PageDelivery
from h3push.errors import LocalProtocolError, NoStreamCredit
from h3push.files.app import DirectoryApp
from h3push.files.directory import Answer, Directory
from h3push.http.content import FileContent
from h3push.http.fields import Fields
from h3push.http.headers import Headers
from h3push.plans.plan import PushPlan
from h3push.server.request import Request
from h3push.server.response import Response

logger = logging.getLogger("h3push.server")


class DirectoryHandler(ASGIHandler):
    """Handler for `h3push.serve`: the files of a directory, and with each of them what planners name.

    Arguments:
        directory: what to serve.
        planners: tell what goes with a page.
        promise_wait: `ASGISettings.push_wait`, seconds.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        planners: tuple[Planner, ...] = (),
        promise_wait: float = 0.0,
    ) -> None:
        settings = ASGISettings(planners=planners, push_wait=promise_wait)
        super().__init__(DirectoryApp(directory), settings)
        self.directory = directory
        """What is served."""

    # `None` tells this server that the response was sent; where an application runs there is no such result.
    def __call__(self, request: Request) -> Response | Awaitable[None] | None:  # type: ignore[override]
        """Answer one request."""
        if request.method == "CONNECT":
            return super().__call__(request)
        answer = self.directory.answer(request)
        plans = self._plans(request) if answer.status == HTTPStatus.OK else []
        delivery = self._begin_delivery(request, plans) if plans else None
        if delivery is None:
            self.delivery.asked(request)
        if self._send(request, answer, delivery):
            return None
        return self._run(request, delivery or self.delivery.page(request))

    def _plans(self, request: Request) -> list[PushPlan]:
        if request.method != "GET":
            return []
        return [plan for planner in self.settings.planners if (plan := planner(request)) is not None]

    def _begin_delivery(self, request: Request, plans: list[PushPlan]) -> PageDelivery:
        delivery = self.delivery.page(request)
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
            links = [] if delivery is None else delivery.hints.link_fields(answer.fields)
            sent = (bool(links) and _sent_with_links(request, answer, links)) or _sent(request, answer, answer.fields)
            failed = False
        finally:
            if sent or failed:
                if delivery is None:
                    self.delivery.ended(request, failed=failed)
                else:
                    delivery.ended(failed=failed)
        return sent


def _sent_with_links(request: Request, answer: Answer, links: Fields) -> bool:
    try:
        return _sent(request, answer, answer.fields + links)
    except LocalProtocolError:
        logger.debug("%r: no room for Link fields beside the file's own", request)
        return False


def _sent(request: Request, answer: Answer, fields: Fields) -> bool:
    """Send a response if that is possible now: not without a stream, and not above the high-water mark."""
    if not isinstance(answer.content, FileContent):
        return request.writer.respond_now(Response(answer.status, Headers.wrap(fields), answer.content))
    try:
        request.writer.begin(answer.status, fields, False)
    except NoStreamCredit:
        return False
    request.writer.write_file(answer.content, True)
    return True
