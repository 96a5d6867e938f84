"""Which connections uvicorn gets: as many as the settings allow, as long as they ask for something, and none that are lost."""

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import ref

from uvicorn.server import ServerState

from h3push.runtime.settings import ServerSettings
from h3push.tcp.gathering import GatheringTransport, Turns
from h3push.tcp.idle_timer import ConnectionLoop

ChooseProtocol = Callable[[asyncio.Transport], type[Any]]
"""Tells which of uvicorn's protocols a connection speaks."""


class Admission(asyncio.Protocol):
    """Becomes one of uvicorn's protocols, which have no bound on connections, and none on the time until the first request.

    Args:
        choose: tells which one.
        settings: `max_connections` and `first_request_timeout`.
        turns: those of the server.
        arguments: those of uvicorn's protocols.
    """

    def __init__(self, choose: ChooseProtocol, settings: ServerSettings, turns: Turns, **arguments: Any) -> None:
        self._choose = choose
        self._settings = settings
        self._turns = turns
        self._arguments = arguments

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; over TLS, the handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        state: ServerState = self._arguments["server_state"]
        if len(state.connections) >= self._settings.max_connections:
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        protocol = self._choose(transport)(**{**self._arguments, "_loop": ConnectionLoop(loop)})
        transport.set_protocol(protocol)
        protocol.connection_made(GatheringTransport(transport, self._turns))
        seconds = self._settings.first_request_timeout
        if seconds is not None:
            loop.call_later(seconds, _close_if_silent, ref(protocol))


class ReleasedWhenLost:
    """Has one of uvicorn's protocols let go of a connection that is lost, whatever it is lost by.

    uvicorn 0.54 does so only when the client closed in peace. After an error (a client that resets, or goes in the middle of a
    download) its keep-alive timer holds the connection until it fires, and everything that holds a response's `send` holds the
    connection's TLS, which has buffers of 256 KiB. To close a transport of asyncio's that is closed is how it lets go of its TLS.
    """

    transport: asyncio.Transport
    _unset_keepalive_if_required: Callable[[], None]

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        super().connection_lost(exc)  # type: ignore[misc]  # uvicorn's protocol is the next class
        self._unset_keepalive_if_required()
        self.transport.close()

    def announce_stop(self) -> None:
        """The server will stop: have the client send no more. In HTTP/1.1 the next response says so (`TcpExchange`)."""


def _close_if_silent(place: "ref[Any]") -> None:
    """Close a connection on which no request has begun: none that uvicorn runs, and no WebSocket that took its place.

    The timer does not keep a connection that has ended: there may be thousands within its time, with all that they had buffered.
    """
    protocol = place()
    if protocol is None or protocol.transport.is_closing():
        return
    if protocol.cycle is None and protocol.transport.get_protocol() is protocol:
        protocol.transport.abort()
