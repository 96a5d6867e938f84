"""A network in virtual time: real QUIC endpoints, joined by emulated links instead of sockets.

Theory of operation. Each endpoint is a `_quic.SansIo`: the native core without socket and clock. `VirtualDriver` gives it the
face of a `Driver`, so that the same event-loop code that serves a socket runs here, on a `virtual.VirtualLoop`::

    client A ──up──>┐                  every client has an access link of its own, two `Link`s;
    client A <─down─┤── server(s)      behind it the way to the servers takes no time
    client B ──up──>┘

A driver's `flush` takes the datagrams from its core and gives each to the link at once; the instants of arrival go into one
heap, under one timer of the loop. When it fires, everything that is due is fed to the cores, and then each driver that got
something is told once - as a real socket, which is read in batches.

Nothing takes time except links and QUIC's own timers, and nothing is random except what the seed decides: the same seed and
the same program give the same packets at the same nanoseconds. Certificates must be of constant size too: `identity`.
"""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from heapq import heappop, heappush
from typing import NamedTuple

from h3push import _quic
from h3push.quic.adapter import NativeCalls, NativeEvent
from h3push.testing.link import NANOSECONDS, Link, LinkSettings
from h3push.testing.virtual import VirtualLoop

Address = tuple[str, int]

IP_UDP_OVERHEAD = 28
"""Bytes that IPv4 and UDP add to each datagram on a link."""


WIRE = LinkSettings()
"""Takes no time, loses nothing."""


class Datagram(NamedTuple):
    """One datagram that an endpoint sent."""

    at: int
    """When it was sent (ns)."""
    source: Address
    """The sender, as the network sees it."""
    destination: Address
    """To whom."""
    size: int
    """Bytes of UDP payload."""
    arrivals: tuple[int, ...]
    """When it arrives (ns): nothing when it was lost."""


class _Arrival(NamedTuple):
    at: int
    number: int
    destination: Address
    source: Address
    data: bytes
    ecn: int | None


class VirtualDriver(NativeCalls):
    """A `Driver` without a socket: one `_quic.SansIo` at an address of a `VirtualNetwork`."""

    def __init__(
        self,
        network: "VirtualNetwork",
        native: _quic.SansIo,
        address: Address,
        up: Link | None,
        down: Link | None,
    ) -> None:
        super().__init__(native)
        self.native = native
        """The native object."""
        self.address = address
        """Where the network finds us now."""
        self.up = up
        """A client's link to the servers; `None` for a server."""
        self.down = down
        """A client's link from the servers; `None` for a server."""
        self._network = network
        self._connections: set[int] = set()
        self._watching: tuple[asyncio.AbstractEventLoop, Callable[[], None]] | None = None
        self._unread = False

    def watch(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        """Call `on_readable()` from `loop` after datagrams arrived."""
        self._watching = loop, on_readable
        if self._unread:
            self.readable()

    def unwatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Undo `watch`."""
        if self._watching is not None and self._watching[0] is loop:
            self._watching = None

    def recv(self, max_batches: int = 8) -> list[NativeEvent]:
        """Take the events of what arrived."""
        self._unread = False
        events = self.native.events()
        for event in events:
            if event[0] == _quic.ACCEPTED:
                self._connections.add(event[1])  # type: ignore[arg-type]
            elif event[0] == _quic.CLOSED:
                self._connections.discard(event[1])
        return events

    def tick(self) -> list[NativeEvent]:
        """Run the timers that are due."""
        self.native.advance(self._network.now)
        return self.recv()

    def watch_writable(self, loop: asyncio.AbstractEventLoop, on_writable: Callable[[], None]) -> None:
        """Call `on_writable()` in the next turn: this network takes everything."""
        loop.call_soon(on_writable)

    def flush(self) -> tuple[float | None, int]:
        """Give every datagram that may be sent to the network; (seconds until `tick` is due, `FLUSH_DONE`)."""
        now = self._network.now
        for destination, data, _, ecn in self.native.transmits(now):
            self._network.send(self, destination, data, ecn)
        due = self.native.timeout()
        return (None if due is None else max(0, due - now) / NANOSECONDS), _quic.FLUSH_DONE

    def local_address(self) -> Address:
        """Tell where we are."""
        return self.address

    def rebind(self) -> None:
        """Move to another address: what `VirtualNetwork.rebind` does."""
        self._network.rebind(self)

    def shutdown(self) -> None:
        """Close every connection, send CONNECTION_CLOSE, leave the network."""
        self.set_accepting(False)
        for connection in self._connections:
            self.close(connection, 0, b"")
        self.flush()
        self._watching = None
        self._network.remove(self)

    def connect(self, address: Address, server_name: str, *, client: _quic.ClientTls | None = None) -> int:
        """Begin a connection; its handle."""
        connection = self.native.connect(address, server_name, client=client)
        self._connections.add(connection)
        return connection

    def feed(self, data: bytes, source: Address, ecn: int | None) -> None:
        """Take a datagram that arrived now."""
        self.native.feed(self._network.now, data, source, ecn)

    def readable(self) -> None:
        """Tell the owner, in this instant, that `recv` would give something."""
        self._unread = True
        if self._watching is not None:
            self._watching[0].call_soon(self._notify)

    def _notify(self) -> None:
        if self._watching is not None:
            self._watching[1]()


class VirtualNetwork:
    """Endpoints and the links between them; make it inside `run_virtual`. See the module's text.

    Raises `TypeError` when the running loop is not a `VirtualLoop`.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        up: LinkSettings = WIRE,
        down: LinkSettings = WIRE,
    ) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise TypeError("a virtual network needs virtual time: use run_virtual(main)")
        self.capture: list[Datagram] | None = None
        """Set to a list to have every datagram recorded in it."""
        self.strays = 0
        """Datagrams that found nobody at their destination."""
        self._loop = loop
        self._seed = seed
        self._up, self._down = up, down
        self._drivers: dict[Address, VirtualDriver] = {}
        self._servers = self._clients = 0
        self._arrivals: list[_Arrival] = []
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> int:
        """Virtual time in nanoseconds."""
        return self._loop.time_ns()

    def server_endpoint(
        self,
        server: _quic.ServerTls,
        transport: _quic.Transport,
        *,
        client: _quic.ClientTls | None = None,
        port: int = 443,
        names: tuple[str, ...] = (),
    ) -> VirtualDriver:
        """Put a server on the network, on a host of its own; the loop resolves `names` to it."""
        self._servers += 1
        address = (f"192.0.2.{self._servers}", port)
        self._loop.hosts.update(dict.fromkeys(names, address[0]))
        native = self._native(f"server {self._servers}", server, client, transport)
        return self._add(VirtualDriver(self, native, address, None, None))

    def client_endpoint(
        self,
        client: _quic.ClientTls,
        transport: _quic.Transport,
        *,
        up: LinkSettings | None = None,
        down: LinkSettings | None = None,
    ) -> VirtualDriver:
        """Put a client on the network, behind an access link of its own (the network's settings where not given)."""
        self._clients += 1
        name = f"client {self._clients}"
        native = self._native(name, None, client, transport)
        return self._add(
            VirtualDriver(
                self,
                native,
                (f"198.51.100.{self._clients}", 50_000),
                Link(up or self._up, seed=f"{self._seed}/{name}/up"),
                Link(down or self._down, seed=f"{self._seed}/{name}/down"),
            )
        )

    def rebind(self, driver: VirtualDriver) -> None:
        """Give a client another address from now on, as a NAT does: it is not told, and what is under way is lost."""
        del self._drivers[driver.address]
        driver.address = (driver.address[0], driver.address[1] + 1)
        self._drivers[driver.address] = driver

    def remove(self, driver: VirtualDriver) -> None:
        """Take an endpoint off the network; what it sent still arrives."""
        self._drivers.pop(driver.address, None)

    def send(self, sender: VirtualDriver, destination: Address, data: bytes, ecn: int | None) -> None:
        """Send a datagram now."""
        link = sender.up
        if link is None:
            receiver = self._drivers.get(destination)
            link = receiver.down if receiver is not None else None
        now = self.now
        arrivals = (now,) if link is None else link.send(now, len(data) + IP_UDP_OVERHEAD)
        for at in arrivals:
            self._sent += 1
            heappush(self._arrivals, _Arrival(at, self._sent, destination, sender.address, data, ecn))
            self._wake_at(at)
        if self.capture is not None:
            self.capture.append(Datagram(now, sender.address, destination, len(data), arrivals))

    def _native(
        self,
        name: str,
        server: _quic.ServerTls | None,
        client: _quic.ClientTls | None,
        transport: _quic.Transport,
    ) -> _quic.SansIo:
        seed = sha256(f"{self._seed}/{name}".encode()).digest()
        return _quic.SansIo(server=server, client=client, transport=transport, seed=seed, now=self.now)

    def _add(self, driver: VirtualDriver) -> VirtualDriver:
        self._drivers[driver.address] = driver
        return driver

    def _wake_at(self, at: int) -> None:
        when = at / NANOSECONDS
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._deliver)

    def _deliver(self) -> None:
        """Feed what is due; then tell each driver once."""
        self._timer = None
        now = self.now
        fed: dict[VirtualDriver, None] = {}
        while self._arrivals and self._arrivals[0].at <= now:
            arrival = heappop(self._arrivals)
            driver = self._drivers.get(arrival.destination)
            if driver is None:
                self.strays += 1
                continue
            driver.feed(arrival.data, arrival.source, arrival.ecn)
            fed[driver] = None
        for driver in fed:
            driver.readable()
        if self._arrivals:
            self._wake_at(self._arrivals[0].at)
