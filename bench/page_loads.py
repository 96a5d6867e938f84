"""`make bench-page-loads`: what pushing saves, computed exactly: the real client, server and QUIC in virtual time.

Two workloads over a symmetric link, with and without push, on a new connection (cold) and on one whose congestion window has
grown to what the link holds (warm), beside what no protocol can beat. With r the round trip, B the rate, T the time that the
server thinks before it answers, S all content and R the part of it that is the first document::

    handshake   h = r + 2 x 1228 / B            the two padded Initial packets of RFC 9000 section 14.1; 0 when warm
    no push     h + r + T + C / B + k r         for the slowest chain of k resources, C bytes with the first document
    push        h + r + T + R / B
    both        h + r + (n - 1) r               n = ceil(log2(1 + S / 12000)) rounds of slow start; 1 when warm
                h + r + S / B                   the largest of the three is the bound

S, C and R are content alone: headers, packet overhead, acknowledgments and the rest of the handshake come on top, some 5 %.
`h3push.lab.bounds` computes them, as it does for `h3push lab`.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from report import markdown_table, text_table, write_section

from h3push import ClientConnection, Request, Response
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.lab.bounds import bounds as lower_bounds
from h3push.lab.emulation import HOST, AccessLink
from h3push.lab.page_load import load_page
from h3push.lab.place import site_of_directory
from h3push.lab.scenarios import Cache, Scenario
from h3push.lab.site import Site, SiteResource
from h3push.lab.ways import LabWay
from h3push.plans.plan import ResourceKind, Stage
from h3push.testing import World, in_world

ROUND_TRIPS = (0.02, 0.1, 0.3, 0.6)
RATES = (2_000_000, 10_000_000, 50_000_000)

WARM_UP = 1_000_000
"""Bytes of the file that warms a connection; it is fetched until four times what the link holds has been moved."""
URL = f"https://{HOST}/"
MAX_PUSHES = 100


# the page: 10 resources, 74 kB, in three levels


def write_page(root: Path) -> None:
    """Write the page: a document, two style sheets, three scripts, two images, and two fonts that one sheet names."""
    references = [
        *(f'<link rel="stylesheet" href="/{name}.css">' for name in ("base", "theme")),
        *(f'<script src="/{name}.js" defer></script>' for name in ("vendor", "app", "view")),
    ]
    images = [f'<img src="/{name}.png" alt="">' for name in ("logo", "hero")]
    html = f"<!doctype html><html><head>{''.join(references)}</head><body>{''.join(images)}<p>"
    (root / "index.html").write_bytes(_filled(html.encode(), 8_000, b"</p></body></html>"))
    faces = "".join(f'@font-face{{font-family:{name};src:url("/{name}.woff2")}}' for name in ("text", "title"))
    (root / "theme.css").write_bytes(_filled(f"{faces}body{{font-family:text,title}}/*".encode(), 6_000, b"*/"))
    (root / "base.css").write_bytes(_filled(b"p{margin:0}/*", 6_000, b"*/"))
    for name in ("vendor.js", "app.js", "view.js"):
        (root / name).write_bytes(_filled(b"//", 10_000))
    for name in ("text.woff2", "title.woff2"):
        (root / name).write_bytes(_filled(b"wOF2", 10_000))
    for name in ("logo.png", "hero.png"):
        (root / name).write_bytes(_filled(b"\x89PNG", 2_000))
    (root / "warm.bin").write_bytes(bytes(WARM_UP))


def _filled(begin: bytes, size: int, end: bytes = b"") -> bytes:
    return begin + b"x" * (size - len(begin) - len(end)) + end


async def load_whole_page(client: ClientConnection, started: float) -> float:
    """Load the page; the seconds it took."""
    loaded = await load_page(client, URL, started=started)
    if len(loaded.resources) != 10 or loaded.content_bytes != PAGE_BYTES or loaded.unused:
        raise RuntimeError(f"{len(loaded.resources)} resources, {loaded.content_bytes} bytes, {loaded.unused} unused")
    return loaded.duration


PAGE_BYTES = 74_000


# the API: a chain of four documents of 2 kB, each naming the next; the first takes the server 30 ms

CHAIN = ("/orders", "/orders/1", "/customers/7", "/addresses/3")
DOCUMENT_BYTES = 2_000
THINKING = 0.03


def api(request: Request) -> Response | Awaitable[Response]:
    """The server of the API: it pushes the whole chain with the first document."""
    if request.path == "/warm.bin":
        return Response(200, {"content-type": "application/octet-stream"}, bytes(WARM_UP))
    if request.path == CHAIN[0]:
        return _think(request)
    return _document(request.path)


async def _think(request: Request) -> Response:
    for path in CHAIN[1:]:
        request.push_nowait(path)
    await asyncio.sleep(THINKING)
    return _document(request.path)


def _document(path: str) -> Response:
    position = CHAIN.index(path)
    following = CHAIN[position + 1] if position + 1 < len(CHAIN) else None
    content = json.dumps({"next": following, "text": ""}).encode()
    return Response(200, {"content-type": "application/json"}, _filled(content[:-2], DOCUMENT_BYTES, b'"}'))


def chain_site() -> Site:
    """The chain as the laboratory describes sites."""
    named = [
        SiteResource(path=path, kind=ResourceKind.FETCH, stage=Stage.DEFERRED, size=DOCUMENT_BYTES, named_in=(before,))
        for before, path in pairwise(CHAIN)
    ]
    return Site(name="API", path=CHAIN[0], size=DOCUMENT_BYTES, thinking=THINKING, resources=tuple(named))


async def load_chain(client: ClientConnection, started: float) -> float:
    """Fetch the chain, taking pushes that were promised; the seconds it took."""
    path: str | None = CHAIN[0]
    while path is not None:
        push = next((one for one in client.session.pushes.values() if one.request.path == path), None)
        response = await (client.get(path) if push is None else push.response())
        path = json.loads(await response.read())["next"]
    return asyncio.get_running_loop().time() - started


# the laboratory


@dataclass(frozen=True, slots=True)
class Workload:
    """A load, and the theory of it."""

    title: str
    handler: Callable[[Path], Callable[[Request], object]]
    load: Callable[[ClientConnection, float], Awaitable[float]]
    site: Callable[[Path], Site]


WORKLOADS = (
    Workload(
        "A page of 10 resources, 74 kB",
        lambda root: DirectoryHandler(Directory(root)),
        load_whole_page,
        lambda root: site_of_directory(root, "/"),
    ),
    Workload(
        "An API chain of depth 3, 4 x 2 kB",
        lambda _: api,
        load_chain,
        lambda _: chain_site(),
    ),
)


def bounds(workload: Workload, link: AccessLink, root: Path, *, warm: bool) -> tuple[float, float]:
    """Seconds that no protocol can beat: (without push, with push)."""
    scenario = Scenario(round_trip=link.round_trip, rate=link.rate, cache=Cache(warm=warm))
    found = lower_bounds(workload.site(root), scenario)
    return found[LabWay.NONE], found[LabWay.PUSH_PLANNED]


def measure(workload: Workload, link: AccessLink, root: Path, *, push: bool, warm: bool) -> float:
    """Seconds of one load, in virtual time."""

    async def load(world: World) -> float:
        started = 0.0
        if warm:
            pipe = link.rate / 8 * link.round_trip
            await asyncio.gather(*(_fetch(world.client, "/warm.bin") for _ in range(math.ceil(4 * pipe / WARM_UP))))
            await asyncio.sleep(5 * link.round_trip)
            started = world.now
        return await workload.load(world.client, started)

    max_pushes = MAX_PUSHES if push else None
    return in_world(workload.handler(root), load, host=HOST, link=link.settings(), max_pushes=max_pushes)


async def _fetch(client: ClientConnection, path: str) -> None:
    await (await client.get(path)).read()


def tables(root: Path) -> list[tuple[str, list[str], list[list[str]], list[str]]]:
    """(heading, header, rows, findings) of each table."""
    found = []
    for workload in WORKLOADS:
        for warm in (False, True):
            rows, findings = [], []
            for trip in ROUND_TRIPS:
                for rate in RATES:
                    link = AccessLink(round_trip=trip, rate=rate)
                    name = f"{trip * 1000:.0f} ms, {rate / 1e6:.0f} Mbit/s"
                    without = measure(workload, link, root, push=False, warm=warm)
                    pushed = measure(workload, link, root, push=True, warm=warm)
                    bound_without, bound = bounds(workload, link, root, warm=warm)
                    rows.append(
                        [
                            name,
                            *(f"{seconds * 1000:,.1f}" for seconds in (bound_without, without, bound, pushed)),
                            f"{pushed / without - 1:+.1%}",
                            f"{pushed / bound - 1:+.1%}",
                        ]
                    )
                    if pushed > 1.01 * without:
                        findings.append(f"{name}: push is {pushed / without - 1:.1%} slower than no push")
                    if bound < 4 * trip and pushed > 1.05 * bound:
                        findings.append(f"{name}: push is {pushed / bound - 1:.1%} over the bound")
            header = ["", "bound", "no push", "bound", "push", "push / no push", "push / bound"]
            state = "warm" if warm else "cold"
            found.append((f"{workload.title}, {state} connection, ms", header, rows, findings))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md as it is")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="h3push-bench-") as folder:
        write_page(Path(folder))
        found = tables(Path(folder))
    page = ["```text\n" + (__doc__ or "").partition("\n\n")[2].strip() + "\n```"]
    failed = False
    for heading, header, rows, findings in found:
        print(f"\n{heading}\n\n{text_table(header, rows)}\n")
        verdict = findings or ["Never more than 1 % slower than no push; within 5 % of bounds below four round trips."]
        failed = failed or bool(findings)
        print("\n".join(verdict))
        page += [f"### {heading}", markdown_table(header, rows), "\n".join(f"* {line}" for line in verdict)]
    if not arguments.no_write:
        write_section("page_loads", "\n\n".join(page))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
