"""Connections by origin: opened once for all who wait, shared by the names of one certificate, closed when idle.

Theory of operation. An origin has at most one connection that takes new requests, and at most one that is being opened; whoever
needs it meanwhile waits for the same one. A name is given a connection of another name when that server's certificate covers it
and one of its addresses is that server's (RFC 9114 section 3.3). A connection that takes no more requests (lost, GOAWAY, in
doubt) leaves the map at the next look, and closes by itself when what is under way on it is done. One without requests closes
after a while.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from h3push.client.alternatives import Alternatives
from h3push.client.connection import ClientConnection
from h3push.client.handshake import Address, Resolve, look_up
from h3push.client.pushes import OnPush
from h3push.errors import ConnectFailed, ConnectFailure, H3PushError
from h3push.http.url import Origin
from h3push.runtime.settings import PoolSettings
from h3push.runtime.signal import Signal


class Connect(Protocol):
    """Makes a connection that is not open yet; `h3push.connect` is one."""

    def __call__(
        self, url: str, *, max_pushes: int | None, on_push: OnPush | None, address: Address | None
    ) -> ClientConnection: ...


class Shared:
    """One connection, for all who use it."""

    def __init__(self, origin: Origin, connection: ClientConnection) -> None:
        self.origin = origin
        """The one that it was opened for."""
        self.connection = connection
        self.used_at = 0.0
        """When a request was last sent on it, in seconds of the loop's clock."""

    @property
    def is_usable(self) -> bool:
        """True while it takes requests."""
        return self.connection.is_usable

    @property
    def is_busy(self) -> bool:
        """True while something is under way on it."""
        return self.connection.session.wanted


class Connections:
    """The connections of one client.

    Args:
        connect: makes one.
        settings: the bounds.
        alternatives: where origins speak HTTP/3.
        max_pushes: pushes that a server may have under way at once; `None` allows none.
        on_push: is told of each promise.
        resolve: finds addresses.
    """

    def __init__(
        self,
        connect: Connect,
        settings: PoolSettings,
        alternatives: Alternatives,
        *,
        max_pushes: int | None,
        on_push: OnPush | None,
        resolve: Resolve = look_up,
    ) -> None:
        self._connect = connect
        self._settings = settings
        self._alternatives = alternatives
        self._max_pushes = max_pushes
        self._on_push = on_push
        self._resolve = resolve
        self._of: dict[Origin, Shared] = {}
        self._opening: dict[Origin, asyncio.Task[Shared]] = {}
        self._all: dict[Shared, asyncio.Task[None]] = {}
        self._apart: set[Origin] = set()
        self._freed = Signal()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._all)

    def values(self) -> list[ClientConnection]:
        """All that are open."""
        return [shared.connection for shared in self._all]

    def ready(self, origin: Origin) -> Shared | None:
        """The connection that takes requests for an origin now, if there is one."""
        shared = self._of.get(origin)
        if shared is None or not shared.is_usable:
            return None
        shared.used_at = asyncio.get_running_loop().time()
        return shared

    async def get(self, origin: Origin, seconds: float | None) -> Shared:
        """The connection for an origin, opened where there is none. `ConnectFailed` when that takes longer than `seconds`."""
        shared = self.ready(origin)
        if shared is not None:
            return shared
        if self._is_closed:
            raise RuntimeError("the client is closed")
        opening = self._opening.get(origin)
        if opening is None:
            self._of.pop(origin, None)
            opening = self._opening[origin] = asyncio.create_task(self._open(origin))
            opening.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(seconds):
                shared = await asyncio.shield(opening)
        except TimeoutError:
            sentence = f"no connection to {origin.authority} within {seconds:g} s: is an HTTP/3 server running there?"
            raise ConnectFailed(sentence, ConnectFailure.TIMEOUT) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if (
                opening.cancelled() and task is not None and not task.cancelling()
            ):  # it is not this task that is cancelled
                raise ConnectFailed("the client was closed meanwhile") from None
            raise
        shared.used_at = asyncio.get_running_loop().time()
        return shared

    def retire(self, origin: Origin, shared: Shared) -> None:
        """Send no further request for this origin on this connection."""
        if self._of.get(origin) is shared:
            del self._of[origin]
        if shared.origin != origin:
            self._apart.add(origin)
        else:
            shared.connection.session.close_when_idle = True
            shared.connection.session.progressed()  # it may be idle already

    async def close(self) -> None:
        """Close all of them. What is under way fails with `ConnectionClosed`."""
        self._is_closed = True
        opening = list(self._opening.values())
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        watches = list(self._all.values())
        for shared in list(self._all):
            await shared.connection.close()
        await asyncio.gather(*watches, return_exceptions=True)

    # inside

    async def _open(self, origin: Origin) -> Shared:
        try:
            shared = await self._covering(origin)
            if shared is None:
                await self._make_room()
                shared = await self._new(origin)
            self._of[origin] = shared
            return shared
        finally:
            del self._opening[origin]

    async def _new(self, origin: Origin) -> Shared:
        loop = asyncio.get_running_loop()
        place = self._alternatives.of(origin, loop.time())
        address = None
        if (place.host, place.port) != (origin.host, origin.port):
            address = (await self._resolve(Origin(place.host, place.port)))[0]
        connection = self._connect(
            f"https://{origin.authority}/", max_pushes=self._max_pushes, on_push=self._on_push, address=address
        )
        await connection.open()
        self._alternatives.answered(origin, loop.time())
        shared = Shared(origin, connection)
        self._all[shared] = asyncio.create_task(self._watch(shared))
        return shared

    async def _covering(self, origin: Origin) -> Shared | None:
        """A connection to another name whose server may speak for `origin` and has an address of it."""
        name = origin.authority.encode("ascii")
        able = [
            one for one in self._all if one.is_usable and one.origin != origin and one.origin.port == origin.port
            and one.connection.session.is_authoritative(name)
        ]  # fmt: skip
        if not able or origin in self._apart:
            return None
        try:
            addresses = {tuple(address) for address in await self._resolve(origin)}
        except H3PushError:
            return None
        return next((one for one in able if one.is_usable and one.connection.session.address in addresses), None)

    async def _make_room(self) -> None:
        """Wait until one more connection may be open: the idle one that was used longest ago gives way."""
        while len(self._all) + len(self._opening) > self._settings.connections:
            idle = [one for one in self._all if not one.is_busy]
            if idle:
                oldest = min(idle, key=lambda one: one.used_at)
                await self._let_go(oldest)
            else:
                await self._freed.wait()

    async def _watch(self, shared: Shared) -> None:
        """Stay with a connection until it is over: close it when it is idle, and let go of it."""
        loop = asyncio.get_running_loop()
        shared.used_at = loop.time()
        try:
            while not shared.connection.session.ended.is_set:
                due = shared.used_at + self._settings.idle_seconds
                if loop.time() >= due:
                    if not shared.is_busy:
                        break
                    due = loop.time() + self._settings.idle_seconds
                await _wait_until(shared.connection.wait_closed, due - loop.time())
        finally:
            await self._let_go(shared)

    async def _let_go(self, shared: Shared) -> None:
        self._all.pop(shared, None)
        for origin in [origin for origin, one in self._of.items() if one is shared]:
            del self._of[origin]
        await shared.connection.close()
        freed, self._freed = self._freed, Signal()
        freed.set()


async def _wait_until(condition: Callable[[], Awaitable[None]], seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await condition()
    except TimeoutError:
        pass


def _retrieve(task: "asyncio.Task[Shared]") -> None:
    """Whoever waited has the error; where nobody waits any more, nobody wants it."""
    if not task.cancelled():
        task.exception()
