"""One run of `h3push serve`: listen, say so, reload the certificate on SIGHUP, stop on SIGINT and SIGTERM.

The first signal to stop lets what is under way finish, and Ctrl-C says what that is; the second one ends it. Everything is said
through the log (`cli.serve_log`), on stderr, for stdout has the access log.
"""

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.beside import add_tcp
from h3push.cli.failures import CommandFailed, bind_failure
from h3push.cli.metrics import MetricsPort
from h3push.cli.serve_log import say
from h3push.cli.service import make_controller, make_service, quic_tls, read_certificates, trusted_clients
from h3push.cli.serving.certificates import CertificateFiles
from h3push.cli.serving.options import ServeOptions
from h3push.cli.sockets import GivenSockets
from h3push.server.service_manager import ServiceManager

if TYPE_CHECKING:
    from h3push.metrics.listener import MetricsListener
    from h3push.server.place import Place
    from h3push.server.server import Server

CERTIFICATE_CHECK = 24 * 3600.0
"""Seconds between two looks at the certificate, whose life is counted in days."""
SLOW_STOP = 2.0
"""Seconds after which somebody who waits for the end is told that the application is not ready."""


def run(options: ServeOptions, sockets: GivenSockets) -> None:
    """Serve until a signal comes."""
    # An application is imported before the loop runs: it may use a loop of its own meanwhile.
    asyncio.run(Run(options, sockets).serve())


class Run:
    """One run of a server."""

    def __init__(self, options: ServeOptions, sockets: GivenSockets, place: "Place | None" = None) -> None:
        from h3push.server.server import Server

        self._options = options
        self._files = options.certificate_files()
        identities = read_certificates(options, self._files)
        tls = quic_tls(options, identities, None if place is None else place.ticket_key)
        self._learned = make_controller(options)
        self._service = make_service(options, tls, self._learned)
        self._server = self._service if isinstance(self._service, Server) else self._service.server
        self._server.place, self._server.identities = place, identities
        self._server.inherited = sockets.inherited.udp
        self._said_of_tcp = add_tcp(self._service, options, identities, sockets.inherited)
        self._manager = ServiceManager()
        self._server.qlog = options.logs.qlog_directory()
        self._metrics_port: MetricsPort | None = None
        self._metrics: MetricsListener | None = None
        if place is None and (address := options.metrics.address) is not None:
            self._metrics_port = MetricsPort(address)
        self._loop: asyncio.AbstractEventLoop
        self._check: asyncio.TimerHandle | None = None
        self._slow: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Listen until a signal comes, then stop."""
        self._loop = asyncio.get_running_loop()
        await self._open()
        if self._metrics_port is not None:
            self._metrics = self._metrics_port.start(self._service)
        stop: asyncio.Future[int] = self._loop.create_future()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, _resolve, stop, number)
        self._loop.add_signal_handler(signal.SIGHUP, self.reload)
        say(ready_line(self._options, self._files, self._server.address[1]))
        for line in self._said_of_tcp:
            say(line)
        if self._metrics_port is not None:
            say(str(self._metrics_port))
        over_tcp = self._server.companion is not None
        say_commands(self._options, self._files, self._server.address[1], over_tcp=over_tcp)
        self._watch_certificate()
        self._manager.ready()
        self._show_life()
        await self._stop(await stop)

    def _show_life(self) -> None:
        """Show the service manager again and again that the loop turns."""
        if self._manager.interval is not None:
            self._manager.alive()
            self._loop.call_later(self._manager.interval, self._show_life)

    async def _open(self) -> None:
        """Start the application and listen."""
        from h3push.asgi.lifespan import LifespanFailedError

        try:
            await self._service.open()
        except LifespanFailedError as error:
            raise CommandFailed(f"the application did not start: {error}") from None
        except OSError as error:
            raise bind_failure(error, self._options.binding.host, self._options.binding.port) from None
        if self._learned is not None:
            self._learned.start()

    async def _stop(self, number: int) -> None:
        self._manager.stopping()
        waiting = what_is_waited_for(self._server)
        if waiting is not None and number == signal.SIGINT:  # somebody looks on
            say(f"stopping: {waiting}; Ctrl-C again stops at once")
        if number == signal.SIGINT:
            self._slow = self._loop.call_later(SLOW_STOP, self._say_what_is_slow)
        stopping = asyncio.create_task(self._service.shutdown())
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, stopping.cancel)
        with suppress(asyncio.CancelledError):
            await stopping
        if self._slow is not None:
            self._slow.cancel()
        if self._check is not None:
            self._check.cancel()
        await self._wind_up()

    def _say_what_is_slow(self) -> None:
        """Tell whoever looks on that it is the application that keeps the server, once its clients do no more."""
        if what_is_waited_for(self._server) is None:
            say("stopping: the application has not shut down yet; Ctrl-C again stops at once")
        else:
            self._slow = self._loop.call_later(SLOW_STOP, self._say_what_is_slow)

    async def _wind_up(self) -> None:
        """Count for the last time, when everything is over, and write what was learned."""
        if self._learned is not None:
            await self._learned.close()
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)

    # the certificate

    def reload(self) -> None:
        """Reload the certificate for new connections; keep the old one when the new one cannot be used."""
        self._manager.reloading()
        self._reload()
        self._manager.ready()

    def _reload(self) -> None:
        try:
            files = self._options.certificate_files()
            self._use(files)
        except CommandFailed as error:
            say(f"the certificate in use stays: {error.format_message()}")
            return
        say(f"new connections use the certificate {files.certfile} as it is now")
        say_expiry(self._files)

    def _use(self, files: CertificateFiles) -> None:
        """Use a certificate for new connections, over UDP and TCP."""
        identities = read_certificates(self._options, files)
        tls = quic_tls(self._options, identities)
        if self._server.companion is not None:
            try:
                self._server.companion.load_certificates(identities, trusted_clients(self._options))
            except ValueError as error:
                raise CommandFailed(str(error)) from None
        self._server.set_tls(tls, identities)

    def _watch_certificate(self) -> None:
        """Warn of a certificate that expires soon, now and once a day; renew one of `--dev` instead."""
        if self._check is not None and self._files.cafile is not None:
            with suppress(CommandFailed):  # the old one is good for days
                self._use(self._options.certificate_files())
        say_expiry(self._files)
        self._check = self._loop.call_later(CERTIFICATE_CHECK, self._watch_certificate)


def _resolve(future: "asyncio.Future[int]", number: int) -> None:
    if not future.done():
        future.set_result(number)


def say_commands(options: ServeOptions, files: CertificateFiles, port: int, *, over_tcp: bool) -> None:
    """Show whoever sits at the terminal how clients take a certificate of `--dev`, whose authority nobody knows."""
    from h3push.cli.clients import commands

    if files.cafile is not None and sys.stderr is not None and sys.stderr.isatty():
        say("to see it, paste a line:")
        for line in commands(files, server_url(options.binding.host, port), over_tcp=over_tcp):
            click.echo(line, err=True)


def say_expiry(files: CertificateFiles) -> None:
    """Warn of a certificate that expires soon."""
    from h3push.server.certificates import expiry_notice

    for certfile, _ in files.pairs:
        notice = expiry_notice(certfile)
        if notice is not None:
            say(notice)


def what_is_waited_for(server: "Server") -> str | None:
    """The reason why a graceful stop takes time, and how much; `None` when there is none."""
    settings = server.settings
    responses, clients = server.responses_under_way, server.connections
    if responses:
        return f"{_counted(responses, 'response')} under way, for {settings.graceful_timeout:g} s at most"
    if clients:
        return f"{_counted(clients, 'client')} connected, for {settings.linger_timeout:g} s at most"
    return None


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def ready_line(options: ServeOptions, files: CertificateFiles, port: int) -> str:
    """The line that says where the server is, and which certificate to trust."""
    trust = f"CA file {files.cafile}" if files.cafile is not None else f"certificate {files.certfile}"
    return f"serving {options.target} at {server_url(options.binding.host, port)} ({trust})"


def server_url(host: str, port: int) -> str:
    """The URL at which a server on `host` is reached from this machine."""
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"https://{f'[{host}]' if ':' in host else host}:{port}/"
