"""A page load as a browser does it, on an open connection: discover, fetch, discover what that needs, until nothing is left.

Theory of operation. Markup is read as it arrives, as a browser's preload scanner does, and what it names is fetched at once.
A style sheet is read when it is complete, and its imports are fetched then. Fonts and the images of style sheets wait until
every style sheet is there and the page is complete, because only then is it known which of them are used. So each level of
the page costs a round trip - unless the resource was promised before it was discovered: then its push is taken and nothing
is asked for.

The scanner is the one that servers plan their pushes with. What it knows and the page does not need is never fetched here,
and a push that nothing on the page asked for counts as unused.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from h3push.client.connection import ClientConnection
from h3push.client.progress import ReceivedState
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.errors import PushCancelled
from h3push.http.priority import Priority
from h3push.http.url import origin_of, target_of
from h3push.plans.discovery import Discovery
from h3push.plans.html import Reference
from h3push.plans.plan import PlannedResource, ResourceKind, Stage

PAGE_PRIORITY = Priority(urgency=0)
"""The priority with which a browser asks for the page itself (RFC 9218 section 4.1)."""

_ENDED_EARLY = frozenset({ReceivedState.CANCELLED, ReceivedState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedResource:
    """One response of a page load; times in seconds of the loop's clock."""

    path: str
    """`:path`."""
    status: int
    """Status of the response."""
    content: bytes
    """Its content."""
    pushed: bool
    """True when it came as a push."""
    stage: Stage
    """When the page needs it; the page itself is `BLOCKING`."""
    started: float
    """When it was asked for, or promised."""
    first_byte: float
    """When its header section was there."""
    ended: float
    """When it was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLoad:
    """A page and all that it needs."""

    resources: tuple[LoadedResource, ...]
    """In the order in which they were asked for or promised, the page first."""
    started: float
    """When the load began (for a first page: before the connection was made)."""
    unused: int
    """Pushes that were promised and that the page did not need."""

    @property
    def duration(self) -> float:
        """Seconds until everything was there."""
        return max(resource.ended for resource in self.resources) - self.started

    @property
    def blocking_duration(self) -> float:
        """Seconds until page, style sheets and blocking scripts were there: before, nothing is shown."""
        return max(resource.ended for resource in self.resources if resource.stage is Stage.BLOCKING) - self.started

    @property
    def content_bytes(self) -> int:
        """Content of all responses, in bytes."""
        return sum(len(resource.content) for resource in self.resources)


async def load_page(client: ClientConnection, url: str, *, started: float | None = None) -> PageLoad:
    """Load the page at `url` (absolute, https, on the server that `client` is connected to).

    Args:
        client: an open connection. It takes pushes or not as it was made.
        url: the page.
        started: when the load began, in seconds of the loop's clock; `None`: now.

    Raises: H3PushError: the connection was lost or a response failed.
    """
    begun = asyncio.get_running_loop().time() if started is None else started
    return await _PageLoader(client, url).load(begun)


class _PageLoader:
    def __init__(self, client: ClientConnection, url: str) -> None:
        self._client = client
        self._url = url
        self._origin = origin_of(url)
        self._discovery = Discovery(url)
        self._loaded: list[LoadedResource] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sheets: set[asyncio.Task[None]] = set()
        self._promises: list[ReceivedPush] = []
        self._taken: set[ReceivedPush] = set()

    async def load(self, started: float) -> PageLoad:
        promises = asyncio.create_task(self._note_promises())
        try:
            async with await self._client.request("GET", target_of(self._url), priority=PAGE_PRIORITY) as response:
                await self._load_document(response)
                while self._sheets:
                    await self._first_of(self._sheets)
                self._fetch(self._discovery.in_styles())
                while self._tasks:
                    await self._first_of(self._tasks)
                unused = self._cancel_unused()
        finally:
            for task in (promises, *self._tasks):
                task.cancel()
        resources = tuple(sorted(self._loaded, key=lambda resource: resource.started))
        return PageLoad(resources=resources, started=started, unused=unused)

    async def _note_promises(self) -> None:
        async for push in self._client.pushes():
            self._promises.append(push)

    def _cancel_unused(self) -> int:
        """Call off the pushes that the page did not need; their number."""
        unused = [push for push in self._promises if push not in self._taken and push.state not in _ENDED_EARLY]
        for push in unused:
            push.cancel()
        return len(unused)

    @staticmethod
    async def _first_of(tasks: Iterable[asyncio.Task[None]]) -> None:
        """Wait for one task; what it raised is raised here."""
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _load_document(self, response: ClientResponse) -> None:
        """Read the page, and fetch what it names as soon as the name is there."""
        html = b""
        async for data in response.stream():
            html += data
            self._fetch(self._discovery.in_markup(html))
        self._note(target_of(self._url), response, html, Stage.BLOCKING, None)
        self._fetch(self._discovery.in_page(html))

    def _fetch(self, references: Iterable[Reference]) -> None:
        """Fetch what is of this origin."""
        for reference in references:
            if origin_of(reference.url) == self._origin:
                self._fetch_one(reference)

    def _fetch_one(self, reference: Reference) -> None:
        path = target_of(reference.url)
        push = self._promised(path)
        resource = PlannedResource(path, reference.kind, reference.stage, "")
        task = asyncio.create_task(self._load(reference.url, resource, push))
        for group in (self._tasks, self._sheets) if reference.kind is ResourceKind.STYLE else (self._tasks,):
            group.add(task)
            task.add_done_callback(group.discard)

    def _promised(self, path: str) -> ReceivedPush | None:
        """The push that answers a request for `path`."""
        for push in self._promises:
            if push.request.path == path and push not in self._taken and push.state not in _ENDED_EARLY:
                self._taken.add(push)
                return push
        return None

    async def _load(self, url: str, resource: PlannedResource, push: ReceivedPush | None) -> None:
        if push is not None:
            try:
                response = await push.response()
                content = await response.read()
            except PushCancelled:
                push = None
        if push is None:
            response = await self._client.request("GET", resource.path, priority=resource.priority)
            content = await response.read()
        self._note(resource.path, response, content, resource.stage, push)
        if resource.kind is ResourceKind.STYLE:
            self._fetch(self._discovery.in_sheet(url, content))

    def _note(
        self, path: str, response: ClientResponse, content: bytes, stage: Stage, push: ReceivedPush | None
    ) -> None:
        timing = response.timing
        now = asyncio.get_running_loop().time()
        self._loaded.append(
            LoadedResource(
                path=path,
                status=response.status,
                content=content,
                pushed=push is not None,
                stage=stage,
                started=timing.started,
                first_byte=now if timing.first_byte is None else timing.first_byte,
                ended=now if timing.ended is None else timing.ended,
            )
        )
