r"""A scripted peer for conformance tests: it writes any bytes on any stream and keeps everything that it was sent.

One real core against it::

    pair = MemoryPair()
    raw = RawPeer(pair.client)                       # we play the client by hand
    server = H3ServerConnection(pair.server)
    pair.join(raw, server)
    control = raw.open(unidirectional=True)
    raw.write(control, b"\x00\x04\x00")             # control stream, empty SETTINGS
    pair.run()
    assert raw.stream(3).data.startswith(b"\x00")    # the server's control stream, byte for byte
    assert raw.closed is None
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from h3push.h3.events import Event
from h3push.testing.memory_end import MemoryEnd


@dataclass(slots=True)
class RawStream:
    """All that the core under test did on one stream."""

    data: bytearray = field(default_factory=bytearray)
    """Every byte that it sent."""
    fin: bool = False
    """It ended the stream."""
    reset: int | None = None
    """Error code of its RESET_STREAM."""
    stop: int | None = None
    """Error code of its STOP_SENDING (answered with RESET_STREAM already)."""


class RawClose(NamedTuple):
    """How the connection ended."""

    error_code: int | None
    """The application error code; `None` for a time-out."""
    reason: str
    """The reason phrase."""
    by_peer: bool
    """True when the core under test closed it."""


class RawRecord(NamedTuple):
    """One thing that arrived."""

    at: float
    """Seconds on the pair's clock."""
    what: str
    """`start`, `data`, `reset`, `stop`, `acknowledged`, `credit` or `drained`."""
    stream_id: int | None
    """The stream; `None` for `start` and `credit`."""
    value: bytes | int | None
    """The bytes, the error code, or for `credit` 1 when it is that on unidirectional streams."""


class RawPeer:
    """Plays one end of a `MemoryPair` by hand.

    Streams are read as they come; `auto_resume=False` leaves those that the transport paused (a server's unidirectional
    streams, after their first read) to `end.resume`.
    """

    def __init__(self, end: MemoryEnd, *, auto_resume: bool = True) -> None:
        self.end = end
        """Our end, with its knobs (`hold`, `allow_streams`, `pause`, ...)."""
        self.streams: dict[int, RawStream] = {}
        """The streams on which something came, by ID, in order of appearance."""
        self.log: list[RawRecord] = []
        """The same in order of arrival, deliveries one by one."""
        self.closed: RawClose | None = None
        """How the connection ended; `None` while it lasts."""
        self._auto_resume = auto_resume

    # -- what the script calls --------------------------------------------------------------------------------------

    def stream(self, stream_id: int) -> RawStream:
        """The record of a stream; an empty one when nothing came on it."""
        return self.streams.get(stream_id, RawStream())

    @property
    def priorities(self) -> dict[int, int]:
        """The priority that the core under test last set, by stream ID."""
        return self.end.peer.priorities

    def open(self, unidirectional: bool) -> int:
        """Open a stream; `RuntimeError` when the core under test allows none."""
        stream_id = self.end.open_stream(unidirectional)
        if stream_id is None:
            kind = "unidirectional" if unidirectional else "bidirectional"
            raise RuntimeError(f"the peer allows no further {kind} stream: raise it in EndSettings")
        return stream_id

    def write(self, stream_id: int, data: bytes, fin: bool = False) -> int:
        """Send bytes as they are; how many wait for flow control."""
        return self.end.write(stream_id, data, fin)

    def reset(self, stream_id: int, error_code: int) -> None:
        """Send RESET_STREAM."""
        self.end.reset(stream_id, error_code)

    def stop(self, stream_id: int, error_code: int) -> None:
        """Send STOP_SENDING."""
        self.end.stop(stream_id, error_code)

    def close(self, error_code: int, reason: str = "") -> None:
        """Send CONNECTION_CLOSE."""
        self.end.close(error_code, reason)

    # -- what the transport calls (`Receiver`) ----------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Note that the script begins."""
        self._note(now, "start", None, None)

    def receive_data(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Event]:
        """Keep the bytes."""
        stream = self._note(now, "data", stream_id, data)
        stream.data += data
        stream.fin = fin
        if self._auto_resume:
            self.end.resume(stream_id)
        return []

    def receive_reset(self, stream_id: int, error_code: int, now: float) -> list[Event]:
        """Keep the code."""
        self._note(now, "reset", stream_id, error_code).reset = error_code
        return []

    def receive_stop(self, stream_id: int, error_code: int, now: float) -> list[Event]:
        """Keep the code."""
        self._note(now, "stop", stream_id, error_code).stop = error_code
        return []

    def receive_acknowledged(self, stream_id: int, now: float) -> list[Event]:
        """Note that the core under test has all of a stream of ours."""
        self._note(now, "acknowledged", stream_id, None)
        return []

    def receive_stream_credit(self, unidirectional: bool, now: float) -> list[Event]:
        """Keep that a limit which had stopped us was raised."""
        self._note(now, "credit", None, int(unidirectional))
        return []

    def receive_drained(self, stream_id: int, now: float) -> list[Event]:
        """Keep that it came."""
        self._note(now, "drained", stream_id, None)
        return []

    def receive_closed(self, error_code: int | None, reason: str, by_peer: bool) -> list[Event]:
        """Keep how it ended."""
        self.closed = RawClose(error_code, reason, by_peer)
        return []

    def next_timeout(self) -> float | None:
        """No timers."""
        return None

    def handle_timeout(self, now: float) -> list[Event]:
        """Note a call that should not come: there are no timers."""
        self._note(now, "timeout", None, None)
        return []

    def _note(self, now: float, what: str, stream_id: int | None, value: bytes | int | None) -> RawStream:
        self.log.append(RawRecord(now, what, stream_id, value))
        return RawStream() if stream_id is None else self.streams.setdefault(stream_id, RawStream())
