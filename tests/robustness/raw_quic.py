"""A hostile QUIC client in virtual time: any bytes on any stream over the real QUIC stack, against our real server."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import h3push
from conformance.support import SETTINGS, frame, varint
from h3push import _quic
from h3push.testing.link import LinkSettings
from h3push.testing.network import VirtualNetwork
from runtime.harness import World, client_tls, in_world

T = TypeVar("T")


class RawQuic:
    """One QUIC connection that is driven by hand; make it inside virtual time."""

    def __init__(self, network: VirtualNetwork, server: tuple[str, int], transport: _quic.Transport) -> None:
        self.driver = network.client_endpoint(client_tls(), transport)
        self.loop = asyncio.get_running_loop()
        self.events: list[tuple[Any, ...]] = []
        self.received = 0
        """Bytes of streams that were read."""
        self.closed: tuple[Any, ...] | None = None
        """The CLOSED event."""
        self.reads = True
        """False: nothing more is ever read of any stream."""
        self.takes_pushes = True
        """False: unidirectional streams stay paused after their first bytes."""
        self.connected = asyncio.Event()
        self.driver.watch(self.loop, self._readable)
        self.connection = self.driver.connect(server, "origin.example")
        self._timer: asyncio.TimerHandle | None = None
        self.flush()

    async def greet(self, *control: bytes) -> int:
        """Wait for the handshake, then open the control stream with SETTINGS and these frames; its ID."""
        async with asyncio.timeout(20):
            await self.connected.wait()
        return self.uni(b"\0" + SETTINGS + b"".join(control))

    def open(self, unidirectional: bool = False) -> int | None:
        """Open a stream; None when the server allows none."""
        stream_id = self.driver.open(self.connection, unidirectional)
        if stream_id is not None and not self.reads:
            self.driver.pause(self.connection, stream_id)
        return stream_id

    def uni(self, sent: bytes, fin: bool = False) -> int:
        stream_id = self.open(unidirectional=True)
        assert stream_id is not None
        self.write(stream_id, sent, fin)
        return stream_id

    def send(self, sent: bytes, fin: bool = False) -> int | None:
        """A new request stream with these bytes; None when the server allows none."""
        stream_id = self.open()
        if stream_id is not None:
            self.write(stream_id, sent, fin)
        return stream_id

    def write(self, stream_id: int, sent: bytes, fin: bool = False) -> None:
        self.driver.write(self.connection, stream_id, sent, fin)
        self.flush()

    def reset(self, stream_id: int, code: int = 0x10C) -> None:
        self.driver.reset(self.connection, stream_id, code)
        self.flush()

    def stop(self, stream_id: int, code: int = 0x10C) -> None:
        self.driver.stop(self.connection, stream_id, code)
        self.flush()

    def close(self) -> None:
        self.driver.close(self.connection, 0x100, b"")
        self.flush()

    def told(self, kind: int, stream_id: int | None = None) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] == kind and stream_id in (None, event[2])]

    def flush(self) -> None:
        seconds, _ = self.driver.flush()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._take(self.driver.tick())

    def _readable(self) -> None:
        self._take(self.driver.recv())

    def _take(self, events: list[Any]) -> None:
        for event in events:
            self.events.append(event)
            if event[0] == _quic.CONNECTED:
                self.connected.set()
            elif event[0] == _quic.CLOSED:
                self.closed = event
            elif event[0] == _quic.DATA:
                self.received += len(event[3])
                if self.reads and (self.takes_pushes or not event[2] & 2):
                    self.driver.resume(self.connection, event[2])
        self.flush()


class Siege:
    """A server of ours on a virtual network, and who attacks it."""

    def __init__(self, world: World) -> None:
        self.server: h3push.Server = world.server
        self.network = world.network
        self.driver = world.server_driver
        self._world = world

    def attacker(self, **transport: Any) -> RawQuic:
        """A new hostile client."""
        options = {"first_read_unidirectional": 16, "max_unidirectional_streams": 116, **transport}
        return RawQuic(self.network, self.driver.local_address(), _quic.Transport(**options))

    async def serves(self) -> bool:
        """Tell whether an honest client is served now."""
        async with self._world.connect() as client:
            return (await client.get("/honest")).status == 200

    def buffered(self) -> int:
        """Bytes that wait outside of quinn, over all connections."""
        connections = self.server._connections
        return sum(int(self.driver.stats(one.handle).get("buffered_bytes", 0)) for one in connections)


def siege(
    handler: h3push.Handler,
    scenario: Callable[[Siege], Awaitable[T]],
    *,
    settings: h3push.ServerSettings | None = None,
    config: h3push.H3Config | None = None,
    link: LinkSettings | None = None,
    **transport: Any,
) -> T:
    """Run `scenario` against a server with `handler`; an honest request to /honest is always answered."""

    def application(request: h3push.Request) -> Any:
        return h3push.Response(content=b"ok") if request.path == "/honest" else handler(request)

    async def besiege(world: World) -> T:
        result = await scenario(Siege(world))
        await world.server.shutdown(grace=0)
        return result

    return in_world(
        application,
        besiege,
        connected=False,
        link=link,
        server_settings=settings,
        server_config=config,
        server_transport=_quic.Transport(**transport) if transport else None,
    )


def max_push_id(limit: int) -> bytes:
    """A MAX_PUSH_ID frame."""
    return frame(0x0D, varint(limit))
