"""A tally: how often something was used, with a memory that fades, and that ends when the thing has changed.

Each view counts a thousandth less with every view that follows, so a count speaks of the last thousand views or so. That is too
slow for a deployment, after which a file that every page used is used by none. So a run of views without a use ends the memory
when it is too long for chance: with the share of uses before it, it would be seen once in five hundred times. What counts then is
the run alone.
"""

from dataclasses import dataclass, field

from h3push.control.bounds import credible_bound

FADING = 1 - 1 / 1000
"""Weight of a view when the next one has come."""
SHORTEST_CHANCE = 0.002
"""Chance of a run without uses below which the thing has changed."""
SUREST = 0.9
"""Share of uses that a run is compared with at most: three views in a row are the least that end a memory."""


@dataclass(slots=True)
class Tally:
    """Uses and trials of one candidate by one kind of client."""

    uses: float = 0.0
    """Views that used it, faded."""
    trials: float = 0.0
    """Views that tell, faded."""
    run: int = 0
    """Views without a use since the last one."""
    _bound: float = field(default=-1.0, repr=False)
    _expected: float = field(default=-1.0, repr=False)
    _changed: float = field(default=0.0, repr=False)

    def count(self, used: bool) -> None:
        """Count a view of many candidates together, whose runs mean nothing."""
        self.uses = self.uses * FADING + used
        self.trials = self.trials * FADING + 1
        self._changed += 1 if used else self.trials

    def add(self, used: bool) -> None:
        """Count a view of one candidate."""
        if used:
            self.run = 0
        else:
            self.run += 1
            if self._has_changed():
                self.uses, self.trials, self._bound = 0.0, float(self.run), -1.0
                return
        self.count(used)

    def _has_changed(self) -> bool:
        before = self.trials - (self.run - 1)
        if self.uses <= 0 or before <= 0:
            return False
        share = min(SUREST, self.uses / before)
        return bool((1 - share) ** self.run < SHORTEST_CHANCE)

    def bound(self, expected: float) -> float:
        """The 5 % lower bound of the probability of use; `expected` is what is known of such things elsewhere.

        A quantile costs as much as the rest of a decision, and one more use among many moves it hardly, and upwards: it is kept
        until a fiftieth more was seen, or something was not used.
        """
        is_stale = self._changed > self.trials / 50 or abs(expected - self._expected) > 0.05
        if self._bound < 0 or is_stale:
            self._bound = credible_bound(min(self.uses, self.trials), self.trials, expected)
            self._expected, self._changed = expected, 0.0
        return self._bound

    @property
    def share(self) -> float:
        """The share of views that used it."""
        return self.uses / self.trials if self.trials else 0.0
