"""One page of memory that all workers share: a row of numbers for each of them.

Theory of operation. Only the process that has a row writes to it, and a cell is written in one store, so nobody waits for
anybody. A worker goes on where the one before it on the same row stopped: counts outlive the process that made them, however
it ended. Gauges end with it; whoever sees it end clears them.
"""

import mmap

from h3push.metrics.families import CELLS, FAMILIES, Kind, cells

_GAUGES = cells([family for family in FAMILIES if family.kind is Kind.GAUGE])
_CELL_BYTES = 8


class MetricsPage:
    """Rows of numbers in memory that survives a fork. It has as many rows as there can be workers, and never grows."""

    def __init__(self, rows: int) -> None:
        self._memory = mmap.mmap(-1, rows * CELLS * _CELL_BYTES)
        numbers = memoryview(self._memory).cast("d")
        self._rows = [numbers[CELLS * row : CELLS * (row + 1)] for row in range(rows)]

    def row(self, number: int) -> "memoryview[float]":
        """The row of one process."""
        return self._rows[number]

    def totals(self) -> list[float]:
        """The sum of all rows, cell by cell."""
        return [sum(column) for column in zip(*self._rows, strict=True)]

    def clear_gauges(self, number: int) -> None:
        """The process of a row is gone, and its state with it."""
        row = self._rows[number]
        for cell in _GAUGES:
            row[cell] = 0.0
