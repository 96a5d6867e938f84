"""`make bench-relay`: what the near relay saves in a real browser, over a long link in real time.

Headless Chromium loads pages of three sites through `h3push lab link`: directly over HTTP/2, directly over HTTP/3 with 103, and
through `h3push relay`, which stands on the browser's side of the link and speaks HTTP/1.1 over loopback::

    browser ───────────── link ── serve        h2, h3
    browser ── relay ──── link ── serve        relay: its connection is open, has carried nothing, and its cache is empty
    browser ── relay ──── link ── serve        used: its connection has carried something that no page of the site has
    browser ── relay ──── link ── serve        known: three other pages of the site were loaded through it by another browser

"wide" is the same as h3 or relay with a server whose first window is 32 packets. The sites are the one of `h3push demo`, Python's
documentation, both served by `h3push serve --compress`, and Django's admin behind `h3push proxy`. A server has been asked for its
pages before. But a plan is for one authority, and each cell's link has a port of its own: the first visit of a cell finds no
plan for a large page, and the median leaves it out.

Every visit has a browser of its own, so nothing is cached in it and its connections are new; it has loaded an empty page of
another server. It loads a first page of the site and a second one. Times are the browser's own (Navigation Timing), bytes are the
link's. The medians of `--runs` visits stand in the tables. What was measured is kept in `--cells`, and a further run goes on from
there. The cells of a round trip of 0 have no link: what they take is the work of browser, relay and server.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import devtools
from report import machine, markdown_table, text_table, write_section
from visits import CARRIED, Between, Measured, Site, Way, direct, linked, origin, relayed, see

import h3push
from h3push.server.certificates import development_certificates

WAYS = {
    "h2": "HTTP/2",
    "h3": "HTTP/3 with 103",
    "relay": "relay, nothing cached",
    "used": "relay, nothing cached, connection used",
    "known": "relay, site known",
    "wide-h3": "HTTP/3 with 103, 32 packets first",
    "wide-relay": "relay, nothing cached, 32 packets first",
}
RELAYED = frozenset({"relay", "used", "known", "wide-relay"})
WIDE = 32
"""Packets of the wider first window."""
WANTED = {"relay": 40, "used": 40, "known": 60}
"""Per cent by which the load event has to be earlier at 300 ms."""
CELLS = Path("build/bench-relay.json")


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured."""

    site: str
    rtt: float
    loss: float
    way: str

    @property
    def key(self) -> str:
        """Its name in the file."""
        return f"{self.site}|{self.rtt:g}|{self.loss:g}|{self.way}"

    @property
    def where(self) -> str:
        """Its name in the tables, without the way."""
        return f"{self.site}, {self.rtt:g} ms, {self.loss:g} %" if self.rtt else f"{self.site}, no link"

    def by(self, way: str) -> "Cell":
        """The same by another way."""
        return dataclasses.replace(self, way=way)


Cells = dict[Cell, Measured]


def read_cells(path: Path) -> Cells:
    """Read what was measured before."""
    if not path.exists():
        return {}
    found: Cells = {}
    for key, told in json.loads(path.read_text()).items():
        site, rtt, loss, way = key.split("|")
        loads = {name: [devtools.Timing(**one) for one in told.pop(name)] for name in ("first", "second")}
        found[Cell(site, float(rtt), float(loss), way)] = Measured(**loads, **told)
    return found


def write_cells(path: Path, cells: Cells) -> None:
    """Keep what was measured: whole, or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({cell.key: dataclasses.asdict(one) for cell, one in cells.items()}, indent=1))
    beside.replace(path)


def median(values: list[float]) -> float:
    return statistics.median(values)


def rows(cells: Cells) -> tuple[list[str], list[list[str]]]:
    """The table: a row for each way."""
    header = [
        "site, link", "way", "first byte", "DOM ready", "painted", "load", "second: DOM ready", "second: painted",
        "second: load", "kB", "used kB", "wasted kB",
    ]  # fmt: skip
    found = []
    for cell, one in cells.items():
        first, second = one.first, one.second
        figures = [
            median([load.first_byte for load in first]), median([load.dom_ready for load in first]),
            median([load.painted for load in first]), median([load.loaded for load in first]),
            median([load.dom_ready for load in second]), median([load.painted for load in second]),
            median([load.loaded for load in second]),
            median(one.octets) / 1000, median(one.used) / 1000, median(one.wasted) / 1000,
        ]  # fmt: skip
        found.append([cell.where, WAYS[cell.way], *(f"{figure:,.0f}" for figure in figures)])
    return header, found


@dataclass(frozen=True, slots=True)
class FirstByte:
    """When the first byte came, in round trips."""

    of_visit: float
    """From the beginning of the visit."""
    of_request: float
    """From the document's request."""
    of_link: float
    """The same less what it takes where there is no link: the work of browser, relay and server."""

    def __str__(self) -> str:
        return f"{self.of_visit:.2f} / {self.of_request:.2f} / {self.of_link:.2f}"


def first_byte(cell: Cell, cells: Cells) -> FirstByte:
    """The first byte of a cell."""
    near = cells.get(dataclasses.replace(cell, rtt=0, loss=0, way="relay"))
    of_visit = median([load.first_byte for load in cells[cell].first])
    request = median([load.first_byte - load.requested for load in cells[cell].first])
    work = 0 if near is None else median([load.first_byte - load.requested for load in near.first])
    return FirstByte(of_visit / cell.rtt, request / cell.rtt, max(0, request - work) / cell.rtt)


SAVED = ("site, link", "way", "load event earlier than HTTP/3 with 103", "first byte, round trips", "waste", "short")


def saved(cells: Cells) -> list[list[str]]:
    """How much earlier the load event is than directly over HTTP/3, beside what is wanted."""
    found = []
    for cell, one in cells.items():
        base = cells.get(cell.by("h3"))
        if cell.way not in RELAYED or base is None or cell.rtt == 0:
            continue
        loads = [median([load.loaded for load in each.first]) for each in (one, base)]
        share = 100 * (1 - loads[0] / loads[1])
        byte = first_byte(cell, cells)
        waste = 100 * median(one.wasted) / max(1, median(one.octets))
        found.append(
            [cell.where, WAYS[cell.way], f"{share:+.0f} %", str(byte), f"{waste:.1f} %",
             ", ".join(short(cell, share, byte, waste)) or "none"]
        )  # fmt: skip
    return found


def short(cell: Cell, share: float, byte: FirstByte, waste: float) -> Iterator[str]:
    """What falls short of what is wanted."""
    wanted = WANTED.get(cell.way.removeprefix("wide-"), 0)
    if cell.rtt == 300 and share < wanted:
        yield f"load event (wanted {wanted} %)"
    if cell.rtt == 300 and byte.of_request > 1.15:
        yield (
            "first byte (wanted 1.15)"
            if byte.of_link > 1.15
            else "first byte (wanted 1.15), by the work without a link"
        )
    if cell.rtt == 20 and share < -5:
        yield "load event more than 5 % later"
    if waste > 5:
        yield "waste (wanted 5 %)"


def wanted_cells(options: argparse.Namespace, sites: list[Site]) -> Iterator[tuple[Cell, Site]]:
    """All cells, in the order in which they are filled: those without a link, then as the round trips are given."""
    for rtt in (0.0, *options.rtt):
        for loss in options.loss if rtt else [0.0]:
            for site in sites:
                for way in options.way:
                    cell = Cell(site.name, rtt, loss, way)
                    if way in {"h3", "relay"} or (rtt and (not way.startswith("wide") or (rtt == 300 and loss == 0))):
                        yield cell, site


class Servers:
    """The servers, which stay for all cells."""

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self.made = development_certificates(directory / "state", ["localhost"])
        self._directory = directory
        self._stack = stack
        self._ports: dict[tuple[str, int], int] = {}

    async def port(self, site: Site, window: int) -> int:
        """Where one is; it is begun, and asked for its pages, when it is wanted first."""
        key = site.name, window
        if key not in self._ports:
            port = self._ports[key] = await self._stack.enter_async_context(origin(site, self.made, window))
            await see(site, Way(port, None, self.made), self._directory / f"{site.name}-{window}")
        return self._ports[key]


async def measure(options: argparse.Namespace, sites: list[Site], cells: Cells, directory: Path) -> None:
    """Fill the cells that are not there yet, while there is time."""
    until = time.monotonic() + 60 * options.budget
    async with AsyncExitStack() as stack:
        servers = Servers(directory, stack)
        for cell, site in wanted_cells(options, sites):
            if cell in cells:
                continue
            if time.monotonic() > until:
                print("time is up", flush=True)
                return
            await fill(cell, site, cells, options, servers, directory)


async def fill(
    cell: Cell, site: Site, cells: Cells, options: argparse.Namespace, servers: Servers, directory: Path
) -> None:
    """Measure one cell. One that fails is told of and left for the next run."""
    kind = cell.way.removeprefix("wide-")
    place = directory / cell.key.replace("|", "-").replace(" ", "-")
    began = time.monotonic()
    try:
        port = await servers.port(site, WIDE if cell.way.startswith("wide") else 10)
        async with linked(port, servers.made, Between(cell.rtt, options.rate, cell.loss)) as way:
            load = direct if kind in {"h2", "h3"} else relayed
            cells[cell] = await load(kind, site, way, options.runs, place)
    except (TimeoutError, RuntimeError, OSError, HTTPException) as error:
        print(f"{cell.key}: {error!r}", flush=True)
        return
    write_cells(options.cells, cells)
    print(f"{cell.key} took {time.monotonic() - began:.0f} s", flush=True)
    print(text_table(*rows({cell: cells[cell]})), flush=True)


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def find_sites(docs: Path | None, directory: Path) -> list[Site]:
    """The bundled site, Python's documentation where Debian's package is, and Django's admin."""
    own = directory / "site"
    shutil.copytree(Path(h3push.__file__).parent / "site", own)
    (own / "download").write_bytes(os.urandom(2 * CARRIED))
    sites = [Site("bundled site", own, "/", "/", ("/",), "/download")]
    found = docs or next(iter(sorted(Path("/usr/share/doc").glob("python3.*/html"))), None)
    if found is not None:
        first, second = "/library/asyncio-task.html", "/library/asyncio-stream.html"
        others = ("/library/json.html", "/library/socket.html", "/tutorial/classes.html")
        sites.append(Site("Python's documentation", found, first, second, others, "/searchindex.js"))
    others = ("/admin/auth/group/", "/admin/auth/user/add/", "/admin/auth/")
    return [*sites, Site("Django's admin", None, "/admin/", "/admin/auth/user/", others, "/download")]


def ordered(cells: Cells, sites: list[Site]) -> Cells:
    """In the order of the page."""
    names, ways = [site.name for site in sites], list(WAYS)
    wanted = [cell for cell in cells if cell.site in names]
    wanted.sort(key=lambda cell: (names.index(cell.site), cell.rtt, cell.loss, ways.index(cell.way)))
    return {cell: cells[cell] for cell in wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rtt", type=numbers, default=[300, 100, 600, 20], help="round trips, in milliseconds")
    parser.add_argument("--loss", type=numbers, default=[0, 0.5], help="packets lost, in per cent")
    parser.add_argument("--rate", type=float, default=10, help="Mbit/s")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--way", type=lambda text: text.split(","), default=list(WAYS), help=", ".join(WAYS))
    parser.add_argument("--docs", type=Path, help="root of a documentation site  [default: Debian's python3-doc]")
    parser.add_argument("--site", help="only the site of this name")
    parser.add_argument("--cells", type=Path, default=CELLS, help=f"what is measured is kept there  [default: {CELLS}]")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--budget", type=float, default=float("inf"), help="begin no cell after so many minutes")
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md alone")
    options = parser.parse_args()
    cells = {} if options.fresh else read_cells(options.cells)
    with tempfile.TemporaryDirectory(prefix="h3push-bench-relay-", ignore_cleanup_errors=True) as directory:
        known = find_sites(options.docs, Path(directory))
        sites = [site for site in known if options.site in {None, site.name}]
        asyncio.run(measure(options, sites, cells, Path(directory)))
    cells = ordered(cells, known)
    count = sum(len({cell.way for cell in cells if cell.site == site.name}) > 0 for site in known)
    said = (
        f"{machine()}; {options.rate:g} Mbit/s; medians of {options.runs} visits; milliseconds. {len(cells)} cells of "
        f"{count} sites. At the end the machine had a load of {os.getloadavg()[1]:.0f} on {os.cpu_count()} cores. First byte, "
        "in round trips: from the beginning of the visit / from the document's request / the same less what that takes where "
        "there is no link."
    )
    tables = [said, markdown_table(*rows(cells)), markdown_table(list(SAVED), saved(cells))]
    print("\n\n".join([said, text_table(list(SAVED), saved(cells))]))
    if not options.no_write:
        write_section("relay", "\n\n".join(tables))


if __name__ == "__main__":
    main()
