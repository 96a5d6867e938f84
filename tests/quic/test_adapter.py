"""The native adapter: every event reaches the right method, every write kicks, drivers watch and unwatch."""

import asyncio

import pytest

_quic = pytest.importorskip("h3push._quic")

from h3push.h3.events import StreamDrained  # noqa: E402
from h3push.h3.transport import Transport  # noqa: E402
from h3push.quic.adapter import NativeTransport, SocketDriver, closed_reason, deliver  # noqa: E402

CONNECTION = 77


class Recorder:
    """A core, a native driver and a loop in one: it notes every call by name and arguments."""

    def __init__(self, answer=None):
        self.calls = []
        self.answer = answer

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            return self.answer

        return call


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ((_quic.DATA, CONNECTION, 4, b"x", True), ("receive_data", 4, b"x", True, 1.5)),
        ((_quic.RESET, CONNECTION, 4, 0x10C), ("receive_reset", 4, 0x10C, 1.5)),
        ((_quic.STOP, CONNECTION, 4, 0x10C), ("receive_stop", 4, 0x10C, 1.5)),
        ((_quic.ACKED, CONNECTION, 4), ("receive_acknowledged", 4, 1.5)),
        ((_quic.DRAINED, CONNECTION, 4), ("receive_drained", 4, 1.5)),
        ((_quic.STREAMS_AVAILABLE, CONNECTION, True), ("receive_stream_credit", True, 1.5)),
    ],
)
def test_an_event_reaches_its_method(event, expected):
    """`deliver` is a table from event kind to `receive_*`, and hands back what the core made of it."""
    core = Recorder([StreamDrained(4)])
    assert deliver(core, event, 1.5) == [StreamDrained(4)]
    assert core.calls == [expected]


@pytest.mark.parametrize(
    "event",
    [
        (_quic.HANDSHAKE, CONNECTION, b"h3", None),
        (_quic.CONNECTED, CONNECTION, False),
        (_quic.DATAGRAM, CONNECTION, b"x"),
        (_quic.PATH_CHANGED, CONNECTION, ("192.0.2.1", 1)),
    ],
)
def test_events_for_the_owner_do_not_reach_the_core(event):
    """Handshake and paths are the event-loop layer's."""
    core = Recorder()
    assert deliver(core, event, 1.5) == []
    assert not core.calls


@pytest.mark.parametrize(
    ("kind", "by_peer"),
    [
        (_quic.CLOSED_BY_APPLICATION, True),
        (_quic.CLOSED_BY_TRANSPORT, True),
        (_quic.CLOSED_RESET, True),
        (_quic.CLOSED_REFUSED, True),
        (_quic.CLOSED_LOCALLY, False),
        (_quic.CLOSED_TRANSPORT_ERROR, False),
        (_quic.CLOSED_TIMED_OUT, False),
        (_quic.CLOSED_INTERNAL, False),
        (_quic.CLOSED_UNREACHABLE, False),
    ],
)
def test_every_way_to_close_has_a_side_and_a_sentence(kind, by_peer):
    """The core is told who ended the connection, and a reason even where QUIC gave none."""
    core = Recorder([])
    deliver(core, (_quic.CLOSED, CONNECTION, kind, None, ""), 1.5)
    ((name, code, reason, told_by_peer),) = core.calls
    assert (name, code, told_by_peer) == ("receive_closed", None, by_peer)
    assert len(reason.split()) > 3


def test_the_reason_phrase_of_the_peer_goes_first():
    """Our own sentence, with the code's name, is only for closes without a phrase."""
    assert closed_reason(_quic.CLOSED_BY_APPLICATION, 0x108, "no such push") == "no such push"
    assert closed_reason(_quic.CLOSED_BY_APPLICATION, 0x108, "").endswith("H3_ID_ERROR (0x108)")
    assert closed_reason(_quic.CLOSED_BY_TRANSPORT, 0xA, "").endswith("QUIC error 0xa")


@pytest.mark.parametrize(
    ("method", "arguments", "native", "kicks"),
    [
        ("write", (4, b"x", False), ("write", CONNECTION, 4, b"x", False), 1),
        ("reset", (4, 1), ("reset", CONNECTION, 4, 1), 1),
        ("stop", (4, 1), ("stop", CONNECTION, 4, 1), 1),
        ("resume", (4,), ("resume", CONNECTION, 4), 1),
        ("close", (0x100, "näh"), ("close", CONNECTION, 0x100, "näh".encode()), 1),
        ("pause", (4,), ("pause", CONNECTION, 4), 0),
        ("set_priority", (4, -1), ("set_priority", CONNECTION, 4, -1), 0),
        ("open_stream", (True,), ("open", CONNECTION, True), 0),
        ("stream_credit", (True, 3), ("stream_credit", CONNECTION, True, 3), 0),
    ],
)
def test_calls_name_the_connection_and_kick_when_something_may_go_out(method, arguments, native, kicks):
    """The owner flushes once a turn, and is told whenever there may be a reason to."""
    answers = method in ("write", "open_stream", "stream_credit")
    driver = Recorder(9 if answers else None)
    kicked = []
    transport: Transport = NativeTransport(driver, CONNECTION, lambda: kicked.append(True))
    answer = getattr(transport, method)(*arguments)
    assert driver.calls == [native]
    assert len(kicked) == kicks
    assert answer == driver.answer


def test_a_socket_driver_watches_its_descriptor_until_shutdown():
    """`add_reader` once, `remove_reader` once, whoever ends it."""
    native, loop = Recorder(5), Recorder()
    driver = SocketDriver(native)
    driver.watch(loop, print)
    driver.shutdown()
    driver.unwatch(loop)
    assert loop.calls == [("add_reader", 5, print), ("remove_reader", 5)]
    assert native.calls == [("fileno",), ("shutdown",)]


def test_a_driver_is_not_unwatched_by_another_loop():
    """Only who watches can end it."""
    native, loop, other = Recorder(5), Recorder(), asyncio.AbstractEventLoop()
    driver = SocketDriver(native)
    driver.watch(loop, print)
    driver.unwatch(other)
    assert loop.calls == [("add_reader", 5, print)]


def test_a_full_socket_is_waited_for_once():
    """However often `flush` finds it full: one `add_writer`, taken away when it fires or when the driver is unwatched."""
    loop, called = Recorder(), []
    driver = SocketDriver(Recorder(5))
    driver.watch(loop, print)
    for _ in range(3):
        driver.watch_writable(loop, lambda: called.append(True))
    (name, fileno, writable) = loop.calls[-1]
    assert [call[0] for call in loop.calls] == ["add_reader", "add_writer"]
    assert (name, fileno) == ("add_writer", 5)
    writable()
    assert loop.calls[-1] == ("remove_writer", 5)
    assert called == [True]
    driver.watch_writable(loop, print)
    driver.unwatch(loop)
    assert [call[0] for call in loop.calls[-3:]] == ["add_writer", "remove_reader", "remove_writer"]
    driver.watch_writable(loop, print)
    assert len(loop.calls) == 6, "nobody watches any more"


def test_a_rebound_driver_watches_its_new_descriptor():
    """The old descriptor is watched no more, even when the new socket cannot be had (issue 9, point 7)."""
    native, loop = Recorder(5), Recorder()
    driver = SocketDriver(native)
    driver.watch(loop, print)

    def rebind(_fd):
        native.answer = 6

    native.rebind = rebind
    driver.rebind()
    assert loop.calls == [("add_reader", 5, print), ("remove_reader", 5), ("add_reader", 6, print)]
