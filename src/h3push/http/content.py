"""Content to send, in every form that callers have it: bytes, text, iterators, files."""

import os
from collections.abc import AsyncIterable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

PIECE_BYTES = 64 * 1024
"""Content up to this size is sent at once; what is read to be sent is read in pieces of this size."""
PART_BYTES = 1024 * 1024
"""Larger bytes go out in parts of this size. The transport copies none of it, and their owner keeps them anyway, so that what
waits costs no memory; what the parts cost is a wake-up each."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file, or a part of one, as content. It is opened when it is sent."""

    path: str | os.PathLike[str]
    """Where it is."""
    offset: int = 0
    """First byte to send."""
    length: int | None = None
    """How many bytes; `None`: to the end of the file as it is when the message begins."""

    def size(self) -> int:
        """How many bytes it will be. `OSError` when it is not there or has fewer than `length` says."""
        available = max(0, Path(self.path).stat().st_size - self.offset)
        if self.length is None:
            return available
        if self.length > available:
            raise OSError(
                f"{os.fspath(self.path)!r} has {available} bytes from offset {self.offset}, not {self.length}"
            )
        return self.length


@dataclass(frozen=True, slots=True)
class BytesPart:
    """A part of bytes that are in memory anyway, as content. The transport keeps a reference, nothing is copied."""

    data: bytes
    """All of them."""
    offset: int
    """First byte to send."""
    length: int
    """How many bytes."""


Content = (
    bytes
    | bytearray
    | memoryview
    | str
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | FileContent
    | Path
    | IO[bytes]
    | None
)
"""Taken by every `content=` argument. `str` is sent as UTF-8, a `Path` is the file there, an open binary file is read from where
it is."""

Body = bytes | Iterable[bytes] | AsyncIterable[bytes] | FileContent
"""Content after `normalize`."""


class Sink(Protocol):
    """Where content goes: a response or a request that is being sent."""

    @property
    def gone(self) -> bool:
        """True when nobody wants it any more."""

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send a piece; waits when too much is queued."""

    async def send_part(self, part: BytesPart, *, end_stream: bool = False) -> None:
        """Send a part of larger bytes; waits when too much is queued."""

    async def send_file(
        self, path: str | os.PathLike[str], offset: int = 0, length: int | None = None, *, end_stream: bool = False
    ) -> None:
        """Send a part of a file."""


class FilePieces:
    """An open binary file as pieces of `PIECE_BYTES`; iterating over the file itself would give lines."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._file.read(PIECE_BYTES)
        if not piece:
            raise StopIteration
        return piece


def normalize(content: Content) -> Body:
    """Text and buffers become bytes, files their content; the rest stays as it is. `TypeError` for what is no content."""
    if type(content) is bytes:
        return content
    if content is None:
        return b""
    if isinstance(content, str):
        return content.encode()
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    if isinstance(content, Path):
        return FileContent(content)
    if hasattr(content, "read") and not isinstance(content, AsyncIterable):
        return FilePieces(cast("IO[bytes]", content))
    other: object = content
    if isinstance(other, dict) or not isinstance(other, bytes | FileContent | AsyncIterable | Iterable):
        raise TypeError(f"content must be bytes, str, a file or an iterable of bytes, not {type(content).__name__}")
    return content


def known_length(body: Body) -> int | None:
    """How many bytes it will be, where that is known before it is sent."""
    if isinstance(body, bytes):
        return len(body)
    if isinstance(body, FileContent):
        return body.size()
    return None


async def send_content(sink: Sink, body: Body, *, end_stream: bool) -> None:
    """Send all of `body`, waiting whenever too much is queued; stops early, quietly, when the sink is gone."""
    if isinstance(body, bytes):
        await _send_bytes(sink, body, end_stream)
        return
    if isinstance(body, FileContent):
        await sink.send_file(body.path, body.offset, body.length, end_stream=end_stream)
        return
    try:
        if isinstance(body, AsyncIterable):
            iterator = body = aiter(body)
            async for piece in iterator:
                if sink.gone:
                    return
                await sink.send(_as_bytes(piece))
        else:
            for piece in body:
                if sink.gone:
                    return
                await sink.send(_as_bytes(piece))
    finally:
        await close_content(body)
    if end_stream and not sink.gone:
        await sink.send(b"", end_stream=True)


async def close_content(body: Body) -> None:
    """Let an iterator go that nobody reads to its end, so that what it holds (a file, a transaction) is given back now."""
    if isinstance(body, AsyncIterable):
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    elif not isinstance(body, bytes | FileContent):
        close = getattr(body, "close", None)
        if close is not None:
            close()


async def _send_bytes(sink: Sink, body: bytes, end_stream: bool) -> None:
    size = len(body)
    for start in range(0, max(size, 1), PART_BYTES):
        if sink.gone:
            return
        part = BytesPart(body, start, min(PART_BYTES, size - start))
        await sink.send_part(part, end_stream=end_stream and start + part.length == size)


def _as_bytes(piece: object) -> bytes:
    if type(piece) is bytes:
        return piece
    if isinstance(piece, bytes | bytearray | memoryview):
        return bytes(piece)
    raise TypeError(f"content must come in pieces of bytes, not {type(piece).__name__}")
