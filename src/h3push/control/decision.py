"""The decision on one candidate: counting and arithmetic together, for plans that are learned from logs and for the server.

Candidates are taken in the order in which the page needs them. One is pushed when enough page views were seen, the 5 % lower
bound of its probability of use is at least the break-even of `saving.break_even`, a push saves time over a hint, and its bytes
fit into the idle room that those before it left. The bound is counting, the saving is arithmetic of the link; neither knows of
the other.

A server has two more ways than a plan. What pays but finds no room is *deferred*: promised at once, and sent a round trip later.
That is when the requests that hints cause are back, and requests go before pushes; so beside hints it is hinted at instead.
What is not worth its bytes is *hinted* at, if it is used often enough for a line in a 103 response::

    verdict            │ action
    ───────────────────┼────────────────────────────────────────────────
    push               │ push
    no room            │ defer; hint, where something of the page is hinted at
    any other          │ hint, when it is likely or the page names it; else none
"""

from dataclasses import dataclass
from enum import Enum

from h3push.control.saving import Path, break_even

MIN_TRIALS = 5
"""Page views below which nothing is pushed."""
LIKELY = 0.3
"""Share of views from which on a hint is worth its bytes."""


class Verdict(Enum):
    """The verdict on a candidate: pushed, or why not."""

    PUSH = "push"
    """It is pushed."""
    TOO_FEW = "too few views"
    """Fewer than `MIN_TRIALS` views tell of it."""
    SAVES_NOTHING = "saves nothing"
    """A hint brings it as early: the link is busy in the round trip that a push would use."""
    TOO_UNLIKELY = "too unlikely"
    """The bound of its probability is below the break-even."""
    NO_ROOM = "no room"
    """It would be sent before what was asked for: what goes before it fills the idle time."""
    DEMOTED = "demoted"
    """Pushes of its route were measured, and save nothing over hints."""
    UNCLAIMED = "unclaimed"
    """The client left the last pushes of this connection unused, or has yet to claim many."""


class Action(Enum):
    """The action on a candidate of a page."""

    PUSH = "push"
    """Promise it and send it at once."""
    DEFER = "defer"
    """Promise it at once; send it a round trip later, unless the client has called it off."""
    HINT = "hint"
    """Name it in a 103 response or a Link field."""
    NONE = "leave"
    """Leave it to the client."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the figures that it was made of."""

    verdict: Verdict
    """The decision."""
    bound: float
    """The 5 % lower bound of the probability of use."""
    saved_ms: float
    """The saving of a push over a hint when it is used."""
    break_even: float
    """The probability from which on it pays."""
    uses: float = 0.0
    """Views that used it."""
    trials: float = 0.0
    """Views that tell."""


def judge(
    size: float,
    *,
    uses: float,
    trials: float,
    bound: float,
    path: Path,
    idle: float,
    taken: float,
    price: float,
    toll: float = 0.0,
    known: float = 0.0,
) -> Judgement:
    """Judge one candidate.

    Args:
        size: its bytes.
        uses: views that used it.
        trials: views that tell.
        bound: the lower bound of its probability that this shows.
        path: the link, and the page.
        idle: `path.idle`, the bytes that delay nothing that was asked for.
        taken: bytes of the candidates before it that are pushed.
        price: milliseconds that a wasted kilobyte is worth.
        toll: milliseconds that a wasted push is worth, whatever its size.
        known: views that tell of it elsewhere.
    """
    saved = path.saved(taken + size)
    fits = taken + size <= idle
    threshold = break_even(saved, size, 0.0 if fits else size / path.rate, price, toll)
    if trials + known < MIN_TRIALS:
        verdict = Verdict.TOO_FEW
    elif saved <= 0:
        verdict = Verdict.SAVES_NOTHING
    elif bound < threshold:
        verdict = Verdict.TOO_UNLIKELY
    else:
        verdict = Verdict.PUSH if fits else Verdict.NO_ROOM
    return Judgement(verdict, bound, saved, threshold, uses, trials)


def action_of(judgement: Judgement, *, named: bool) -> Action:
    """The action that a verdict means; `named`: a page, a manifest or the application says that the page needs it."""
    if judgement.verdict is Verdict.PUSH:
        return Action.PUSH
    if judgement.verdict is Verdict.NO_ROOM:
        return Action.DEFER
    if named:  # what clients have in their caches they do not fetch for a hint, and the others need it
        return Action.HINT
    if judgement.trials < MIN_TRIALS:
        return Action.NONE
    return Action.HINT if judgement.uses >= LIKELY * judgement.trials else Action.NONE
