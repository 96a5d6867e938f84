"""`make bench-relay`: what the near relay saves in a real browser, over a long link in real time.

Headless Chromium loads pages of three sites through `h3push lab link`: directly over HTTP/2, directly over HTTP/3 with 103, and
through `h3push relay`, which stands on the browser's side of the link and speaks HTTP/1.1 over loopback::

    browser ───────────── link ── serve        h2, h3
    browser ── relay ──── link ── serve        relay: its connection is open and its cache empty
    browser ── relay ──── link ── serve        known: three other pages of the site were loaded through it by another browser

"wide" is the same as h3 or relay with a server whose first window is 32 packets. The sites are the one of `h3push demo`, Python's
documentation, both served by `h3push serve`, and Django's admin behind `h3push proxy`.

Every visit has a browser context of its own, so nothing is cached in the browser, and loads a first page and a second one. Times
are the browser's own (Navigation Timing), bytes are the link's. The medians of `--runs` visits stand in the tables. What was
measured is kept in `--cells`, and a further run goes on from there.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import devtools
from report import machine, markdown_table, text_table, write_section
from visits import Between, Measured, Site, direct, relayed, served

import h3push
from h3push.server.certificates import DevelopmentCertificates, development_certificates

WAYS = {
    "h2": "HTTP/2",
    "h3": "HTTP/3 with 103",
    "relay": "relay, nothing cached",
    "known": "relay, site known",
    "wide-h3": "HTTP/3 with 103, 32 packets first",
    "wide-relay": "relay, nothing cached, 32 packets first",
}
WIDE = 32
"""Packets of the wider first window."""
WANTED = {"relay": 40, "known": 60}
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
        "second: load", "kB", "used kB", "in vain kB",
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
        where = f"{cell.site}, {cell.rtt:g} ms, {cell.loss:g} %"
        found.append([where, WAYS[cell.way], *(f"{figure:,.0f}" for figure in figures)])
    return header, found


def saved(cells: Cells) -> list[list[str]]:
    """How much earlier the load event is than directly over HTTP/3, beside what is wanted."""
    found = []
    for cell, one in cells.items():
        base = cells.get(cell.by("h3"))
        if cell.way not in {"relay", "known", "wide-relay"} or base is None:
            continue
        loads = [median([load.loaded for load in each.first]) for each in (one, base)]
        share = 100 * (1 - loads[0] / loads[1])
        byte = median([load.first_byte for load in one.first]) / cell.rtt
        waste = 100 * median(one.wasted) / max(1, median(one.octets))
        found.append(
            [f"{cell.site}, {cell.rtt:g} ms, {cell.loss:g} %", WAYS[cell.way], f"{share:+.0f} %", f"{byte:.2f}",
             f"{waste:.1f} %", ", ".join(short(cell, share, byte, waste)) or "none"]
        )  # fmt: skip
    return found


def short(cell: Cell, share: float, byte: float, waste: float) -> Iterator[str]:
    """What falls short of what is wanted."""
    wanted = WANTED.get(cell.way.removeprefix("wide-"), 0)
    if cell.rtt == 300 and share < wanted:
        yield f"load event (wanted {wanted} %)"
    if cell.rtt == 300 and byte > 1.15:
        yield "first byte (wanted 1.15)"
    if cell.rtt == 20 and share < -5:
        yield "load event more than 5 % later"
    if waste > 5:
        yield "waste (wanted 5 %)"


async def measure(options: argparse.Namespace, sites: list[Site], cells: Cells, directory: Path) -> None:
    """Fill the cells that are not there yet, while there is time."""
    made = development_certificates(directory / "state", ["localhost"])
    until = time.monotonic() + 60 * options.budget
    for loss in options.loss:
        for rtt in options.rtt:
            for site in sites:
                for way in options.way:
                    cell = Cell(site.name, rtt, loss, way)
                    if cell in cells or (way.startswith("wide") and rtt < 300):
                        continue
                    if time.monotonic() > until:
                        print("time is up", flush=True)
                        return
                    await fill(cell, site, cells, options, made, directory)


async def fill(
    cell: Cell, site: Site, cells: Cells, options: argparse.Namespace, made: DevelopmentCertificates, directory: Path
) -> None:
    """Measure one cell. One that fails is told of and left for the next run."""
    kind = cell.way.removeprefix("wide-")
    between = Between(cell.rtt, options.rate, cell.loss, WIDE if cell.way.startswith("wide") else 10)
    place = directory / cell.key.replace("|", "-").replace(" ", "-")
    try:
        async with served(site, made, between) as way:
            load = direct if kind in {"h2", "h3"} else relayed
            cells[cell] = await load(kind, site, way, options.runs, place)
    except (TimeoutError, RuntimeError, OSError) as error:
        print(f"{cell.key}: {error!r}", flush=True)
        return
    write_cells(options.cells, cells)
    print(text_table(*rows({cell: cells[cell]})), flush=True)


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def find_sites(docs: Path | None) -> list[Site]:
    """The bundled site, Python's documentation where Debian's package is, and Django's admin."""
    own = Path(h3push.__file__).parent / "site"
    sites = [Site("bundled site", own, "/", "/", ("/",))]
    found = docs or next(iter(sorted(Path("/usr/share/doc").glob("python3.*/html"))), None)
    if found is not None:
        others = ("/library/json.html", "/library/socket.html", "/tutorial/classes.html")
        sites.append(
            Site("Python's documentation", found, "/library/asyncio-task.html", "/library/asyncio-stream.html", others)
        )
    others = ("/admin/auth/group/", "/admin/auth/user/add/", "/admin/auth/")
    return [*sites, Site("Django's admin", None, "/admin/", "/admin/auth/user/", others)]


def ordered(cells: Cells, sites: list[Site]) -> Cells:
    """In the order of the page."""
    names, ways = [site.name for site in sites], list(WAYS)
    wanted = [cell for cell in cells if cell.site in names]
    wanted.sort(key=lambda cell: (names.index(cell.site), cell.rtt, cell.loss, ways.index(cell.way)))
    return {cell: cells[cell] for cell in wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rtt", type=numbers, default=[300, 20, 100, 600], help="round trips, in milliseconds")
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
    known = find_sites(options.docs)
    cells = {} if options.fresh else read_cells(options.cells)
    with tempfile.TemporaryDirectory(prefix="h3push-bench-relay-", ignore_cleanup_errors=True) as directory:
        sites = [site for site in known if options.site in {None, site.name}]
        asyncio.run(measure(options, sites, cells, Path(directory)))
    cells = ordered(cells, known)
    count = sum(len({cell.way for cell in cells if cell.site == site.name}) > 0 for site in known)
    said = (
        f"{machine()}; {options.rate:g} Mbit/s; medians of {options.runs} visits; milliseconds. {len(cells)} cells of "
        f"{count} sites. At the end of the run the machine had a load of {os.getloadavg()[1]:.0f} on {os.cpu_count()} "
        "cores: what is "
        "relative counts, and each way loses some tens of milliseconds by it."
    )
    header = [
        "site, link",
        "way",
        "load event earlier than HTTP/3 with 103",
        "first byte, round trips",
        "waste",
        "short",
    ]
    tables = [said, markdown_table(*rows(cells)), markdown_table(header, saved(cells))]
    print("\n\n".join([said, text_table(header, saved(cells))]))
    if not options.no_write:
        write_section("relay", "\n\n".join(tables))


if __name__ == "__main__":
    main()
