"""One page view: the responses that belong to it, and the fate of everything that was pushed with it."""

from dataclasses import dataclass, field

from h3push.control.decision import Action, Judgement
from h3push.control.kinds import Arm, EvidenceClass
from h3push.control.model import Fate, Seen, ViewSeen
from h3push.control.routes import Match
from h3push.h3.events import CancelledBy
from h3push.server.push import Push, PushState
from h3push.server.writer import ResponseWriter

ERROR = 400
"""Statuses from here on answer with nothing that a page could use."""


@dataclass(slots=True)
class Response:
    """One response of the view."""

    position: int
    """Its place behind the page; 0 for the page, and for pushes, which come in our own order."""
    since: float
    """Seconds from the page's request to its own."""
    writer: ResponseWriter
    """Sends it, and knows its status and size."""
    complete: float | None = None
    """Seconds from the page's request until its client had all of it."""


@dataclass(slots=True)
class PushedResponse:
    """One push of the view."""

    push: Push
    """The push."""
    expected: float
    """The share of views that use it, as known when it was pushed."""
    size: float
    """Its size, as known then."""
    deferred: bool = False
    """True until it may be sent."""
    is_settled: bool = False
    """True when its end has been counted for the connection."""
    said: bool | None = None
    """The client's report: used or not; `None`: it said nothing."""

    @property
    def called_off(self) -> bool:
        """True when the client called it off."""
        return self.push.state is PushState.CANCELLED and self.push.cancelled_by is CancelledBy.PEER


@dataclass(slots=True, eq=False)
class Page:
    """A page view that is not over."""

    match: Match
    """Its route."""
    kind: EvidenceClass
    """The server's knowledge of the client."""
    began: float
    """When it was asked for, in loop time."""
    round_trip: float
    """The round trip at that moment, in milliseconds."""
    think: float = 0.0
    """Seconds from the page's request to its first byte."""
    last: float = 0.0
    """When something of it was asked for last."""
    responses: dict[str, Response] = field(default_factory=dict)
    """By path: what the client asked for; the page itself under its own path."""
    path: str = ""
    """Path of the page."""
    pushes: dict[str, PushedResponse] = field(default_factory=dict)
    """By path: what was promised."""
    sent: dict[str, Response] = field(default_factory=dict)
    """By path: how the pushes were answered."""
    held: set[str] = field(default_factory=set)
    """Paths of what the connection had been given before."""
    judged: dict[str, tuple[Action, Judgement]] = field(default_factory=dict)
    """By path: what was decided."""
    hints: bool = False
    """True when something was hinted at."""
    taken: float = 0.0
    """Bytes that are to be pushed at once."""
    arm: Arm | None = None
    """Its group, when something would be pushed."""
    share: float = 0.0
    """The share of connections that is held out."""
    counts: bool = True
    """False when its connection has told enough: its client may not be like the others."""

    @property
    def awaits_report(self) -> bool:
        """True while the fate of a push is open. When one of them is not there any more, that is news enough."""
        fates = {self._fate(path) for path in self.pushes}
        return Fate.UNKNOWN in fates and Fate.GONE not in fates

    def _fate(self, path: str) -> Fate:
        pushed = self.pushes[path]
        response = self.sent.get(path)
        if response is not None and (response.writer.status or 0) >= ERROR:
            return Fate.GONE
        if pushed.said is not None:
            return Fate.USED if pushed.said else Fate.UNUSED
        if path in self.responses:
            return Fate.USED  # it was called off, or crossed a request: the client needed it
        return Fate.UNKNOWN

    def seen(self) -> ViewSeen:
        """All that the view tells."""
        members, total, wasted, unused = [], 0.0, 0.0, 0.0
        reported = any(pushed.said is not None for pushed in self.pushes.values())
        for path in self.held:
            if path not in self.responses:
                members.append(Seen(self.match.generalized(path), Fate.UNKNOWN))
        for path, pushed in self.pushes.items():
            fate = self._fate(path)
            if fate is Fate.UNKNOWN and reported and pushed.called_off:
                fate = Fate.UNUSED
            size = float(pushed.push.bytes_sent)
            total += size
            part = self._wasted_part(pushed, fate)
            wasted, unused = wasted + part * size, unused + part
            if path not in self.responses or fate is Fate.GONE:
                known = size if fate is Fate.USED and size else pushed.size
                members.append(Seen(self.match.generalized(path), fate, known))
        for path, one in self.responses.items():
            size = float(one.writer.bytes_sent)
            total += size
            good = 200 <= (one.writer.status or ERROR) < 300  # whoever gets a 304 had it: a push would be wasted
            if path != self.path and good:
                members.append(Seen(self.match.generalized(path), Fate.USED, size, one.position, one.since * 1000))
        page = self.responses.get(self.path)
        return ViewSeen(
            route=self.match.route,
            kind=self.kind,
            page_bytes=0.0 if page is None else float(page.writer.bytes_sent),
            think_ms=self.think * 1000,
            members=tuple(members),
            bytes=total,
            wasted=wasted,
            pushes=len(self.pushes),
            unused=unused,
            arm=self.arm,
            share=self.share,
            complete_ms=self._complete_ms(),
            stratum=f"{self.kind.value} {round(self.round_trip).bit_length()}",
        )

    def _wasted_part(self, pushed: PushedResponse, fate: Fate) -> float:
        """The wasted part of a push: all, nothing, or an estimate."""
        if pushed.called_off or fate in {Fate.UNUSED, Fate.GONE}:
            return 1.0
        return 1 - pushed.expected if fate is Fate.UNKNOWN else 0.0

    def _complete_ms(self) -> float | None:
        """Until the last response that the page needed had reached the client; `None` when one of them did not."""
        latest = 0.0
        pushed = [one for path, one in self.sent.items() if not self._is_wasted(path)]
        for one in (*self.responses.values(), *pushed):
            if one.complete is None:
                return None
            latest = max(latest, one.complete)
        return latest * 1000

    def _is_wasted(self, path: str) -> bool:
        pushed = self.pushes.get(path)
        return pushed is None or pushed.called_off or pushed.said is False
