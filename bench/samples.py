"""Samples of a run, and the medians that tables, targets and summary are made of."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    rate: float
    """In the scenario's unit."""
    cost: float | None
    """CPU of the server, in microseconds for an operation or milliseconds for a megabyte."""
    p50: float | None = None
    """Median time of one operation, in microseconds."""
    p99: float | None = None
    """The same, of 99 of 100."""
    client_share: float | None = None
    """Part of its core that the load client used: near 1 it would be the limit."""


class Figures:
    """Medians of what was measured; `None` where nothing was."""

    def __init__(self, results: Mapping[tuple[str, str], Sequence[Sample]]) -> None:
        self._results = results

    def rate(self, scenario: str, server: str) -> float | None:
        """Of the rates, in the scenario's unit."""
        samples = self._results.get((scenario, server))
        return statistics.median(sample.rate for sample in samples) if samples else None

    def cost(self, scenario: str, server: str) -> float | None:
        """Of the CPU for an operation, or for a megabyte."""
        costs = [one.cost for one in self._results.get((scenario, server), ()) if one.cost is not None]
        return statistics.median(costs) if costs else None

    def cheaper(self, scenario: str, ours: str, theirs: str) -> float | None:
        """How many times what they take for an operation we could do with the same CPU."""
        return ratio(self.cost(scenario, theirs), self.cost(scenario, ours))

    def faster(self, scenario: str, ours: str, theirs: str) -> float | None:
        """The same of the rates."""
        return ratio(self.rate(scenario, ours), self.rate(scenario, theirs))


def ratio(one: float | None, other: float | None) -> float | None:
    """One over the other; `None` when either is missing."""
    return one / other if one is not None and other else None
