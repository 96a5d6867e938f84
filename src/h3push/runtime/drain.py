"""Back-pressure for a sender whose stream has too much queued.

The transport takes everything that is sent and answers how much waits. Above the high-water mark the sender waits here until the
transport says that the stream is (nearly) empty again. No task and no timer exists while nobody waits.
"""

import asyncio
from collections.abc import Callable

from h3push.errors import WriteTimeout
from h3push.runtime.signal import wait_for, wake

LOOKS = 4
"""Looks within one time-out at whether the peer makes progress: it is noticed with at most two parts of the time-out's delay."""


LEAST_PROGRESS = 16 * 1024
"""Bytes that a peer has to take within the time-out: whoever takes a little now and then holds as much as one who takes
nothing."""


class Drain:
    """The wait of one sender whose stream has too much queued."""

    __slots__ = ("_drained", "_waiter")

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None
        self._drained = False

    def fail(self, error: Exception) -> bool:
        """Have the sender that waits now raise `error`; False when none waits."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return False
        waiter.set_exception(error)
        return True

    def drained(self) -> None:
        """The stream takes more, or it is gone: either way the sender goes on."""
        self._drained = True  # the waiter may have just timed out
        wake(self._waiter)

    async def wait(self, seconds: float | None, waiting: Callable[[], int]) -> None:
        """Until `drained`; `WriteTimeout` when the peer takes less than `LEAST_PROGRESS` in `seconds` (`None`: no limit).

        `waiting` tells how many bytes wait now.
        """
        left = waiting()
        self._drained = False
        while not self._drained:
            try:
                await self._wait(seconds)
            except WriteTimeout:
                before, left = left, waiting()
                if left > before - LEAST_PROGRESS and not self._drained:
                    raise

    async def wait_guarded(self) -> None:
        """Until `drained`, or what `fail` is given; somebody else sees to the time."""
        self._drained = False
        await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        if self._waiter is not None:
            raise RuntimeError("two tasks send on the same stream: send in one place")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            if seconds is None:
                await self._waiter
            else:
                sentence = "the peer did not take what was sent (drain_timeout)"
                await wait_for(self._waiter, seconds, WriteTimeout, sentence)
        finally:
            self._waiter = None
