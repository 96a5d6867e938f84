"""Processes and signals as a supervisor sees them: file descriptors that become readable."""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from h3push.server.place import Order, Report

STEADY_AFTER = 10.0
"""Seconds after which a worker that dies has not died at its start."""
LONGEST_PAUSE = 60.0
"""Seconds between two attempts to replace a worker that dies at its start, at most. They begin with none and one."""

STUCK_AFTER = 1.0
"""Seconds without a sign of life after which a worker gets no new connections: a client sends its first packet again after as
long (RFC 9002 section 6.2.2), and that one comes to another worker."""


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
    turned_at: float = 0.0
    """When its loop was last known to turn, in seconds of the monotonic clock."""
    is_stuck: bool = False
    """True while it serves and its loop does not turn: a handler blocks it, or it has been stopped."""

    def __str__(self) -> str:
        """Its name in lines for the user."""
        return f"worker {self.place + 1} (process {self.pid})"

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

    def turns(self, now: float) -> bool:
        """Its loop turns now. True when it was stuck."""
        self.turned_at, before, self.is_stuck = now, self.is_stuck, False
        return before

    def stuck_at(self) -> float:
        """When it is stuck unless it tells that it turns."""
        return self.turned_at + STUCK_AFTER

    def judge(self, now: float) -> bool:
        """True when it is stuck from now on. Whoever looks so late was kept waiting itself, and judges the next time."""
        if self.stage is not Stage.SERVING or self.is_stuck or now < self.stuck_at():
            return False
        if now > self.stuck_at() + STUCK_AFTER / 2:
            self.turned_at = now
            return False
        self.is_stuck = True
        return True

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


class Alarm(Protocol):
    """Asks for reloads, from outside of the supervisor."""

    is_over: bool
    """True when it will ring no more."""

    def fileno(self) -> int:
        """Readable when there is something to read for `rings`."""

    def rings(self) -> bool:
        """Read what came; True when it asks for a reload."""

    def close(self) -> None:
        """It is not needed any more."""


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

    def note_failure(self, worker: Worker, now: float) -> float:
        """A worker died that was to serve: the pause before the next one, in seconds."""
        self.failures = self.failures + 1 if now - worker.began < STEADY_AFTER else 1
        pause = 0.0 if self.failures == 1 else min(2.0 ** (self.failures - 2), LONGEST_PAUSE)
        self.not_before = now + pause
        return pause


def replaceable(posts: Sequence[Post]) -> list[Worker]:
    """The workers that serve, where there is another one to serve instead."""
    serving = [post.serving for post in posts if post.serving is not None]
    return serving if len(serving) > 1 else []


def steering_table(posts: Sequence[Post]) -> list[int]:
    """The sockets that new connections of each place go to; where nobody serves, those of another place. Empty: nowhere.

    Who is stuck does not serve, as long as anybody else does.
    """
    serving = {post.number: post.serving for post in posts if post.serving is not None}
    able = {place: one.number for place, one in serving.items() if not one.is_stuck}
    able = able or {place: one.number for place, one in serving.items()}
    others = list(able.values())
    return [able.get(post.number, others[post.number % len(others)]) for post in posts] if others else []


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

    def hold(self) -> None:
        """Keep signals back, until `let_go` or `leave`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, self.NUMBERS)

    def let_go(self) -> None:
        """Take the signals that were kept back, and those that come."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self.NUMBERS)

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
        self.let_go()

    def close(self) -> None:
        """Give up, in the supervisor: its work is done."""
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()


def fork(signals: SignalPipe) -> int:
    """`os.fork`, with nothing written twice and no signal taken twice. `OSError` when the system has no process to give."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # what cannot be written is said at the end, once
                stream.flush()
    signals.hold()
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid != 0:  # a worker lets go when it has left
            signals.let_go()
    return pid


def _noted(_number: int, _frame: object) -> None:
    """The wake-up descriptor has the number."""
