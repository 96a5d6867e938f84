"""Everything that a page names, loaded as a browser does: `--assets`.

Theory of operation. The page is read as it arrives, and what it names is fetched at once, all at the same time; a style sheet is
read when it is complete, and its imports are fetched then; its fonts and images wait until every sheet is there. Each is
answered by a push if one came. An asset that fails is told of, and makes no failure of the page.
"""

import asyncio
from collections.abc import Iterable

from h3push.cli.failures import CommandFailed
from h3push.cli.fetch import fetch
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.cookies import Cookies
from h3push.cli.options.redirects import CONTENT_FIELDS, followed, request_for
from h3push.cli.options.request import Request
from h3push.cli.outcome import Fetched, Reply
from h3push.cli.output.content import Output
from h3push.cli.sender import Sender
from h3push.errors import H3PushError
from h3push.plans.discovery import Discovery
from h3push.plans.html import Reference
from h3push.plans.page import PageScanSettings
from h3push.plans.plan import PlannedResource, ResourceKind

MAX_ASSETS = 1_000
"""Assets of one page that are loaded: a page with a tenth of that is a large one."""
DROPPED = CONTENT_FIELDS | {b"range", b"referer"}
"""Fields of the page's request that its assets have no use for."""
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
"""Media types of pages."""
_READ_AGAIN_AFTER = 1.25
"""Growth of an arriving page after which it is read again: reading it whole at each piece would take quadratic time."""


class Assets:
    """The assets of one page.

    Arguments:
        arguments: the command line.
        cookies: those of the command.
        sender: sends the requests.
        request: the page's first request.
        page: the page; its assets are recorded there.
    """

    def __init__(self, arguments: Arguments, cookies: Cookies, sender: Sender, request: Request, page: Fetched) -> None:
        self._arguments = arguments
        self._cookies = cookies
        self._sender = sender
        self._request = request
        self._page = page
        self._html = bytearray()
        self._next_look = 1.0
        self._discovery: Discovery | None = None
        self._room = asyncio.Semaphore(arguments.parallel_max)
        self._tasks: set[asyncio.Task[None]] = set()
        self._sheets: set[asyncio.Task[None]] = set()
        self._bounds = PageScanSettings()
        self._expectation = sender.taker.expect()

    def feed(self, html: bytes) -> None:
        """Take a piece of the page, and fetch what is named there."""
        last = self._page.last
        if self._discovery is None and last is not None and _is_page(last.response):
            self._discovery = Discovery(last.request.url, most=MAX_ASSETS, settings=self._bounds)
        if self._discovery is None:
            return
        self._html += html[: self._bounds.max_page_bytes - len(self._html)]
        if len(self._html) >= self._next_look:
            self._next_look = len(self._html) * _READ_AGAIN_AFTER
            self._fetch(self._discovery.in_markup(bytes(self._html)))

    async def finish(self) -> None:
        """The page is complete: load the rest of what it needs."""
        if self._discovery is None:
            return
        self._fetch(self._discovery.in_page(bytes(self._html)))
        while self._sheets:
            await asyncio.wait(self._sheets)
        self._fetch(self._discovery.in_styles())
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._page.left_out = self._discovery.left_out

    async def stop(self) -> None:
        """Load no further."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._expectation.end()

    # inside

    def _fetch(self, references: Iterable[Reference]) -> None:
        for reference in references:
            asset = Fetched(reference.url, self._page.outcome, started=self._sender.since_start(None))
            self._page.assets.append(asset)
            task = asyncio.create_task(self._load(reference, asset))
            for group in (self._tasks, self._sheets) if reference.kind is ResourceKind.STYLE else (self._tasks,):
                group.add(task)
                task.add_done_callback(group.discard)

    async def _load(self, reference: Reference, asset: Fetched) -> None:
        sheet = bytearray()
        output = Output(self._arguments, self._request.url, None, self._cookies, None)
        if reference.kind is ResourceKind.STYLE:
            output.on_content = lambda data: sheet.extend(data[: self._bounds.max_sheet_bytes - len(sheet)])
        try:
            async with self._room:
                await self._fetch_one(self._request_for(reference), output, asset)
        except (H3PushError, CommandFailed) as error:
            asset.error = str(error)
            return
        if reference.kind is ResourceKind.STYLE and self._discovery is not None:
            self._fetch(self._discovery.in_sheet(reference.url, bytes(sheet)))

    async def _fetch_one(self, request: Request, output: Output, asset: Fetched) -> None:
        expectation = self._sender.taker.expect()
        try:
            await fetch(self._sender, request, output, asset, followed(self._arguments, self._request), expectation)
        finally:
            expectation.end()

    def _request_for(self, reference: Reference) -> Request:
        """The request for an asset: with the page's fields, as far as they are for the asset's origin."""
        page = self._page.last
        assert page is not None
        fields = tuple(field for field in self._request.fields if field[0] not in DROPPED)
        referer = (b"referer", page.request.url.encode("ascii"))
        planned = PlannedResource("", reference.kind, reference.stage, "")
        wanted = Request(url=reference.url, fields=(*fields, referer), priority=planned.priority)
        return request_for(self._arguments, self._request, wanted)


def _is_page(reply: Reply | None) -> bool:
    media_type = "" if reply is None else reply.headers.get("content-type", "")
    return media_type.partition(";")[0].strip().lower() in HTML_TYPES
