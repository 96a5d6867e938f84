"""The streams of the peer that the connection cannot live without: control and QPACK (RFC 9114 6.2.1, RFC 9204 4.2)."""

from collections.abc import Callable, Mapping

from h3push.errors import ErrorCode, H3ConnectionError
from h3push.wire.reader import FrameReader
from h3push.wire.registry import FrameType, Role, StreamKind


class ControlStream:
    """The peer's control stream: SETTINGS first, then whatever its owner's handler table names.

    The two roles differ by their tables alone; a frame that the peer's role may not send never gets here, because the reader
    refuses it by its type.
    """

    __slots__ = ("_charge", "_handlers", "_reader", "_settings_seen")

    def __init__(
        self,
        receiver: Role,
        handlers: Mapping[int, Callable[[bytes], None]],
        *,
        charge: Callable[[str], None],
        max_frame_size: int,
    ) -> None:
        self._reader = FrameReader(receiver, StreamKind.CONTROL, max_buffered=max_frame_size, first=FrameType.SETTINGS)
        self._handlers = handlers
        self._charge = charge
        self._settings_seen = False

    def receive(self, data: bytes, end: bool) -> None:
        """Take what arrived; raises `H3ConnectionError` for every broken rule, and for the end of the stream."""
        for frame_type, payload in self._reader.receive(data):
            if frame_type == FrameType.SETTINGS:
                if self._settings_seen:
                    raise H3ConnectionError(ErrorCode.H3_FRAME_UNEXPECTED, "a second SETTINGS frame")
                self._settings_seen = True
            handler = self._handlers.get(frame_type)
            if handler is None:
                self._charge("frames of unknown types")
            else:
                handler(payload)
        if end:
            raise closed_critical_stream("control stream")


class QpackStream:
    """The peer's encoder or decoder stream: bytes for our decoder or encoder."""

    __slots__ = ("_name", "_take")

    def __init__(self, name: str, take: Callable[[bytes], None]) -> None:
        self._name = name
        self._take = take

    def receive(self, data: bytes, end: bool) -> None:
        """Take what arrived; raises `H3ConnectionError` for bad instructions, and for the end of the stream."""
        if data:
            self._take(data)
        if end:
            raise closed_critical_stream(self._name)


def closed_critical_stream(name: str) -> H3ConnectionError:
    """The error for a critical stream that ended, was reset, or that the peer does not want to read."""
    return H3ConnectionError(ErrorCode.H3_CLOSED_CRITICAL_STREAM, f"the peer closed its {name}")
