"""`--metrics` of `h3push serve`: the port where Prometheus reads what was counted, and the page behind it."""

import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

from h3push.cli.failures import CommandFailed, bind_failure

if TYPE_CHECKING:
    from h3push.asgi.serve import ASGIServer
    from h3push.metrics.listener import MetricsListener
    from h3push.server.place import Address
    from h3push.server.server import Server

WAITING_READERS = 16
"""Readers that may wait to be accepted; there is one, as a rule."""
NOT_INSTALLED = "--metrics needs prometheus-client: pip install 'h3push[metrics]'"


class MetricsPort:
    """The socket and the page, which are there before any worker is.

    Arguments:
        address: where to listen.
        rows: how many processes there can be at a time.

    Raises:
        CommandFailed: the library is missing, or the address cannot be taken.
    """

    def __init__(self, address: "Address", rows: int = 1) -> None:
        if find_spec("prometheus_client") is None:
            raise CommandFailed(NOT_INSTALLED)
        from h3push.metrics.page import MetricsPage
        from h3push.tcp.sockets import listen

        try:
            self._listening = listen(address, WAITING_READERS)
        except OSError as error:
            raise _cannot_listen(error, address) from None
        self.page = MetricsPage(rows)
        """The counts of all processes."""

    def __str__(self) -> str:
        """The line for the user."""
        host, port = self._listening.getsockname()[:2]
        return f"metrics at http://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def start(self, service: "Server | ASGIServer", number: int = 0) -> "MetricsListener":
        """Begin to count in this process, into the row of that number, and to answer for all."""
        from h3push.metrics.listener import MetricsListener
        from h3push.metrics.tally import Tally
        from h3push.server.access_log import AccessLog
        from h3push.server.server import Server

        server = service if isinstance(service, Server) else service.server
        handler = service.handler
        tally = Tally(self.page, number, server, handler.delivery.counters)  # type: ignore[attr-defined]  # both kinds have one
        if server.access_log is None:
            server.access_log = AccessLog(None)
        server.access_log.observer = tally
        listener = MetricsListener(self._listening.dup(), self.page, tally)
        listener.start()
        return listener

    def close(self) -> None:
        """Listen no more."""
        self._listening.close()


def _cannot_listen(error: OSError, address: "Address") -> CommandFailed:
    if isinstance(error, socket.gaierror):
        return CommandFailed(f"--metrics: {address[0]} is no address of this machine")
    failure = bind_failure(error, *address)
    return CommandFailed(f"--metrics: {failure.message.replace('--port', '--metrics').replace('--host', '--metrics')}")
