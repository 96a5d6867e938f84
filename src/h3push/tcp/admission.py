"""Which connections uvicorn gets: as many as the settings allow, and only as long as they ask for something."""

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import ref

from uvicorn.server import ServerState

from h3push.runtime.settings import ServerSettings

ChooseProtocol = Callable[[asyncio.Transport], type[Any]]
"""Tells which of uvicorn's protocols a connection speaks."""


class Admission(asyncio.Protocol):
    """Becomes one of uvicorn's protocols, which have no bound on connections, and none on the time until the first request.

    Args:
        choose: tells which one.
        settings: `max_connections` and `first_request_timeout`.
        arguments: those of uvicorn's protocols.
    """

    def __init__(self, choose: ChooseProtocol, settings: ServerSettings, **arguments: Any) -> None:
        self._choose = choose
        self._settings = settings
        self._arguments = arguments

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; over TLS, the handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        state: ServerState = self._arguments["server_state"]
        if len(state.connections) >= self._settings.max_connections:
            transport.abort()
            return
        protocol = self._choose(transport)(**self._arguments)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        seconds = self._settings.first_request_timeout
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, _close_if_silent, ref(protocol))


def _close_if_silent(place: "ref[Any]") -> None:
    """Close a connection on which no request has begun: none that uvicorn runs, and no WebSocket that took its place.

    The timer does not keep a connection that has ended: there may be thousands within its time, with all that they had buffered.
    """
    protocol = place()
    if protocol is not None and protocol.cycle is None and protocol.transport.get_protocol() is protocol:
        protocol.transport.abort()
