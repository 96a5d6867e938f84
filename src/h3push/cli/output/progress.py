"""Progress bars on stderr, for transfers that take a while."""

import time
from contextlib import ExitStack
from typing import Any

SHOWN_AFTER = 0.5
"""Seconds that a transfer has before it gets a bar: for a shorter one it would only flicker."""


class Progress:
    """Progress bars on stderr; nothing is shown, and rich is not imported, until one of them is due.

    Arguments:
        stack: ends the bars.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._bars: Any = None

    def begin(self, name: str, total: int | None) -> "Bar":
        """Begin a bar for `total` bytes (`None`: unknown)."""
        return Bar(self, name, total)

    def show(self, name: str, total: int | None) -> Any:
        """Show a bar; gives rich's bars and the number of this one."""
        from rich import progress
        from rich.console import Console

        if self._bars is None:
            columns = (
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                progress.TimeRemainingColumn(),
            )
            self._bars = self._stack.enter_context(progress.Progress(*columns, console=Console(stderr=True)))
        return self._bars, self._bars.add_task(name, total=total)


class Bar:
    """One transfer."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._bytes = 0
        self._due = time.monotonic() + SHOWN_AFTER
        self._shown: Any = None

    def advance(self, size: int) -> None:
        """So many bytes more."""
        self._bytes += size
        if self._shown is None and time.monotonic() >= self._due:
            self._shown = self._progress.show(self._name, self._total)
        if self._shown is not None:
            bars, number = self._shown
            bars.update(number, completed=self._bytes)

    def end(self) -> None:
        """It is over: the bar stands still."""
        if self._shown is not None:
            bars, number = self._shown
            bars.stop_task(number)
