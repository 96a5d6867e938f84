"""One end of an in-memory connection: the transport contract, and the receiving side behind it.

Theory of operation. A segment is an entry in the agenda at the instant of its arrival (`memory_outgoing` decides when).
Here it goes into the stream's `ReceiveHalf`, and from there to the core unless the core paused the stream; what the core
took is granted to the sender again as flow control, never while the stream is paused. Windows, stream limits, STOP_SENDING
closing and acknowledgments take the link's delay and no rate. Acknowledged is what has arrived to its end, read or not.

Nothing calls the core from inside one of the core's own calls: whatever is to be told is an entry in the agenda.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from h3push.h3.events import Event
from h3push.h3.transport import Receiver
from h3push.testing.agenda import Agenda
from h3push.testing.link import Link
from h3push.testing.memory_outgoing import LARGE_SEGMENT, Outgoing
from h3push.testing.memory_streams import ReceiveHalf, is_unidirectional, opened_by_client


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSettings:
    """The limits that one end sets its peer."""

    max_bidirectional_streams: int = 100
    """Bidirectional streams that the peer may open at first."""
    max_unidirectional_streams: int = 100
    """Unidirectional streams that the peer may open at first."""
    replenish: bool = True
    """A stream that closed on both sides allows the peer another one. False: the limits run out."""
    stream_window: int = 262_144
    """Bytes of one stream that may lie here undelivered (flow control)."""


class Told(NamedTuple):
    """One event of the core, and when."""

    at: float
    """Seconds on the pair's clock."""
    event: Event
    """The event."""


class MemoryEnd:
    """One end of a `MemoryPair`: give it to a core as its `Transport`; the rest are knobs and records for tests."""

    def __init__(self, agenda: Agenda, outgoing: Outgoing, allows: EndSettings, *, is_client: bool) -> None:
        self.is_client = is_client
        """Which end this is."""
        self.allows = allows
        """The limits that this end sets its peer."""
        self.timeline: list[Told] = []
        """Every event that this end's core reported, with its time."""
        self.priorities: dict[int, int] = {}
        """The priority that the core last set, by stream."""
        self.ignored: list[tuple[str, int]] = []
        """Calls of the core for streams that are gone or cannot do that, as (method, stream ID): rarely right."""
        self.on_event: Callable[[Event], None] | None = None
        """Called with each event as it happens: the application in the rig."""
        self.closed = False
        """True when the connection is over for this end."""
        self._agenda = agenda
        self._outgoing = outgoing
        self._outgoing.drained = self._drained
        self._core: Receiver | None = None
        self._peer = self
        self._receiving: dict[int, ReceiveHalf] = {}
        self._held: dict[int, list[Callable[[], None]]] = {}
        self._dropped: set[int] = set()
        self._next_number = [0, 0]
        self._limit = [0, 0]
        self._refused = [False, False]
        self._granted = [allows.max_bidirectional_streams, allows.max_unidirectional_streams]

    # -- the transport contract -------------------------------------------------------------------------------------

    def stream_credit(self, unidirectional: bool, wanted: int) -> int:
        """How many of `wanted` streams `open_stream` would give now."""
        if self.closed:
            return 0
        left = self._limit[unidirectional] - self._next_number[unidirectional]
        if left < wanted:
            self._refused[unidirectional] = True
        return max(0, min(left, wanted))

    def open_stream(self, unidirectional: bool) -> int | None:
        """Open a stream, or `None` when the peer's limit allows none."""
        if not self.stream_credit(unidirectional, 1):
            return None
        number = self._next_number[unidirectional]
        self._next_number[unidirectional] = number + 1
        stream_id = number << 2 | unidirectional << 1 | (not self.is_client)
        self._outgoing.add(stream_id, self._peer.allows.stream_window)
        if not unidirectional:
            self._receiving[stream_id] = ReceiveHalf(stream_id, self.allows.stream_window)
        return stream_id

    def write(self, stream_id: int, data: bytes, fin: bool) -> int:
        """Queue bytes; how many of this stream wait."""
        if self.closed or not self._outgoing.writable(stream_id):
            self.ignored.append(("write", stream_id))
            return 0
        return self._outgoing.write(stream_id, data, fin)

    def send_stream(self, priority: int, data: bytes) -> int | None:
        """Open a unidirectional stream and send all of it."""
        stream_id = self.open_stream(True)
        if stream_id is not None:
            self.set_priority(stream_id, priority)
            self.write(stream_id, data, True)
        return stream_id

    def reset(self, stream_id: int, error_code: int) -> None:
        """Abandon sending."""
        if self.closed or stream_id not in self._outgoing:
            self.ignored.append(("reset", stream_id))
            return
        arrival = self._outgoing.control_arrival()
        if self._outgoing.settings.reset_drops_in_flight:
            self._peer.drop_data(stream_id)
        else:
            arrival = max(arrival, self._outgoing[stream_id].last_arrival)
        self.sending_finished(stream_id)
        self._agenda.at(arrival, self._peer.reset_arrived, stream_id, error_code)

    def stop(self, stream_id: int, error_code: int) -> None:
        """Ask the peer to stop sending; what arrives from now on is dropped."""
        half = self._receiving.get(stream_id)
        if self.closed or half is None or half.done or half.stopped:
            self.ignored.append(("stop", stream_id))
            return
        half.stopped = True
        half.discard()
        if half.ended:
            self._finish_receiving(half)
        else:
            self._send_control(self._peer.stop_arrived, stream_id, error_code)

    def pause(self, stream_id: int) -> None:
        """Deliver no more of this stream."""
        half = self._receiving.get(stream_id)
        if half is not None:
            half.paused = True

    def resume(self, stream_id: int) -> None:
        """Undo `pause`, a little later."""
        half = self._receiving.get(stream_id)
        if half is not None:
            half.paused = False
            self._agenda.at(self._agenda.now, self._deliver, half)

    def set_priority(self, stream_id: int, priority: int) -> None:
        """Higher goes first."""
        if stream_id in self._outgoing:
            self._outgoing[stream_id].priority = self.priorities[stream_id] = priority
        else:
            self.ignored.append(("set_priority", stream_id))

    def close(self, error_code: int, reason: str) -> None:
        """End the connection for both; what was sent before arrives before."""
        if self.closed:
            return
        self.closed = self._outgoing.silenced = True
        arrival = max(self._outgoing.control_arrival(), self._outgoing.last_arrival)
        self._agenda.at(self._agenda.now, self._tell_closed, error_code, reason, False)
        self._agenda.at(arrival, self._peer.end_connection, error_code, reason)

    # -- knobs and records for tests --------------------------------------------------------------------------------

    @property
    def events(self) -> list[Event]:
        """The events of `timeline` alone."""
        return [told.event for told in self.timeline]

    @property
    def link(self) -> Link:
        """The direction from this end to the other: its counters say what was lost."""
        return self._outgoing.link

    def hold(self, stream_id: int) -> None:
        """Keep back what arrives here for this stream until `release`: other streams overtake it."""
        self._held.setdefault(stream_id, [])

    def release(self, stream_id: int) -> None:
        """Let arrive, in order, what `hold` kept back and keeps back until then."""
        self._agenda.at(self._agenda.now, self._let_arrive, stream_id)

    def allow_streams(self, unidirectional: bool, count: int) -> None:
        """Raise to `count` how many streams the peer may open in all (MAX_STREAMS); a lower count changes nothing."""
        count = self._granted[unidirectional] = max(count, self._granted[unidirectional])
        self._send_control(self._peer.limit_arrived, unidirectional, count)

    def end_connection(self, error_code: int | None, reason: str, by_peer: bool = True) -> None:
        """The connection is over for this end, now; it is told to the core unless it was over already."""
        if not self.closed:
            self.closed = self._outgoing.silenced = True
            self._tell_closed(error_code, reason, by_peer)

    # -- what the pair calls ----------------------------------------------------------------------------------------

    @property
    def core(self) -> Receiver:
        """The core at this end; `RuntimeError` before `MemoryPair.join`."""
        if self._core is None:
            raise RuntimeError("this end has no core yet: call pair.join(client, server) first")
        return self._core

    @property
    def peer(self) -> "MemoryEnd":
        """The other end."""
        return self._peer

    def connect(self, peer: "MemoryEnd") -> None:
        """Make `peer` the other end."""
        self._peer = peer
        self._outgoing.segment_arrived = peer.data_arrived
        self._limit = [peer.allows.max_bidirectional_streams, peer.allows.max_unidirectional_streams]

    def attach(self, core: Receiver) -> None:
        """Put `core` on top of this end."""
        self._core = core

    def record(self, events: list[Event]) -> None:
        """Note what the core reported and hand it to the application."""
        for event in events:
            self.timeline.append(Told(self._agenda.seconds, event))
            if self.on_event is not None:
                self.on_event(event)

    # -- what the other end sent; called by the agenda --------------------------------------------------------------

    def data_arrived(self, stream_id: int, data: bytes, fin: bool) -> None:
        """Take the next segment of a stream."""
        if stream_id in self._dropped or self._keeps_back(stream_id, self.data_arrived, data, fin):
            return
        half = self._receiving_half(stream_id)
        if self.closed or half.done:
            return
        if fin:
            self._send_control(self._peer.acknowledgment_arrived, stream_id)
        half.accept(data, fin)
        if half.stopped:
            half.discard()
            if fin:
                self._finish_receiving(half)
        else:
            self._deliver(half)

    def reset_arrived(self, stream_id: int, error_code: int) -> None:
        """Take RESET_STREAM: what is buffered is dropped, paused or not."""
        if self._keeps_back(stream_id, self.reset_arrived, error_code):
            return
        half = self._receiving_half(stream_id)
        if self.closed or half.done:
            return
        half.discard()
        self._finish_receiving(half)
        if not half.stopped:
            self.record(self.core.receive_reset(stream_id, error_code, self._agenda.seconds))

    def stop_arrived(self, stream_id: int, error_code: int) -> None:
        """Take STOP_SENDING: RESET_STREAM with the same code is the answer."""
        if not self.closed and stream_id in self._outgoing:
            self.reset(stream_id, error_code)
            self.record(self.core.receive_stop(stream_id, error_code, self._agenda.seconds))

    def acknowledgment_arrived(self, stream_id: int) -> None:
        """Take the acknowledgment of a stream's end, and so of all of it; a stream that was reset meanwhile has none."""
        if not self.closed and stream_id in self._outgoing:
            self.sending_finished(stream_id)
            self.record(self.core.receive_acknowledged(stream_id, self._agenda.seconds))

    def limit_arrived(self, unidirectional: bool, limit: int) -> None:
        """Take MAX_STREAMS; told to the core when it had wanted more than it got."""
        if self.closed or limit <= self._limit[unidirectional]:
            return
        self._limit[unidirectional] = limit
        if self._refused[unidirectional]:
            self._refused[unidirectional] = False
            self.record(self.core.receive_stream_credit(unidirectional, self._agenda.seconds))

    def drop_data(self, stream_id: int) -> None:
        """Let no segment of this stream arrive any more."""
        self._dropped.add(stream_id)

    def sending_finished(self, stream_id: int) -> None:
        """All that we sent on a stream was acknowledged or abandoned."""
        if self._outgoing.forget(stream_id):
            self._return_credit(stream_id)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _send_control(self, call: Callable[..., None], *arguments: object) -> None:
        self._agenda.at(self._outgoing.control_arrival(), call, *arguments)

    def _deliver(self, half: ReceiveHalf) -> None:
        while half.deliverable and not self.closed:
            data, fin = half.take(self._outgoing.settings.chunk or LARGE_SEGMENT)
            if fin:
                self._finish_receiving(half)
            self.record(self.core.receive_data(half.stream_id, data, fin, self._agenda.seconds))
        if (allowed := half.grant()) is not None:
            self._send_control(self._peer.window_arrived, half.stream_id, allowed)

    def window_arrived(self, stream_id: int, allowed: int) -> None:
        """Take MAX_STREAM_DATA."""
        self._outgoing.allow(stream_id, allowed)

    def _receiving_half(self, stream_id: int) -> ReceiveHalf:
        half = self._receiving.get(stream_id)
        if half is None:
            cut = self.is_client and is_unidirectional(stream_id)
            half = ReceiveHalf(stream_id, self.allows.stream_window, first_read=cut)
            self._receiving[stream_id] = half
            if not is_unidirectional(stream_id):
                self._outgoing.add(stream_id, self._peer.allows.stream_window)
        return half

    def _finish_receiving(self, half: ReceiveHalf) -> None:
        half.done = True
        self._return_credit(half.stream_id)

    def _return_credit(self, stream_id: int) -> None:
        """Allow the peer another stream when this one, which it opened, is closed on both sides."""
        ours = opened_by_client(stream_id) == self.is_client
        received = self._receiving.get(stream_id)
        if ours or not self.allows.replenish or received is None or not received.done or stream_id in self._outgoing:
            return
        unidirectional = is_unidirectional(stream_id)
        self.allow_streams(unidirectional, self._granted[unidirectional] + 1)

    def _keeps_back(self, stream_id: int, arrival: Callable[..., None], *arguments: object) -> bool:
        held = self._held.get(stream_id)
        if held is not None:
            held.append(lambda: arrival(stream_id, *arguments))
        return held is not None

    def _let_arrive(self, stream_id: int) -> None:
        for arrival in self._held.pop(stream_id, []):
            arrival()

    def _drained(self, stream_id: int) -> None:
        if not self.closed and stream_id in self._outgoing:
            self.record(self.core.receive_drained(stream_id, self._agenda.seconds))

    def _tell_closed(self, error_code: int | None, reason: str, by_peer: bool) -> None:
        self.record(self.core.receive_closed(error_code, reason, by_peer))
