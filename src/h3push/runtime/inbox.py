"""Content of one received message, on its way to one reader, with back-pressure.

Theory of operation. What arrives stays in `Incoming` until it is read. When more than its high-water mark is unread, the
stream is paused: the transport neither delivers more nor grants flow-control credit, so a peer can make us hold the mark plus one
delivery. Reading below a quarter of the mark resumes the stream. No task and no timer exists while nobody waits.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from h3push.http.headers import Headers
from h3push.runtime.signal import wait_for, wake


class ContentTooLarge(ValueError):
    """Content is larger than the limit given to `read`; a server's handler that lets it pass answers 413."""


class FlowControl(Protocol):
    """What `Incoming` needs of its connection."""

    def pause(self, stream_id: int) -> None:
        """Take no more of this stream."""

    def resume(self, stream_id: int) -> None:
        """Go on with it."""


class UnreadBudget:
    """Unread content of many messages together. Beyond `limit` bytes, none of them gets further ahead of its reader."""

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes that may be unread."""
        self.held = 0
        """Bytes that are unread."""


class Incoming:
    """Content of one received message, on its way to one reader."""

    __slots__ = ("_budget", "_chunks", "_control", "_error", "_high_water", "_paused", "_stream_id", "_timeout", "_unread",
                 "_waiter", "ended", "expected", "received", "trailers")  # fmt: skip

    def __init__(
        self,
        control: FlowControl,
        stream_id: int,
        *,
        high_water: int,
        timeout: float,
        budget: UnreadBudget | None = None,
    ) -> None:
        self._control = control
        self._budget = budget
        self._stream_id = stream_id
        self._high_water = high_water
        self._timeout = timeout
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        """True when the message is complete or has failed: nothing further will arrive."""
        self.received = 0
        """Bytes of content that arrived so far."""
        self.expected: int | None = None
        """Bytes of content that will arrive, where that is known. The reader is then done when they are there, although the
        stream may go on: a server can keep a response open for further promises (RFC 9114 section 4.1)."""
        self.trailers: Headers | None = None
        """The trailer section, once it has arrived."""

    # what arrived

    def feed(self, data: bytes, end: bool) -> None:
        """A piece of content, perhaps the last."""
        if self.ended:
            return
        if data:
            self._chunks.append(data)
            self._unread += len(data)
            self.received += len(data)
            if self._budget is not None:
                self._budget.held += len(data)
        if end:
            self.ended = True
        elif not self._paused and self._is_full():
            self._paused = True
            self._control.pause(self._stream_id)
        wake(self._waiter)

    def _is_full(self) -> bool:
        budget = self._budget
        return self._unread > self._high_water or (budget is not None and budget.held > budget.limit)

    def finish(self, trailers: Headers) -> None:
        """The trailer section, which is the end."""
        self.trailers = trailers
        self.feed(b"", True)

    def fail(self, error: Exception) -> None:
        """Nothing further will come; what has arrived can still be read, then the reader gets `error`."""
        if not self.ended:
            self.ended = True
            self._error = error
            wake(self._waiter)

    def discard(self) -> None:
        """Drop what is unread."""
        self._chunks.clear()
        if self._budget is not None:
            self._budget.held -= self._unread
        self._unread = 0

    # the reader

    @property
    def complete(self) -> bool:
        """True when the message ended as it should and all of it has been read."""
        return self.ended and not self._chunks and self._error is None

    async def next_chunk(self) -> bytes:
        """The next piece, as it arrived; empty at the end. Raises what ended the message early, or `Timeout`."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.ended or self.received == self.expected:
                return b""
            await self._wait()
        chunk = self._chunks.popleft()
        self._unread -= len(chunk)
        if self._budget is not None:
            self._budget.held -= len(chunk)
        if self._paused and self._unread <= self._high_water // 4:
            self._paused = False
            self._control.resume(self._stream_id)
        return chunk

    async def read(self, limit: int | None = None) -> bytes:
        """All of it. `ContentTooLarge` when it is more than `limit` bytes."""
        chunks = []
        size = 0
        while chunk := await self.next_chunk():
            size += len(chunk)
            if limit is not None and size > limit:
                raise ContentTooLarge(f"the content is larger than the {limit} bytes that were asked for")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def stream(self) -> AsyncIterator[bytes]:
        """The pieces as they arrive."""
        while chunk := await self.next_chunk():
            yield chunk

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("two tasks read the same content: read it in one place")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await wait_for(self._waiter, self._timeout, "no content came (read_timeout)")
        finally:
            self._waiter = None
