"""The plans of a place's pages, read from the pages themselves and kept.

Theory of operation. A page is scanned when it is first asked for, and again when it or one of its style sheets changed. What a
style sheet names is kept apart from the plans, by path and stamp: the pages of a site share their sheets, and reading CSS is
nearly all of a scan.

A short scan is made in the event loop, at once. The rest is made in a thread, one after the other, and nobody waits for it: a
push never delays what was asked for. Until it is done, the page goes out with what the short scan found: what the page itself
names, and what those of its sheets name that were read already. A page that is too long for even that goes out alone. The next
request for it finds the whole plan.

Scans take at most a share of the time (`share`). Whoever asks for page after page as fast as the server can gets most of them
alone, for each scan would delay the next answer; a reader never notices.

    plan kept, nothing changed since ──────────────▶ that plan
    else: scan within `loop_work` ──── complete ───▶ the new plan, kept
              │                   └─── cut off ────▶ what was found; the whole scan goes to the thread, then it is kept
              └─ share of the time used up ────────▶ nothing; the same

Where pages come from is a `PageSource`: a directory, a proxy's cache, a test's dictionary.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from h3push.http.url import target_of
from h3push.plans.bounds import BoundedCache, Pause, TimeShare
from h3push.plans.css import CssScan
from h3push.plans.page import PageScanSettings, scan_page
from h3push.plans.plan import PushPlan

logger = logging.getLogger("h3push.server")


class Stamp(NamedTuple):
    """Tells one state of a resource from another."""

    version: Hashable
    """Changes when the content does: a time, an entity tag."""
    size: int
    """Bytes."""


class PageSource(Protocol):
    """A place to read pages and style sheets from."""

    def is_page(self, path: str) -> bool:
        """True when what is at a `:path` is a page of HTML, if anything is."""

    def is_there(self, path: str) -> bool:
        """False when a request for a `:path` would certainly fail: then nothing is promised."""

    def stamp(self, path: str) -> Stamp | None:
        """The present state of what is at a `:path`; `None` when nothing is there. Asked in the event loop, often."""

    def read(self, path: str, limit: int, known: Stamp | None = None) -> tuple[Stamp, bytes | None] | None:
        """The state of what is at a `:path`, and its first `limit` bytes; no bytes when the state is the one that is `known`.

        Asked from any thread.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCacheSettings:
    """Bounds of what is kept, and of what is done in the event loop."""

    max_plan_bytes: int = 64 * 1024 * 1024
    """Memory for plans: more than ten thousand pages with twenty resources each. The plan that was used longest ago goes first,
    and costs one more scan."""
    max_sheet_bytes: int = 32 * 1024 * 1024
    """Memory for the names in style sheets."""
    loop_work: int = 16 * 1024
    """`PageScanSettings.max_work` of a scan in the event loop: some 10 ms, in which nobody else is served."""
    share: float = 0.25
    """Share of the time that scans may take, in the loop and in the thread together: one divided by four leaves a crawl more than
    half of the speed that it has without pushes."""
    burst: float = 0.03
    """Seconds of scans that may come at once after a pause, so that nobody else waits much longer: some fifty common pages."""
    max_waiting_scans: int = 256
    """Pages that wait for the thread. Further ones go out with what the short scan found, and wait at their next request."""


def _nothing() -> None:
    pass


class _KeptPlan(NamedTuple):
    plan: PushPlan
    stamps: tuple[Stamp | None, ...]
    """Of the page and of every sheet that was read."""


class _KeptSheet(NamedTuple):
    stamp: Stamp
    names: CssScan


class PlanCache:
    """Plans of the pages of one source.

    Arguments:
        source: where pages and style sheets are.
        scan_settings: bounds of a scan.
        settings: bounds of what is kept, and of what is done in the event loop.
        clock: tells the time in seconds; the event loop's when `None`.
    """

    def __init__(
        self,
        source: PageSource,
        scan_settings: PageScanSettings = PageScanSettings(),  # noqa: B008 - frozen
        settings: PlanCacheSettings = PlanCacheSettings(),
        *,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._source = source
        self._scan_settings = scan_settings
        self._loop_settings = replace(scan_settings, max_work=min(settings.loop_work, scan_settings.max_work))
        self._settings = settings
        self._plans = BoundedCache[str, _KeptPlan](settings.max_plan_bytes, _plan_bytes)
        self._sheets = BoundedCache[str, _KeptSheet](settings.max_sheet_bytes, _sheet_bytes)
        self._share = TimeShare(settings.share, settings.burst)
        self._clock = clock
        self._waiting: deque[str] = deque()
        self._is_waiting: set[str] = set()
        self._worker: asyncio.Task[None] | None = None
        self.scans = 0
        """Scans made, in the loop and in the thread."""

    def __len__(self) -> int:
        return len(self._plans)

    def plan(self, url: str) -> PushPlan | None:
        """The plan of the page at `url` (absolute, no query), as far as it is known at once; `None` when no page is there."""
        page = self._source.stamp(target_of(url))
        if page is None:
            return None
        kept = self._plans.get(url)
        if kept is not None and kept.stamps == self._stamps_now(page, kept.plan):
            return kept.plan
        began = self._now()
        if self._share.wait(began) > 0:
            self._have_scanned(url)
            return None
        found = self._scan(url, self._loop_settings)
        self._share.spend(self._now() - began)
        if found is None:
            return None
        if found.plan.complete or self._loop_settings == self._scan_settings:
            self._plans.keep(url, found)
        else:
            self._have_scanned(url)
        return found.plan

    def _stamps_now(self, page: Stamp, plan: PushPlan) -> tuple[Stamp | None, ...]:
        return (page, *map(self._source.stamp, plan.sheets))

    def _scan(self, url: str, settings: PageScanSettings, pause: Callable[[], None] = _nothing) -> _KeptPlan | None:
        """Scan a page, in the loop or in the thread. The stamps are those of what was read, whatever has happened since."""
        read = self._source.read(target_of(url), settings.max_page_bytes)
        if read is None:
            return None
        self.scans += 1
        in_loop = settings is self._loop_settings
        stamp, html = read
        sheets = _Sheets(self._source, self._sheets, settings.max_sheet_bytes, in_loop=in_loop)
        plan = scan_page(url, html or b"", sheets.load, settings, sheets.keep, pause)
        return _KeptPlan(plan, (stamp, *(sheets.stamps[path] for path in plan.sheets)))

    # the thread

    def _have_scanned(self, url: str) -> None:
        """Have a page scanned whole in the thread."""
        if url in self._is_waiting or len(self._is_waiting) >= self._settings.max_waiting_scans:
            return
        self._is_waiting.add(url)
        self._waiting.append(url)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._scan_waiting(), name="h3push: scans of pages")

    async def _scan_waiting(self) -> None:
        """Make the scans that wait, each as soon as there is time for it. The end of the loop cancels this and stops the scan."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            began = self._now()
            wait = self._share.wait(began)
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            url, pause = self._waiting[0], Pause()
            try:
                found = await loop.run_in_executor(None, self._scan, url, self._scan_settings, pause)
                if found is not None:
                    self._plans.keep(url, found)
            except Exception:
                logger.exception("%s could not be scanned: nothing is pushed with it", url)
            finally:
                pause.stop = True
                self._waiting.popleft()
                self._is_waiting.discard(url)
                self._share.spend(self._now() - began)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() if self._clock is None else self._clock()


class _Sheets:
    """The style sheets of one scan. What the scan reads of them is kept for the next one."""

    def __init__(self, source: PageSource, kept: BoundedCache[str, _KeptSheet], limit: int, *, in_loop: bool) -> None:
        self.stamps: dict[str, Stamp | None] = {}
        """State of each sheet that was asked for, by path."""
        self._source = source
        self._kept = kept
        self._limit = limit
        self._in_loop = in_loop

    def load(self, path: str) -> bytes | CssScan | None:
        """Load a sheet: the names in it where they are kept, else its bytes; `None` when there is none."""
        kept = self._kept.get(path)
        if kept is not None and self._in_loop and self._source.stamp(path) == kept.stamp:
            self.stamps[path] = kept.stamp
            return kept.names
        read = self._source.read(path, self._limit, None if kept is None else kept.stamp)
        self.stamps[path] = None if read is None else read[0]
        if read is None:
            return None
        return kept.names if read[1] is None and kept is not None else read[1]

    def keep(self, path: str, names: CssScan) -> None:
        """Keep the names in a sheet."""
        stamp = self.stamps[path]
        if stamp is not None:
            self._kept.keep(path, _KeptSheet(stamp, names))


_OBJECT = 120
"""Bytes of a small object with its strings' own overhead, roughly."""


def _plan_bytes(url: str, kept: _KeptPlan) -> int:
    resources = sum(2 * _OBJECT + len(one.path) for one in kept.plan.resources)
    return 4 * _OBJECT + len(url) + resources + sum(2 * _OBJECT + len(path) for path in kept.plan.sheets)


def _sheet_bytes(path: str, kept: _KeptSheet) -> int:
    names = kept.names
    images = sum(2 * _OBJECT + len(one.url) + sum(map(len, one.selectors)) for one in names.images)
    fonts = sum(3 * _OBJECT + len(one.url) + _OBJECT * len(one.characters) for one in names.fonts)
    return 4 * _OBJECT + len(path) + images + fonts + _OBJECT * (len(names.imports) + len(names.families))
