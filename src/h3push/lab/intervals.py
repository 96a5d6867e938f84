"""The median of a few measurements, and how far off it may be: exact, whatever the distribution.

Between the k-th smallest and the k-th largest of n independent measurements lies the true median unless fewer than k of them
fell on one side of it, which happens with twice the binomial probability P(X < k), X ~ B(n, 1/2). So the order of the
measurements is enough: no normal distribution is assumed, which losses of packets would not have (David and Nagaraja, Order
Statistics, section 7.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

CONFIDENCE = 0.95
"""Confidence that is wanted. Below six measurements no interval has it: they are given whole, with what they have."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A median and the interval that covers the true one."""

    median: float
    """Median of the measurements."""
    low: float
    """Its lower end."""
    high: float
    """Its upper end."""
    confidence: float
    """Probability that such an interval covers the true median; 0 when a single measurement says nothing of it."""
    count: int
    """Measurements."""


def coverage(count: int, rank: int) -> float:
    """Give the probability that the median lies between the `rank`-th smallest and the `rank`-th largest of `count`."""
    return 1 - sum(comb(count, below) for below in range(rank)) / 2.0 ** (count - 1)


def interval_of(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Give the median of `values` and the narrowest interval with at least that confidence, or the widest there is.

    Raises `ValueError` when there are no values.
    """
    if not values:
        raise ValueError("no measurement, no median")
    ordered = sorted(values)
    count = len(ordered)
    enough = [rank for rank in range(1, (count + 1) // 2 + 1) if coverage(count, rank) >= confidence]
    rank = max(enough, default=1)
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank], max(0.0, coverage(count, rank)), count)
