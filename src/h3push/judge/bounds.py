"""How sure a count makes us: exact bounds of a probability, and the interval of a difference of means.

The quantiles are scipy's. `lower_bound` is Clopper and Pearson's: with k of n seen, the largest p for which k or more of n would
still be rarer than the level. It needs no prior, and it never claims more certainty than its level, however small n is. Its
closed forms say what evidence costs: all of n seen gives level ** (1 / n), so 14 in a row make 0.8 certain, 29 make 0.9, and 59
make 0.95.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from scipy import special, stats

LEVEL = 0.05
"""Chance that a bound promises too much."""
CONFIDENCE = 0.9
"""Chance that an interval holds the truth."""


@lru_cache(maxsize=100_000)
def lower_bound(uses: int, trials: int, level: float = LEVEL) -> float:
    """The probability that `uses` of `trials` show at least, wrong with the chance `level`; 0 when nothing was tried.

    Raises: ValueError: more uses than trials, or fewer than none.
    """
    if not 0 <= uses <= trials:
        raise ValueError(f"{uses} uses of {trials} trials")
    if uses == 0:
        return 0.0
    return float(special.betaincinv(uses, trials - uses + 1, level))  # the quantile of Beta(k, n - k + 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the interval that holds the truth nine times in ten."""

    estimate: float
    """The middle."""
    low: float
    """The lower end."""
    high: float
    """The upper end."""


def difference(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """How much smaller the mean of `second` is than that of `first`, with Welch's interval: unequal variances, unequal sizes.

    Raises: ValueError: fewer than two values on a side.
    """
    if len(first) < 2 or len(second) < 2:
        raise ValueError("an interval needs two values on each side")
    estimate = math.fsum(first) / len(first) - math.fsum(second) / len(second)
    if len(set(first)) == len(set(second)) == 1:  # no scatter at all
        return Interval(estimate, estimate, estimate)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    return Interval(estimate, float(interval.low), float(interval.high))


def views_needed(first: Sequence[float], second: Sequence[float], effect: float) -> int:
    """How many values each side needs, by the scatter seen so far, for an interval that is `effect` wide to each side."""
    scatter = float(stats.tvar(first) + stats.tvar(second))
    quantile = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    return max(2, math.ceil(scatter * (quantile / effect) ** 2))
