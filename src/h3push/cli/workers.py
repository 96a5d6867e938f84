"""`h3push serve --workers N`: several processes on one port, and what each of them does.

The supervisor is `server.workers`; this module says what is bound, what a worker runs, and what the user is told.
"""

import asyncio
import random
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from h3push.cli.beside import tcp_lines
from h3push.cli.failures import CommandFailed, bind_failure
from h3push.cli.metrics import MetricsPort
from h3push.cli.reload import GRACE, FileAlarm
from h3push.cli.run import Run, ready_line, say_commands, say_expiry
from h3push.cli.run import run as run_alone
from h3push.cli.serve_log import configure_logs, say
from h3push.cli.service import quic_tls, read_certificates, server_settings
from h3push.cli.serving.certificates import CertificateFiles
from h3push.cli.serving.options import ServeOptions
from h3push.cli.serving.rereading import renewed
from h3push.cli.sockets import GivenSockets
from h3push.server.service_manager import ServiceManager

if TYPE_CHECKING:
    from h3push.server.place import Address, Order, Place
    from h3push.server.workers import Supervisor

SETTLE = 0.2
"""Seconds between the moment when new connections go to a successor and the GOAWAY of its predecessor. What had come before
then is in its sockets, and is served."""
MAKE_WAY_GRACE = 300.0
"""Seconds that a worker with a successor has for what is under way: nobody waits for it, and a download may be long."""
COUNT_INTERVAL = 0.5
"""Seconds between two looks at the number of requests that a worker has served."""


def run(options: ServeOptions, reread: Callable[[], ServeOptions]) -> int:
    """Serve until a signal comes, in as many processes as are wanted; the exit code.

    Arguments:
        options: the command line.
        reread: reads it once more, for a reload.
    """
    sockets = GivenSockets(options)
    try:
        return _run(options, reread, sockets)
    finally:
        sockets.close()


def _run(options: ServeOptions, reread: Callable[[], ServeOptions], sockets: GivenSockets) -> int:
    from h3push.server.shared_port import SteeringUnavailable

    processes, reloads = options.processes, options.development.reload
    if options.is_supervised:
        try:
            return _supervisor(options, reread, sockets).run()
        except SteeringUnavailable as error:
            say(f"one process serves, for several need what this system lacks: {error.strerror or error}")
            if processes.limit_max_requests is not None or reloads:
                flag = "--reload" if reloads else "--limit-max-requests"
                say(f"{flag} has no effect here: nobody could take over")
    run_alone(options, sockets)
    return 0


class PortSockets:
    """Everything that is bound at one address: UDP for each worker, TCP for all of them."""

    def __init__(self, address: "Address", options: ServeOptions, with_tcp: bool, given: GivenSockets) -> None:
        from h3push.server.shared_port import SteeredSockets
        from h3push.tcp.sockets import listen

        self.steered = SteeredSockets(address, options.processes.workers)
        self.listening: dict[Address, socket.socket] = {}
        backlog = server_settings(options).backlog
        ports = [self.steered.address[1]] if with_tcp and not given.inherited.has_tcp else []
        if with_tcp and options.over_tcp.redirect_http is not None:
            ports.append(options.over_tcp.redirect_http)
        try:
            for port in ports:
                self.listening[address[0], port] = listen((address[0], port), backlog)
        except BaseException:
            self.shutdown()
            raise

    def local_address(self) -> "Address":
        """Host and port."""
        return self.steered.address

    def shutdown(self) -> None:
        """Close everything."""
        self.steered.shutdown()
        for one in self.listening.values():
            one.close()


class CurrentOptions:
    """The options that new workers begin with.

    Arguments:
        options: those of the start.
        files: the certificates that they name.
        reread: reads the options once more.
    """

    def __init__(self, options: ServeOptions, files: CertificateFiles, reread: Callable[[], ServeOptions]) -> None:
        self.now = options
        """As they were read last."""
        self.files = files
        """The certificates that they name."""
        self._reread = reread

    def renew(self) -> bool:
        """Read them anew, for a reload; False when that failed, which has been said."""
        try:
            options, without_effect = renewed(self.now, self._reread())
            files = options.certificate_files()
            configure_logs(options.logs)
        except CommandFailed as error:
            say(f"{error.format_message().rstrip('.')}; the workers from before go on")
            return False
        self.now, self.files = options, files
        if without_effect:
            say(f"a reload does not change {', '.join(without_effect)}: restart for that")
        return True


def _supervisor(options: ServeOptions, reread: Callable[[], ServeOptions], sockets: GivenSockets) -> "Supervisor":
    """Bind everything, and make the supervisor of the workers."""
    from h3push.runtime.descriptors import raise_descriptor_limit
    from h3push.server.hooks import Hooks
    from h3push.server.place import Secrets
    from h3push.server.workers import Supervisor

    files = options.certificate_files()
    identities = read_certificates(options, files)
    tls = quic_tls(options, identities)
    has_tcp, lines = tcp_lines(options)
    _import_ahead()
    raise_descriptor_limit()
    alarm = FileAlarm(options) if options.development.reload else None
    bound = _bind(options, has_tcp, sockets)
    address = options.metrics.address
    metrics = None if address is None else MetricsPort(address, 2 * options.processes.workers)
    settings = server_settings(options)
    current = CurrentOptions(options, files, reread)
    hooks = Hooks(renew=current.renew, alarm=alarm, manager=ServiceManager())
    if metrics is not None:
        hooks.ended = metrics.page.clear_gauges

    def started() -> None:
        count = "1 worker" if options.processes.workers == 1 else f"{options.processes.workers} workers"
        say(f"{ready_line(options, files, bound[0].local_address()[1])}, {count}")
        for line in lines:
            say(line)
        if metrics is not None:
            say(str(metrics))
        say_commands(options, files, bound[0].local_address()[1], over_tcp=has_tcp)
        say_expiry(files)
        hooks.manager.ready()

    hooks.started = started
    hooks.look_after = lambda: _is_renewed(current.now, current.files)
    if alarm is not None:
        alarm.start()
    return Supervisor(
        [one.steered for one in bound],
        options.processes.workers,
        lambda place: _work(current.now, place, metrics, sockets),
        secrets=Secrets.derive(identities[0].key, bound[0].local_address()),
        tls=tls,
        listening={address: one for port in bound for address, one in port.listening.items()},
        grace=(settings.graceful_timeout or 0.0) + (settings.linger_timeout or 0.0),
        say=say,
        hooks=hooks,
    )


def _import_ahead() -> None:
    """Import what every worker needs, so that a new one serves at once. Not the application, which a reload reads anew."""
    import h3push.asgi.serve
    import h3push.files.handler
    import h3push.plans.page
    import h3push.tcp.assembly  # noqa: F401


def _bind(options: ServeOptions, with_tcp: bool, given: GivenSockets) -> list[PortSockets]:
    from h3push.server.addresses import bind_all, resolve
    from h3push.server.shared_port import SteeringUnavailable

    try:
        addresses = asyncio.run(resolve(options.binding.host, options.binding.port))
        return bind_all(addresses, lambda address: PortSockets(address, options, with_tcp, given))
    except SteeringUnavailable:
        raise
    except OSError as error:
        raise bind_failure(error, options.binding.host, options.binding.port) from None


def _is_renewed(options: ServeOptions, files: CertificateFiles) -> bool:
    """Renew a certificate of `--dev` that expires soon; warn of another one."""
    before = files.certfile.read_bytes() if files.cafile is not None else b""
    with suppress(CommandFailed, OSError):  # the old one is good for days
        if files.cafile is not None and options.certificate_files().certfile.read_bytes() != before:
            return True
    say_expiry(files)
    return False


def _work(options: ServeOptions, place: "Place", metrics: MetricsPort | None, sockets: GivenSockets) -> int:
    """Be one of the workers."""
    if options.development.reload:
        sys.dont_write_bytecode = True  # Python takes it for a source of the same second and size
    asyncio.run(WorkerRun(options, place, metrics, sockets).serve())
    return 0


class WorkerRun(Run):
    """One run of one worker: it stops when its supervisor says so, and says nothing of itself."""

    def __init__(
        self, options: ServeOptions, place: "Place", metrics: MetricsPort | None, sockets: GivenSockets
    ) -> None:
        super().__init__(options, sockets, place)
        self._link = place.link
        self._number = place.steered[0]
        self._metrics_port = metrics
        processes = options.processes
        self._limit = processes.limit_max_requests
        if self._limit is not None:
            self._limit += random.randint(0, processes.limit_max_requests_jitter)  # noqa: S311

    async def serve(self) -> None:
        """Listen until an order comes, then stop."""
        from h3push.server.place import Order, Report

        self._loop = asyncio.get_running_loop()
        orders: asyncio.Queue[Order] = asyncio.Queue()
        self._link.watch(self._loop, orders.put_nowait)
        self._loop.add_signal_handler(signal.SIGTERM, orders.put_nowait, Order.STOP)
        if not await self._opened(orders):
            return
        if self._metrics_port is not None:
            self._metrics = self._metrics_port.start(self._service, self._number)
        self._link.report(Report.READY)
        self._link.beat(self._loop)
        if self._limit is not None:
            self._count(self._limit)
        order = await orders.get()
        if order is Order.MAKE_WAY:
            await asyncio.sleep(SETTLE)
        make_way = GRACE if self._options.development.reload else MAKE_WAY_GRACE
        grace = {Order.MAKE_WAY: make_way, Order.STOP: None, Order.STOP_NOW: 0.0}[order]
        stopping = asyncio.create_task(self._service.shutdown(grace))
        hurrying = asyncio.create_task(self._hurry(orders, stopping))
        with suppress(asyncio.CancelledError):
            await stopping
        hurrying.cancel()
        await self._wind_up()

    async def _opened(self, orders: "asyncio.Queue[Order]") -> bool:
        """Listen; False when an order to stop came first, for an application may take its time to start."""
        opening = asyncio.create_task(self._open())
        ordered = asyncio.create_task(orders.get())
        await asyncio.wait({opening, ordered}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            if not ordered.cancel():
                orders.put_nowait(ordered.result())
            await opening
            return True
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
        return False

    async def _hurry(self, orders: "asyncio.Queue[Order]", stopping: "asyncio.Task[None]") -> None:
        """Take orders that come while it stops."""
        from h3push.server.place import Order

        while True:
            order = await orders.get()
            if order is Order.STOP_NOW:
                stopping.cancel()
            elif order is Order.STOP:
                self._loop.call_later(self._server.settings.graceful_timeout or 0.0, stopping.cancel)

    def _count(self, limit: int) -> None:
        """Ask for a successor when enough requests have been served."""
        from h3push.server.place import Report

        if self._server.counters.requests >= limit:
            self._link.report(Report.RETIRE)
        else:
            self._loop.call_later(COUNT_INTERVAL, self._count, limit)
