"""The server: accepts connections, calls the handler, shuts down gracefully."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from h3push import _quic
from h3push.h3.config import H3Config
from h3push.h3.observed import ObservedServerConnection
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import Field
from h3push.http.url import Authorities
from h3push.qlog.trace import observe
from h3push.quic.adapter import Driver
from h3push.quic.driver import open_driver
from h3push.runtime.descriptors import raise_descriptor_limit
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.inbox import UnreadBudget
from h3push.runtime.settings import ServerSettings
from h3push.runtime.signal import Signal
from h3push.server.access_log import AccessLog
from h3push.server.addresses import bind_all, resolve
from h3push.server.companion import Companion
from h3push.server.connection import ServerConnection
from h3push.server.counters import ServerCounters
from h3push.server.date import DateField
from h3push.server.identities import Identities, read_identities
from h3push.server.place import Place
from h3push.server.runner import Handler
from h3push.server.tls import CertificateRefusals, make_tls
from h3push.wire.registry import Role

_NOT_RUNNING = "the server does not run: use it in `async with`"


class Server:
    """An HTTP/3 server; made by `serve`.

    It has a UDP socket for each address that its host stands for, and one set of counters, bounds and connections. `async with`
    binds the sockets and ends with `shutdown`.
    """

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        tls: _quic.ServerTls | None,
        config: H3Config,
        settings: ServerSettings,
        access_log: AccessLog | None,
        io: Literal["loop", "thread"],
        driver: Driver | None,
    ) -> None:
        self.handler = handler
        """Answers requests and pushes."""
        self.config = config
        """Bounds and switches of the protocol."""
        self.settings = settings
        """Time-outs and bounds of this layer."""
        self.access_log = access_log
        """Takes a row for each response."""
        named = settings.authorities
        self.authorities = None if named is None else Authorities(named)
        """`ServerSettings.authorities`."""
        self.counters = ServerCounters()
        """Counts everything that happened so far."""
        self.unread = UnreadBudget(settings.unread_budget)
        """Request content of all connections that waits for handlers."""
        self.refusals = CertificateRefusals()
        """Tells of clients that refuse the certificate."""
        self.companion: Companion | None = None
        """Another listener, which is bound, started and shut down with this one; set it before `open`."""
        self.place: Place | None = None
        """Where this process is one of several workers: what it listens on, instead of host and port; set it before `open`."""
        self.qlog: Path | None = None
        """Directory of a file about each connection (qlog), of those that begin from now on."""
        self.identities: Identities | None = None
        """The certificates of `tls`, where they are known: applications are told which one a client was shown."""
        self.inherited: Mapping[tuple[str, int], int] = {}
        """Open UDP sockets by their addresses, instead of host and port; set it before `open`."""
        self._bind = (host, port)
        self._tls = tls
        self._io: Literal["loop", "thread"] = io
        self._driver = driver
        self._endpoints: list[Endpoint] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connections: set[ServerConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        """Handlers that run; each is taken out by itself when it ends."""
        self._closed = Signal()
        self.is_shutting_down = False
        """True from the beginning of `shutdown`: connections tell when something has ended (`note_end`)."""
        self._progress: asyncio.Event | None = None
        self.date: Callable[[], Field | None] = DateField() if settings.send_date else _no_date
        """Gives the Date field to add to responses, if any."""

    async def __aenter__(self) -> "Server":
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    async def open(self) -> None:
        """Bind the sockets and begin to accept. `OSError` with a sentence when that is not possible."""
        loop = self._loop = asyncio.get_running_loop()
        if self.settings.send_date and getattr(
            loop, "is_virtual", False
        ):  # then a run has to give the same bytes again
            self.date = DateField(loop.time)
        if self._driver is not None:
            drivers = [self._driver]
        else:
            raise_descriptor_limit()
            drivers = await self._bind_all()
        self._endpoints = [Endpoint(driver, self._accept) for driver in drivers]
        if self.companion is not None:
            await self.companion.start()

    async def _bind_all(self) -> list[Driver]:
        try:
            if self.place is not None:
                return [self._open_driver(address) for address in self.place.sockets]
            if self.inherited:
                return [self._open_driver(address) for address in self.inherited]
            return bind_all(await resolve(*self._bind), self._open_driver)
        except BaseException:
            if self.companion is not None:
                self.companion.release()
            raise

    def _open_driver(self, address: tuple[str, int]) -> Driver:
        own: dict[str, Any] = {} if self.place is None else self.place.options(address)
        if address in self.inherited:
            own["fd"] = os.dup(self.inherited[address])
        driver = open_driver(self._io, address, server=self._tls, transport=self.settings.transport(), **own)
        if self.companion is not None:
            try:
                self.companion.bind((address[0], driver.local_address()[1]))
            except OSError:
                driver.shutdown()
                raise
        return driver

    def set_tls(self, tls: _quic.ServerTls, identities: Identities | None = None) -> None:
        """Use other TLS settings for connections that begin from now on, such as a renewed certificate."""
        self._tls, self.identities = tls, identities
        for endpoint in self._endpoints:
            endpoint.driver.set_server_tls(tls)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: host and port, the real one when it was asked for port 0; the first where there are several."""
        return self.addresses[0]

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Every address that it listens on; the port is the same."""
        if not self._endpoints:
            raise RuntimeError(_NOT_RUNNING)
        return [endpoint.local_address for endpoint in self._endpoints]

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return len(self._connections)

    @property
    def responses_under_way(self) -> int:
        """Responses that are awaited or not acknowledged, pushed ones and those of the companion included."""
        beside = 0 if self.companion is None else self.companion.responses_under_way
        return beside + sum(connection.responses_under_way for connection in self._connections)

    async def wait_closed(self) -> None:
        """Wait until the server has shut down."""
        await self._closed.wait()

    async def shutdown(self, grace: float | None = None) -> None:
        """Stop: refuse new connections, send GOAWAY, let requests and pushes finish, then close with H3_NO_ERROR.

        Args:
            grace: seconds for what is under way, `graceful_timeout` when `None`; 0 closes at once. What is not finished then
                is lost, and its handlers are cancelled.
        """
        if self._closed.is_set or not self._endpoints:
            self._closed.set()
            return
        if self.is_shutting_down:
            await self._closed.wait()
            return
        self.is_shutting_down = True
        grace = self.settings.graceful_timeout if grace is None else grace
        try:
            if self.companion is None:
                await self._drain(grace)
            else:
                await asyncio.gather(self._drain(grace), self.companion.shutdown(grace))
        finally:
            await self._close()

    # what connections tell

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a handler as a task."""
        loop = self._loop
        if loop is None:
            raise RuntimeError(_NOT_RUNNING)
        if sys.version_info >= (3, 12):  # up to its first wait at once, which saves a turn of the loop
            return asyncio.Task(coroutine, loop=loop, eager_start=True)
        return asyncio.Task(coroutine, loop=loop)

    def forget(self, connection: ServerConnection) -> None:
        """A connection is over."""
        self._connections.discard(connection)
        if self._progress is not None:
            self._progress.set()

    def note_end(self) -> None:
        """Something ended on a connection: a graceful shutdown looks again."""
        if self._progress is not None:
            self._progress.set()

    # inside

    def _accept(self, endpoint: Endpoint, handle: int, address: tuple[str, int]) -> ServerConnection:
        transport, config, counted = endpoint.transport(handle), endpoint.vary(self.config), self.counters.push
        if self.qlog is None:
            core = H3ServerConnection(transport, config, counted)
        else:
            observer = observe(self.qlog, Role.SERVER, f"{address[0]} port {address[1]}")
            core = ObservedServerConnection(transport, config, counted, observer)
        connection = ServerConnection(self, endpoint, handle, address, core)
        self._connections.add(connection)
        return connection

    async def _drain(self, grace: float | None) -> None:
        self._progress = asyncio.Event()
        for endpoint in self._endpoints:
            endpoint.driver.set_accepting(False)
        for connection in list(self._connections):
            connection.go_away()
        try:
            async with asyncio.timeout(grace):
                await self._until(lambda one: one.idle and one.all_acknowledged)
                # Closing drops what the client has received and not read: it goes first, if it does so soon.
                async with asyncio.timeout(self.settings.linger_timeout):
                    await self._until(lambda _: False)
        except TimeoutError:
            pass

    async def _until(self, done: "Any") -> None:
        assert self._progress is not None
        while not all(done(connection) for connection in self._connections):
            self._progress.clear()
            await self._progress.wait()

    async def _close(self) -> None:
        for connection in list(self._connections):
            connection.close("the server shuts down")
        for endpoint in self._endpoints:
            endpoint.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._connections.clear()
        self._closed.set()


def _no_date() -> None:
    """For servers that send no Date."""


def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 4433,
    *,
    certfile: str | os.PathLike[str] | None = None,
    keyfile: str | os.PathLike[str] | None = None,
    tls: _quic.ServerTls | None = None,
    config: H3Config | None = None,
    settings: ServerSettings | None = None,
    access_log: AccessLog | None = None,
    io: Literal["loop", "thread"] = "loop",
    driver: Driver | None = None,
) -> Server:
    """Make a server; it runs inside `async with`.

    Args:
        handler: called with each `Request`, and again for each push. Returns a `Response` (a plain function that does so
            costs no task), `None` when it has sent one itself, or an awaitable of either.
        host: address to listen on; "::" for IPv6 and IPv4, "0.0.0.0" for IPv4 alone. A name stands for all of its addresses:
            "localhost" for 127.0.0.1 and ::1.
        port: UDP port; 0 takes a free one (`Server.address` tells).
        certfile: certificate chain, PEM.
        keyfile: its private key, PEM.
        tls: instead of the two files: several certificates, 0-RTT, a key log.
        config: bounds and switches of the protocol.
        settings: time-outs and bounds of this layer.
        access_log: takes a row for each response.
        io: "thread" has a thread of its own move packets, so that acknowledgments and bulk data go on while Python is busy.
        driver: instead of a UDP socket: another way to move datagrams, such as the virtual network of tests.

    Raises:
        ValueError: no certificate, or one that cannot be used; the sentence says why.
    """
    identities: Identities | None = None
    if tls is None and driver is None:
        if certfile is None or keyfile is None:
            raise ValueError("HTTP/3 needs a certificate: give certfile= and keyfile= (PEM), or tls=")
        identities = read_identities([(certfile, keyfile)])
        tls = make_tls(identities, early_data=settings is not None and settings.early_data)
    server = Server(
        handler,
        host,
        port,
        tls=tls,
        config=config or H3Config(),
        settings=settings or ServerSettings(),
        access_log=access_log,
        io=io,
        driver=driver,
    )
    server.identities = identities
    return server
