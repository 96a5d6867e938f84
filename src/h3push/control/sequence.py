"""An interval for a mean that holds at every moment at once, so that one may look whenever one likes and stop when one is sure.

An interval of a fixed number of views is wrong more often than it says when it is looked at again and again until it excludes 0.
A confidence sequence is wrong about its mean, at any time, with no more than its level. This one is the normal mixture of Robbins
with an estimated variance, which holds for values without a bound: an asymptotic confidence sequence (Waudby-Smith, Arbour,
Sinha, Kennedy, Ramdas: Time-uniform central limit theory and asymptotic confidence sequences, Annals of Statistics 52, 2024,
theorem 2.2)::

    mean +- s * sqrt((2 (n g + 1)) / (n^2 g) * log(sqrt(n g + 1) / level))

g is where it is narrowest: it is chosen for `TUNED_FOR` views. The package confseq has the same boundary; it has had no release
since 2023, and brings pandas and matplotlib along for one line.
"""

import math
from dataclasses import dataclass

LEVEL = 0.1
"""Chance that the interval ever leaves out the truth."""
TUNED_FOR = 2_000
"""Views at which it is narrowest, relative to what is possible."""
_G = (-2 * math.log(LEVEL) + math.log(-2 * math.log(LEVEL) + 1)) / TUNED_FOR


@dataclass(slots=True)
class ConfidenceSequence:
    """The mean of values that come one after the other, and how sure it is; constant work and memory for each."""

    count: int = 0
    """Values so far."""
    mean: float = 0.0
    """Their mean."""
    squares: float = 0.0
    """Sum of their squared distances from it (Welford)."""

    def add(self, value: float) -> None:
        """Take a value."""
        self.count += 1
        distance = value - self.mean
        self.mean += distance / self.count
        self.squares += distance * (value - self.mean)

    @property
    def half_width(self) -> float:
        """Half the width of the interval; infinite before two values."""
        if self.count < 2:
            return math.inf
        scatter = math.sqrt(self.squares / (self.count - 1))
        return scatter * mixture_boundary(self.count)

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + self.half_width


def mixture_boundary(count: int, level: float = LEVEL, g: float = _G) -> float:
    """Half the width of the interval for a standard deviation of 1, after `count` values."""
    grown = count * g + 1
    return math.sqrt(2 * grown / (count * count * g) * math.log(math.sqrt(grown) / level))
