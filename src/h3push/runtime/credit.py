"""A queue for credit that the peer gives: streams that may be opened, pushes that may be promised."""

import asyncio


class CreditQueue:
    """Those who wait for credit, first come first served."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Return when there may be credit; the caller then tries again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(1)  # our turn had come: it goes to the next
            raise
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def release(self, count: int | None = None) -> None:
        """Let the first `count` try again, or all."""
        waiters = self._waiters
        if not waiters:
            return
        count = len(waiters) if count is None else count
        self._waiters = waiters[count:]
        for waiter in waiters[:count]:
            if not waiter.done():
                waiter.set_result(None)
