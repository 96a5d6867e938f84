"""Waiting: something that happens once, and the futures of those who wait for it."""

import asyncio

from h3push.errors import Timeout


class Signal:
    """Something that happens once; any number may wait for it. Costs nothing until somebody waits."""

    __slots__ = ("_waiters", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def set(self) -> None:
        """It happened; again is harmless."""
        self.is_set = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            wake(waiter)

    async def wait(self) -> None:
        """Return when it has happened."""
        if self.is_set:
            return
        waiter = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._forget(waiter)

    def _forget(self, waiter: "asyncio.Future[None]") -> None:
        # A function of its own: after the await, mypyc still believes that there is a list.
        if self._waiters is not None:
            self._waiters.remove(waiter)


def wake(waiter: "asyncio.Future[None] | None") -> None:
    """Let a waiter go on, if there is one and it still waits."""
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


async def wait_for(
    waiter: "asyncio.Future[None]", seconds: float | None, expired: type[Timeout], sentence: str
) -> None:
    """Wait for `waiter`; raises `expired` with `sentence` when it takes longer than `seconds` (`None`: no limit)."""
    try:
        async with asyncio.timeout(seconds):
            await waiter
    except TimeoutError:
        raise expired(f"{sentence} within {seconds:g} s") from None
