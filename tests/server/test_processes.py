"""What a supervisor decides about its workers, without processes."""

import os
import signal
import socket

import pytest

from h3push.server.place import Link, Order, Report, Secrets
from h3push.server.processes import STEADY_AFTER, Post, SignalPipe, Stage, Worker, ending, fork, steering_table


def worker(number, *, began=0.0, stage=Stage.SERVING):
    return Worker(0, -1, None, number % 3, number, 0, began, stage)  # type: ignore[arg-type]  # nobody is told anything


def test_pauses_grow_while_workers_die_young():
    """No pause for the first death, then 1, 2, 4, ... 60 seconds; a worker that has lived for a while begins anew."""
    post = Post(0)
    assert [post.note_failure(worker(0, began=5.0), 6.0) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert post.not_before == 66.0
    assert post.note_failure(worker(0), STEADY_AFTER) == 0


def test_new_connections_go_to_those_who_serve():
    """A place without a worker gives its share to the others; before anybody serves, nothing is steered."""
    posts = [Post(0), Post(1), Post(2)]
    assert steering_table(posts) == []
    posts[1].serving = worker(4)
    assert steering_table(posts) == [4, 4, 4]
    posts[2].serving, posts[0].starting = worker(2), worker(0)
    assert steering_table(posts) == [4, 4, 2]


def test_new_connections_do_not_go_to_who_is_stuck():
    """As long as anybody else turns; when nobody does, all of them wait for whoever goes on first."""
    posts = [Post(0), Post(1), Post(2)]
    for post in posts:
        post.serving = worker(post.number)
    posts[1].serving.is_stuck = True
    assert steering_table(posts) == [0, 2, 2]
    posts[0].serving.is_stuck = posts[2].serving.is_stuck = True
    assert steering_table(posts) == [0, 1, 2]


def test_a_worker_is_stuck_when_it_has_told_nothing_for_a_while():
    """Only one that serves, and only once; a supervisor that comes late itself gives it a second more."""
    one = worker(0)
    assert not one.turns(10.0)
    assert [one.judge(now) for now in (10.9, 11.0, 11.1)] == [False, True, False]
    assert (one.turns(12.0), one.is_stuck) == (True, False)
    assert [one.judge(now) for now in (14.0, 14.9, 15.1)] == [False, False, True]
    draining = worker(0, stage=Stage.DRAINING)
    assert not draining.judge(11.0)


def test_a_successor_gets_other_sockets():
    """What still comes for the one before must not reach it; when both are taken, it waits."""
    post = Post(1)
    assert post.free_number(3) == 1
    post.last = 1
    assert post.free_number(3) == 4
    post.draining = worker(4)
    assert post.free_number(3) == 1
    post.serving = worker(1)
    assert post.free_number(3) is None


def test_ends_in_words():
    """A signal is named, an exit code is a number."""
    told = [ending(code) for code in (3, -signal.SIGKILL, -63)]
    assert told == ["ended with exit code 3", "was ended by SIGKILL", "was ended by signal 63"]


def test_keys_are_of_one_server_and_come_back_after_a_restart():
    """The same secret gives the same keys, and other ones at another address (RFC 9000 section 21.11)."""
    made = Secrets.derive(b"secret", ("127.0.0.1", 443))
    assert made == Secrets.derive(b"secret", ("127.0.0.1", 443))
    others = [Secrets.derive(b"secret", ("127.0.0.1", 444)), Secrets.derive(b"other", ("127.0.0.1", 443))]
    keys = {key for one in (made, *others) for key in (one.reset_key, one.token_key)}
    assert (len(keys), {len(key) for key in keys}) == (6, {32})


def test_a_supervisor_without_processes_still_takes_signals(monkeypatch):
    """When the system has no process to give, signals are let go again: SIGTERM must not be kept back for ever."""

    def none_left():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    handlers = {number: signal.getsignal(number) for number in SignalPipe.NUMBERS}
    monkeypatch.setattr(os, "fork", none_left)
    signals = SignalPipe()
    try:
        with pytest.raises(BlockingIOError):
            fork(signals)
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.read() == [signal.SIGHUP]
    finally:
        signals.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_link_without_supervisor_is_an_order_to_stop():
    """Orders arrive as they were given; the end of the supervisor is the last one, given once."""

    class Loop:
        def add_reader(self, _fileno, callback):
            self.callback = callback

        def remove_reader(self, _fileno):
            self.callback = None

    ours, theirs = socket.socketpair()
    loop, link, orders = Loop(), Link(theirs), []
    link.watch(loop, orders.append)
    link.report(Report.READY)
    assert ours.recv(9) == Report.READY.value
    ours.send(Order.MAKE_WAY.value + Order.STOP_NOW.value)
    loop.callback()
    ours.close()
    loop.callback()
    assert (orders, loop.callback) == ([Order.MAKE_WAY, Order.STOP_NOW, Order.STOP], None)
    link.report(Report.RETIRE)  # nobody is there: no error
    theirs.close()
