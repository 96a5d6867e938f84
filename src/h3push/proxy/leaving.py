"""A watch for clients that leave: for requests that take a while. Most are answered before anybody has to look."""

import asyncio
from typing import Protocol

PATIENCE = 0.05
"""Seconds after which a request that is still under way is watched for its client's leaving."""


class Watched(Protocol):
    """A request that is under way."""

    def begin_to_watch(self) -> None:
        """Notice from now on when the client leaves."""


class LeavingWatch:
    """The requests that nobody watches yet, in the order in which they came. One timer serves all of them."""

    def __init__(self) -> None:
        self._since: dict[Watched, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Watched) -> None:
        """Have a request watched when its time has come."""
        loop = asyncio.get_running_loop()
        self._since[request] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(PATIENCE, self._look)

    def remove(self, request: Watched) -> None:
        """A request is over."""
        self._since.pop(request, None)

    def _look(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        while self._since:
            request, since = next(iter(self._since.items()))
            if since + PATIENCE > loop.time():
                self._timer = loop.call_at(since + PATIENCE, self._look)
                return
            del self._since[request]
            request.begin_to_watch()
