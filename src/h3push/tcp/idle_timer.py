"""The timer of a connection's idle time, which is set after each response and cancelled by each request.

asyncio makes and sorts a timer for each, and keeps a cancelled one until its time, or until half of all are cancelled: for a
connection with ten thousand requests a second, a good part of what a response costs. Here, one timer of the loop's stands for
all of them. It looks, when it fires, at when the last one was to fire.
"""

import asyncio
from collections.abc import Callable


class IdleTimer:
    """One timer after another, of which a connection has at most one; uvicorn takes it for what `call_later` gives.

    Args:
        loop: keeps the time.
    """

    __slots__ = ("_action", "_due", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._action: Callable[[], object] | None = None
        self._handle: asyncio.TimerHandle | None = None

    def call_later(self, delay: float, action: Callable[[], object]) -> "IdleTimer":
        """Do something in `delay` seconds, and nothing that was to be done before."""
        due = self._due = self._loop.time() + delay
        self._action = action
        handle = self._handle
        if handle is None or handle.when() > due:
            if handle is not None:
                handle.cancel()
            self._handle = self._loop.call_at(due, self._fire)
        return self

    def cancel(self) -> None:
        """Do nothing."""
        self._action = None

    def _fire(self) -> None:
        self._handle = None
        action = self._action
        if action is None:
            return
        if self._loop.time() < self._due:
            self._handle = self._loop.call_at(self._due, self._fire)
            return
        self._action = None
        action()


class ConnectionLoop:
    """The event loop as one of uvicorn's protocols uses it, with `IdleTimer` for its only timer."""

    __slots__ = ("call_later", "create_task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.create_task = loop.create_task
        self.call_later = IdleTimer(loop).call_later
