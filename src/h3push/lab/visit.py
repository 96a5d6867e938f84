"""A visit of a site: a client that asks for what the page needs when a browser would, takes pushes and heeds hints.

Theory of operation. Each resource has a task. It waits until the page has got far enough to name the resource, or until all
that names it is there, works for the resource's delay, and then needs it. What is needed and not in the cache is asked for,
unless it is on its way: pushed, or asked for since a hint named it. A resource is *ready* when it has arrived and is needed,
whichever comes last; only then is what it names known. A promise for what is in the cache, or was asked for already, is
refused in the moment that it comes.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from h3push.client.connection import ClientConnection
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.errors import PushCancelled
from h3push.h3.events import InformationalResponseReceived
from h3push.http.links import FieldInjectionError, parse_links
from h3push.lab.page_load import PAGE_PRIORITY
from h3push.lab.site import Site, SiteResource
from h3push.plans.plan import Stage


class Arrival(Enum):
    """How a resource came to the client."""

    REQUESTED = "requested"
    """It was found on the page, and asked for."""
    HINTED = "hinted"
    """A Link field named it, and it was asked for."""
    PUSHED = "pushed"
    """The server pushed it."""
    CACHED = "cached"
    """The client had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitedResource:
    """One resource of a visit; times in seconds since the visit began."""

    path: str
    """`:path`."""
    stage: Stage
    """When the page needs it; the page itself is `BLOCKING`."""
    size: int
    """Bytes of content."""
    arrival: Arrival
    """How it came."""
    started: float
    """When it was asked for, or promised, or found in the cache."""
    ended: float
    """When all of it was there."""
    ready: float
    """When the page could use it: not before it was needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitResult:
    """The visit of a page, to its end."""

    resources: tuple[VisitedResource, ...]
    """In the order in which they were asked for or promised, the page first."""
    refused: int
    """Promises that the client refused."""
    unused: int
    """Pushes that nothing on the page needed."""

    @property
    def shown(self) -> float:
        """Seconds until page, style sheets and blocking scripts were there: before, nothing is shown."""
        return max(resource.ready for resource in self.resources if resource.stage is Stage.BLOCKING)

    @property
    def complete(self) -> float:
        """Seconds until everything was there."""
        return max(resource.ready for resource in self.resources)


@dataclass(slots=True)
class _OnItsWay:
    """A response that is coming."""

    arrival: Arrival
    started: float
    task: "asyncio.Task[float]"
    """Gives the instant at which all of it was there."""


class SiteVisit:
    """One visit. Make it, give `promised` to the client's `on_push`, and call `load` once.

    Args:
        site: what is visited.
        cached: `:path` of the resources that the client has.
        fields: further fields of the page's request.
    """

    def __init__(
        self, site: Site, cached: frozenset[str] = frozenset(), fields: Sequence[tuple[str, str]] = ()
    ) -> None:
        self._site = site
        self._fields = fields
        self._cached = cached
        self._by_path = {resource.path: resource for resource in site.resources}
        self._ready = {path: asyncio.Event() for path in (site.path, *self._by_path)}
        self._positions: list[tuple[int, asyncio.Event]] = []
        self._coming: dict[str, _OnItsWay] = {}
        self._used: set[str] = set()
        self._found: list[VisitedResource] = []
        self._pushes: dict[str, ReceivedPush] = {}
        self._refused = 0
        self._began = 0.0
        self._client: ClientConnection

    async def load(self, client: ClientConnection, began: float) -> VisitResult:
        """Load the page; `began`: when the visit began, in seconds of the loop's clock.

        Raises: H3PushError: the connection was lost, or a response failed.
        """
        self._client, self._began = client, began
        _on_hints(client, self._heed)
        try:
            async with asyncio.TaskGroup() as group:
                for resource in self._site.resources:
                    group.create_task(self._visit(resource, self._known(resource)))
                group.create_task(self._load_page())
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        finally:
            unused = self._cancel_unused()
        resources = tuple(sorted(self._found, key=lambda resource: resource.started))
        return VisitResult(resources=resources, refused=self._refused, unused=unused)

    def promised(self, push: ReceivedPush) -> bool:
        """Take a promise, or refuse it (`on_push` of `h3push.connect`)."""
        path = push.request.path
        if path in self._cached or path in self._coming:
            self._refused += 1
            return False
        self._pushes[path] = push
        self._coming[path] = _OnItsWay(Arrival.PUSHED, self._now(), asyncio.create_task(self._read_push(push)))
        return True

    # the page

    async def _load_page(self) -> None:
        started = self._now()
        response = await self._client.request("GET", self._site.path, headers=self._fields, priority=PAGE_PRIORITY)
        self._heed(response.headers.get_all("link"))
        received = 0
        async for data in response.stream():
            received += len(data)
            for position, event in self._positions:
                if position <= received:
                    event.set()
        self._note(self._site.path, Stage.BLOCKING, self._site.size, Arrival.REQUESTED, started, _ended(response))

    def _known(self, resource: SiteResource) -> list[asyncio.Event]:
        """The events that have to come before the client knows of a resource."""
        if resource.position is None or resource.position >= self._site.size:
            return [self._ready[name] for name in resource.named_in]
        event = asyncio.Event()
        self._positions.append((resource.position, event))
        return [event]

    # resources

    async def _visit(self, resource: SiteResource, known: Iterable[asyncio.Event]) -> None:
        for event in known:
            await event.wait()
        if resource.delay:
            await asyncio.sleep(resource.delay)
        needed = self._now()
        if resource.path in self._cached:
            self._note(resource.path, resource.stage, resource.size, Arrival.CACHED, needed, needed)
            return
        self._used.add(resource.path)
        coming = self._coming.get(resource.path) or self._ask(resource, Arrival.REQUESTED)
        try:
            ended = await coming.task
        except PushCancelled:
            coming = self._ask(resource, Arrival.REQUESTED)
            ended = await coming.task
        self._note(resource.path, resource.stage, resource.size, coming.arrival, coming.started, ended)

    def _ask(self, resource: SiteResource, arrival: Arrival) -> _OnItsWay:
        coming = _OnItsWay(arrival, self._now(), asyncio.create_task(self._fetch(resource)))
        self._coming[resource.path] = coming
        return coming

    async def _fetch(self, resource: SiteResource) -> float:
        priority = resource.planned().priority
        response = await self._client.request("GET", resource.path, priority=priority)
        await response.read()
        return _ended(response)

    async def _read_push(self, push: ReceivedPush) -> float:
        response = await push.response()
        await response.read()
        return _ended(response)

    def _heed(self, links: Iterable[str]) -> None:
        """Ask for what Link fields name, in the moment that they come."""
        for value in links:
            try:
                targets = [link.target for link in parse_links(value.encode("latin-1"))]
            except FieldInjectionError:
                continue
            for target in targets:
                resource = self._by_path.get(target)
                if resource is not None and target not in self._cached and target not in self._coming:
                    self._ask(resource, Arrival.HINTED)

    def _note(self, path: str, stage: Stage, size: int, arrival: Arrival, started: float, ended: float) -> None:
        began = self._began
        found = VisitedResource(path=path, stage=stage, size=size, arrival=arrival, started=started - began,
                                ended=ended - began, ready=self._now() - began)  # fmt: skip
        self._found.append(found)
        self._ready[path].set()

    def _cancel_unused(self) -> int:
        """Call off what nothing on the page needed; how many pushes that are."""
        unused = [push for path, push in self._pushes.items() if path not in self._used]
        for coming in self._coming.values():
            coming.task.cancel()
        for push in unused:
            push.cancel()
        return len(unused)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _ended(response: ClientResponse) -> float:
    """When a response was complete."""
    ended = response.timing.ended
    return asyncio.get_running_loop().time() if ended is None else ended


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the first of several errors: the others follow from it."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _on_hints(client: ClientConnection, heed: Any) -> None:
    """Have `heed(values)` called with the Link values of a 103 in the moment that it comes, as a browser does."""
    session: Any = client.session
    receive = session.receive

    def watch(events: list[Any]) -> None:
        for event in events:
            if isinstance(event, InformationalResponseReceived):
                heed([value.decode("latin-1") for name, value in event.response.fields if name == b"link"])
        receive(events)

    session.receive = watch
