"""A crawl of a documentation site with and without pushes: what planning costs a server, and everybody who waits for it.

    python bench/crawl.py [--pages 1000] [--rounds 3]

Makes the site itself: pages that share five style sheets, three scripts, two fonts and a few images, each page of its own text.
Then `h3push serve` serves it, a new process for each round, so that no page was seen before. Two connections that take pushes ask
for every page, eight at a time, and read whatever is pushed; a third one asks for a small file now and then, to tell how long
others wait. Prints medians. The exit code is 1 when the crawl with `--push auto` is less than half as fast as with `--push off`.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import h3push

WANTED = 0.5
CONNECTIONS = 2
AT_A_TIME = 8
PROBE_EVERY = 0.02
SHEETS = {"framework.css": 1_500, "theme.css": 600, "code.css": 150, "print-and-screen.css": 100, "custom.css": 60}
WORDS = (
    *("push", "promise", "stream", "frame", "header", "field", "server", "client", "page", "sheet", "font", "image"),
    *("scan", "plan", "cache", "link", "round", "trip"),
)


@dataclass(frozen=True, slots=True)
class Crawl:
    """One crawl."""

    pages_per_second: float
    pushes: int
    waits: list[float]
    """Seconds that another client waited for each of its requests."""


def sheet(name: str, rules: int) -> str:
    """CSS as frameworks have it: many classes, of which a page uses few, and now and then a file."""
    made = [f"/* {name} */"]
    for n in range(rules):
        made.append(
            f".{name[0]}-{n} .item-{n % 17}:hover > li {{ margin: 0 {n}px; color: #12{n % 10}; padding: 1px 2px }}"
        )
        if n % 40 == 0:
            made.append(f".{name[0]}-icon-{n} {{ background: #fff url(images/{name[0]}{n}.png) no-repeat }}")
    if name == "theme.css":
        made.append("@font-face { font-family: Text; src: url(text.woff2) format('woff2') }")
        made.append("@font-face { font-family: Code; src: url(code.woff2) format('woff2') }")
        made.append("body { font-family: Text, serif } pre { font-family: Code, monospace }")
        made.append(".logo { background: url(images/logo.png) }")
    return "\n".join(made)


def page(number: int, pages: int) -> str:
    """A page with a menu of a hundred links and some thousand words."""
    menu = "".join(
        f'<li class="toctree-l1"><a class="reference" href="page{(number + n) % pages}.html">Section {n}</a></li>'
        for n in range(100)
    )
    text = "".join(
        f"<section id=s{n}><h2>{WORDS[(number + n) % len(WORDS)]}</h2><p>"
        + " ".join(WORDS[(number * 7 + n * 3 + word) % len(WORDS)] for word in range(60))
        + "</p><pre><span class=k>def</span> <span class=nf>f</span>()</pre></section>"
        for n in range(20)
    )
    links = "".join(f"<link rel=stylesheet href=static/{name}>" for name in SHEETS)
    scripts = "".join(f"<script src=static/{name}.js defer></script>" for name in ("search", "menu", "copy"))
    own = f"<img src=static/images/figure{number}.png>" if number % 5 == 0 else ""
    return f"<!doctype html><title>{number}</title>{links}{scripts}<div class=logo></div><ul>{menu}</ul>{text}{own}"


def write_site(root: Path, pages: int) -> None:
    """Write everything; what only unused rules name is not there, as nobody would notice."""
    images = root / "static" / "images"
    images.mkdir(parents=True)
    for name, rules in SHEETS.items():
        (root / "static" / name).write_text(sheet(name, rules))
    for name, size in {
        "search.js": 40_000,
        "menu.js": 5_000,
        "copy.js": 2_000,
        "text.woff2": 30_000,
        "code.woff2": 20_000,
    }.items():
        (root / "static" / name).write_bytes(os.urandom(size))
    (images / "logo.png").write_bytes(os.urandom(3_000))
    for number in range(pages):
        (root / f"page{number}.html").write_text(page(number, pages))
        if number % 5 == 0:
            (images / f"figure{number}.png").write_bytes(os.urandom(2_000))


async def crawl(root: Path, state: Path, push: str, pages: int) -> Crawl:
    """Serve the site in a process of its own and ask for all of it."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from h3push.cli import main; main()", "serve", str(root), "--dev", "--dev-dir", str(state),
        "--port", "0", "--push", push, "--quiet", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    drained = None
    try:
        assert server.stderr is not None
        url = ""
        while not url.startswith("https://"):
            line = (await server.stderr.readline()).decode()
            if not line:
                raise SystemExit("the server did not start")
            url = line.partition(" at ")[2].partition(" ")[0]
        drained = asyncio.create_task(server.stderr.read())
        return await visit(url, state / "ca.pem", pages)
    finally:
        server.terminate()
        await server.wait()
        if drained is not None:
            await drained


async def visit(url: str, cafile: Path, pages: int) -> Crawl:
    """Ask for every page once, over two connections."""
    waiting = iter(range(pages))
    pushes = 0

    async def fetch_pages(client: h3push.ClientConnection) -> None:
        nonlocal pushes
        for number in waiting:
            response = await client.get(f"/page{number}.html")
            assert response.status == 200
            await response.read()
            async for push in response.pushes():
                pushes += 1
                await (await push.response()).read()

    def connect() -> h3push.ClientConnection:
        return h3push.connect(url, cafile=cafile, max_pushes=100)

    async with connect() as first, connect() as second, h3push.connect(url, cafile=cafile) as other:
        probing = asyncio.create_task(probe(other))
        begin = time.perf_counter()
        clients = [first, second] * (AT_A_TIME // CONNECTIONS)
        await asyncio.gather(*map(fetch_pages, clients))
        seconds = time.perf_counter() - begin
        probing.cancel()
        waits = (await asyncio.gather(probing, return_exceptions=True))[0]
    assert isinstance(waits, list)
    return Crawl(pages / seconds, pushes, waits)


async def probe(client: h3push.ClientConnection) -> list[float]:
    """Ask for a small file until cancelled, and note how long each answer took."""
    waits: list[float] = []
    try:
        while True:
            begin = time.perf_counter()
            await (await client.get("/static/images/logo.png")).read()
            waits.append(time.perf_counter() - begin)
            await asyncio.sleep(PROBE_EVERY)
    except asyncio.CancelledError:
        return waits


def main() -> int:
    """Crawl, print, judge."""
    parser = argparse.ArgumentParser(description="Crawl a site with and without pushes.")
    parser.add_argument("--pages", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    speed = {}
    with tempfile.TemporaryDirectory() as directory:
        root, state = Path(directory) / "site", Path(directory) / "state"
        write_site(root, options.pages)
        rounds: dict[str, list[Crawl]] = {"off": [], "auto": []}
        for _ in range(options.rounds):
            for push, done in rounds.items():
                done.append(asyncio.run(crawl(root, state, push, options.pages)))
        for push, done in rounds.items():
            speed[push] = statistics.median(one.pages_per_second for one in done)
            waits = sorted(wait for one in done for wait in one.waits)
            print(
                f"--push {push:4}  {speed[push]:7.0f} pages/s  {done[0].pushes:6d} pushes  another client waits "
                f"{statistics.median(waits) * 1e3:5.1f} ms, at most {waits[-1] * 1e3:5.1f} ms"
            )
    ratio = speed["auto"] / speed["off"]
    print(f"with pushes {ratio:.2f} times as fast as without; wanted: {WANTED} or more")
    return 0 if ratio >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
