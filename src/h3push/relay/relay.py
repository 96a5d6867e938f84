"""The near relay: listeners on this machine, one client of all origins, one cache."""

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from h3push.client.connections import Connect
from h3push.client.pool import Pool
from h3push.client.stored import ResponseStore
from h3push.relay.disk import DiskStorage
from h3push.relay.flights import Flights
from h3push.relay.gateway import Gateway
from h3push.relay.loads import Loads
from h3push.relay.places import RelayedOrigin, is_loopback
from h3push.relay.settings import RelaySettings
from h3push.relay.status import Status
from h3push.relay.upkeep import Upkeep
from h3push.runtime.settings import ClientSettings, PoolSettings, PushCacheSettings, ServerSettings
from h3push.server.addresses import bind_all, resolve
from h3push.tcp.backend import Backend, BackendKind
from h3push.tcp.sockets import listen


class Relay:
    """The near side of a long link. `async with relay:` listens and keeps the connections.

    Args:
        places: the origins, and where each is here.
        kind: the server for HTTP/1.1 and HTTP/2, as `tcp.side.find_backend` found it.
        settings: bounds and times.
        context: TLS towards the programs; `None`: plain HTTP.
        cache: directory of the cache; `None`: it is in memory.
        cafile: PEM file with the only authorities to trust, instead of the system's.
        verify: False accepts every certificate of an origin: for tests on your own machine only.
        dial: makes a connection, instead of `h3push.connect`.
    """

    def __init__(
        self,
        places: Sequence[RelayedOrigin],
        kind: BackendKind,
        settings: RelaySettings | None = None,
        *,
        context: ssl.SSLContext | None = None,
        cache: Path | None = None,
        cafile: str | os.PathLike[str] | None = None,
        verify: bool = True,
        dial: Connect | None = None,
    ) -> None:
        self.places = list(places)
        """The origins; their ports are known when it listens."""
        self.settings = settings or RelaySettings()
        """Bounds and times."""
        bounds = _push_cache(self.settings)
        self._disk = None if cache is None else DiskStorage(cache, self.settings.stored, self.settings.stored_bytes)
        self.store = ResponseStore(bounds, self._disk, shared=True, silent_seconds=self.settings.silent_seconds)
        """The cache."""
        self.pool = Pool(
            store=self.store,
            settings=PoolSettings(idle_seconds=60, connections=max(100, 2 * len(places))),
            push_cache=bounds,
            client_settings=ClientSettings(
                connect_timeout=self.settings.connect_timeout,
                response_timeout=self.settings.response_timeout,
                read_timeout=None,
            ),
            cafile=cafile,
            verify=verify,
            early_data=True,
            dial=dial,
            shared=True,
        )
        """The client."""
        self.loads = Loads(self.settings)
        """The requests that went through."""
        self.upkeeps = [Upkeep(self.pool.connections, place.origin, self.settings) for place in places]
        """The connections, one an origin."""
        self.scheme = "http" if context is None else "https"
        """How programs speak to it."""
        self._flights = Flights(self.settings.flight_seconds)
        self._kind = kind
        self._context = context
        self._sockets: list[list[socket.socket]] = []
        self._backends: list[Backend] = []
        self._status = Status(self.pool, self.store, self.loads, self.settings, self._origins)

    async def __aenter__(self) -> "Relay":
        try:
            await self.open()
        except BaseException:
            await self.shutdown(0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shutdown(0)

    async def open(self) -> None:
        """Read the cache, listen, and begin to open the connections. `OSError` when a port or the directory cannot be used."""
        if self._disk is not None:
            for key, entry in await self._disk.open():
                self.store.adopt(key, entry)
        for number, place in enumerate(self.places):
            sockets = [one.socket for one in bind_all(await resolve(place.host, place.port), _Listener)]
            self._sockets.append(sockets)
            self.places[number] = replace(place, port=sockets[0].getsockname()[1])
        server = _server(self.settings)
        for place, sockets in zip(self.places, self._sockets, strict=True):
            status = self._status if is_loopback(place.host) else None
            gateway = Gateway(place, self.pool, self.store, self.loads, self._flights, status, self.settings)
            backend = self._kind.make(gateway, sockets, self._context, server)
            self._backends.append(backend)
            await backend.start()
        for upkeep in self.upkeeps:
            upkeep.start()

    def urls(self) -> list[str]:
        """Where programs find each origin."""
        return [_url(self.scheme, place) for place in self.places]

    def _origins(self) -> list[tuple[str, Upkeep]]:
        return list(zip(self.urls(), self.upkeeps, strict=True))

    async def shutdown(self, grace: float | None) -> None:
        """Accept nothing more, let what is under way finish for `grace` seconds, and close."""
        self._status.close()
        await asyncio.gather(*(backend.shutdown(grace) for backend in self._backends))
        for sockets in self._sockets:
            for one in sockets:
                one.close()
        await asyncio.gather(*(upkeep.stop() for upkeep in self.upkeeps))
        await self.pool.close()


def _url(scheme: str, place: RelayedOrigin) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{scheme}://{host}:{place.port}"


class _Listener:
    """A listening socket, as `bind_all` wants it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = listen(address, ServerSettings().backlog)

    def local_address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self.socket.getsockname()[:2]
        return host, port

    def shutdown(self) -> None:
        """Close it."""
        self.socket.close()


def _server(settings: RelaySettings) -> ServerSettings:
    """Of the server that programs speak to."""
    return ServerSettings(
        max_connections=settings.max_connections,
        send_date=False,
        websocket_max_size=settings.websocket_max_size,
        websocket_max_queue=settings.websocket_max_queue,
        websocket_ping_interval=settings.websocket_ping_interval,
        websocket_ping_timeout=settings.websocket_ping_timeout,
    )


def _push_cache(settings: RelaySettings) -> PushCacheSettings:
    return PushCacheSettings(
        concurrent=settings.concurrent_pushes,
        unclaimed=settings.unclaimed,
        unclaimed_bytes=settings.unclaimed_bytes,
        unclaimed_seconds=settings.unclaimed_seconds,
        reload_seconds=settings.reload_seconds,
        stored=settings.stored,
        stored_bytes=settings.stored_bytes,
    )
