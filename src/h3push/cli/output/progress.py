"""A progress bar on stderr."""

from collections.abc import Callable
from contextlib import ExitStack


class Progress:
    """A progress bar on stderr; nothing is shown, and rich is not imported, until it is begun."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._update: Callable[[int], None] | None = None

    def begin(self, name: str, total: int | None) -> None:
        """Show a bar for `total` bytes (`None`: unknown)."""
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        bars = self._stack.enter_context(progress.Progress(*columns, console=Console(stderr=True)))
        task = bars.add_task(name, total=total)
        self._update = lambda size: bars.advance(task, size)

    def advance(self, size: int) -> None:
        """So many bytes more."""
        if self._update is not None:
            self._update(size)
