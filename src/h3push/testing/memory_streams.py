"""The two halves of an in-memory stream: what RFC 9000 sections 3.1 and 3.2 draw, without packets.

A half knows bytes, windows and its end; it knows no clock, no peer and no core. `memory_end` moves segments between them.
"""

from dataclasses import dataclass, field

from h3push.h3.transport import FIRST_READ_BYTES


def is_unidirectional(stream_id: int) -> bool:
    """Bit 1 of a stream ID (RFC 9000 section 2.1)."""
    return bool(stream_id & 2)


def opened_by_client(stream_id: int) -> bool:
    """Bit 0 of a stream ID (RFC 9000 section 2.1)."""
    return not stream_id & 1


@dataclass(slots=True)
class SendHalf:
    """The sending half of a stream."""

    stream_id: int
    """Which stream."""
    allowed: int
    """Offset up to which the peer's flow control lets us send."""
    priority: int = 0
    """Higher goes first."""
    unsent: bytearray = field(default_factory=bytearray)
    """Written, not sent."""
    sent: int = 0
    """Offset of the next byte to send."""
    ending: bool = False
    """The end of the stream was written."""
    ended: bool = False
    """The end of the stream was sent."""
    crowded: bool = False
    """More than the high-water mark was waiting; the core is owed a `receive_drained`."""
    last_arrival: int = 0
    """Instant (ns) at which the latest segment arrives: those that follow arrive no earlier."""

    @property
    def sendable(self) -> bool:
        """True when `take` would give something."""
        if self.unsent:
            return self.allowed > self.sent
        return self.ending and not self.ended

    def take(self, limit: int) -> tuple[bytes, bool]:
        """The next segment of at most `limit` bytes, and whether the stream ends with it."""
        size = min(len(self.unsent), self.allowed - self.sent, limit)
        data = bytes(self.unsent[:size])
        del self.unsent[:size]
        self.sent += size
        self.ended = self.ending and not self.unsent
        return data, self.ended

    def waiting(self, send_buffer: int) -> int:
        """Bytes that neither the window nor a send buffer of that size takes now."""
        return max(0, len(self.unsent) - min(self.allowed - self.sent, send_buffer))


@dataclass(slots=True)
class ReceiveHalf:
    """The receiving half of a stream."""

    stream_id: int
    """Which stream."""
    window: int
    """Bytes that may lie here undelivered."""
    first_read: bool = False
    """The next delivery is the first of a server's unidirectional stream: it is cut, and the stream pauses after it."""
    buffer: bytearray = field(default_factory=bytearray)
    """Arrived, not delivered."""
    delivered: int = 0
    """Bytes given to the core, or dropped after `stop`."""
    granted: int = 0
    """Offset up to which the peer was allowed to send."""
    ended: bool = False
    """The end of the stream arrived."""
    paused: bool = False
    """The core wants nothing now."""
    stopped: bool = False
    """STOP_SENDING was sent: what arrives is dropped."""
    done: bool = False
    """The end or the reset was told, or dropped after `stop`."""

    def __post_init__(self) -> None:
        self.granted = self.window

    def accept(self, data: bytes, fin: bool) -> None:
        """Take a segment that arrived."""
        self.buffer += data
        self.ended = fin
        assert self.delivered + len(self.buffer) <= self.granted, "the in-memory sender broke flow control"

    @property
    def deliverable(self) -> bool:
        """True when `take` would give something."""
        return not (self.done or self.paused or self.stopped) and bool(self.buffer or self.ended)

    def take(self, limit: int) -> tuple[bytes, bool]:
        """The next delivery, of at most `limit` bytes; it is cut and pauses the stream when it is a first read."""
        if self.first_read:
            limit = min(limit, FIRST_READ_BYTES)
            self.paused = True
            self.first_read = False
        data = bytes(self.buffer[:limit])
        del self.buffer[:limit]
        self.delivered += len(data)
        self.done = self.ended and not self.buffer
        return data, self.done

    def discard(self) -> None:
        """Drop what is buffered."""
        self.delivered += len(self.buffer)
        self.buffer.clear()

    def grant(self) -> int | None:
        """A new offset to allow the peer, or `None` while it would not be worth a frame or nothing may be granted."""
        allowed = self.delivered + self.window
        if self.paused or self.stopped or self.done or self.ended:
            return None
        if allowed - self.granted < max(1, self.window // 2):
            return None
        self.granted = allowed
        return allowed
