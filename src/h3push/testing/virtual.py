"""Virtual time for asyncio: a loop whose clock stands still while something can run, and jumps when nothing can.

Theory of operation. Whatever an asyncio program waits for is a handle that is ready, a handle scheduled for later, or a
file descriptor. Here there are no file descriptors to wait for (`network` joins endpoints in memory), so when nothing is
ready the next thing to happen is the earliest scheduled handle. `BaseEventLoop` computes how long it would sleep until then
and asks the selector to sleep; our selector moves the clock by that much and returns at once. An hour takes microseconds,
and every run of a program that draws its randomness from a seed is the same run.

When nothing is ready and nothing is scheduled, nobody can wake the program any more: the selector raises `Deadlock` and
names the tasks that wait.

The clock counts integer nanoseconds, beginning at 0. asyncio schedules in float seconds; a jump goes to the nearest whole
nanosecond that is not before the handle's time, so that a call at `n / 1e9` runs exactly at nanosecond `n`.

Work handed to an executor (`asyncio.to_thread`) runs at once, in the caller's turn, and takes no virtual time: a thread
would bring the real clock back in.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_UDP, SOCK_DGRAM, gaierror
from typing import Any, TypeVar, TypeVarTuple

from h3push.testing.link import NANOSECONDS

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TOLERANCE = 0.25
"""Nanoseconds by which a float may be off; beyond, it lies between two whole nanoseconds."""


class Deadlock(RuntimeError):
    """Every task waits and nothing is scheduled: in virtual time nobody would ever wake the program."""


class _Jumper(selectors.BaseSelector):
    """A selector that never waits: it lets the loop's clock jump instead. What is registered is never ready."""

    def __init__(self) -> None:
        self.jump: Callable[[float | None], None] = lambda _: None
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Note a file; asyncio registers its own wake-up pipe."""
        fileno = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileno] = key = selectors.SelectorKey(fileobj, fileno, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a file; `KeyError` when it was not registered."""
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Jump by `timeout` seconds."""
        self.jump(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """Tell what is registered, by file number."""
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; see the module's text."""

    is_virtual = True
    """Tells code that draws random numbers to draw them from a fixed seed on this loop, so that runs repeat."""

    def __init__(self) -> None:
        selector = _Jumper()
        self._now = 0
        super().__init__(selector)
        selector.jump = self._jump
        self._clock_resolution = 0.5 / NANOSECONDS
        self.hosts: dict[str, str] = {}
        """Names that `getaddrinfo` knows, with their IP address; there is no other resolver."""

    def time(self) -> float:
        """Tell the virtual time, in seconds from 0."""
        return self._now / NANOSECONDS

    def time_ns(self) -> int:
        """Tell the virtual time, in nanoseconds from 0."""
        return self._now

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run `func(*args)` at once, in no time; the executor is not used."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - asyncio's signature
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Resolve IP literals and the names in `hosts`; `socket.gaierror` for anything else."""
        try:
            address = ip_address(self.hosts.get(host, host))
        except ValueError:
            raise gaierror(f"{host!r} is not in the virtual loop's hosts") from None
        six = address.version == 6
        found = AF_INET6 if six else AF_INET
        if family not in (0, found):
            raise gaierror(f"{host!r} has no address of that family")
        where = (str(address), int(port or 0), 0, 0) if six else (str(address), int(port or 0))
        return [(found, type or SOCK_DGRAM, proto or IPPROTO_UDP, "", where)]

    def _jump(self, timeout: float | None) -> None:
        """Move the clock to where the loop would have woken up."""
        if timeout is None:
            raise Deadlock(self._deadlock_sentence())
        if timeout > 0:
            exact = (self.time() + timeout) * NANOSECONDS
            instant = round(exact)
            self._now = max(instant + (instant < exact - _TOLERANCE), self._now + 1)

    def _deadlock_sentence(self) -> str:
        waiting = sorted(f"{task.get_name()} in {_where(task)}" for task in asyncio.all_tasks(self))
        return f"at {self.time():.9f} s nothing is scheduled, so nothing can happen any more; waiting: " + (
            "; ".join(waiting) or "no task"
        )


def _where(task: asyncio.Task[Any]) -> str:
    """Tell the function, file and line at which a task waits."""
    stack = task.get_stack(limit=1)
    if not stack:
        return repr(task.get_coro())
    code = stack[-1].f_code
    return f"{code.co_qualname} ({code.co_filename}:{stack[-1].f_lineno})"


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run `main()` in a fresh `VirtualLoop`, like `asyncio.run`; its result.

    Raises what `main` raises, and `Deadlock` when nothing can happen any more before it is done.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
