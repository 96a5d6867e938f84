"""`make bench-relay`: what the near relay saves in a real browser, over a long link in real time.

Headless Chromium loads pages of a site that `h3push serve` serves, through `h3push lab link`: directly over HTTP/2, directly over
HTTP/3 with 103, and through `h3push relay`, which stands on the browser's side of the link and speaks HTTP/1.1 over loopback::

    browser ───────────── link ── serve        h2, h3
    browser ── relay ──── link ── serve        relay: its connection is open and its cache empty
    browser ── relay ──── link ── serve        known: three other pages of the site were loaded through it by another browser

Every visit has a browser context of its own, so nothing is cached in the browser, and loads a first page and a second one. Times
are the browser's own (Navigation Timing), bytes are the link's. The medians of `--runs` visits stand in the tables.
"""

import argparse
import asyncio
import json
import re
import signal
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import devtools
from report import machine, markdown_table, text_table, write_section

import h3push
from h3push.server.certificates import DevelopmentCertificates, development_certificates

H3PUSH = [sys.executable, "-c", "from h3push.cli import main; main()"]
READY = 20.0
"""Seconds in which a process has to be there."""
SETTLED = 0.7
"""Seconds after a load in which the link's last report comes, and the browser ends what it does."""
WAYS = {
    "h2": "HTTP/2",
    "h3": "HTTP/3 with 103",
    "relay": "relay, nothing cached",
    "known": "relay, site known",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A site, and its pages."""

    name: str
    root: Path
    first: str
    second: str
    others: tuple[str, ...]
    """Pages that others have loaded before."""


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
async def command(*arguments: object) -> AsyncIterator[Process]:
    """Run a command of h3push."""
    pipe = asyncio.subprocess.PIPE
    words = [*H3PUSH, *map(str, arguments)]
    running = Process(await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe))
    try:
        yield running
    finally:
        await running.end()


@dataclass(frozen=True, slots=True)
class Way:
    """A link, and the server behind it."""

    port: int
    link: Process
    made: DevelopmentCertificates

    @property
    def octets(self) -> int:
        """Bytes that came from the server, as the link last told."""
        told = [line for line in self.link.lines if line.startswith("from server")]
        return int(told[-1][12:].split()[1]) if told else 0


@asynccontextmanager
async def served(site: Site, made: DevelopmentCertificates, rtt: float, rate: float, loss: float) -> AsyncIterator[Way]:
    """Serve a site behind a link."""
    files = (
        "--certfile",
        made.certfile,
        "--keyfile",
        made.keyfile,
        "--port",
        0,
        "--alt-svc",
        "",
        "-q",
        "--follow-symlinks",
    )
    async with command("serve", site.root, *files) as server:
        port = await server.find(r"https://localhost:(\d+)")
        flags = ("--rtt", rtt, "--rate", rate, "--loss", loss, "--report", 0.2)
        async with command("lab", "link", "--listen", 0, "--to", port, *flags) as link:
            yield Way(int(await link.find(r"127\.0\.0\.1:(\d+) leads")), link, made)


async def visit(browser: devtools.Chromium, base: str, site: Site, way: Way, into: Measured) -> None:
    """One visitor, who looks at two pages."""
    page = await browser.open(apart=True)
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
    into, key = Measured(), devtools.key_hash(way.made.certfile)
    flags = [
        f"--ignore-certificate-errors-spki-list={key}",
        "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND",
    ]
    flags.append("--disable-quic" if kind == "h2" else f"--origin-to-force-quic-on=localhost:{way.port}")
    for run in range(runs):
        async with devtools.Chromium(directory / f"{kind}-{run}", *flags) as browser:
            await visit(browser, f"https://localhost:{way.port}", site, way, into)
    wanted = {"h2": "h2", "h3": "h3"}[kind]
    assert {one.protocol for one in into.first} == {wanted}, f"not over {wanted}: {into.first}"
    return into


async def relayed(kind: str, site: Site, way: Way, runs: int, directory: Path) -> Measured:
    """Visits through a relay, a new one each."""
    into = Measured()
    flags = ["--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND"]
    async with devtools.Chromium(directory / kind, *flags) as browser:
        for _ in range(runs):
            arguments = ("relay", f"https://localhost:{way.port}", "--listen", 0, "--cacert", way.made.cafile)
            async with command(*arguments) as relay:
                base = await relay.find(r"(http://localhost:\d+) leads")
                while not (await status(base))["origins"][0]["connected"]:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.1)
                if kind == "known":
                    before = await browser.open(apart=True)
                    for path in site.others:
                        await before.load(base + path)
                    await before.close()
                await asyncio.sleep(SETTLED)
                earlier = (await status(base))["pushes"]
                await visit(browser, base, site, way, into)
                pushes = (await status(base))["pushes"]
                into.used[-1] = pushes["bytes_claimed"] - earlier["bytes_claimed"]
                into.wasted[-1] = pushes["bytes_wasted"] - earlier["bytes_wasted"]
    return into


async def status(base: str) -> dict:
    """What a relay says of itself."""

    def ask() -> dict:
        with urllib.request.urlopen(f"{base}/.h3push/status.json", timeout=10) as answer:
            return json.load(answer)

    return await asyncio.to_thread(ask)


def median(values: list[float]) -> float:
    return statistics.median(values)


def rows(cells: dict[tuple, Measured]) -> tuple[list[str], list[list[str]]]:
    """The table: a row for each way."""
    header = [
        "site, link",
        "way",
        "first byte",
        "DOM ready",
        "painted",
        "load",
        "second: DOM ready",
        "second: load",
        "kB",
        "used kB",
        "in vain kB",
    ]
    found = []
    for (name, rtt, loss, kind), one in cells.items():
        first, second = one.first, one.second
        figures = [
            median([load.first_byte for load in first]), median([load.dom_ready for load in first]),
            median([load.painted for load in first]), median([load.loaded for load in first]),
            median([load.dom_ready for load in second]), median([load.loaded for load in second]),
            median(one.octets) / 1000, median(one.used) / 1000, median(one.wasted) / 1000,
        ]  # fmt: skip
        found.append([f"{name}, {rtt:g} ms, {loss:g} %", WAYS[kind], *(f"{figure:,.0f}" for figure in figures)])
    return header, found


def saved(cells: dict[tuple, Measured]) -> list[str]:
    """How much earlier the load event is than directly over HTTP/3, in words."""
    lines = []
    for (name, rtt, loss, kind), one in cells.items():
        base = cells.get((name, rtt, loss, "h3"))
        if kind in {"relay", "known"} and base is not None:
            loads = [median([load.loaded for load in each.first]) for each in (one, base)]
            byte = median([load.first_byte for load in one.first])
            share = 100 * (1 - loads[0] / loads[1])
            lines.append(
                f"{name}, {rtt:g} ms, {loss:g} %: {WAYS[kind]}: load event {share:+.0f} % earlier than over HTTP/3 with 103; "
                f"first byte after {byte / rtt:.2f} round trips"
            )  # fmt: skip
    return lines


async def measure(options: argparse.Namespace, sites: list[Site], directory: Path) -> dict[tuple, Measured]:
    """Fill the cells."""
    made = development_certificates(directory / "state", ["localhost"])
    cells: dict[tuple, Measured] = {}
    for site in sites:
        for rtt in options.rtt:
            for loss in options.loss:
                place = directory / f"{site.name}-{rtt}-{loss}"
                async with served(site, made, rtt, options.rate, loss) as way:
                    for kind in options.way:
                        load = direct if kind in {"h2", "h3"} else relayed
                        cells[site.name, rtt, loss, kind] = await load(kind, site, way, options.runs, place)
                        header, found = rows({(site.name, rtt, loss, kind): cells[site.name, rtt, loss, kind]})
                        print(text_table(header, found), flush=True)
    return cells


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def find_sites(docs: Path | None) -> list[Site]:
    """The bundled site, and Python's documentation where Debian's package is."""
    own = Path(h3push.__file__).parent / "site"
    sites = [Site("bundled site", own, "/", "/", ("/",))]
    found = docs or next(iter(sorted(Path("/usr/share/doc").glob("python3.*/html"))), None)
    if found is not None:
        others = ("/library/json.html", "/library/socket.html", "/tutorial/classes.html")
        sites.append(
            Site("Python's documentation", found, "/library/asyncio-task.html", "/library/asyncio-stream.html", others)
        )
    return sites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rtt", type=numbers, default=[20, 100, 300, 600], help="round trips, in milliseconds")
    parser.add_argument("--loss", type=numbers, default=[0, 0.5], help="packets lost, in per cent")
    parser.add_argument("--rate", type=float, default=10, help="Mbit/s")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--way", type=lambda text: text.split(","), default=list(WAYS), help=", ".join(WAYS))
    parser.add_argument("--docs", type=Path, help="root of a documentation site  [default: Debian's python3-doc]")
    parser.add_argument("--site", help="only the site of this name")
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md alone")
    options = parser.parse_args()
    sites = [site for site in find_sites(options.docs) if options.site in {None, site.name}]
    with tempfile.TemporaryDirectory(prefix="h3push-bench-relay-") as directory:
        cells = asyncio.run(measure(options, sites, Path(directory)))
    header, found = rows(cells)
    said = [f"{machine()}; {options.rate:g} Mbit/s; medians of {options.runs} visits; milliseconds.", *saved(cells)]
    print("\n".join(["", *said]))
    if not options.no_write:
        lines = "\n".join(f"* {line}" for line in said[1:])
        write_section("relay", "\n\n".join([said[0], markdown_table(header, found), lines]))


if __name__ == "__main__":
    main()
