"""Page views: which responses of a connection belong to one page, in which place, and how long after it.

Theory of operation. A request begins a view when it asks for a document (`Sec-Fetch-Dest`, or `Accept` with text/html), or when
the connection has been quiet for `QUIET`. Any other belongs to a view that is there: a pushed one to the view of the request
that it was pushed with, one with a Referer to the view of the page or style sheet that it names, the rest to the latest view.
Clients of an API name no page and send no Referer; there the pause alone tells one view from the next.

This is kept for the access log alone, and nothing of it is about who the client is.
"""

from collections import OrderedDict
from dataclasses import dataclass

from h3push.http.push_report import PushReport
from h3push.http.url import origin_of, resolve, target_of
from h3push.server.promised import Logged

QUIET = 2.0
"""Seconds without a request after which the next one begins a view: two round trips of the longest links, and longer than a
program takes between an answer and the question that follows from it."""
MAX_PATHS = 512
"""Paths of a connection that are remembered for the Referer of later requests; the oldest goes first."""
MAX_PATH = 1024
"""Characters of a path that is remembered. No page that others name has a longer one, and a client could make them up."""
MAX_REPORTABLE = 1024
"""Pushes of a connection that are remembered until their client says whether it used them; the oldest goes first."""


@dataclass(slots=True, eq=False)
class View:
    """One page and what came with it."""

    number: int
    """Its number on the connection, from 1."""
    page: str
    """Path of the page, with its query."""
    began: float
    """When the page was asked for, in seconds of the caller's clock."""
    members: int = 0
    """Responses that followed the page so far."""


@dataclass(frozen=True, slots=True)
class ViewPosition:
    """The position of a response in its page view."""

    view: View
    """The view."""
    position: int
    """0 for the page; then 1, 2, ... as requests and promises came."""
    since_page: float
    """Seconds from the page's request to this one."""


@dataclass(frozen=True, slots=True)
class ReportedPushes:
    """A client's report on pushes of its connection, as far as it is believed."""

    report: PushReport
    """The pushes."""
    used_bytes: int
    """Content of those that were used."""
    unused_bytes: int
    """Content of those that were not."""


class Views:
    """The page views of one connection."""

    __slots__ = ("_count", "_last", "_latest", "_of_path", "_reportable")

    def __init__(self) -> None:
        self._count = 0
        self._latest: View | None = None
        self._last = 0.0
        self._of_path: OrderedDict[str, View] = OrderedDict()
        self._reportable: OrderedDict[int, int] = OrderedDict()

    def place(self, request: Logged, initiator: View | None, now: float) -> ViewPosition:
        """Find the view of a request that arrives at `now`, or begin one; `initiator` is the view of a pushed request's page."""
        view = initiator if initiator is not None else self._view_of(request, now)
        self._last = now
        path = request.path
        if view is None:
            self._count += 1
            view = self._latest = View(self._count, path, now)
            place = ViewPosition(view, 0, 0.0)
        else:
            view.members += 1
            place = ViewPosition(view, view.members, max(0.0, now - view.began))
        if len(path) <= MAX_PATH:
            self._of_path[path] = view
            self._of_path.move_to_end(path)
            if len(self._of_path) > MAX_PATHS:
                self._of_path.popitem(last=False)
        if request.push_id is not None:
            self._reportable[request.push_id] = 0
            if len(self._reportable) > MAX_REPORTABLE:
                self._reportable.popitem(last=False)
        return place

    def note_size(self, push_id: int, size: int) -> None:
        """A pushed response is over, after `size` bytes of content."""
        if push_id in self._reportable:
            self._reportable[push_id] = size

    def reported(self, report: PushReport) -> ReportedPushes:
        """Take a client's report: what it says of pushes that were made on this connection and not reported before."""
        believed = report.among(self._reportable)
        used = sum(self._reportable.pop(push_id) for push_id in believed.used)
        unused = sum(self._reportable.pop(push_id) for push_id in believed.unused)
        return ReportedPushes(believed, used, unused)

    def _view_of(self, request: Logged, now: float) -> View | None:
        if self._latest is None or _is_document(request):
            return None
        referrer = _referrer(request)
        named = None if referrer is None else self._of_path.get(referrer)
        if named is not None:
            return named
        return self._latest if now - self._last <= QUIET else None


def _is_document(request: Logged) -> bool:
    """True when the client says that it asks for a page of its own."""
    destination = request.headers.get("sec-fetch-dest")
    if destination is not None:
        return destination == "document"
    return "text/html" in (request.headers.get("accept") or "")


def _referrer(request: Logged) -> str | None:
    """Path of the Referer, when it lies on the request's own origin."""
    value = request.headers.get("referer")
    if value is None:
        return None
    base = f"https://{request.authority}/"
    url = resolve(base, value)
    return target_of(url) if url is not None and origin_of(url) == origin_of(base) else None
