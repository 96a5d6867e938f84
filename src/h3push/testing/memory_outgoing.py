"""The sending side of one end of an in-memory connection: which stream's bytes go onto the link, and when they arrive.

Theory of operation. `write` only puts bytes into the stream's `SendHalf` and sees to it that `_pump` runs later in the same
instant. `_pump` sends segment by segment while the link's serializer is idle - the stream with the highest priority first,
round-robin among equals - and comes back when the serializer is free again. So priorities decide who waits, as in QUIC,
and there is never a queue in the link that a late, urgent stream would have to stand behind.

Segments of one stream keep their order, those of different streams need not. A lost segment arrives one round trip later:
on a reliable stream that is what loss is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from h3push.testing.agenda import Agenda
from h3push.testing.link import Link, LinkSettings, nanoseconds
from h3push.testing.memory_streams import SendHalf

SEGMENT = 1_200
"""Bytes of a segment on a link with a rate: one QUIC packet's worth, so that streams take turns as finely."""
LARGE_SEGMENT = 65_536
"""Bytes of a segment on a link without a rate."""
MOST_LOSSES = 16
"""A segment that was lost so often in a row arrives all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """How both ends of a pair send and deliver."""

    chunk: int | None = None
    """Bytes of a delivery at most; 1: byte by byte. `None`: as they come."""
    send_buffer: int = 65_536
    """Bytes of a stream that the transport takes ahead of the link before `write` reports that they wait."""
    high_water: int = 65_536
    """A stream of which more bytes wait is told `receive_drained` later."""
    low_water: int = 16_384
    """Told when no more than so many bytes wait."""
    reset_drops_in_flight: bool = False
    """RESET_STREAM drops the stream's segments that are on their way, as QUIC may."""


class Outgoing:
    """The streams that an end sends on, by stream ID, and the link that carries them."""

    def __init__(self, agenda: Agenda, settings: SendSettings, link: LinkSettings, seed: str) -> None:
        self.link = Link(replace(link, queue=None, mtu=None, duplicate=0.0), seed=seed)
        self.settings = settings
        self.last_arrival = 0
        """Instant (ns) at which everything that was sent has arrived."""
        self.segment_arrived: Callable[[int, bytes, bool], None] = _nobody
        """The other end: called with stream ID, bytes and fin."""
        self.drained: Callable[[int], None] = _nobody
        """This end: called with the ID of a stream that fell to the low-water mark."""
        self.silenced = False
        """True when the connection is over: nothing is sent any more."""
        self._agenda = agenda
        self._halves: dict[int, SendHalf] = {}
        self._ready: dict[int, SendHalf] = {}
        self._pumping = False

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._halves

    def __getitem__(self, stream_id: int) -> SendHalf:
        return self._halves[stream_id]

    def add(self, stream_id: int, window: int) -> None:
        """A stream exists; the peer lets us send `window` bytes on it at first."""
        self._halves[stream_id] = SendHalf(stream_id, window)

    def writable(self, stream_id: int) -> bool:
        """True when the stream exists and its end was not written."""
        return stream_id in self._halves and not self._halves[stream_id].ending

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        """Queue bytes on a writable stream; how many of it wait."""
        half = self._halves[stream_id]
        half.unsent += data
        half.ending = fin
        self._ready[stream_id] = half
        self._pump_at(self._agenda.now)
        waiting = half.waiting(self.settings.send_buffer)
        half.crowded = half.crowded or waiting > self.settings.high_water
        return waiting

    def allow(self, stream_id: int, allowed: int) -> None:
        """MAX_STREAM_DATA arrived; without effect on a stream that is gone."""
        half = self._halves.get(stream_id)
        if half is not None:
            half.allowed = max(half.allowed, allowed)
            self._ready[stream_id] = half
            self._tell_when_drained(half)
            self._pump_at(self._agenda.now)

    def forget(self, stream_id: int) -> bool:
        """Send nothing more of a stream; False when it was gone."""
        self._ready.pop(stream_id, None)
        return self._halves.pop(stream_id, None) is not None

    def control_arrival(self) -> int:
        """When a control frame sent now arrives: the link's delay, no rate and no loss."""
        return self._agenda.now + nanoseconds(self.link.settings.delay)

    def _pump_at(self, instant: int) -> None:
        if not self._pumping:
            self._pumping = True
            self._agenda.at(instant, self._pump)

    def _pump(self) -> None:
        """Send by priority until the serializer is busy or nothing may be sent."""
        self._pumping = False
        while not self.silenced and (half := self._next()) is not None:
            if self.link.free_at > self._agenda.now:
                self._pump_at(self.link.free_at)
                return
            self._send_segment(half)

    def _next(self) -> SendHalf | None:
        best = None
        for half in list(self._ready.values()):
            if not half.sendable:
                del self._ready[half.stream_id]
            elif best is None or half.priority > best.priority:
                best = half
        return best

    def _send_segment(self, half: SendHalf) -> None:
        limit = self.settings.chunk or (SEGMENT if self.link.settings.rate else LARGE_SEGMENT)
        self._ready[half.stream_id] = self._ready.pop(half.stream_id)
        data, fin = half.take(limit)
        arrival = half.last_arrival = max(half.last_arrival, self._segment_arrival(len(data)))
        self.last_arrival = max(arrival, self.last_arrival)
        self._agenda.at(arrival, self.segment_arrived, half.stream_id, data, fin)
        self._tell_when_drained(half)

    def _segment_arrival(self, size: int) -> int:
        round_trip = nanoseconds(max(2 * self.link.settings.delay, 0.001))
        late = 0
        for _ in range(MOST_LOSSES):
            if arrivals := self.link.send(self._agenda.now, size):
                return arrivals[0] + late
            late += round_trip
        return self.control_arrival() + late

    def _tell_when_drained(self, half: SendHalf) -> None:
        if half.crowded and half.waiting(self.settings.send_buffer) <= self.settings.low_water:
            half.crowded = False
            self._agenda.at(self._agenda.now, self.drained, half.stream_id)


def _nobody(*_: object) -> None:
    """Stand in until the pair is joined."""
