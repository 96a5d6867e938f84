"""The TCP side of a server: bound, started and shut down with it (`server.companion`)."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Literal

from h3push.asgi.types import ASGIApplication
from h3push.delivery.state import DeliveryState
from h3push.server.identities import Identities
from h3push.server.inherited import InheritedSockets
from h3push.server.server import Server
from h3push.server.tls import TrustedClients
from h3push.tcp.application import TcpApplication
from h3push.tcp.backend import Abilities, Backend, BackendKind
from h3push.tcp.forwarded import behind_proxies
from h3push.tcp.redirect import RedirectApplication
from h3push.tcp.settings import TcpSettings
from h3push.tcp.sockets import listen
from h3push.tcp.tls import TcpTls

TcpChoice = Literal["auto", "uvicorn", "hypercorn", "off"]
"""The values of `--tcp`."""

ALT_SVC_LIFETIME = 86_400
"""Seconds that clients remember where HTTP/3 is: a day, the default of RFC 7838. Who finds nothing there comes back to TCP."""


class TcpUnavailable(RuntimeError):
    """The server that was asked for is not installed; the sentence says what to install."""


def find_backend(choice: TcpChoice) -> BackendKind | None:
    """The server for TCP; `None` when none is wanted, or "auto" finds none.

    Raises:
        TcpUnavailable: it is named and not installed.
    """
    if choice == "off":
        return None
    name = "uvicorn" if choice == "auto" else choice
    if find_spec(name) is None:
        if choice == "auto":
            return None
        extra = "tcp" if name == "uvicorn" else name
        raise TcpUnavailable(f"{name} is not installed: pip install 'h3push[{extra}]'")
    if name == "uvicorn":
        from h3push.tcp.uvicorn_backend import uvicorn_kind

        return uvicorn_kind()
    from h3push.tcp.hypercorn_backend import hypercorn_kind

    return hypercorn_kind()


class TcpSide:
    """The TCP side of one HTTP/3 server: the application over TLS and, where that is wanted, the redirect to it.

    Arguments:
        server: the HTTP/3 server; its `companion` is set.
        app: the application.
        delivery: state and counters of pushes and hints, over all versions.
        kind: the server for TCP.
        tls: TLS, with the names of `kind`'s versions.
        settings: how the application is run.
        state: gives the lifespan's state.
        given: open sockets, which take the place of those at the addresses of UDP.
        proxies: proxies whose word is taken for the client's address and scheme; `None`: nobody's.
        alt_svc: the value of Alt-Svc; `None`: HTTP/3 at this very port; "" sends none.
        redirect_port: plain HTTP on this port is answered with a redirect.
    """

    def __init__(
        self,
        server: Server,
        app: ASGIApplication,
        delivery: DeliveryState,
        kind: BackendKind,
        tls: TcpTls,
        settings: TcpSettings,
        *,
        state: Callable[[], dict[str, Any] | None],
        given: InheritedSockets | None = None,
        proxies: str | None = None,
        alt_svc: str | None = None,
        redirect_port: int | None = None,
    ) -> None:
        self.application = TcpApplication(
            app, server, delivery, settings, state=state, alt_svc=self._alternative_service
        )
        """The application as it runs over TCP."""
        self._server = server
        self._kind = kind
        self._tls = tls
        self._alt_svc = alt_svc
        self._alternative = None if alt_svc is None else alt_svc.encode("latin-1") or None
        self._redirect_port = redirect_port
        self._given = given or InheritedSockets()
        self._proxies = proxies
        self._port = 0
        self._sockets: list[socket.socket] = []
        self._plain_sockets: list[socket.socket] = []
        self._backends: list[Backend] = []
        server.companion = self

    @property
    def abilities(self) -> Abilities:
        """The abilities of the server behind it."""
        return self._kind.abilities

    @property
    def responses_under_way(self) -> int:
        """Responses that are not complete, WebSockets included."""
        return self.application.under_way

    def connections(self) -> Mapping[str, int]:
        """Connections that are open, by their version of HTTP."""
        return sum((Counter(backend.connections()) for backend in self._backends), Counter())

    # the server's calls

    def bind(self, address: tuple[str, int]) -> None:
        """Listen at an address, and at the redirect's port of the same host."""
        host, port = address
        if port != self._port:
            self.release()
            self._port = port
            if self._alt_svc is None:
                self._alternative = b'h3=":%d"; ma=%d' % (port, ALT_SVC_LIFETIME)
        if not self._given.has_tcp:
            self._sockets.append(self._listen(address))
        if self._redirect_port is not None:
            self._plain_sockets.append(self._listen((host, self._redirect_port)))

    def _listen(self, address: tuple[str, int]) -> socket.socket:
        place = self._server.place
        return listen(address, self._server.settings.backlog) if place is None else place.listen(address)

    async def start(self) -> None:
        """Begin to accept."""
        make, settings = self._kind.make, self._server.settings
        given, application = self._given, self.application
        for listening in (given.tcp, given.redirect):
            (self._sockets if listening is given.tcp else self._plain_sockets).extend(one.dup() for one in listening)
        if self._sockets:
            front = behind_proxies(application, self._proxies)
            self._backends.append(make(front, self._sockets, self._tls.context, settings))
        if given.unix:
            front = behind_proxies(application, None if self._proxies is None else "*")
            self._backends.append(make(front, [one.dup() for one in given.unix], None, settings))
        if self._plain_sockets:
            self._backends.append(make(RedirectApplication(self._port), self._plain_sockets, None, settings))
        for backend in self._backends:
            await backend.start()

    async def shutdown(self, grace: float | None) -> None:
        """Stop."""
        try:
            await asyncio.gather(*(backend.shutdown(grace) for backend in self._backends))
        finally:
            self.release()

    def release(self) -> None:
        """Close every socket."""
        for one in (*self._sockets, *self._plain_sockets):
            one.close()
        self._sockets, self._plain_sockets = [], []

    def load_certificates(self, identities: Identities, clients: TrustedClients | None) -> None:
        """Use others for new connections."""
        self._tls.load(identities, clients)

    def _alternative_service(self) -> bytes | None:
        return self._alternative
