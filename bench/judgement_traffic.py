"""The traffic of `bench/judgement.py`: clients that visit a site in one way of delivery, on the real stack in virtual time.

The clients are those of `h3push lab`, with a cache that lives longer than a connection. They know nothing of how the server
decides: they ask for what a view needs and they do not have, refuse promises of what they have, call off what they did not need,
and report on a further page what they used.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from judgement_sites import Pages

from h3push.client.response import ReceivedPush
from h3push.control.controller import Controller
from h3push.delivery.page import PageDelivery
from h3push.delivery.state import DeliveryState
from h3push.lab.emulation import HOST, AccessLink
from h3push.lab.origin_server import WARM_UP_BYTES, WARM_UP_PATH
from h3push.lab.site import Site
from h3push.lab.visit import Arrival, SiteVisit
from h3push.plans.links import planned
from h3push.plans.plan import PlanSource, PushPlan
from h3push.runtime.settings import ClientSettings, ServerSettings
from h3push.server.request import Request
from h3push.server.response import Response
from h3push.testing.identity import Identity, make_identity
from h3push.testing.virtual import run_virtual
from h3push.testing.world import World

WAYS = ("no push", "103", "push everything", "static manifest", "Jetty's referer learning", "learned")
LIKELY = 0.5
"""Share of views from which on a static manifest names a resource, as its author would."""
JETTY_PERIOD = 4.0
"""Seconds after a page in which Jetty's PushCacheFilter associates a request with it (`associatePeriod`)."""
JETTY_MOST = 16
"""Resources that it associates with a page at most (`maxAssociations`)."""
_CLIENT = ClientSettings(connect_timeout=None, read_timeout=None, response_timeout=None, request_timeout=None)


@cache
def identity() -> Identity:
    return make_identity([HOST])


@dataclass
class Origin:
    """The server's side: a handler that answers with as many bytes as the site says, in one way of delivery."""

    pages: Pages
    way: str
    controller: Controller | None = None
    associated: dict[str, dict[str, None]] = field(default_factory=dict)
    """Jetty's: by page, what was asked for after it."""

    def __post_init__(self) -> None:
        self.delivery = DeliveryState(controller=self.controller)
        self.latest: tuple[str, float] = ("", 0.0)
        self.promised: list[Any] = []
        self.manifest: dict[str, PushPlan] = {}
        self.deploy(self.pages, with_manifest=True)

    def deploy(self, pages: Pages, *, with_manifest: bool) -> None:
        """Serve this site from now on. A static manifest is made anew with it, or forgotten, as people do."""
        self.pages = pages
        self.by_path = {page.path: page for page in pages.pages}
        self.sizes = {one.path: one for page in pages.pages for one in page.resources}
        if with_manifest:
            self.manifest = {page.path: self._plan(page, LIKELY) for page in pages.pages}
        self.everything = {page.path: self._plan(page, 0.0) for page in pages.pages}

    def _plan(self, page: Site, least: float) -> PushPlan:
        named = [one for one in page.resources if self.pages.chances.get(one.path, 1.0) >= least]
        ordered = sorted(named, key=lambda one: one.stage)
        return PushPlan(page.path, PlanSource.MANIFEST, tuple(one.planned() for one in ordered))

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        page = self.by_path.get(request.path)
        if page is not None:
            return self._page(request, page)
        delivery = PageDelivery(request, self.delivery)
        if request.path == WARM_UP_PATH:
            return self._response(WARM_UP_BYTES)
        if request.fulfils is None:
            self._associate(request)
        found = self.sizes.get(request.path)
        if found is None:
            return Response(404)
        delivery.answered(200, self._fields)
        return self._response(found.size)

    def _associate(self, request: Request) -> None:
        page, at = self.latest
        known = self.associated.setdefault(page, {})
        if asyncio.get_running_loop().time() - at <= JETTY_PERIOD and len(known) < JETTY_MOST:
            known[request.path] = None

    async def _page(self, request: Request, page: Site) -> Response:
        delivery = PageDelivery(request, self.delivery)
        for plan in self._plans(request, page):
            for one in delivery.carry_out(plan):
                if one.push is not None:
                    self.promised.append(one.push)
        delivery.flush_hints()
        self.latest = (page.path, asyncio.get_running_loop().time())
        if page.thinking:
            await asyncio.sleep(page.thinking)
        delivery.answered(200, self._fields)
        response = self._response(page.size, delivery.link_fields(()))
        delivery.ended(failed=False)
        return response

    def _plans(self, request: Request, page: Site) -> list[PushPlan]:
        if self.way == "no push":
            return []
        if self.way == "push everything":
            return [self.everything[page.path]]
        if self.way == "Jetty's referer learning":
            conditional = "if-none-match" in request.headers
            known = () if conditional else tuple(self.associated.get(page.path, ()))
            return [PushPlan(page.path, PlanSource.LINK, tuple(planned(path, None, page.path) for path in known))]
        if self.way == "learned":
            assert self.controller is not None
            learned = self.controller.plan(request)
            return [self.manifest[page.path], *([learned] if learned is not None else [])]
        return [self.manifest[page.path]]

    def _response(self, size: int, links: Sequence[Any] = ()) -> Response:
        return Response(200, [*self._fields, *links], bytes(size))

    @property
    def _fields(self) -> list[tuple[bytes, bytes]]:
        """What is true of these clients: that they keep an answer for a day, or not at all."""
        kept = b"max-age=86400" if self.pages.is_cached else b"no-cache"
        return [(b"content-type", b"application/octet-stream"), (b"cache-control", kept)]


@dataclass
class Seen:
    """One page view, at its client."""

    path: str
    complete: float
    """Seconds until everything was there."""
    content: int
    """Bytes that it needed and did not have."""
    promised: int = 0
    used: int = 0
    wasted: int = 0
    """Bytes of pushes that it did not use, as far as the server handed them to QUIC."""
    arm: str | None = None


@dataclass
class Client:
    """One client: its link, and a cache that outlives its connections."""

    round_trip: float
    rate: int
    takes_pushes: bool = True
    cached: set[str] = field(default_factory=set)
    is_known: bool = False


async def visit_pages(
    world: World, origin: Origin, client: Client, views: Sequence[Site], *, warm: bool = False, gap: float = 3.0
) -> list[Seen]:
    """One connection: the views one after the other."""
    state: dict[str, Any] = {"visit": None}
    ids: dict[str, int] = {}

    def promised(push: ReceivedPush) -> bool:
        visit: SiteVisit = state["visit"]
        ids[push.request.path] = push.push_id
        return visit.promised(push)

    most = 100 if client.takes_pushes else None
    seen: list[Seen] = []
    async with world.connect(max_pushes=most, on_push=promised if client.takes_pushes else None) as connection:
        report = ""
        if warm:
            pipe = client.rate / 8 * client.round_trip
            count = math.ceil(4 * min(pipe, 400_000) / WARM_UP_BYTES)
            await asyncio.gather(*(_read(connection) for _ in range(count)))
            await asyncio.sleep(gap)
        for site in views:
            ids.clear()
            origin.promised.clear()
            fields = [("accept", "text/html")]
            if site.path in client.cached:
                fields.append(("if-none-match", '"an-older-one"'))
            if origin.pages.has_cookies and client.is_known:
                fields.append(("cookie", "visitor=1"))
            if report:
                fields.append(("push-report", report))
            visit = state["visit"] = SiteVisit(site, frozenset(client.cached), fields)
            result = await visit.load(connection, world.now)
            await asyncio.sleep(max(gap, 4 * client.round_trip))
            used = {one.path for one in result.resources if one.arrival is Arrival.PUSHED}
            needed = [one for one in result.resources if one.arrival is not Arrival.CACHED]
            wasted = sum(push.bytes_sent for push in origin.promised if push.path not in used)
            seen.append(Seen(site.path, result.complete, sum(one.size for one in needed), len(ids), len(used), wasted))
            claimed = " ".join(str(number) for path, number in ids.items() if path in used)
            others = " ".join(str(number) for path, number in ids.items() if path not in used)
            report = f"used=({claimed}), unused=({others})" if ids else ""
            client.is_known = True
            if origin.pages.is_cached:
                client.cached |= {site.path, *(one.path for one in result.resources)}
    return seen


async def _read(connection: Any) -> None:
    await (await connection.get(WARM_UP_PATH)).read()


def session(
    origin: Origin, client: Client, views: Sequence[Site], *, hold_out: float = 0.0, seed: int = 0, **how: Any
) -> list[Seen]:
    """One connection in a world of its own."""
    link = AccessLink(round_trip=client.round_trip, rate=client.rate).settings()
    if origin.controller is not None:
        origin.delivery.draw = Random(f"arm {seed}").random

    async def run() -> list[Seen]:
        world = World(
            origin,
            host=HOST,
            link=link,
            seed=seed,
            identity=identity(),
            server_settings=ServerSettings(push_hold_out=hold_out),
            client_settings=_CLIENT,
            connected=False,
        )
        async with world:
            found = await visit_pages(world, origin, client, views, **how)
            if origin.controller is not None:
                origin.controller.close()
            return found

    return run_virtual(run)


Progress = Callable[[int, int], None]
LINKS = tuple((trip, rate) for trip in (0.02, 0.1, 0.3) for rate in (5_000_000, 50_000_000))
"""Round trips in seconds and rates in bits per second, of traffic and of cells."""


def traffic(
    origin: Origin, count: int, *, seed: int, hold_out: float = 0.03, deploy_at: int | None = None
) -> list[Seen]:
    """So many page views by a mixed crowd: half of the connections are of clients that were there before."""
    random = Random(f"crowd {seed}")
    crowd: list[Client] = []
    seen: list[Seen] = []
    pages = origin.pages
    while len(seen) < count:
        if deploy_at is not None and len(seen) >= deploy_at:
            pages, deploy_at = pages.renamed(), None
            origin.deploy(pages, with_manifest=False)
        if crowd and random.random() < 0.5:
            client = random.choice(crowd)
        else:
            client = Client(*random.choice(LINKS), takes_pushes=origin.way not in {"no push", "103"})
            crowd = [*crowd[-200:], client]
        chosen = [random.choice(pages.pages) for _ in range(random.choice([1, 1, 2, 3, 4]))]
        views = [pages.view(page, random) for page in chosen]
        try:
            seen += session(origin, client, views, hold_out=hold_out, seed=len(seen))
        except KeyError as error:
            raise RuntimeError(f"the site has no {error}") from error
    return seen[:count]
