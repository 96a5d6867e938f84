"""Content of one received message, on its way to one reader, with back-pressure.

Theory of operation. What arrives stays in `Incoming` until it is read. When more than its high-water mark is unread, the
stream is paused: the transport neither delivers more nor grants flow-control credit, so a peer can make us hold the mark plus one
delivery. Reading below a quarter of the mark resumes the stream. No task and no timer exists while nobody waits.

Content is never short in silence. `read` gives all of it or raises: one that was cancelled or stopped at its limit has put back
what it had taken, and one that comes after pieces were taken refuses. What was read whole is kept for whoever asks again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from h3push.errors import ReadTimeout
from h3push.http.headers import Headers
from h3push.runtime.signal import wait_for, wake


class ContentTooLarge(ValueError):
    """Content is larger than the limit given to `read`; a server's handler that lets it pass answers 413."""


class FlowControl(Protocol):
    """The connection of an `Incoming`, as far as it needs it."""

    def pause(self, stream_id: int) -> None:
        """Take no more of this stream."""

    def resume(self, stream_id: int) -> None:
        """Go on with it."""

    def silence(self, stream_id: int) -> str:
        """Nothing came on this stream within its time-out: say why, where that is known; "" where it is not."""


class UnreadBudget:
    """Unread content of many messages together. Beyond `limit` bytes, none of them gets further ahead of its reader."""

    __slots__ = ("held", "limit", "on_excess")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes that may be unread."""
        self.held = 0
        """Bytes that are unread."""
        self.on_excess: Callable[[], None] | None = None
        """Called when it is more, instead of holding anybody back: somebody makes room."""


class Incoming:
    """Content of one received message, on its way to one reader."""

    __slots__ = ("_budget", "_chunks", "_control", "_error", "_high_water", "_stream_id", "_taken", "_timeout", "_unread",
                 "_waiter", "_whole", "ended", "expected", "paused", "received", "timed_out", "trailers")  # fmt: skip

    def __init__(
        self,
        control: FlowControl,
        stream_id: int,
        *,
        high_water: int,
        timeout: float | None,
        budget: UnreadBudget | None = None,
    ) -> None:
        self._control = control
        self._budget = budget
        self._stream_id = stream_id
        self._high_water = high_water
        self._timeout = timeout
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._taken = False
        self._whole: bytes | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.paused = False
        """True while too much is unread: the peer is granted no more."""
        self.timed_out = False
        """True when a reader has waited in vain."""
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
        size, budget = len(data), self._budget
        if size:
            self._chunks.append(data)
            self._unread += size
            self.received += size
            if budget is not None:
                budget.held += size
                if budget.held > budget.limit and budget.on_excess is not None:
                    budget.on_excess()
        if end:
            self.ended = True
        elif not self.paused and (
            self._unread > self._high_water
            or (budget is not None and budget.on_excess is None and budget.held > budget.limit)
        ):
            self.paused = True
            self._control.pause(self._stream_id)
        wake(self._waiter)

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

    def hand_over(self, timeout: float | None) -> None:
        """Somebody reads it now, who waits `timeout` seconds for each piece."""
        self._timeout = timeout
        self.leave_budget()

    def leave_budget(self) -> None:
        """Count it no further among what is held unread."""
        if self._budget is not None:
            self._budget.held -= self._unread
            self._budget = None

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

    @property
    def finished(self) -> bool:
        """True when the reader has all content, although the stream may go on (see `expected`)."""
        return not self._chunks and (self.received == self.expected or (self.ended and self._error is None))

    @property
    def error(self) -> Exception | None:
        """The error that ended the message early."""
        return self._error

    async def next_chunk(self) -> bytes:
        """Take the next piece, as it arrived; empty at the end. Raises what ended the message early, or `ReadTimeout`."""
        while not self._chunks:
            if self.received == self.expected:
                return b""
            if self._error is not None:
                raise self._error
            if self.ended:
                return b""
            await self._wait()
        self._taken = True
        chunk = self._chunks.popleft()
        self._unread -= len(chunk)
        if self._budget is not None:
            self._budget.held -= len(chunk)
        if self.paused and self._unread <= self._high_water // 4:
            self.paused = False
            self._control.resume(self._stream_id)
        return chunk

    async def read(self, limit: int | None = None) -> bytes:
        """All of it; the same again when it is called again.

        Raises:
            ContentTooLarge: it is more than `limit` bytes; it can still be read with another limit.
            RuntimeError: a part of it was taken piece by piece, so that all of it is not here any more.
        """
        whole = self._whole
        if whole is None:
            if self._taken:
                if self._error is not None:
                    raise self._error
                raise RuntimeError("a part of the content was taken piece by piece: read() cannot give all of it")
            chunks: list[bytes] = []
            size = 0
            try:
                while chunk := await self.next_chunk():
                    chunks.append(chunk)
                    size += len(chunk)
                    if limit is not None and size > limit:
                        raise _too_large(limit)
            except BaseException:
                self._put_back(chunks, size)
                raise
            whole = self._whole = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        elif limit is not None and len(whole) > limit:
            raise _too_large(limit)
        return whole

    def stream(self, at_end: Callable[[], None] | None = None) -> "Pieces":
        """The pieces as they arrive; goes on where an earlier `stream` stopped. What was read whole comes in one piece.

        `RuntimeError` when an earlier `stream` has given all of it. `at_end` is called when a reader has come to the end.
        """
        return Pieces(self, at_end)

    async def next_of_stream(self, is_first: bool) -> bytes:
        """The next piece of a `stream`; empty at its end."""
        if self._whole is not None:
            return self._whole if is_first else b""
        if is_first and self._taken and self.finished:
            raise RuntimeError("the content was taken piece by piece already, to its end")
        return await self.next_chunk()

    def _put_back(self, chunks: list[bytes], size: int) -> None:
        """Make unread again what a `read` took that did not come to its end."""
        self._taken = False
        self._chunks.extendleft(reversed(chunks))
        self._unread += size
        if self._budget is not None:
            self._budget.held += size
        self.feed(b"", False)  # it may be too much again

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("two tasks read the same content: read it in one place")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await wait_for(self._waiter, self._timeout, ReadTimeout, "no content came (read_timeout)")
        except ReadTimeout as error:
            self.timed_out = True
            reason = self._control.silence(self._stream_id)
            raise ReadTimeout(f"{error}; {reason}") from None if reason else error
        finally:
            self._waiter = None


class Pieces(AsyncIterator[bytes]):
    """The content of a message, piece by piece; made by `Incoming.stream`. No generator: that would cost twice as much."""

    __slots__ = ("_at_end", "_incoming", "_is_first", "_is_over")

    def __init__(self, incoming: Incoming, at_end: Callable[[], None] | None) -> None:
        self._incoming = incoming
        self._at_end = at_end
        self._is_first = True
        self._is_over = False

    async def __anext__(self) -> bytes:
        if not self._is_over:
            is_first, self._is_first = self._is_first, False
            piece = await self._incoming.next_of_stream(is_first)
            if piece:
                return piece
            self._is_over = True
            if self._at_end is not None:
                self._at_end()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End it, as a generator is ended."""
        self._is_over = True


def _too_large(limit: int) -> ContentTooLarge:
    return ContentTooLarge(f"the content is larger than the {limit} bytes that were asked for")


class NoPieces(AsyncIterator[bytes]):
    """The pieces of a message without content: none."""

    __slots__ = ()

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End it, as a generator is ended."""
