"""The certainty of a difference between two means: Welch's interval. The quantiles are scipy's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.9
"""Chance that an interval holds the truth."""


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
