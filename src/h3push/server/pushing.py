"""A directory that pushes: a request for a page promises what the page needs, before the page's first byte.

Why before: a promise that comes after the reference crosses the client's own request on the way, and both are answered (RFC
9114 section 4.6 asks for this order). What is promised is sent behind the page; the core's priorities see to that.

What is never promised: what this connection was sent or promised before, what is not there, and anything for a request that
did not get the whole page (304: the client has it, and most likely the rest too). Running out of credit is no error: the
first resources in the page's order of need are promised, the rest is refused and counted.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from h3push.aio.content import send_content
from h3push.aio.push import WAITABLE, PushState
from h3push.aio.request import Request
from h3push.aio.response import Response
from h3push.policy.ledger import ConnectionLedger
from h3push.policy.page_scan import PageScanSettings, scan_page
from h3push.policy.plan import PlannedResource, PushPlan
from h3push.server.files import FoundFile
from h3push.server.static import Answer, Directory

MAX_CACHED_PLANS = 256
"""Plans kept; a plan of 128 resources is some 30 kB. The least recently used one goes first and costs one more scan."""


@dataclass(slots=True)
class PushTotals:
    """What became of the resources that requested pages needed, over all connections."""

    promised: int = 0
    """Promises sent."""
    refused: int = 0
    """Not promised: the client gave no credit for it, or is going away."""
    given_before: int = 0
    """Not promised: this connection has it already."""
    missing: int = 0
    """Not promised: the page names it, and there is no such file."""
    left_out: int = 0
    """Not promised: over the bound on resources of one page."""


@dataclass(frozen=True, slots=True)
class _CachedPlan:
    plan: PushPlan
    stamps: tuple[tuple[int, int] | None, ...]
    """Of the page and of every sheet that was read."""


@dataclass(slots=True)
class _Visit:
    """One connection.

    Only the authority of its first request gets pushes: paths of another one are other resources, and a scan for each name
    that a client makes up would be cheap for the client and dear for us.
    """

    authority: str
    ledger: ConnectionLedger = field(default_factory=ConnectionLedger)


class PlanCache:
    """Plans of pages, scanned when first asked for and again when the page or one of its style sheets changed.

    A scan reads at most `max_page_bytes` and `max_sheets` sheets; it takes milliseconds for a common page and happens in the
    event loop, once per change.
    """

    def __init__(self, directory: Directory, settings: PageScanSettings, max_plans: int = MAX_CACHED_PLANS) -> None:
        self._directory = directory
        self._settings = settings
        self._max_plans = max_plans
        self._plans: OrderedDict[tuple[str, str], _CachedPlan] = OrderedDict()
        self.scans = 0
        """How many scans were made."""

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, url: str, page: FoundFile) -> PushPlan:
        """The plan of the page at `url` (absolute, without query), which is in the file `page`."""
        key = (url, str(page.path))
        cached = self._plans.get(key)
        if cached is None or cached.stamps != self._stamps(page, cached.plan):
            plan = self._scan(url, page)
            cached = self._plans[key] = _CachedPlan(plan, self._stamps(page, plan))
            while len(self._plans) > self._max_plans:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return cached.plan

    def _stamps(self, page: FoundFile, plan: PushPlan) -> tuple[tuple[int, int] | None, ...]:
        sheets = (self._directory.find(path) for path in plan.sheets)
        return (page.stamp, *(None if sheet is None else sheet.stamp for sheet in sheets))

    def _scan(self, url: str, page: FoundFile) -> PushPlan:
        self.scans += 1
        html = _read(page, self._settings.max_page_bytes)
        return scan_page(url, html or b"", self._load_sheet, self._settings)

    def _load_sheet(self, path: str) -> bytes | None:
        sheet = self._directory.find(path)
        return None if sheet is None else _read(sheet, self._settings.max_sheet_bytes)


def _may_carry_promises(request: Request, answer: Answer) -> bool:
    """True for a page that the client asked for itself, and whose client takes pushes at all."""
    if request.method != "GET" or request.push_id is not None or not answer.is_whole_page:
        return False
    refusal = request.connection.pushes.refusal(request)
    return refusal is None or refusal in WAITABLE


def _read(file: FoundFile, limit: int) -> bytes | None:
    """The first `limit` bytes; `None` when the file has just gone away."""
    try:
        with file.path.open("rb") as opened:
            return opened.read(limit)
    except OSError:
        return None


class PushingDirectory:
    """Handler for `h3push.serve`: `Directory`, and with each page the pushes that it needs.

    Arguments:
        directory: what to serve.
        scan_settings: bounds of a scan.
        promise_wait: seconds that a page's stream is kept open, after all of its bytes, for more push credit; each promise
            that gets through starts the time anew. 0 (the default): what has no credit at once is refused, and a page is
            never held open for its pushes.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        scan_settings: PageScanSettings = PageScanSettings(),  # noqa: B008 - frozen
        promise_wait: float = 0.0,
    ) -> None:
        self.directory = directory
        """What is served."""
        self.plans = PlanCache(directory, scan_settings)
        """What the pages need."""
        self.totals = PushTotals()
        """What became of it."""
        self._promise_wait = promise_wait
        self._visits: WeakKeyDictionary[object, _Visit] = WeakKeyDictionary()

    def __call__(self, request: Request) -> Response | Awaitable[None]:
        """Answer one request; promises what a page needs first."""
        answer = self.directory.answer(request)
        visit = self._visits.get(request.connection)
        if visit is None:
            visit = self._visits[request.connection] = _Visit(request.authority)
        if request.authority != visit.authority:
            return answer.response()
        ledger = visit.ledger
        if request.method == "GET" and answer.file is not None:
            ledger.record(request.path)
        if not _may_carry_promises(request, answer):
            return answer.response()
        without_credit = self._promise(request, ledger, self._wanted(request, answer, ledger))
        if self._promise_wait and without_credit:
            return self._send_and_wait(request, answer, ledger, without_credit)
        self.totals.refused += len(without_credit)
        return answer.response()

    def _wanted(self, request: Request, answer: Answer, ledger: ConnectionLedger) -> Iterator[PlannedResource]:
        """What the page needs, is there and was not given to this connection yet."""
        if answer.file is None:
            return
        url = f"https://{request.authority}{request.path.partition('?')[0]}"
        plan = self.plans.plan(url, answer.file)
        self.totals.left_out += plan.left_out
        for resource in plan.resources:
            if not ledger.may_push(resource.path):
                self.totals.given_before += 1
            elif self.directory.find(resource.path) is None:
                self.totals.missing += 1
            else:
                yield resource

    def _promise(
        self, request: Request, ledger: ConnectionLedger, resources: Iterator[PlannedResource]
    ) -> list[PlannedResource]:
        """Promise in order; returns what there was no credit for."""
        without_credit = []
        for resource in resources:
            push = request.push_nowait(resource.path, priority=resource.priority)
            if push.state is PushState.REFUSED:
                without_credit.append(resource)
            else:
                self.totals.promised += 1
                ledger.record(resource.path)
        return without_credit

    async def _send_and_wait(
        self, request: Request, answer: Answer, ledger: ConnectionLedger, waiting: list[PlannedResource]
    ) -> None:
        """Send the page, then promise the rest as the client gives credit, then end the page's stream."""
        await request.start_response(answer.status, answer.headers)
        await send_content(request, answer.content, end_stream=False)
        left = deque(waiting)
        while left and await self._promise_with_patience(request, ledger, left[0]):
            left.popleft()
        self.totals.refused += len(left)
        await request.send(b"", end_stream=True)

    async def _promise_with_patience(
        self, request: Request, ledger: ConnectionLedger, resource: PlannedResource
    ) -> bool:
        """Promise one resource when there is credit for it. False when the rest need not be tried."""
        if not ledger.may_push(resource.path):
            self.totals.given_before += 1
            return True
        try:
            async with asyncio.timeout(self._promise_wait):
                push = await request.push(resource.path, priority=resource.priority, wait=True)
        except TimeoutError:
            return False
        if push.state is PushState.REFUSED:
            return False
        self.totals.promised += 1
        ledger.record(resource.path)
        return True
