"""Cuts a stream's bytes into frames for an observer: nothing is an error, nothing large is held."""

from collections.abc import Iterator

from h3push.wire.registry import FrameType
from h3push.wire.varint import decode_varint

MAX_HELD = 65_536
"""Largest payload that is held, in bytes; a larger frame is reported without its content."""


class WatchedStream:
    """One direction of one stream that carries frames."""

    __slots__ = ("_held", "_skip")

    def __init__(self) -> None:
        self._held = b""
        self._skip = 0

    def feed(self, data: bytes, elsewhere: int = 0) -> Iterator[tuple[int, int, int, bytes | None]]:
        """Take the next bytes; gives (type, length of the header, length of the payload, payload) of each frame, once.

        The payload is `None` for DATA, of which the header is enough, and for what is too large to be held. `elsewhere`: so many
        bytes behind the header of DATA do not pass here.
        """
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        held = self._held + data[skipped:]
        at = 0
        while (header := _header(held, at)) is not None:
            frame_type, length, start = header
            is_held = frame_type != FrameType.DATA and length <= MAX_HELD
            if is_held and len(held) < start + length:
                break
            yield frame_type, start - at, length, held[start : start + length] if is_held else None
            left = max(0, length - elsewhere) if frame_type == FrameType.DATA else length
            at = min(len(held), start + left)
            self._skip = start + left - at
        self._held = held[at:]


def _header(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Type, length, and where the payload begins; `None` while that is not all here."""
    kind = decode_varint(data, at)
    length = None if kind is None else decode_varint(data, kind[1])
    return None if kind is None or length is None else (kind[0], length[0], length[1])
