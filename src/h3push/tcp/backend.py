"""A server of HTTP/1.1 and HTTP/2 that runs in our event loop, as `TcpSide` uses it."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

from h3push.asgi.types import ASGIApplication, Send
from h3push.runtime.settings import ServerSettings
from h3push.tcp.path import PathMeasures, measure_path


@dataclass(frozen=True, slots=True)
class Abilities:
    """The abilities of a server, for the lines that are said at start and for the choice of ways."""

    name: str
    """Its name."""
    versions: tuple[str, ...]
    """Names of HTTP's versions in ALPN, the best first."""
    pushes: bool
    """True when it pushes over HTTP/2."""
    websockets: bool
    """True when it has what WebSockets need."""
    unkept: str = ""
    """Flags of this project that mean nothing to it, in words; they hold over HTTP/3 alone."""

    @property
    def http2(self) -> bool:
        """True when it speaks HTTP/2."""
        return "h2" in self.versions

    def __str__(self) -> str:
        """One line: what clients get over TCP, and what they do not."""
        spoken = "HTTP/2 and HTTP/1.1" if self.http2 else "HTTP/1.1"
        lacks = [] if self.pushes else ["pushes"]
        lacks += [] if self.http2 else ["103 Early Hints"]
        lacks += [] if self.websockets else ["WebSockets"]
        without = f", without {' and '.join(lacks)}" if lacks else ""
        return f"over TCP: {spoken} by {self.name}{without}"


class Backend(Protocol):
    """One listening server."""

    async def start(self) -> None:
        """Begin to accept."""

    async def shutdown(self, grace: float | None) -> None:
        """Accept nothing more and let what is under way finish, for `grace` seconds at most."""

    def connections(self) -> Mapping[str, int]:
        """Connections that are open, by their version of HTTP ("1.1", "2"); any thread may ask."""


class MakeBackend(Protocol):
    """Makes a server for sockets that listen already; they are its own from then on."""

    def __call__(
        self,
        app: ASGIApplication,
        sockets: list[socket.socket],
        context: ssl.SSLContext | None,
        settings: ServerSettings,
    ) -> Backend:
        """Make it; `context` is `None` for plain HTTP."""


@dataclass(frozen=True, slots=True)
class BackendKind:
    """A server that is installed."""

    abilities: Abilities
    """Its abilities."""
    make: MakeBackend
    """Makes one."""

    def takes_pushes(self, send: Send) -> bool:
        """True when the client behind an application's `send` agreed to pushes."""
        return self.abilities.pushes and _enables_push(send)

    def tls(self, send: Send) -> ssl.SSLObject | None:
        """The TLS of the connection behind an application's `send`, for which ASGI has no word; `None` without."""
        transport = getattr(getattr(send, "__self__", None), "transport", None) or _transport_of(send)
        found = None if transport is None else transport.get_extra_info("ssl_object")
        return found if isinstance(found, ssl.SSLObject) else None

    def path(self, send: Send) -> PathMeasures | None:
        """The measures of the connection behind an application's `send`; `None` where the system gives none."""
        transport = _transport_of(send)
        found = None if transport is None else transport.get_extra_info("socket")
        return None if found is None else measure_path(found)


def version_of(transport: asyncio.BaseTransport) -> str:
    """The version of HTTP that TLS agreed on, as metrics name it."""
    tls = transport.get_extra_info("ssl_object")
    return "2" if tls is not None and tls.selected_alpn_protocol() == "h2" else "1.1"


def _enables_push(send: Send) -> bool:
    """The client's SETTINGS_ENABLE_PUSH (RFC 9113 section 6.5.2). Hypercorn offers the push event whatever it is, so we look.

    Where a later Hypercorn has it elsewhere, nobody is pushed to, and everybody gets hints.
    """
    stream = getattr(send, "__self__", None)
    protocol = getattr(getattr(stream, "send", None), "__self__", None)
    settings = getattr(getattr(protocol, "connection", None), "remote_settings", None)
    return bool(getattr(settings, "enable_push", False))


def _transport_of(send: Send) -> asyncio.Transport | asyncio.StreamWriter | None:
    """Uvicorn's cycles and WebSockets have the transport; in Hypercorn, each layer's `send` is bound to the one below it."""
    layer = getattr(send, "__self__", None)
    for _ in range(4):
        transport = getattr(layer, "transport", None) or getattr(layer, "writer", None)
        if transport is not None:
            return cast("asyncio.Transport | asyncio.StreamWriter", transport)
        layer = getattr(getattr(layer, "send", None), "__self__", None)
    return None
