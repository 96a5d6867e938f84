"""Processes and signals as a supervisor sees them: file descriptors that become readable."""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from h3push.server.place import Order, Report


class Stage(Enum):
    """How far a worker is."""

    STARTING = auto()
    """It does not listen yet."""
    SERVING = auto()
    """New connections go to it."""
    DRAINING = auto()
    """It finishes what is under way."""


@dataclass(slots=True, eq=False)
class Worker:
    """A worker's process."""

    pid: int
    """Its process ID."""
    watched: int
    """A descriptor that is readable when it has ended (pidfd)."""
    link: socket.socket
    """The supervisor's end of the link."""
    place: int
    """Which place it has."""
    number: int
    """The number of its sockets."""
    generation: int
    """How often the supervisor had reloaded when it began."""
    began: float
    """When that was, in seconds of the monotonic clock."""
    stage: Stage = Stage.STARTING
    """How far it is."""
    kill_at: float | None = None
    """When its patience with it ends."""

    def tell(self, order: Order) -> None:
        """Give an order. One that does not listen yet has no handler for SIGTERM either, and ends by that."""
        if self.stage is Stage.STARTING:
            self.signal(signal.SIGTERM)
        with suppress(OSError):  # it is ending
            self.link.send(order.value)

    def reports(self) -> list[Report]:
        """Read what it tells."""
        try:
            return [Report(bytes([value])) for value in self.link.recv(64)]
        except (BlockingIOError, ConnectionError):
            return []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.watched, number)

    def reap(self) -> int:
        """Take its exit code, negative for a signal, and close what belongs to it."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.watched)
        self.link.close()
        return os.waitstatus_to_exitcode(status)


@dataclass(slots=True, eq=False)
class Post:
    """A place, and who has it."""

    number: int
    """Its number, from 0."""
    starting: Worker | None = None
    """The worker that is to serve next."""
    serving: Worker | None = None
    """The worker that serves."""
    draining: Worker | None = None
    """The worker that served before."""
    wanted: bool = True
    """Another worker is to start."""
    failures: int = 0
    """Workers that died young, in a row."""
    not_before: float = 0.0
    """When the next one may start, in seconds of the monotonic clock."""
    last: int = -1
    """The number of the sockets that were used last."""

    def workers(self) -> list[Worker]:
        """Everybody here."""
        return [one for one in (self.starting, self.serving, self.draining) if one is not None]

    def free_number(self, places: int) -> int | None:
        """Sockets for another worker, others than those that were used last, if they are free."""
        used = {one.number for one in self.workers()}
        both = [self.number, self.number + places]
        both.sort(key=lambda one: one == self.last)
        return next((one for one in both if one not in used), None)


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


class SignalPipe:
    """Signals as bytes on a socket, for a loop that waits for descriptors."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    """The signals that are taken."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno())
        for number in self.NUMBERS:
            signal.signal(number, _noted)

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._reader.fileno()

    def read(self) -> list[int]:
        """Take the signals that came."""
        return [number for number in self._reader.recv(256) if number in self.NUMBERS]

    def leave(self) -> None:
        """Leave signals alone, in a worker.

        Ctrl-C and the end of a terminal reach the whole process group; what they mean for a worker the supervisor says.
        """
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def close(self) -> None:
        """Give up, in the supervisor: its work is done."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def _noted(_number: int, _frame: object) -> None:
    """The wake-up descriptor has the number."""
