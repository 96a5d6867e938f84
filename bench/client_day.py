"""A day of one client on one connection, in virtual time: 100,000 requests and 200,000 pushes.

Every few seconds the client asks for a page, which promises ten resources, and then for four things. Two are pushed and waited
for, one is pushed and kept while it is fresh, and one was never pushed. Of the other pushes the server calls one off, lets one
fail half way, and promises one twice; nobody wants the rest, and it goes when it is old.

Printed for each hour: memory of the process (both ends), what the client and its connection hold, and what became of the pushes.
The exit code is not 0 when memory is more in the second half of the day than in the first, when the credit for pushes runs dry
once, when a promise is not counted exactly once, when an answer is wrong, or when there was a second connection.
"""

import argparse
import asyncio
import gc
import logging
import resource
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path

from h3push import Request, Response, connect
from h3push.client.answer import Source
from h3push.client.connection import ClientConnection
from h3push.client.connections import Connect
from h3push.client.handshake import Address
from h3push.client.pool import Pool
from h3push.client.push_stats import PushStats
from h3push.client.pushes import OnPush
from h3push.client.stored import ResponseStore
from h3push.runtime.settings import PushCacheSettings
from h3push.testing import LinkSettings, World, run_virtual

MIB = 1024 * 1024
ORIGIN = "https://origin.example"
PUSHES = 10
"""Promises of a page."""
REQUESTS = 5
"""Requests of the program for a page: itself and four things."""
ROUNDS = 20_000
"""Pages in a day."""
DAY = 24 * 3600.0
"""Seconds."""
LATER = 0.2
"""Seconds until a push is called off or fails: its promise is there by then."""
LOOKS = 24
"""Looks at the process, evenly spread."""
MEMORY_TOLERANCE = 2 * MIB
"""Bytes by which memory may be larger in the second half than in the first, and three per cent: what the allocator does not give
back at once."""


class Site:
    """Pushes ten resources with each page; counts the requests that were sent and the promises that found no credit."""

    def __init__(self) -> None:
        self.asked = 0
        self.without_credit = 0

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.push_id is None:
            self.asked += 1
        what = request.path.rpartition("/")[2]
        if what == "page":
            await self._push(request)
            return Response(200, {"cache-control": "no-store"}, b"page")
        if what == "called-off":
            await asyncio.sleep(10 * LATER)
        if what == "fails":
            return Response(200, {"content-length": "1000"}, _half())
        lasting = {"cache-control": "max-age=100000", "date": formatdate(time.time(), usegmt=True)}
        return Response(200, lasting if what == "lasting" else {"cache-control": "no-store"}, content_of(request.path))

    async def _push(self, request: Request) -> None:
        number = request.path.split("/")[1]
        names = ("one", "two", "fails", "called-off", "old", "older", "oldest", "again", "again")
        pushes = [await request.push(f"/{number}/{name}") for name in names]
        pushes.append(await request.push("/lasting"))
        self.without_credit += sum(push.refusal is not None for push in pushes)
        asyncio.get_running_loop().call_later(LATER, pushes[names.index("called-off")].cancel)


async def _half() -> AsyncIterator[bytes]:
    yield b"x" * 500
    await asyncio.sleep(LATER)
    raise RuntimeError("fails half way, as it should")


def content_of(path: str) -> bytes:
    """The content of every other resource."""
    return path.encode() * 40


@dataclass(slots=True)
class Reading:
    """One look at the process."""

    rounds: int
    """Pages so far."""
    memory: int
    """Resident memory, in bytes."""
    held: int
    """Everything that the client and its connection hold for pushes and requests."""
    stats: PushStats = field(repr=False)
    """The fate of the pushes."""

    def row(self) -> str:
        """The reading as a line of the table."""
        stats = self.stats
        fates = f"{stats.promised:9,}  {stats.claimed:8,}  {stats.reused:7,}  {stats.cancelled.total():9,}  {stats.unclaimed:9,}"
        return f"{self.rounds:7,}  {self.memory / MIB:10.2f}  {self.held:5,}  {fates}"


def holdings(pool: Pool, connection: ClientConnection) -> int:
    """Everything that grows with a push or a request, counted."""
    cache, session = pool._pushes, connection.session
    assert cache is not None
    live = len(cache._held) + len(cache._by_key) + len(cache._requested)
    return live + len(session.exchanges) + len(session.fulfilling) + len(session.pushes.unreleased)


async def visit(pool: Pool, number: int) -> None:
    """Ask for a page and four things, and believe nothing."""
    answer = await pool.request("GET", f"{ORIGIN}/{number}/page")
    assert await answer.read() == b"page"
    for path in (f"/{number}/one", f"/{number}/two", "/lasting", f"/{number}/never-pushed"):
        answer = await pool.request("GET", f"{ORIGIN}{path}")
        assert await answer.read() == content_of(path), path
        assert (answer.source is Source.SERVER) == path.endswith("never-pushed"), path


def look(pool: Pool, connection: ClientConnection, rounds: int) -> Reading:
    """Measure now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Reading(rounds, pages * resource.getpagesize(), holdings(pool, connection), pool.push_stats)


def dialling(world: World, made: list[ClientConnection]) -> Connect:
    """Makes connections in the world, and keeps them in `made`."""

    def dial(url: str, *, max_pushes: int | None, on_push: OnPush | None, address: Address | None) -> ClientConnection:
        driver = world.client_endpoint(max_pushes)
        made.append(connect(url, driver=driver, max_pushes=max_pushes, on_push=on_push, address=address))
        return made[-1]

    return dial


async def live(rounds: int, seconds: float) -> list[str]:
    """Run it; a sentence for each thing that is wrong."""
    site, made, readings = Site(), list[ClientConnection](), list[Reading]()
    bounds = PushCacheSettings(unclaimed_seconds=60)
    async with (
        World(site, connected=False, link=LinkSettings(delay=0.05)) as world,
        Pool(dial=dialling(world, made), push_cache=bounds, store=ResponseStore(bounds, None)) as pool,
    ):
        print("  pages  memory MiB   held   promised   claimed   reused  cancelled  unclaimed")
        for number in range(rounds):
            await visit(pool, number)
            await asyncio.sleep(seconds / rounds)
            if (number + 1) % max(1, rounds // LOOKS) == 0:
                readings.append(look(pool, made[0], number + 1))
                print(readings[-1].row(), flush=True)
        stats = pool.push_stats
    wrong = judge(readings)
    if site.without_credit:
        wrong.append(f"{site.without_credit} promises found no credit")
    counted = stats.claimed + stats.unclaimed + stats.cancelled.total()
    if not stats.promised == counted == rounds * PUSHES:
        wrong.append(f"not every promise is counted once: {stats}")
    if len(made) != 1:
        wrong.append(f"there were {len(made)} connections")
    fates = ", ".join(
        f"{number:,} {why.value}" for why, number in sorted(stats.cancelled.items(), key=lambda one: one[0].value)
    )
    print(
        f"{rounds * REQUESTS:,} requests of the program, {site.asked:,} sent; {stats.promised:,} promises; not used: {fates}"
    )
    return wrong


def judge(readings: list[Reading]) -> list[str]:
    """A sentence for each figure that is not flat."""
    middle = (len(readings) + 1) // 2
    before, after = readings[1:middle], readings[middle:]  # caches of every kind fill in the first part
    memory, memory_after = (max(reading.memory for reading in part) for part in (before, after))
    held, held_after = (max(reading.held for reading in part) for part in (before, after))
    wrong = []
    if memory_after > memory * 1.03 + MEMORY_TOLERANCE:
        wrong.append(f"memory grew from {memory / MIB:.1f} MiB to {memory_after / MIB:.1f} MiB")
    if held_after > held * 1.2 + 20:
        wrong.append(f"what is held grew from {held:,} to {held_after:,} entries")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"pages (default: {ROUNDS:,}, which is a day)")
    arguments = parser.parse_args()
    logging.getLogger("h3push").setLevel(logging.CRITICAL)  # one handler of each page fails, as it should
    seconds = DAY * arguments.rounds / ROUNDS
    wrong = run_virtual(lambda: live(arguments.rounds, seconds))
    for sentence in wrong:
        print(f"not flat: {sentence}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
