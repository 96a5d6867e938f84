"""Bounds on the memory and the time that planning takes."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

RUN_FOR = 0.0005
PAUSE_FOR = 0.0001
"""Seconds that the thread runs, and then leaves to others."""


class BoundedCache(Generic[K, V]):
    """A dictionary that holds at most so many bytes, as `size_of` tells them; the entry that was used longest ago goes first.

    May be used by several threads.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[K, V], int]) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._lock = threading.Lock()
        self.bytes = 0
        """Held at present."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value kept for `key`, if it is still there."""
        with self._lock:
            value = self._entries.get(key)
            if value is not None:
                self._entries.move_to_end(key)
            return value

    def keep(self, key: K, value: V) -> None:
        """Keep something, in place of what was kept for `key`."""
        with self._lock:
            if key in self._entries:
                self.bytes -= self._size_of(key, self._entries.pop(key))
            self._entries[key] = value
            self.bytes += self._size_of(key, value)
            while self.bytes > self._max_bytes:
                self.bytes -= self._size_of(*self._entries.popitem(last=False))


class TimeShare:
    """A bound on time spent: a share of all time, and so much at once after a pause. Times in seconds."""

    def __init__(self, share: float, burst: float) -> None:
        self._share = share
        self._burst = burst
        self._left = burst
        self._refilled_at: float | None = None

    def wait(self, now: float) -> float:
        """Seconds until something may begin; 0 when it may now."""
        if self._refilled_at is not None:
            self._left = min(self._burst, self._left + (now - self._refilled_at) * self._share)
        self._refilled_at = now
        return 0.0 if self._left > 0 else max(-self._left / self._share, 0.001)

    def spend(self, seconds: float) -> None:
        """Something has taken so long."""
        self._left -= seconds


class Stopped(Exception):
    """The work in a thread was to stop."""


class Pause:
    """Lets other threads run, for CPython lets them wait five milliseconds for each system call; and lets the work be stopped."""

    def __init__(self) -> None:
        self.stop = False
        """Set to have the work stopped at its next pause, by `Stopped`."""
        self._since = time.perf_counter()

    def __call__(self) -> None:
        if self.stop:
            raise Stopped
        if time.perf_counter() - self._since > RUN_FOR:
            time.sleep(PAUSE_FOR)
            self._since = time.perf_counter()
