"""Two cores joined in memory, on a virtual clock: no QUIC, no sockets, no waiting.

The protocol core is tested with it, and so is a push policy::

    pair = MemoryPair(MemorySettings(link=LinkSettings(delay=0.3, rate=10_000_000)))
    client = H3ClientConnection(pair.client, H3Config(max_concurrent_pushes=8))
    server = H3ServerConnection(pair.server)
    pair.join(client, server, on_server_event=application)     # application(event) answers and pushes, at its instant
    client.send_request(request)
    pair.run()                                                 # until nothing is on its way any more
    for at, event in pair.client.timeline: ...                 # what the client saw, and when (seconds)

`run` takes deliveries one after the other and moves the clock along; a core's timer that comes due before the next delivery
fires in its place. Timers later than the last delivery wait for `advance`. The same settings, seed and calls give the same
run.

What is modelled: both directions' delay, rate and loss; priorities; flow control per stream; stream limits; pausing and the
cut first read (`h3.transport`); STOP_SENDING and its RESET_STREAM; acknowledgments of whole streams; closing. What is not: the
handshake, congestion control and packets; `h3push.testing.network` has those, with real QUIC, in virtual time too.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from h3push.h3.events import Event
from h3push.h3.transport import Receiver
from h3push.testing.agenda import Agenda, Livelock
from h3push.testing.link import LinkSettings, nanoseconds
from h3push.testing.memory_end import EndSettings, MemoryEnd, Told
from h3push.testing.memory_outgoing import Outgoing, SendSettings
from h3push.testing.raw import RawClose, RawPeer, RawRecord, RawStream

__all__ = [
    "Batch",
    "EndSettings",
    "LinkSettings",
    "Livelock",
    "MemoryEnd",
    "MemoryPair",
    "MemorySettings",
    "RawClose",
    "RawPeer",
    "RawRecord",
    "RawStream",
    "SendSettings",
    "Told",
]

MAX_STEPS = 1_000_000
"""Deliveries and timers in one `run` or `advance`, before it is called a livelock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """Knobs of a pair."""

    link: LinkSettings = field(default_factory=LinkSettings)
    """Both directions. Queue, MTU and duplicates do not matter here: the sender waits for the serializer, and streams lose
    and repeat nothing."""
    up: LinkSettings | None = None
    """Client to server, where it differs from `link`."""
    down: LinkSettings | None = None
    """Server to client, where it differs from `link`."""
    client: EndSettings = field(default_factory=EndSettings)
    """The client's limits for the server; its unidirectional streams carry the pushes."""
    server: EndSettings = field(default_factory=EndSettings)
    """The server's limits for the client."""
    sends: SendSettings = field(default_factory=SendSettings)
    """How both ends send and deliver: byte by byte, say."""
    seed: int = 0
    """Of the links' random numbers."""


class Batch(NamedTuple):
    """The events that one `run` or `advance` brought."""

    client: list[Event]
    """At the client."""
    server: list[Event]
    """At the server."""


class MemoryPair:
    """A client and a server over in-memory streams; see the module's text."""

    def __init__(self, settings: MemorySettings = MemorySettings()) -> None:
        self._agenda = Agenda()
        self._running = False
        seed, link = settings.seed, settings.link
        up = Outgoing(self._agenda, settings.sends, settings.up or link, f"{seed}/up")
        down = Outgoing(self._agenda, settings.sends, settings.down or link, f"{seed}/down")
        self.client = MemoryEnd(self._agenda, up, settings.client, is_client=True)
        """The client's end: the `Transport` for its core."""
        self.server = MemoryEnd(self._agenda, down, settings.server, is_client=False)
        """The server's end."""
        self.client.connect(self.server)
        self.server.connect(self.client)

    def join(
        self,
        client: Receiver,
        server: Receiver,
        *,
        on_client_event: Callable[[Event], None] | None = None,
        on_server_event: Callable[[Event], None] | None = None,
        start: bool = True,
    ) -> None:
        """Put the cores (or a `RawPeer`) on top of their ends and start them, unless `start` is False.

        The callbacks are called with each event at its instant and may use the cores: they are the application.
        """
        self.client.attach(client)
        self.server.attach(server)
        self.client.on_event = on_client_event
        self.server.on_event = on_server_event
        if start:
            client.start(self.now)
            server.start(self.now)

    @property
    def now(self) -> float:
        """The clock, in seconds from the pair's beginning."""
        return self._agenda.seconds

    def run(self, *, max_steps: int = MAX_STEPS) -> Batch:
        """Drive until nothing is on its way; the clock stops at the last delivery.

        Raises `Livelock` after `max_steps` deliveries and timers.
        """
        return self._drive(None, max_steps)

    def advance(self, seconds: float, *, max_steps: int = MAX_STEPS) -> Batch:
        """Drive through the next `seconds`: what arrives and what times out by then. Raises `Livelock` like `run`."""
        return self._drive(self._agenda.now + nanoseconds(seconds), max_steps)

    def time_out(self, reason: str = "no packet for too long: idle time-out") -> None:
        """The network is gone: the connection ends for both, without an error code."""
        self.client.end_connection(None, reason, by_peer=False)
        self.server.end_connection(None, reason, by_peer=False)

    def _drive(self, until: int | None, max_steps: int) -> Batch:
        if self._running:
            raise RuntimeError("run() and advance() cannot be called from inside an event callback")
        self._running = True
        seen = len(self.client.timeline), len(self.server.timeline)
        try:
            self._steps(until, max_steps)
        finally:
            self._running = False
        return Batch(self.client.events[seen[0] :], self.server.events[seen[1] :])

    def _steps(self, until: int | None, max_steps: int) -> None:
        for _ in range(max_steps):
            if not self._step(until):
                return
        raise Livelock(f"not quiet after {max_steps} deliveries and timers, at {self.now:.6f} s of virtual time")

    def _step(self, until: int | None) -> bool:
        """One delivery or timer; False when none is left up to `until` (ns; `None`: up to the last delivery)."""
        agenda, due = self._agenda, self._agenda.due
        if due is not None and due <= agenda.now:
            agenda.step()
            return True
        horizon = min((instant for instant in (due, until) if instant is not None), default=None)
        if horizon is None:
            return False
        timer = self._next_timer()
        if timer is not None and timer[0] <= horizon:
            self._fire(*timer)
        elif due == horizon:
            agenda.step()
        else:
            agenda.move_to(horizon)
            return False
        return True

    def _next_timer(self) -> tuple[int, float, MemoryEnd] | None:
        """The earliest time-out of the two cores: instant (ns), the same as the core said it (s), and whose."""
        timers = []
        for end in (self.client, self.server):
            due = end.core.next_timeout()
            if due is not None:
                timers.append((nanoseconds(due), due, end))
        return min(timers, key=lambda timer: timer[0], default=None)

    def _fire(self, instant: int, due: float, end: MemoryEnd) -> None:
        self._agenda.move_to(instant)
        end.record(end.core.handle_timeout(max(self.now, due)))
