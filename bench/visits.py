"""Visits of headless Chromium to sites behind a long link, directly and through `h3push relay`; `relay.py` compares them."""

import asyncio
import http.client
import json
import os
import re
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import devtools

from h3push.server.certificates import DevelopmentCertificates

HERE = Path(__file__).resolve().parent
H3PUSH = [sys.executable, "-c", "from h3push.cli import main; main()"]
READY = 20.0
"""Seconds in which a process has to be there."""
SETTLED = 0.5
"""Seconds after a load in which the link's last report comes, and the browser ends what it does."""
OPEN_FOR = 8
"""Round trips for which a relay's connection is open before a visit. In the first ones QUIC looks for the largest datagram that
the path takes, and its probes take room in the first window."""
CARRIED = 1_200_000
"""Bytes that go through a relay whose connection is to have been used: more than the path holds."""
ELSEWHERE = "elsewhere.test"
"""A server on this machine with an empty page, at which a visitor is before the visit."""


@dataclass(frozen=True, slots=True)
class Site:
    """A site, and its pages."""

    name: str
    root: Path | None
    """The directory that `h3push serve` serves; `None`: Django's admin, in front of which `h3push proxy` stands."""
    first: str
    second: str
    others: tuple[str, ...]
    """Pages that others have loaded before."""
    download: str
    """Something large that no page has."""


@dataclass(slots=True)
class Measured:
    """The visits of one cell, in milliseconds and bytes."""

    first: list[devtools.Timing] = field(default_factory=list)
    second: list[devtools.Timing] = field(default_factory=list)
    octets: list[int] = field(default_factory=list)
    """From the server over the link, for both pages."""
    used: list[int] = field(default_factory=list)
    """Bytes of pushes that answered a request."""
    wasted: list[int] = field(default_factory=list)
    """Bytes of pushes that did not."""


class Process:
    """A command of h3push that runs; its lines can be waited for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._tasks = [asyncio.create_task(self._read(one)) for one in (process.stdout, process.stderr)]

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        async for line in stream:
            self.lines.append(line.decode())

    async def find(self, pattern: str) -> str:
        """The first group of the first line that has the pattern."""
        async with asyncio.timeout(READY):
            while True:
                for line in self.lines:
                    if (found := re.search(pattern, line)) is not None:
                        return found[1]
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Stop it."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(READY):
            await self.process.wait()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def running(*words: str, **environment: str) -> AsyncIterator[Process]:
    """Run a program."""
    pipe = asyncio.subprocess.PIPE
    env = {**os.environ, **environment}
    process = Process(await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe, env=env))
    try:
        yield process
    finally:
        await process.end()


@asynccontextmanager
async def command(*arguments: object) -> AsyncIterator[Process]:
    """Run a command of h3push."""
    async with running(*H3PUSH, *map(str, arguments)) as process:
        yield process


@dataclass(frozen=True, slots=True)
class Between:
    """What lies between."""

    rtt: float
    """Milliseconds."""
    rate: float
    """Mbit/s."""
    loss: float
    """Per cent."""
    window: int = 10
    """Packets that the server may have under way before the first acknowledgment."""


@dataclass(frozen=True, slots=True)
class Way:
    """A link, and the server behind it."""

    port: int
    link: Process | None
    """`None`: nothing lies between."""
    made: DevelopmentCertificates
    rtt: float = 0
    """Milliseconds."""

    @property
    def octets(self) -> int:
        """Bytes that came from the server, as the link last told."""
        told = [line for line in (self.link.lines if self.link else ()) if line.startswith("from server")]
        return int(told[-1][12:].split()[1]) if told else 0


@asynccontextmanager
async def origin(site: Site, made: DevelopmentCertificates, window: int) -> AsyncIterator[int]:
    """Serve a site; the port."""
    flags = ("--certfile", made.certfile, "--keyfile", made.keyfile, "--port", 0, "--alt-svc", "", "-q")
    flags += ("--initial-window", window)
    if site.root is not None:
        async with command("serve", site.root, "--follow-symlinks", "--compress", *flags) as server:
            yield int(await server.find(r"https://localhost:(\d+)"))
        return
    words = ("-m", "uvicorn", "--app-dir", str(HERE), "admin_site:app", "--port", "0", "--lifespan", "off")
    async with running(sys.executable, *words, DATABASE=str(made.certfile.parent / "admin.sqlite3")) as behind:
        address = await behind.find(r"http://(127\.0\.0\.1:\d+)")
        async with command("proxy", address, *flags) as server:
            yield int(await server.find(r"https://localhost:(\d+)"))


@asynccontextmanager
async def linked(port: int, made: DevelopmentCertificates, path: Between) -> AsyncIterator[Way]:
    """Have a link lie before a server; with a round trip of 0 nothing does."""
    if path.rtt == 0:
        yield Way(port, None, made)
        return
    flags = ("--rtt", path.rtt, "--rate", path.rate, "--loss", path.loss, "--report", 0.2)
    async with command("lab", "link", "--listen", 0, "--to", port, *flags) as link:
        yield Way(int(await link.find(r"127\.0\.0\.1:(\d+) leads")), link, made, path.rtt)


async def see(site: Site, way: Way, directory: Path) -> None:
    """Load all pages twice: then the server has read them, and has compressed what is large."""
    async with chromium(directory, *trusting(way)) as (browser, _):
        for _ in range(2):
            await look_around(browser, f"https://localhost:{way.port}", (site.first, site.second, *site.others))
            await asyncio.sleep(SETTLED)


def trusting(way: Way) -> list[str]:
    """Flags with which a browser goes to the server directly, over HTTP/3."""
    key = devtools.key_hash(way.made.certfile)
    return [f"--ignore-certificate-errors-spki-list={key}", f"--origin-to-force-quic-on=localhost:{way.port}"]


@asynccontextmanager
async def chromium(directory: Path, *flags: str) -> AsyncIterator[tuple[devtools.Chromium, str]]:
    """A browser, and an address of the empty page."""
    empty = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<!doctype html>"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(empty)
        await writer.drain()
        writer.close()

    names = f"--host-resolver-rules=MAP localhost 127.0.0.1, MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND"
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with devtools.Chromium(directory, names, *flags) as browser:
            yield browser, f"http://{ELSEWHERE}:{port}/"


async def visit(browser: tuple[devtools.Chromium, str], base: str, site: Site, way: Way, into: Measured) -> None:
    """One visitor, who was at another server before, and looks at two pages."""
    page = await browser[0].open(apart=True)
    await page.load(browser[1])
    before = way.octets
    for path, timings in ((site.first, into.first), (site.second, into.second)):
        await page.load(base + path)
        timings.append(await page.timing())
        await asyncio.sleep(SETTLED)
    into.octets.append(way.octets - before)
    into.used.append(0)
    into.wasted.append(0)
    await page.close()


async def direct(kind: str, site: Site, way: Way, runs: int, directory: Path) -> Measured:
    """Visits without a relay. QUIC's session tickets would make the second visitor faster: each run is a browser of its own."""
    into, flags = Measured(), trusting(way)
    if kind == "h2":
        flags[-1] = "--disable-quic"
    for run in range(runs):
        async with chromium(directory / f"{kind}-{run}", *flags) as browser:
            await visit(browser, f"https://localhost:{way.port}", site, way, into)
    wanted = {"h2": "h2", "h3": "h3"}[kind]
    assert {one.protocol for one in into.first} == {wanted}, f"not over {wanted}: {into.first}"
    return into


async def relayed(kind: str, site: Site, way: Way, runs: int, directory: Path) -> Measured:
    """Visits through a relay: each time a new one, and a browser of its own."""
    into = Measured()
    for run in range(runs):
        async with AsyncExitStack() as stack:
            browser = await stack.enter_async_context(chromium(directory / f"{kind}-{run}"))
            arguments = ("relay", f"https://localhost:{way.port}", "--listen", 0, "--cacert", way.made.cafile)
            relay = await stack.enter_async_context(command(*arguments))
            base = await relay.find(r"(http://localhost:\d+) leads")
            await connected(base)
            await asyncio.sleep(max(SETTLED, OPEN_FOR * way.rtt / 1000))
            if kind == "known":
                await look_around(browser[0], base, site.others)
            elif kind == "used":
                await asyncio.to_thread(carry, base + site.download)
            await asyncio.sleep(SETTLED)
            earlier = (await status(base))["pushes"]
            await visit(browser, base, site, way, into)
            pushes = (await status(base))["pushes"]
            into.used[-1] = pushes["bytes_claimed"] - earlier["bytes_claimed"]
            into.wasted[-1] = pushes["bytes_wasted"] - earlier["bytes_wasted"]
    return into


async def connected(base: str) -> None:
    """Wait until a relay has its connection."""
    async with asyncio.timeout(READY):
        while not (await status(base))["origins"][0]["connected"]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)


async def look_around(browser: devtools.Chromium, base: str, paths: tuple[str, ...]) -> None:
    """Load pages as another visitor."""
    before = await browser.open(apart=True)
    for path in paths:
        await before.load(base + path)
    await before.close()


def carry(url: str) -> None:
    """Have something large go through a relay."""
    wanted = urllib.request.Request(url, headers={"Range": f"bytes=0-{CARRIED - 1}"})
    with urllib.request.urlopen(wanted, timeout=60) as answer:
        got = len(answer.read())
    if got != CARRIED:
        raise http.client.IncompleteRead(b"", CARRIED - got)


async def status(base: str) -> dict:
    """What a relay says of itself."""

    def ask() -> dict:
        with urllib.request.urlopen(f"{base}/.h3push/status.json", timeout=10) as answer:
            return json.load(answer)

    return await asyncio.to_thread(ask)
