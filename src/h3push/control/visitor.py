"""One connection as the controller sees it: which page each of its requests belongs to, and what its client does with pushes."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from h3push.control.kinds import EvidenceClass
from h3push.control.page import Page, PushedResponse, Response
from h3push.control.routes import Router
from h3push.http.push_report import FIELD, parse_push_report
from h3push.http.semantics import names_validator
from h3push.server.push import PushState
from h3push.server.request import Request
from h3push.server.views import Views

MAX_PUSHES = 1_024
"""Pushes of a connection whose fate is of interest; the oldest is forgotten first."""
MAX_TOLD = 50
"""Page views of a connection that count: one client, honest or not, has no more say than that."""
MAX_PATH = 1_024
"""Characters of a path that is learned from. Nothing that a page needs has a longer one, and a client could make them up."""
MAX_RESPONSES = 256
"""Responses of one page view that are learned from."""
_NOT_FOR_ALL = frozenset({"authorization", "range"})
"""Fields of requests that a promise could not repeat: its answer would be another one."""
IN_A_ROW = 3
"""Unclaimed pushes, one after the other, after which a connection gets no more."""


@dataclass(slots=True, eq=False)
class Acknowledgment:
    """Tells a page's response that its client has all of it."""

    page: Page
    """The page view."""
    response: Response
    """The response."""
    visitor: "Visitor"
    """The connection."""

    def __call__(self) -> None:
        """The client has it."""
        now = self.visitor.now()
        self.response.complete = now - self.page.began
        self.page.last = now
        if self.response.position == 0:
            for pushed in self.page.pushes.values():
                pushed.push.start()


class Visitor:
    """The pages of one connection.

    Args:
        router: tells a page's route.
        clock: returns loop time.
    """

    __slots__ = (
        "_of_view",
        "_router",
        "_told",
        "_views",
        "authority",
        "now",
        "page",
        "pushes",
        "reports",
        "unclaimed_in_a_row",
    )

    def __init__(self, router: Router, clock: Callable[[], float]) -> None:
        self._router = router
        self.authority: str | None = None
        """The authority of its first request. Paths of another one are other things, and are not learned from."""
        self._views = Views()
        self._of_view: OrderedDict[int, Page] = OrderedDict()
        self._told = 0
        self.now = clock
        """Loop time."""
        self.page: Page | None = None
        """The latest page."""
        self.pushes: OrderedDict[int, tuple[Page, PushedResponse]] = OrderedDict()
        """By push ID: pushes whose fate is of interest."""
        self.reports = False
        """True when the client has told the fate of a push."""
        self.unclaimed_in_a_row = 0
        """Pushes since the last one that it used."""

    def place(self, request: Request, round_trip: float) -> tuple[Page, bool]:
        """Find the page view of a request that the client sent; True when it begins one. Believes its `Push-Report`."""
        said = request.headers.get(FIELD)
        if said is not None:
            self._believe(said)
        now = self.now()
        place = self._views.place(request, None, now)
        page = self._of_view.get(place.view.number)
        begins = page is None
        if page is None:
            page = self._begin(request, now, round_trip)
            self._of_view[place.view.number] = page
            if len(self._of_view) > 2:
                self._of_view.popitem(last=False)
        page.last = now
        is_learned = begins or (request.method == "GET" and not _NOT_FOR_ALL.intersection(request.headers))
        if is_learned and len(page.responses) < MAX_RESPONSES and len(request.path) <= MAX_PATH:
            response = Response(0 if begins else place.position, now - page.began, request.writer)
            page.responses.setdefault(request.path, response)
            request.writer.on_acknowledged = Acknowledgment(page, response, self)
        return page, begins

    def _begin(self, request: Request, now: float, round_trip: float) -> Page:
        self._settle()
        if names_validator(request.head.fields):
            kind = EvidenceClass.RETURNING
        elif self.page is not None:
            kind = EvidenceClass.WARM
        else:
            kind = EvidenceClass.RETURNING if "cookie" in request.headers else EvidenceClass.NEW
        path = request.path
        match = self._router.match(path.partition("?")[0])
        page = self.page = Page(match, kind, now, round_trip, path=path, last=now)
        self._told += 1
        page.counts = self._told <= MAX_TOLD and len(path) <= MAX_PATH
        return page

    def answer(self, request: Request, page: Page) -> None:
        """A promised request is about to be answered."""
        now = self.now()
        response = page.sent[request.path] = Response(-1, now - page.began, request.writer)
        request.writer.on_acknowledged = Acknowledgment(page, response, self)

    def promised(self, page: Page, pushed: PushedResponse) -> None:
        """A push was promised with a page."""
        push_id = pushed.push.push_id
        assert push_id is not None
        page.pushes[pushed.push.path] = pushed
        self.pushes[push_id] = (page, pushed)
        if len(self.pushes) > MAX_PUSHES:
            self.pushes.popitem(last=False)

    def _believe(self, said: str) -> None:
        """Take what the client says of pushes that were made here, once each."""
        report = parse_push_report(said).among(self.pushes)
        for ids, used in ((report.used, True), (report.unused, False)):
            for push_id in ids:
                _, pushed = self.pushes[push_id]
                if pushed.said is None:
                    pushed.said, self.reports = used, True

    def _settle(self) -> None:
        """Count the pushes in a row that the client left unused."""
        for push_id, (page, pushed) in list(self.pushes.items()):
            if not pushed.is_settled and (pushed.said is not None or pushed.called_off):
                pushed.is_settled = True
                used = pushed.said is True or pushed.push.path in page.responses
                self.unclaimed_in_a_row = 0 if used else self.unclaimed_in_a_row + 1
            if pushed.said is not None:
                del self.pushes[push_id]

    @property
    def is_unclaimed(self) -> bool:
        """True when the client left the last pushes unused."""
        return self.unclaimed_in_a_row >= IN_A_ROW

    @property
    def unclaimed_bytes(self) -> float:
        """Bytes of pushes that are under way or, from a client that tells of them, not claimed."""
        return sum(
            pushed.size
            for _, pushed in self.pushes.values()
            if pushed.said is None
            and not pushed.called_off
            and (self.reports or pushed.push.state is not PushState.FULFILLED)
        )
