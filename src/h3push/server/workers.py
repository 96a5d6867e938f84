"""Several workers on one port: started, replaced when they die, renewed on SIGHUP, drained on SIGTERM.

Theory of operation. The supervisor binds the sockets (`server.shared_port`) and forks the workers. It has no thread, no loop and
no application, so a fork of it is safe and ready within milliseconds; each worker imports the application for itself, and a
reload thereby brings new code. (A spawned process would spend a third of a second on imports of its own, while clients wait.)

A place is one of N. Its life is a walk of workers over its two sockets:

        fork ──▶ STARTING ──ready──▶ SERVING ──a successor is ready──▶ DRAINING ──▶ gone
                    │ dies              │ dies
                    └──▶ try again,     └──▶ new connections go to the other places; a replacement starts
                         later each time

A worker tells again and again that its loop turns. While a handler blocks it, new connections go to the other places.

Renewal is one mechanism, whatever asks for it: SIGHUP (every place), a worker that has served enough (its place), a death (its
place, without anybody to drain). After a reload one worker goes first. When it does not start, the others stay as they are.

Sockets without a worker are read by the supervisor itself (`server.vacant`), which tells the clients of lost connections.
"""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from h3push import _quic
from h3push.server.hooks import Hooks
from h3push.server.place import Address, Link, Order, Place, Report, Secrets, new_ticket_key
from h3push.server.processes import Post, SignalPipe, Stage, Worker, ending, fork, replaceable, steering_table
from h3push.server.rosters import Rosters
from h3push.server.shared_port import SteeredSockets
from h3push.server.vacant import VacantSockets

FORK_PAUSE = 1.0
"""Seconds until the next attempt when the system has no process to give."""
KILL_AFTER = 5.0
"""Seconds that a worker has to end after its time for a graceful stop, before it is killed."""


class _Born(BaseException):
    """A worker was born, and this is it: out of the supervisor's loop."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place


class Supervisor:
    """Runs `work` in as many processes as there are places.

    Arguments:
        groups: the sockets of each address, which are its own from now on.
        places: how many workers.
        work: called in each worker, once, with its place. It returns when the worker is done; the exit code.
        secrets: what the workers share.
        tls: TLS settings of the sockets without a worker. Nobody completes a handshake there.
        listening: TCP sockets that the workers share.
        grace: seconds that a worker takes to stop gracefully, at most.
        say: takes a line for the user.
        hooks: what it calls outside of itself.
    """

    def __init__(
        self,
        groups: Sequence[SteeredSockets],
        places: int,
        work: Callable[[Place], int],
        *,
        secrets: Secrets,
        tls: _quic.ServerTls,
        listening: Mapping[Address, socket.socket],
        grace: float,
        say: Callable[[str], None],
        hooks: Hooks,
    ) -> None:
        self._hooks = hooks
        self._groups = groups
        self._work = work
        self._secrets = secrets
        self._listening = listening
        self._grace = grace
        self._say = say
        self._ticket_key = new_ticket_key()
        self._posts = [Post(number) for number in range(places)]
        self._selector = selectors.DefaultSelector()
        self._vacant = VacantSockets(groups, 2 * places, secrets, tls, self._selector)
        self._rosters = Rosters(groups, 2 * places)
        self._signals: SignalPipe
        self._generation = 0
        self._proved = -1
        self._announced = -1
        self._stopping = False
        self._exit_code = 0
        self._look_at = self._alive_at = 0.0
        self._now = 0.0

    def run(self) -> int:
        """Supervise until a signal to stop; the exit code. It returns in each worker too, with what `work` returned."""
        try:
            self._supervise()
        except _Born as birth:
            place = birth.place
        else:
            return self._exit_code
        return self._work(place)

    # the loop

    def _supervise(self) -> None:
        self._signals = SignalPipe()
        self._selector.register(self._signals.fileno(), selectors.EVENT_READ, self._signalled)
        if self._hooks.alarm is not None:
            self._selector.register(self._hooks.alarm, selectors.EVENT_READ, self._alarmed)
        for number in range(2 * len(self._posts)):
            self._vacant.take(number)
        self._look_at = time.monotonic() + self._hooks.look_interval
        self._advance()
        while not self._stopping or self._workers():
            for key, _ in self._selector.select(self._seconds_left()):
                if self._selector.get_map().get(key.fd) is key:  # not taken out by what came before it
                    key.data()
            self._advance()
        self._close()

    def _workers(self) -> list[Worker]:
        return [worker for post in self._posts for worker in post.workers()]

    def _seconds_left(self) -> float | None:
        times = [one.kill_at for one in self._workers() if one.kill_at is not None]
        if not self._stopping:
            times.append(self._look_at)
            times += [post.not_before for post in self._posts if post.wanted and post.starting is None]
            times += [one.stuck_at() for one in replaceable(self._posts) if not one.is_stuck]
        times += [] if self._hooks.manager.interval is None else [self._alive_at]
        # What was due when everything was last looked at waits for something else.
        first = min((when for when in times if when > self._now), default=None)
        return None if first is None else max(first - time.monotonic(), 0.0)

    def _due(self, now: float) -> None:
        if self._hooks.manager.interval is not None and self._alive_at <= now:
            self._alive_at = now + self._hooks.manager.interval
            self._hooks.manager.alive()
        for worker in self._workers():
            if worker.kill_at is not None and worker.kill_at <= now:
                worker.kill_at = None
                self._say(f"{worker} did not stop in time and is killed")
                worker.signal(signal.SIGKILL)
        stuck = [one for one in replaceable(self._posts) if not self._stopping and one.judge(now)]
        for worker in stuck:
            self._say(f"{worker} is blocked, by a handler most likely: new connections go to the others")
        if stuck:
            self._steer()
        if self._look_at <= now and not self._stopping:
            self._look_at = now + self._hooks.look_interval
            if self._hooks.look_after():
                self._reload()

    def _advance(self) -> None:
        """Do what is due, and start whoever is wanted and may start."""
        now = self._now = time.monotonic()
        self._due(now)
        for post in self._posts:
            if self._stopping or not post.wanted or post.starting is not None or now < post.not_before:
                continue
            if self._proved != self._generation and any(other.starting for other in self._posts):
                return  # one goes first
            number = post.free_number(len(self._posts))
            if number is not None:
                self._start(post, number)
            elif post.draining is not None and post.draining.kill_at is None:
                self._stop_worker(post.draining, Order.STOP)

    # one worker

    def _start(self, post: Post, number: int) -> None:
        ours, theirs = socket.socketpair()
        try:
            pid = fork(self._signals)
        except OSError as error:
            ours.close()
            theirs.close()
            post.not_before = self._now + FORK_PAUSE
            self._say(f"no worker can be started: {error.strerror}; the next attempt is in {FORK_PAUSE:g} s")
            return
        if pid == 0:
            raise _Born(self._leave(post.number, number, theirs))
        theirs.close()
        ours.setblocking(False)
        worker = Worker(pid, os.pidfd_open(pid), ours, post.number, number, self._generation, time.monotonic())
        post.starting, post.last = worker, number
        self._selector.register(ours, selectors.EVENT_READ, partial(self._reported, post, worker))
        self._selector.register(worker.watched, selectors.EVENT_READ, partial(self._ended, post, worker))

    def _leave(self, place: int, number: int, link: socket.socket) -> Place:
        """Become a worker: let go of everything that is the supervisor's."""
        self._signals.leave()
        for worker in self._workers():
            worker.link.close()
            os.close(worker.watched)
        self._selector.close()
        self._vacant.forget()
        sockets = {group.address: group.duplicate(number) for group in self._groups}
        for group in self._groups:
            group.shutdown()
        steered = (number, 2 * len(self._posts))
        rosters = self._rosters.of(number)
        return Place(place, sockets, steered, self._secrets, self._ticket_key, self._listening, rosters, Link(link))

    def _reported(self, post: Post, worker: Worker) -> None:
        reports = worker.reports()
        if not reports:
            self._selector.unregister(worker.link)
        for report in reports:
            if report is Report.READY and worker is post.starting:
                self._ready(post, worker)
            elif report is Report.RETIRE and worker is post.serving:
                post.wanted = True
            elif report is Report.TURNS and worker.turns(time.monotonic()) and worker is post.serving:
                self._say(f"{worker} goes on, and gets new connections again")
                self._steer()

    def _ready(self, post: Post, worker: Worker) -> None:
        post.starting = None
        if self._stopping:
            worker.stage, post.draining = Stage.DRAINING, worker
            worker.tell(Order.STOP)
            return
        before, post.serving = post.serving, worker
        worker.stage, worker.turned_at = Stage.SERVING, time.monotonic()
        self._proved = max(self._proved, worker.generation)
        post.wanted = worker.generation != self._generation
        self._vacant.give(worker.number)
        self._steer()
        if before is not None:
            before.stage, post.draining = Stage.DRAINING, before
            before.tell(Order.MAKE_WAY)
        if all(one.serving and one.serving.generation == self._generation for one in self._posts):
            self._announce()

    def _announce(self) -> None:
        """Say, once for each generation, that all of it serves."""
        if self._announced < 0:
            self._hooks.started()
        elif self._announced < self._generation:
            count = len(self._posts)
            self._say(f"reloaded: new connections go to {count} new worker{'s' if count > 1 else ''}")
            self._hooks.manager.ready()
        self._announced = self._generation

    def _steer(self) -> None:
        """Send new connections to those who serve; where nobody serves, to the next who does."""
        table = steering_table(self._posts)
        for group in self._groups if table else ():
            group.steer(table)

    def _stop_worker(self, worker: Worker, order: Order) -> None:
        patience = KILL_AFTER if order is Order.STOP_NOW else self._grace + KILL_AFTER
        worker.kill_at = time.monotonic() + patience
        worker.tell(order)

    def _ended(self, post: Post, worker: Worker) -> None:
        self._selector.unregister(worker.watched)
        if worker.link in self._selector.get_map():
            self._selector.unregister(worker.link)
        code = worker.reap()
        self._hooks.ended(worker.number)
        self._vacant.take(worker.number)
        self._vacant.tell_orphans(worker.number, self._rosters.of(worker.number))
        if worker is post.draining:
            post.draining = None
        elif worker is post.serving:
            post.serving, post.wanted = None, True
            self._steer()
        else:
            post.starting = None
        if not self._stopping and worker.stage is not Stage.DRAINING:
            self._lost(post, worker, code)

    def _lost(self, post: Post, worker: Worker, code: int) -> None:
        """A worker ended that was to serve."""
        now = time.monotonic()
        if worker.stage is Stage.STARTING and self._proved < 0:
            if code > 0 and self._hooks.alarm is not None and not self._hooks.alarm.is_over:
                post.wanted = False  # it has said why, and whoever writes it mends that
                self._say("the next change starts it again")
                return
            self._exit_code = code if code > 0 else 1  # it has said why
            if code < 0:
                self._say(f"{worker} {ending(code)} at its start")
            self._stop(Order.STOP)
            return
        if worker.stage is Stage.STARTING and self._proved != self._generation and self._keep(worker, code):
            return
        pause = post.note_failure(worker, now)
        when = "now" if not pause else f"in {pause:g} s"
        start = " at its start" if worker.stage is Stage.STARTING else ""
        self._say(f"{worker} {ending(code)}{start}; another one takes its place {when}")

    def _keep(self, worker: Worker, code: int) -> bool:
        """A reload failed with its first worker: keep those from before. False when one place has nobody to keep."""
        for post in self._posts:
            post.wanted = post.serving is None
        self._say(f"{worker} {ending(code)} at its start: the workers from before go on")
        self._hooks.manager.ready()
        return all(post.serving for post in self._posts)

    # signals

    def _signalled(self) -> None:
        for number in self._signals.read():
            if number == signal.SIGHUP:
                self._reload()
            else:
                if number == signal.SIGINT and not self._stopping:  # somebody looks on
                    self._say(f"stopping: what is under way has {self._grace:g} s at most; Ctrl-C again stops at once")
                self._stop(Order.STOP_NOW if self._stopping else Order.STOP)

    def _reload(self) -> None:
        if self._stopping:
            return
        self._hooks.manager.reloading()
        if not self._hooks.renew():
            self._hooks.manager.ready()
            return
        self._generation += 1
        self._ticket_key = new_ticket_key()
        for post in self._posts:
            post.wanted, post.not_before, post.failures = True, 0.0, 0

    def _alarmed(self) -> None:
        assert self._hooks.alarm is not None
        if self._hooks.alarm.rings():
            self._reload()
        if self._hooks.alarm.is_over:
            self._selector.unregister(self._hooks.alarm)

    def _stop(self, order: Order) -> None:
        self._stopping = True
        self._hooks.manager.stopping()
        for worker in self._workers():
            self._stop_worker(worker, order)

    def _close(self) -> None:
        self._selector.close()
        self._vacant.forget()
        self._rosters.close()
        self._signals.close()
        if self._hooks.alarm is not None:
            self._hooks.alarm.close()
        for group in self._groups:
            group.shutdown()
        for one in self._listening.values():
            one.close()
