"""The page views that are under way, each until it is over."""

import asyncio
from collections.abc import Callable

from h3push.control.page import Page

SWEEP = 1.0
"""Seconds between two looks at page views that may be over."""
QUIET = 2.0
"""Seconds after the last of a page view's requests and acknowledgments at which it is over."""
REPORT_WAIT = 30.0
"""Seconds that a page view waits beyond that for news of its pushes."""
MAX_PAGES = 10_000
"""Page views that are open at once; beyond it the oldest is closed with what is known. Some 2 KB each."""


class OpenPages:
    """Page views, in the order in which they began.

    Args:
        on_over: called with each page view when it is over.
    """

    def __init__(self, on_over: Callable[[Page], None]) -> None:
        self._on_over = on_over
        self._pages: dict[Page, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, page: Page) -> None:
        """Take a page view that begins."""
        self._pages[page] = None
        if len(self._pages) > MAX_PAGES:
            self._end(next(iter(self._pages)))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)

    def close(self) -> None:
        """End all of them now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for page in list(self._pages):
            self._end(page)

    def _sweep(self) -> None:
        """End those that are over."""
        now = asyncio.get_running_loop().time()
        for page in list(self._pages):
            quiet = now - page.last
            if quiet > REPORT_WAIT or (quiet > QUIET and not page.awaits_report):
                self._end(page)
        again = bool(self._pages)
        self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep) if again else None

    def _end(self, page: Page) -> None:
        del self._pages[page]
        self._on_over(page)
