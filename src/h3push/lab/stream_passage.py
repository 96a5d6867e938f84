"""One direction of a TCP connection over an emulated link.

Theory of operation. The forwarder ends TCP on both sides, so what TCP does on a long link has to be emulated too, or a stream
would be faster than any real one. Content is cut into segments. A window says how many bytes may be under way; it begins with
ten segments (RFC 6928), doubles in each round trip until something is lost, and grows by a segment in each from then on (RFC
5681). A segment that the link loses or drops is sent again one round trip later, the window is halved, at most once in a round
trip, and the segments behind it wait, because a stream keeps its order. Acknowledgments take the delay of the way back, and no
room on it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from h3push.lab.passage import Passage

SEGMENT = 1448
"""Content of a full segment: Ethernet's 1,500 bytes without the headers of IPv4 and TCP and its time stamps."""
HEADERS = 52
"""Those headers."""
FIRST_WINDOW = 10 * SEGMENT
"""RFC 6928."""
LARGEST_WINDOW = 6 * 1024 * 1024
"""Linux's default for a receiver."""


class StreamPassage:
    """One direction.

    Args:
        passage: the link in this direction.
        round_trip: delay of both directions, in seconds.
        read: gives up to so many bytes, none at the end.
        write: takes what has arrived, and waits while the receiver is slow.
    """

    def __init__(
        self,
        passage: Passage,
        round_trip: float,
        read: Callable[[int], Awaitable[bytes]],
        write: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self.window = float(FIRST_WINDOW)
        """Bytes that may be under way."""
        self._threshold = float(LARGEST_WINDOW)
        self._passage = passage
        self._round_trip = round_trip
        self._way_back = round_trip - passage.link.settings.delay
        self._read = read
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._changed = asyncio.Event()
        self._in_order: deque[bytes] = deque()
        self._arrived: dict[int, bytes] = {}
        self._sent = self._next = 0
        self._all_sent = False
        self._cut_at = 0.0

    async def run(self) -> None:
        """Carry everything, to the end. Raises what `read` and `write` raise."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all())
            tasks.create_task(self._write_all())

    async def _send_all(self) -> None:
        while content := await self._read(FIRST_WINDOW):
            for at in range(0, len(content), SEGMENT):
                await self._send_next(content[at : at + SEGMENT])
        self._all_sent = True
        self._changed.set()

    async def _send_next(self, segment: bytes) -> None:
        while self._under_way and self._under_way + len(segment) > self.window:
            await self._wait()
        self._under_way += len(segment)
        number, self._sent = self._sent, self._sent + 1
        self._send(number, segment)

    def _send(self, number: int, segment: bytes) -> None:
        if not self._passage.send(len(segment) + HEADERS, lambda: self._arrive(number, segment)):
            self._shrink()
            self._loop.call_later(max(self._round_trip, 0.001), self._send, number, segment)

    def _shrink(self) -> None:
        now = self._loop.time()
        if now - self._cut_at >= self._round_trip:
            self._cut_at = now
            self.window = self._threshold = max(self.window / 2, 2.0 * SEGMENT)

    def _arrive(self, number: int, segment: bytes) -> None:
        self._arrived[number] = segment
        while self._next in self._arrived:
            self._in_order.append(self._arrived.pop(self._next))
            self._next += 1
        self._changed.set()

    async def _write_all(self) -> None:
        while not (self._all_sent and self._next == self._sent and not self._in_order):
            while self._in_order:
                segment = self._in_order.popleft()
                await self._write(segment)
                self._loop.call_later(self._way_back, self._acknowledge, len(segment))
            await self._wait()
        await self._write(b"")

    def _acknowledge(self, size: int) -> None:
        self._under_way -= size
        grown = size if self.window < self._threshold else SEGMENT * size / self.window
        self.window = min(self.window + grown, LARGEST_WINDOW)
        self._changed.set()

    async def _wait(self) -> None:
        """Wait for the next change. Both tasks may wait for the same one."""
        if self._all_sent and self._next == self._sent and not self._in_order:
            return
        changed = self._changed
        if changed.is_set():
            changed = self._changed = asyncio.Event()
        await changed.wait()
