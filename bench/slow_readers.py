"""Two hundred clients that stop reading in mid-download, for ten minutes of virtual time, while others are served.

Each slow reader asks for a file or for bytes in memory, takes the beginning and no more, and keeps its connection alive.
When the server has given its response up (`ServerSettings.drain_timeout`), it asks again: so there are always many. Meanwhile an
honest client asks for a small page and for the same file, every few seconds.

Printed for each minute: memory of the process (clients and all), descriptors, responses that the server guards, and how long the
honest client waited. The exit code is not 0 when memory or descriptors are more in the second half of the time than in the first,
when responses are held for longer than the time-out allows, or when the honest client is not served.
"""

import argparse
import asyncio
import gc
import resource
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from h3push import ClientConnection, ClientSettings, Request, Response, ServerSettings, connect
from h3push.http.content import FileContent
from h3push.runtime.descriptors import raise_descriptor_limit
from h3push.testing import World, run_virtual
from h3push.testing.link import LinkSettings

MIB = 1024 * 1024
CONTENT = 4 * MIB
"""Bytes of each download."""
SLOW = ClientSettings(
    receive_high_water=16_000, stream_receive_window=32_000, read_timeout=3600, response_timeout=3600, idle_timeout=30
)
"""A client that asks for more only as it reads: what it holds itself is little, and the rest waits at the server."""
ASK_AGAIN = 90.0
"""Seconds after which a slow reader asks again: the drain time-out, the time between two looks, and a little."""
HONEST_EVERY = 5.0
"""Seconds between two requests of the honest client."""
MEMORY_TOLERANCE = 8 * MIB
"""Bytes by which memory may be larger in the second half than in the first: a look may fall into a download of the honest client.
Five per cent more are for the allocator, which does not give all pages back at once."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the process."""

    minute: float
    """Minutes of virtual time."""
    memory: int
    """Resident memory, in bytes."""
    descriptors: int
    """Open file descriptors."""
    guarded: int
    """Responses that are begun and not acknowledged."""
    stalled: int
    """Responses that were given up so far."""
    slowest: float
    """Longest time to a small page since the look before, in seconds."""

    def row(self) -> str:
        """The reading as a line of the table."""
        held = f"{self.memory / MIB:10.1f}  {self.descriptors:11}  {self.guarded:7}  {self.stalled:7}"
        return f"{self.minute:6.1f}  {held}  {self.slowest:12.3f}"


async def read_slowly(client: ClientConnection, path: str) -> None:
    """Ask for content, take its beginning, and read nothing more; ask again when the server must have given it up."""
    while True:
        async with await client.get(path) as response:
            await anext(response.stream())
            await asyncio.sleep(ASK_AGAIN)


async def ask_honestly(client: ClientConnection, waits: list[float]) -> None:
    """A page and a download, whole, every few seconds."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        assert await (await client.get("/small")).read() == b"small"
        waits.append(loop.time() - began)
        assert len(await (await client.get("/file")).read()) == CONTENT
        await asyncio.sleep(HONEST_EVERY)


def look(world: World, began: float, waits: list[float]) -> Reading:
    """Measure now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    guarded = sum(len(one.guard.responses) for one in world.server._connections)
    slowest = max(waits, default=float("inf"))
    waits.clear()
    return Reading(
        (world.now - began) / 60,
        pages * resource.getpagesize(),
        sum(1 for _ in Path("/proc/self/fd").iterdir()),
        guarded,
        world.server.counters.stalled,
        slowest,
    )


async def soak(readers: int, minutes: float, path: Path) -> list[Reading]:
    """Run it; a reading for each minute."""
    content = b"m" * CONTENT

    def handler(request: Request) -> Response:
        if request.path == "/small":
            return Response(content=b"small")
        return Response(content=FileContent(path) if request.path == "/file" else content)

    link = LinkSettings(delay=0.02)
    settings = ServerSettings(max_connections=readers + 10)
    readings: list[Reading] = []
    async with (
        World(handler, link=link, server_settings=settings, client_settings=SLOW, connected=False) as world,
        AsyncExitStack() as stack,
    ):
        tasks: list[asyncio.Task[None]] = []
        waits: list[float] = []
        for number in range(readers):
            client = await stack.enter_async_context(world.connect())
            tasks.append(asyncio.create_task(read_slowly(client, "/file" if number % 2 else "/memory")))
        driver = world.network.client_endpoint(world.client_tls, ClientSettings().transport())
        honest = await stack.enter_async_context(connect(f"https://{world.host}/", driver=driver))
        tasks.append(asyncio.create_task(ask_honestly(honest, waits)))
        began = world.now
        print("minute    memory MiB  descriptors  guarded  stalled  slowest page")
        while world.now - began < minutes * 60:
            await asyncio.sleep(min(60.0, minutes * 60))
            for task in tasks:
                if task.done():
                    task.result()
            readings.append(look(world, began, waits))
            print(readings[-1].row(), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return readings


def judge(readings: list[Reading], readers: int) -> list[str]:
    """A sentence for each figure that is not flat."""
    middle = (len(readings) + 1) // 2
    before, after, last = readings[1:middle], readings[middle:], readings[-1]  # everybody arrives in the first minute
    memory, memory_after = (max(reading.memory for reading in part) / MIB for part in (before, after))
    files, files_after = (max(reading.descriptors for reading in part) for part in (before, after))
    wrong = []
    if memory_after > memory * 1.05 + MEMORY_TOLERANCE / MIB:
        wrong.append(f"memory grew from {memory:.1f} MiB to {memory_after:.1f} MiB")
    if files_after > files:
        wrong.append(f"descriptors grew from {files} to {files_after}")
    if max(reading.guarded for reading in readings) > readers + 1:
        wrong.append("more responses are guarded than there are readers")
    if last.stalled < readers * (last.minute // 1.5 - 1):
        wrong.append(f"only {last.stalled} responses were given up")
    if max(reading.slowest for reading in readings) > 1:
        wrong.append("the honest client had to wait for longer than a second")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readers", type=int, default=200, help="clients that stop reading (default: 200)")
    parser.add_argument("--minutes", type=float, default=10.0, help="virtual minutes (default: 10)")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(CONTENT)
        path = Path(file.name)
        readings = run_virtual(lambda: soak(arguments.readers, arguments.minutes, path))
    wrong = judge(readings, arguments.readers)
    for sentence in wrong:
        print(f"not flat: {sentence}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
