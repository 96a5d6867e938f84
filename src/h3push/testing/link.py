"""One direction of an emulated network link, without sockets and without a clock.

Theory of operation. A packet passes through four stations in this order::

    send(now, size) ─> [ queue ] ─> [ serializer ] ─> [ loss ] ─> [ wire ] ─> arrivals
                       tail drop    size * 8 / rate               delay, jitter, reordering, duplicates

The queue is not kept as a list: the serializer's `free_at` says how long it is busy, hence how many bytes wait in front of
it. So a packet costs O(1), and `send` answers at once with the instants at which the packet will arrive: none when it was
dropped or lost, two when it was duplicated. The caller owns the clock and puts the arrivals into its own agenda.

Jitter models queues elsewhere, which keep the order; only `reorder` lets later packets overtake. Random numbers are drawn
from one seeded generator and only for what is turned on: same seed, same settings, same packets give the same arrivals.
"""

from dataclasses import dataclass
from random import Random

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second: settings are in seconds, instants in integer nanoseconds, so that nothing is lost to rounding."""


def nanoseconds(seconds: float) -> int:
    """`seconds` as whole nanoseconds, rounded to the nearest."""
    return round(seconds * NANOSECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """One direction of a link. The default is a wire that takes no time and loses nothing.

    Raises `ValueError` for a negative number, a probability above 1, or a rate or MTU of 0.
    """

    delay: float = 0.0
    """Propagation, in seconds: from the end of serialization to arrival."""
    rate: int | None = None
    """Bits per second of the serializer; `None`: no limit, hence no queue."""
    queue: int | None = None
    """Bytes that may wait for the serializer, the packet in service included; a packet that does not fit whole is dropped.
    `None`: no limit."""
    loss: float = 0.0
    """Probability (0 to 1) that a packet is lost after it has taken its time on the serializer."""
    jitter: float = 0.0
    """Further delay, in seconds, drawn evenly from 0 to this; packets keep their order."""
    reorder: float = 0.0
    """Probability (0 to 1) that a packet is held back for `reorder_delay`, so that later ones overtake it."""
    reorder_delay: float = 0.01
    """How long a packet is held back, in seconds."""
    duplicate: float = 0.0
    """Probability (0 to 1) that a packet arrives twice, at the same instant."""
    mtu: int | None = None
    """Bytes of the largest packet that fits; larger ones are dropped. `None`: no limit."""

    def __post_init__(self) -> None:
        for name in ("delay", "loss", "jitter", "reorder", "reorder_delay", "duplicate"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it cannot be negative")
        for name in ("loss", "reorder", "duplicate"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is {getattr(self, name)}: a probability is at most 1")
        for name in ("rate", "queue", "mtu"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} is {value}: it must be positive, or None for no limit")


@dataclass(slots=True)
class LinkCounters:
    """Counts of the packets given to a link so far."""

    packets: int = 0
    """Packets given to the link."""
    octets: int = 0
    """Their bytes."""
    dropped: int = 0
    """Packets that did not fit the queue or the MTU."""
    lost: int = 0
    """Packets lost on the wire."""
    held_back: int = 0
    """Packets that later ones could overtake."""
    duplicated: int = 0
    """Packets that arrived twice."""


class Link:
    """One direction of a link; see the module's text.

    `settings` may be replaced while packets are on their way: it holds for packets sent from then on.
    """

    __slots__ = ("_in_order", "_random", "counters", "free_at", "settings")

    def __init__(self, settings: LinkSettings, *, seed: int | str = 0) -> None:
        self.settings = settings
        self.counters = LinkCounters()
        self.free_at = 0
        """Instant (ns) at which the serializer has sent everything that it was given."""
        self._random = Random(seed)  # noqa: S311 - emulation, not secrets
        self._in_order = 0

    def send(self, now: int, size: int) -> tuple[int, ...]:
        """Give a packet of `size` bytes to the link at `now` (ns); return the instants (ns) at which it arrives."""
        self.counters.packets += 1
        self.counters.octets += size
        if not self._fits(now, size):
            self.counters.dropped += 1
            return ()
        sent = self._serialize(now, size)
        if self._happens(self.settings.loss):
            self.counters.lost += 1
            return ()
        return self._arrivals(sent)

    def backlog(self, now: int) -> int:
        """Bytes that wait for the serializer at `now` (ns), with what is left of the packet in service."""
        rate = self.settings.rate
        if rate is None or self.free_at <= now:
            return 0
        return -((now - self.free_at) * rate // (8 * NANOSECONDS))

    def _fits(self, now: int, size: int) -> bool:
        settings = self.settings
        if settings.mtu is not None and size > settings.mtu:
            return False
        return settings.queue is None or self.backlog(now) + size <= settings.queue

    def _serialize(self, now: int, size: int) -> int:
        """Occupy the serializer; return the instant at which the last bit leaves."""
        if self.settings.rate is None:
            return now
        duration = -(-size * 8 * NANOSECONDS // self.settings.rate)
        self.free_at = max(self.free_at, now) + duration
        return self.free_at

    def _arrivals(self, sent: int) -> tuple[int, ...]:
        settings = self.settings
        arrival = sent + nanoseconds(settings.delay)
        if settings.jitter:
            arrival += nanoseconds(self._random.random() * settings.jitter)
        self._in_order = arrival = max(arrival, self._in_order)
        if self._happens(settings.reorder):
            self.counters.held_back += 1
            arrival += nanoseconds(settings.reorder_delay)
        if self._happens(settings.duplicate):
            self.counters.duplicated += 1
            return arrival, arrival
        return (arrival,)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
