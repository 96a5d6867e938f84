"""One QUIC endpoint on an asyncio loop: socket readiness, one timer, events to their connections.

Theory of operation. A wake-up takes everything that arrived (`Driver.recv`), gives each event to the core of its connection and
what the core makes of it to the connection's owner, and then flushes once. Writes from elsewhere, such as handlers' tasks,
`schedule_flush`: the first call in a turn puts one flush behind whatever else runs in that turn. So does a wake-up that
completes a handshake, for then those who waited for it are about to write.

        readable ──▶ recv ─┐                         ┌─▶ owner.receive(events)
        timer ─────▶ tick ─┴─▶ dispatch ──▶ core ────┤
        schedule_flush ──▶ call_soon ────────────────┴─▶ flush (one a turn) ──▶ arm the timer
        writable, once the socket was full ────────────▶ flush

Timers. The transport tells when it wants `tick`; every core may have a deadline of its own. Cores are asked for theirs only when
something happened on their connection (`mark`), and what they say goes into a heap, so that a turn costs nothing for idle
connections. There is one TimerHandle; it is replaced only when the earliest deadline moves earlier, because under load it nearly
always moves later, and a wake-up too many is cheaper than `call_at` and `cancel` in each turn.
"""

import asyncio
import heapq
import logging
import math
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final

from h3push import _quic
from h3push.errors import ErrorCode
from h3push.h3.config import H3Config
from h3push.quic.adapter import Driver, NativeEvent, NativeTransport, deliver
from h3push.quic.driver import control_first
from h3push.runtime.owner import EndpointOwner

logger = logging.getLogger("h3push.endpoint")

_DATA: Final = _quic.DATA
_ACKED: Final = _quic.ACKED
_CLOSED: Final = _quic.CLOSED
_FULL: Final = _quic.FLUSH_FULL

_SEED_BITS = 8
"""Connections differ in one of so many ways, each of which is made once: a copy of a configuration is dear."""

TIMER_SLACK = 0.0005
"""Seconds by which a deadline must be earlier than the armed one to be worth a new TimerHandle."""


Accept = Callable[["Endpoint", int, tuple[str, int]], EndpointOwner]
"""Makes the owner of a new connection: (endpoint, handle, the peer's address)."""


class Endpoint:
    """The connections of one `Driver`. `accept` is `None` for a client, which takes none."""

    def __init__(self, driver: Driver, accept: Accept | None = None) -> None:
        self.driver = driver
        """The transport below."""
        self.loop = asyncio.get_running_loop()
        """The loop that everything runs on."""
        self.is_closed = False
        """True when it was closed."""
        self._accept = accept
        self._owners: dict[int, EndpointOwner] = {}
        self._early: dict[int, list[NativeEvent]] = {}
        self._random = random.Random(0 if getattr(self.loop, "is_virtual", False) else None)  # noqa: S311 - grease
        self._varied: dict[int, tuple[H3Config, H3Config]] = {}
        self._flush_scheduled = False
        self._connected = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = math.inf
        self._marked: set[EndpointOwner] = set()
        self._deadlines: dict[EndpointOwner, tuple[float, int]] = {}
        self._due: dict[int, EndpointOwner] = {}
        self._heap: list[tuple[float, int]] = []  # no owners: it must not keep those whose connection has ended
        self._sequence = count()
        driver.watch(self.loop, self._readable)

    @property
    def local_address(self) -> tuple[str, int]:
        """Host and port it is bound to."""
        return self.driver.local_address()

    def transport(self, handle: int) -> NativeTransport:
        """The transport contract for one connection."""
        return NativeTransport(self.driver, handle, self.schedule_flush)

    def vary(self, config: H3Config) -> H3Config:
        """The configuration of one connection: reserved values differ from one to the next (RFC 9114 section 7.2.8)."""
        if not config.grease or config.grease_seed is not None:
            return config
        seed = self._random.getrandbits(_SEED_BITS)
        known = self._varied.get(seed)
        if known is None or known[0] is not config:
            known = self._varied[seed] = config, replace(config, grease_seed=seed)
        return known[1]

    def connect(
        self,
        address: tuple[str, int],
        server_name: str,
        tls: _quic.ClientTls | None,
        make_owner: Callable[[int], EndpointOwner],
    ) -> EndpointOwner:
        """Begin a connection; `make_owner` gets its handle."""
        handle = self.driver.connect(address, server_name, client=tls)
        owner = self._owners[handle] = make_owner(handle)
        self._tick()  # a new connection is first looked at in a tick
        return owner

    def schedule_flush(self) -> None:
        """Flush at the end of this turn."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self.loop.call_soon(self._turn_ended)

    def mark(self, owner: EndpointOwner) -> None:
        """Flush at the end of this turn, and ask the owner for its deadline."""
        self._marked.add(owner)
        self.schedule_flush()

    def close(self) -> None:
        """Close every connection and the driver. What waits on a connection is told that it is over."""
        if self.is_closed:
            return
        self.flush()
        self.is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        self.driver.unwatch(self.loop)
        self.driver.shutdown()
        owners, self._owners = self._owners, {}
        for owner in owners.values():
            owner.receive(owner.core.receive_closed(None, "the endpoint was closed", by_peer=False))
            owner.closed(_quic.CLOSED_LOCALLY, None, "the endpoint was closed")

    # a turn

    def _readable(self) -> None:
        self._flush_scheduled = True  # flushed below, not by call_soon
        self._dispatch(self.driver.recv())
        if self._connected:
            self._flush_behind_handshake()
        else:
            self.flush()

    def _tick(self) -> None:
        if self.is_closed:
            return
        self._flush_scheduled = True
        self._dispatch(self.driver.tick())
        if self._connected:
            self._flush_behind_handshake()
        else:
            self.flush()

    def _flush_behind_handshake(self) -> None:
        """A handshake has just been completed: flush one turn later, behind what that wakes.

        On a client that is the task which waited for the connection, on a server the pushes that go with a first page. QUIC
        probes for a larger MTU as soon as it is connected and has nothing to send: what is written before the first flush is
        ahead of that probe (5 ms at 2 Mbit/s), and a request shares a datagram with the end of the handshake.
        """
        self._connected = False
        self.loop.call_soon(self._turn_ended)

    def _turn_ended(self) -> None:
        if self._flush_scheduled:
            self.flush()

    def flush(self) -> None:
        """Send what there is, and see when we are needed next."""
        if self.is_closed:
            return
        self._flush_scheduled = False
        seconds, left = self.driver.flush()
        if self.driver.pending():
            self.loop.call_soon(self._tick)
        if left:
            if left == _FULL:
                self.driver.watch_writable(self.loop, self.flush)
            else:
                self.schedule_flush()
        self._arm(seconds)

    # the timer

    def _arm(self, seconds: float | None) -> None:
        if self._marked:
            self._ask_deadlines()
        deadline = None if seconds is None else self.loop.time() + seconds
        if self._heap:
            first = self._heap[0][0]
            if deadline is None or first < deadline:
                deadline = first
        if deadline is None or self._timer_due <= deadline + TIMER_SLACK:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = deadline
        self._timer = self.loop.call_at(deadline, self._timer_fired)

    def _ask_deadlines(self) -> None:
        for owner in self._marked:
            if owner.handle not in self._owners:  # its connection has ended, and what its tasks still do needs no time
                continue
            deadline = owner.next_timeout()
            if deadline is not None:
                known = self._deadlines.get(owner)
                if known is None or deadline < known[0]:
                    if known is not None:
                        del self._due[known[1]]
                    entry = self._deadlines[owner] = (deadline, next(self._sequence))
                    self._due[entry[1]] = owner
                    heapq.heappush(self._heap, entry)
        self._marked.clear()

    def _timer_fired(self) -> None:
        self._timer, self._timer_due = None, math.inf
        now = self.loop.time()
        while self._heap and self._heap[0][0] <= now:
            owner = self._due.pop(heapq.heappop(self._heap)[1], None)
            if owner is not None:
                del self._deadlines[owner]
                self._guard(owner, partial(owner.handle_timeout, now))
                self._marked.add(owner)
        self._tick()

    # events

    def _dispatch(self, events: list[NativeEvent]) -> None:
        if not events:
            return
        now = self.loop.time()
        if self._accept is not None and len(events) > 1:
            events = control_first(events)
        owners, early = self._owners, self._early
        for event in events:
            kind: int = event[0]
            handle: int = event[1]
            owner = owners.get(handle)
            if owner is None:
                self._greet(event)
                continue
            try:
                if early and handle in early and kind != _CLOSED:
                    self._hold_early(owner, event, now)
                elif kind == _DATA:
                    happened = owner.core.receive_data(event[2], event[3], event[4], now)
                    if happened:
                        owner.receive(happened)
                    else:
                        owner.data_without_event(event[2])
                elif kind == _ACKED:
                    owner.acknowledged(event[2])
                else:
                    self._other(owner, event, now)
            except Exception:
                self._failed(owner)
            self._marked.add(owner)

    def _greet(self, event: NativeEvent) -> None:
        """An event of a connection that has no owner (yet)."""
        if event[0] == _quic.ACCEPTED and self._accept is not None:
            owner = self._owners[event[1]] = self._accept(self, event[1], event[2])
            if owner.takes_early_data:
                owner.core.start(self.loop.time())
            else:
                self._early[event[1]] = []

    def _hold_early(self, owner: EndpointOwner, event: NativeEvent, now: float) -> None:
        """Keep what a client sends in early data until its handshake is done: it may be a replay (RFC 8470 section 3).

        Flow control bounds what is kept.
        """
        if event[0] != _quic.CONNECTED:
            self._early[event[1]].append(event)
            return
        early = self._early.pop(event[1])
        self._other(owner, event, now)
        if early:
            self._dispatch(early)

    def _other(self, owner: EndpointOwner, event: NativeEvent, now: float) -> None:
        kind = event[0]
        if kind == _quic.CONNECTED:
            owner.connected(event[2], now)
            self._connected = True
        elif kind == _quic.PATH_CHANGED:
            owner.address = event[2]
        elif kind == _quic.UNSENT:
            owner.unsent(event[2], event[3])
        elif kind == _quic.FILE_FAILED:
            owner.file_failed(event[2], event[4])
        else:
            if kind == _quic.STOP:
                owner.stop_received(event[2])
            elif kind == _quic.RESET:
                owner.reset_received(event[2])
            happened = deliver(owner.core, event, now)
            if happened:
                owner.receive(happened)
            if kind == _quic.CLOSED:
                self._forget(event[1], owner)
                owner.closed(event[2], event[3], event[4])

    def _forget(self, handle: int, owner: EndpointOwner) -> None:
        self._owners.pop(handle, None)
        self._early.pop(handle, None)
        known = self._deadlines.pop(owner, None)
        if known is not None:
            del self._due[known[1]]

    def _guard(self, owner: EndpointOwner, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            self._failed(owner)

    def _failed(self, owner: EndpointOwner) -> None:
        """A bug of ours must end one connection, not the loop's callback with all that is behind it."""
        logger.exception("a connection with %s failed inside h3push: it is closed", owner.address)
        owner.core.close(ErrorCode.H3_INTERNAL_ERROR, "internal error")
        owner.receive(owner.core.receive_closed(ErrorCode.H3_INTERNAL_ERROR, "internal error", by_peer=False))
