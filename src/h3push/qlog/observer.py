"""Watches the bytes of one connection, and makes qlog's events of them.

Theory of operation. Each direction is read by itself. Streams are distinguished by their IDs, unidirectional ones by their type;
their bytes are cut into frames, and field sections decoded by a QPACK decoder that reads the sender's encoder stream. A section
that has to wait for that stream is reported when it can be decoded. What cannot be read is reported without its content: judging
it is the core's business.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from h3push.errors import ProtocolError
from h3push.http.fields import Fields
from h3push.qlog.streams import WatchedStream
from h3push.qlog.values import (
    PRIORITIZED,
    SINGLE_IDS,
    field_values,
    frame_value,
    parameters,
    setting_values,
    stream_value,
)
from h3push.wire.frames import parse_priority_update, parse_push_promise, parse_single_varint
from h3push.wire.qpack.decoder import FieldDecoder
from h3push.wire.registry import FrameType, Role, StreamType
from h3push.wire.settings import parse_settings
from h3push.wire.varint import decode_varint

MAX_STREAMS = 4_096
"""Streams that are watched at once; the one that began first is given up for a further one."""
MAX_SECTION = 1 << 20
"""Largest decoded field section, in bytes; a larger one is reported without its fields."""
MAX_BEHIND = 256
"""Frames that are held behind a section that waits; further ones are reported at once."""
WAITING_STREAMS = 100
"""Streams whose sections may wait for the encoder at once; others are reported without their fields."""


Frame = tuple[int, int, int, bytes | None]
"""As `WatchedStream.feed` gives it."""


class Log(Protocol):
    """Takes events."""

    def event(self, name: str, data: dict[str, Any]) -> None:
        """Something happened now."""

    def close(self) -> None:
        """Nothing further happens."""


class ConnectionObserver:
    """One connection, seen from one end.

    Args:
        role: which end.
        log: takes the events.
    """

    def __init__(self, role: Role, log: Log) -> None:
        self._log = log
        self._out = _Direction(log, "http3:frame_created", "local", role)
        self._in = _Direction(log, "http3:frame_parsed", "remote", role.peer)
        # A section refers to the table whose size the other side's SETTINGS allow.
        self._out.on_capacity, self._in.on_capacity = self._in.use_capacity, self._out.use_capacity

    def sent(self, stream_id: int, data: bytes, fin: bool) -> None:
        """Bytes went out."""
        self._out.feed(stream_id, data)
        if fin:
            self._out.forget(stream_id)

    def sent_elsewhere(self, stream_id: int, length: int) -> None:
        """The payload of the next DATA frame is not seen."""
        self._out.elsewhere[stream_id] = length

    def received(self, stream_id: int, data: bytes, fin: bool) -> None:
        """Bytes came in."""
        self._in.feed(stream_id, data)
        if fin:
            self._in.forget(stream_id)

    def push_resolved(self, push_id: int, *, claimed: bool) -> None:
        """The application used a push, or will not."""
        self._log.event(
            "http3:push_resolved", {"push_id": push_id, "decision": "claimed" if claimed else "abandoned"}
        )  # fmt: skip

    def closed(self) -> None:
        """The connection is over."""
        self._log.close()


class _Direction:
    """The bytes that one end sends."""

    def __init__(self, log: Log, frame_event: str, initiator: str, sender: Role) -> None:
        self.elsewhere: dict[int, int] = {}
        """Bytes of the next DATA frame of a stream that are not seen."""
        self.on_capacity: Callable[[int], None] = lambda _capacity: None
        """Told how large the table of the other direction's encoder may be."""
        self._log = log
        self._frame_event = frame_event
        self._initiator = initiator
        self._sender = sender
        self._decoder = _decoder(0)
        self._streams: dict[int, WatchedStream] = {}
        self._headers: dict[int, bytes] = {}
        self._encoder_stream: int | None = None
        self._ignored: set[int] = set()
        self._waiting: dict[int, dict[str, Any]] = {}
        self._behind: dict[int, list[Frame]] = {}

    def use_capacity(self, capacity: int) -> None:
        """The peer of the sender allows a table of this size: what was encoded before needs none."""
        self._decoder = _decoder(capacity)

    def feed(self, stream_id: int, data: bytes) -> None:
        """Take bytes of a stream."""
        if not data:
            return
        if stream_id == self._encoder_stream:
            self._hear_encoder(data)
        elif stream_id in self._ignored:
            return
        elif stream_id in self._streams:
            self._read(stream_id, data)
        elif stream_id & 2:
            self._begin_unidirectional(stream_id, self._headers.pop(stream_id, b"") + data)
        else:
            self._watch(stream_id)
            if self._sender is Role.CLIENT:
                self._tell_stream(stream_id, {"stream_type": "request"})
            self._read(stream_id, data)

    def forget(self, stream_id: int) -> None:
        """A stream has ended."""
        self._streams.pop(stream_id, None)
        self._headers.pop(stream_id, None)
        self.elsewhere.pop(stream_id, None)

    # streams

    def _begin_unidirectional(self, stream_id: int, data: bytes) -> None:
        kind = decode_varint(data, 0)
        push = None if kind is None or kind[0] != StreamType.PUSH else decode_varint(data, kind[1])
        if kind is None or (kind[0] == StreamType.PUSH and push is None):
            self._headers[stream_id] = data
            return
        stream_type, at = kind
        told = stream_value(stream_type)
        if push is not None:
            told["associated_push_id"], at = push
        self._tell_stream(stream_id, told)
        if stream_type == StreamType.QPACK_ENCODER:
            self._encoder_stream = stream_id
        elif stream_type in {StreamType.CONTROL, StreamType.PUSH}:
            self._watch(stream_id)
        else:
            self._ignored.add(stream_id)
        if at < len(data):
            self.feed(stream_id, data[at:])

    def _watch(self, stream_id: int) -> None:
        while len(self._streams) >= MAX_STREAMS:  # a stream may end where nobody sees it: by a reset, or a file
            del self._streams[next(iter(self._streams))]
        self._streams[stream_id] = WatchedStream()

    def _tell_stream(self, stream_id: int, told: dict[str, Any]) -> None:
        event = {"initiator": self._initiator, "stream_id": stream_id, **told}
        self._log.event("http3:stream_type_set", event)

    def _hear_encoder(self, data: bytes) -> None:
        try:
            ready = self._decoder.receive_encoder_stream(data)
        except ProtocolError:  # the core closes the connection
            self._encoder_stream = None
            return
        for stream_id in ready:
            self._go_on(stream_id)
        self._decoder.take_decoder_stream()

    def _go_on(self, stream_id: int) -> None:
        """A section can be decoded now: tell it, and the frames behind it."""
        event = self._waiting.pop(stream_id)
        with suppress(ProtocolError):
            event["frame"]["headers"] = field_values(self._decoder.resume(stream_id))
        self._log.event(self._frame_event, event)
        behind = self._behind.pop(stream_id, [])
        while behind and stream_id not in self._waiting:
            self._tell_frame(stream_id, *behind.pop(0))
        if behind:
            self._behind[stream_id] = behind

    # frames

    def _read(self, stream_id: int, data: bytes) -> None:
        elsewhere = self.elsewhere.pop(stream_id, 0)
        for frame in self._streams[stream_id].feed(data, elsewhere):
            behind = self._behind.setdefault(stream_id, []) if stream_id in self._waiting else None
            if behind is None or len(behind) >= MAX_BEHIND:
                self._tell_frame(stream_id, *frame)
            else:
                behind.append(frame)

    def _tell_frame(self, stream_id: int, frame_type: int, header: int, length: int, payload: bytes | None) -> None:
        frame = frame_value(frame_type, header, length)
        event = {"stream_id": stream_id, "frame": frame}
        if payload is None or self._fill(stream_id, frame_type, payload, event):
            self._log.event(self._frame_event, event)
            self._tell_meaning(frame_type, payload, frame)

    def _fill(self, stream_id: int, frame_type: int, payload: bytes, event: dict[str, Any]) -> bool:
        """Put what is in a frame into its event. False when that has to wait."""
        frame = event["frame"]
        try:
            if frame_type == FrameType.HEADERS:
                return self._fill_fields(stream_id, payload, event)
            if frame_type == FrameType.PUSH_PROMISE:
                frame["push_id"], section = parse_push_promise(payload)
                return self._fill_fields(stream_id, section, event)
            if frame_type in SINGLE_IDS:
                frame[SINGLE_IDS[FrameType(frame_type)]] = parse_single_varint(frame_type, payload)
            if frame_type in PRIORITIZED:
                number, value = parse_priority_update(payload)
                frame[PRIORITIZED[FrameType(frame_type)]] = number
                frame["priority_field_value"] = value.decode("latin-1")
        except ProtocolError:
            pass
        if frame_type == FrameType.SETTINGS:
            frame["settings"] = setting_values(payload)
        return True

    def _fill_fields(self, stream_id: int, section: bytes, event: dict[str, Any]) -> bool:
        frame = event["frame"]
        frame["headers"] = []
        if stream_id in self._waiting or len(self._waiting) >= WAITING_STREAMS:
            return True
        fields: Fields | None
        try:
            fields = self._decoder.decode(stream_id, section)
        except ProtocolError:
            return True
        self._decoder.take_decoder_stream()
        if fields is None:
            self._waiting[stream_id] = event
            return False
        frame["headers"] = field_values(fields)
        return True

    def _tell_meaning(self, frame_type: int, payload: bytes | None, frame: dict[str, Any]) -> None:
        """Tell what follows from a frame."""
        if frame_type == FrameType.SETTINGS and payload is not None:
            try:
                settings = parse_settings(payload)
            except ProtocolError:
                return
            self._log.event("http3:parameters_set", {"initiator": self._initiator, **parameters(settings)})
            self.on_capacity(settings.qpack_max_table_capacity)
        if frame_type in PRIORITIZED and "priority_field_value" in frame:
            number = PRIORITIZED[FrameType(frame_type)]
            trigger = "local" if self._initiator == "local" else "client_signal_received"
            told = {number: frame[number], "new": frame["priority_field_value"], "trigger": trigger}
            self._log.event("http3:priority_updated", told)


def _decoder(capacity: int) -> FieldDecoder:
    return FieldDecoder(
        max_table_capacity=capacity, blocked_streams=WAITING_STREAMS + 1, max_field_section_size=MAX_SECTION
    )  # fmt: skip
