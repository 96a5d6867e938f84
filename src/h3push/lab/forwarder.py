"""A long link in real time between clients and one server on this machine: UDP and TCP through `Passage`s.

Theory of operation. Clients talk to one address, and everything that they send goes to another. All UDP flows and TCP connections
share the two directions, as everybody in a house shares its line. A UDP flow is a client's address, and has a socket of its own
towards the server, so that answers find back; one that is silent is forgotten. Datagrams pass as they are, but their ECN marks.
TCP is ended on both sides, and `StreamPassage` puts a window in between.
"""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from h3push.lab.passage import Passage, Passed
from h3push.lab.stream_passage import StreamPassage
from h3push.testing.link import LinkSettings

Address = tuple[str, int]

UDP_HEADERS = {socket.AF_INET: 28, socket.AF_INET6: 48}
"""Bytes of IP and UDP that count for each datagram."""
_SOCKET_BUFFER = 4 * 1024 * 1024
"""Bytes that may wait in the kernel for us: it drops what is more, and nobody counts it."""
_STREAM_BUFFER = 64 * 1024
"""Bytes that a stream's sender may have written ahead of the emulated window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderBounds:
    """Bounds of a forwarder."""

    flows: int = 1_000
    """UDP flows; the one that was silent for longest is forgotten for a further one."""
    flow_seconds: float = 300.0
    """Silence after which a UDP flow is forgotten, in seconds; QUIC's idle time-outs are shorter."""
    streams: int = 1_000
    """TCP connections; further ones are closed at once."""


class Forwarder:
    """The link, while it is open. `async with` opens and closes it.

    Args:
        listen: where clients come.
        to: where the server is.
        up: from clients to the server.
        down: from the server to clients.
        seed: decides what is lost.
        bounds: how much is kept.
    """

    def __init__(
        self,
        listen: Address,
        to: Address,
        up: LinkSettings,
        down: LinkSettings,
        *,
        seed: int = 0,
        bounds: ForwarderBounds | None = None,
    ) -> None:
        self.address = listen
        """Where it listens; the port is known when it is open."""
        self.up = Passage(up, seed=f"{seed} up")
        """From clients to the server."""
        self.down = Passage(down, seed=f"{seed} down")
        """From the server to clients."""
        self._to = to
        self._bounds = bounds or ForwarderBounds()
        self._flows: dict[Address, _Flow] = {}
        self._listener: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None
        self._streams: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def passed(self) -> tuple[Passed, Passed]:
        """The account: to the server, from the server."""
        return self.up.passed, self.down.passed

    async def __aenter__(self) -> "Forwarder":
        loop = asyncio.get_running_loop()
        host, port = self.address
        self._server = await asyncio.start_server(self._accept, host, port, limit=_STREAM_BUFFER)
        self.address = self._server.sockets[0].getsockname()[:2]
        try:
            self._listener, _ = await loop.create_datagram_endpoint(
                lambda: _Listener(self), local_addr=self.address
            )  # fmt: skip
        except BaseException:
            self._server.close()
            raise
        _widen(self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._listener is not None
        self._server.close()
        self._listener.close()
        tasks = [*self._streams, *self._opening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for flow in self._flows.values():
            flow.close()
        self.up.close()
        self.down.close()

    # datagrams

    def datagram(self, data: bytes, client: Address) -> None:
        """A client sent a datagram."""
        flow = self._flows.pop(client, None)
        if flow is None:
            self._forget_flows()
            flow = _Flow(self, client)
            flow.opening = asyncio.create_task(flow.open(self._to))
            self._opening.add(flow.opening)
            flow.opening.add_done_callback(self._opening.discard)
        self._flows[client] = flow
        flow.used_at = asyncio.get_running_loop().time()
        self.up.send(len(data) + flow.headers, partial(flow.to_server, data))

    def answer(self, data: bytes, flow: "_Flow") -> None:
        """The server sent a datagram."""
        flow.used_at = asyncio.get_running_loop().time()
        self.down.send(len(data) + flow.headers, partial(self._to_client, data, flow.client))

    def _to_client(self, data: bytes, client: Address) -> None:
        if self._listener is not None and not self._listener.is_closing():
            self._listener.sendto(data, client)

    def _forget_flows(self) -> None:
        """Make room; the flows stand in the order in which clients last used them."""
        silent_since = asyncio.get_running_loop().time() - self._bounds.flow_seconds
        while self._flows:
            client, oldest = next(iter(self._flows.items()))
            if len(self._flows) < self._bounds.flows and oldest.used_at > silent_since:
                return
            del self._flows[client]
            oldest.close()

    # streams

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._streams) >= self._bounds.streams:
            writer.transport.abort()
            return
        self._streams.add(task)
        try:
            with suppress(OSError, ExceptionGroup):
                await self._carry(reader, writer)
        finally:
            self._streams.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection: its handshake takes a round trip, which its own end here has not taken."""
        round_trip = self.up.link.settings.delay + self.down.link.settings.delay
        their_reader, their_writer = await asyncio.open_connection(*self._to, limit=_STREAM_BUFFER)
        try:
            await asyncio.sleep(round_trip)
            for one in (writer, their_writer):
                one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = StreamPassage(self.up, round_trip, reader.read, partial(_write, their_writer))
            down = StreamPassage(self.down, round_trip, their_reader.read, partial(_write, writer))
            async with asyncio.TaskGroup() as both:
                both.create_task(up.run())
                both.create_task(down.run())
            writer.close()
            await writer.wait_closed()
        finally:
            their_writer.transport.abort()


async def _write(writer: asyncio.StreamWriter, content: bytes) -> None:
    if content:
        writer.write(content)
        await writer.drain()
    elif writer.can_write_eof():
        writer.write_eof()


class _Listener(asyncio.DatagramProtocol):
    """The socket that clients send to."""

    def __init__(self, owner: Forwarder) -> None:
        self._owner = owner

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Hand it on."""
        self._owner.datagram(data, addr[:2])


class _Flow(asyncio.DatagramProtocol):
    """One client's datagrams, and the socket from which the server sees them come."""

    def __init__(self, owner: Forwarder, client: Address) -> None:
        self.client = client
        self.used_at = 0.0
        self.headers = UDP_HEADERS[socket.AF_INET6 if ":" in client[0] else socket.AF_INET]
        self.opening: asyncio.Task[None] | None = None
        self._owner = owner
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []

    async def open(self, to: Address) -> None:
        """Make the socket."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=to)
        _widen(self._transport)
        early, self._early = self._early, []
        for data in early:
            self._transport.sendto(data)

    def to_server(self, data: bytes) -> None:
        """Send what has arrived from the client."""
        if self._transport is None:
            self._early.append(data)
        elif not self._transport.is_closing():
            self._transport.sendto(data)

    def datagram_received(self, data: bytes, _addr: Address) -> None:
        """Hand on what the server sent."""
        self._owner.answer(data, self)

    def close(self) -> None:
        """Be done with it."""
        if self.opening is not None:
            self.opening.cancel()
        if self._transport is not None:
            self._transport.close()


def _widen(transport: asyncio.DatagramTransport) -> None:
    found = transport.get_extra_info("socket")
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        found.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
