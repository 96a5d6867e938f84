"""The emulated origin: it answers with as many bytes as the site says, after as long as the site says, in one way of delivery."""

import asyncio
from collections.abc import Awaitable, Sequence

from h3push.delivery.decision import Moment
from h3push.delivery.page import PageDelivery
from h3push.delivery.state import DeliveryState
from h3push.http.fields import Field
from h3push.lab.site import Site
from h3push.lab.ways import LabWay
from h3push.plans.plan import PushPlan
from h3push.server.request import Request
from h3push.server.response import Response

WARM_UP_PATH = "/.well-known/h3push-lab-warm-up"
"""A file that warms a connection: a page has no such resource."""
WARM_UP_BYTES = 250_000
"""Its size."""


class OriginHandler:
    """Handler for the emulated server.

    Args:
        site: what to serve.
        way: how what goes with the page is delivered.
        plan: what goes with the page.
    """

    def __init__(self, site: Site, way: LabWay, plan: PushPlan) -> None:
        self._site = site
        self._way = way
        self._plan = plan
        self._delivery = DeliveryState()
        self._answers = {path: (size, 0.0) for path, size in site.others.items()}
        self._answers |= {one.path: (one.size, one.thinking) for one in site.resources}
        self._answers[WARM_UP_PATH] = (WARM_UP_BYTES, 0.0)

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer one request."""
        if request.path == self._site.path:
            return self._page(request)
        answer = self._answers.get(request.path)
        if answer is None:
            return Response(404)
        size, thinking = answer
        return _later(size, thinking) if thinking else _response(size)

    async def _page(self, request: Request) -> Response:
        delivery = PageDelivery(request, self._delivery)
        if self._way is LabWay.PRELOAD:
            delivery.carry_out(self._plan, moment=Moment.START)
        else:
            delivery.carry_out_early(self._plan)
        if self._site.thinking:
            await asyncio.sleep(self._site.thinking)
        response = _response(self._site.size, delivery.link_fields(()))
        delivery.ended(failed=False)
        return response


async def _later(size: int, thinking: float) -> Response:
    await asyncio.sleep(thinking)
    return _response(size)


def _response(size: int, links: Sequence[Field] = ()) -> Response:
    fields = [(b"content-type", b"application/octet-stream"), (b"cache-control", b"max-age=86400"), *links]
    return Response(200, fields, bytes(size))
