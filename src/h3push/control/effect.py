"""The effect of a route's pushes, measured: what they save over hints, in milliseconds for each page view.

A small share of the connections is held out, at random: half of it gets hints, half nothing. Each view in which something would
be pushed tells how long the page took until its client had all of it. With p the known chance of an arm, T the time, and m a mean
of earlier views of the same kind, the value of one view is ::

    (T - m) * (1 / p_hint      if it was in the arm "hint")
    (T - m) * (-1 / p_push     if it was in the arm "push")

Its mean is the saving, whatever m is; m only takes out of the scatter what the kind of client explains. (This is inverse
propensity weighting with a predictable baseline, section 3 of the source that `sequence` names.) No model of the link has a part
in it.
"""

from dataclasses import dataclass, field
from enum import Enum

from h3push.control.kinds import Arm
from h3push.control.sequence import ConfidenceSequence

MIN_ARM = 30
"""Views of each arm before anything is said: the interval holds for many views."""
LONGEST_MS = 60_000.0
"""Longer page views count as this long: one client that was suspended says nothing of pushes."""
TRIAL_AGAIN = 2_000
"""Views after which a demoted route is tried once more: the site has changed since."""
MAX_STRATA = 64
"""Kinds of views with a mean of their own."""


class Standing(Enum):
    """The standing of a route's pushes."""

    UNDECIDED = "undecided"
    """The interval holds 0, or an arm has too few views: arithmetic decides."""
    CERTIFIED = "certified"
    """The whole interval of what they save lies above 0."""
    DEMOTED = "demoted"
    """The whole interval lies at 0 or below: hints do as well, and waste nothing."""


@dataclass(slots=True)
class Effect:
    """The measurements of one route."""

    saved: ConfidenceSequence = field(default_factory=ConfidenceSequence)
    """Milliseconds that pushes save over hints."""
    views: dict[str, int] = field(default_factory=lambda: {arm.value: 0 for arm in Arm})
    """Views by arm."""
    means: dict[str, list[float]] = field(default_factory=dict)
    """By kind of view: how many, and their mean."""
    since_demoted: int = 0
    """Views since it was demoted; 0 while it is not."""

    def add(self, arm: Arm, milliseconds: float, share: float, stratum: str) -> None:
        """Take a view.

        Args:
            arm: its group.
            milliseconds: until its client had everything that it needed.
            share: part of the connections that is held out; half of it gets hints.
            stratum: what kind of client and link it was.
        """
        if not 0 < share < 1:
            return
        took = min(milliseconds, LONGEST_MS)
        if stratum not in self.means and len(self.means) >= MAX_STRATA:
            stratum = ""
        known = self.means.setdefault(stratum, [0, took])
        weight = {Arm.HINT: 2 / share, Arm.PUSH: -1 / (1 - share), Arm.NONE: 0.0}[arm]
        if known[0]:
            self.saved.add((took - known[1]) * weight)
            self.views[arm.value] += 1
        known[0] += 1
        known[1] += (took - known[1]) / known[0]

    @property
    def standing(self) -> Standing:
        """The verdict of the interval."""
        if self.since_demoted:
            return Standing.DEMOTED
        if min(self.views[Arm.HINT.value], self.views[Arm.PUSH.value]) < MIN_ARM:
            return Standing.UNDECIDED
        if self.saved.low > 0:
            return Standing.CERTIFIED
        return Standing.DEMOTED if self.saved.high <= 0 else Standing.UNDECIDED

    def pass_view(self) -> None:
        """Count a view of the route: a demotion ends after a while, and the measuring begins anew."""
        if self.since_demoted:
            self.since_demoted += 1
            if self.since_demoted > TRIAL_AGAIN:
                self.saved, self.since_demoted = ConfidenceSequence(), 0
                self.views = {arm.value: 0 for arm in Arm}
        elif self.standing is Standing.DEMOTED:
            self.since_demoted = 1
