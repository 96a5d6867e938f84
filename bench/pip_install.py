"""Part of `make bench-relay`: real pip over a long link in real time, plainly over HTTPS and through `h3push relay`.

The index is `examples/package_index` with a project of 15 dependencies from PyPI, its wheels as they are. pip runs with no cache
into an empty directory, without compiling; every file that it installs has to be the same on both ways.
"""

import argparse
import asyncio
import contextlib
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from report import machine, markdown_table, text_table, write_section
from visits import command, connected

from h3push.server.certificates import DevelopmentCertificates, development_certificates

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROJECT = "mkdocs==1.6.1"
"""It has 13 requirements, and those have two more."""
WANTED = 1 / 3
"""Part of the plain time that the relay may take."""
PIP = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]


def download(directory: Path) -> list[Path]:
    """Get the wheels, from PyPI."""
    subprocess.run([*PIP, "download", "--only-binary", ":all:", "--dest", str(directory), PROJECT], check=True)
    return sorted(directory.glob("*.whl"))


async def install(index: str, target: Path, cafile: Path) -> tuple[float, str]:
    """Install it; seconds, and a digest of every file and its name."""
    words = ["install", "--no-compile", "--cert", cafile, "--index-url", index, "--target", target, PROJECT]
    began = time.perf_counter()
    own = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}  # these outdo --cert
    process = await asyncio.create_subprocess_exec(*PIP, *map(str, words), env=own)
    assert await process.wait() == 0, "pip failed"
    return time.perf_counter() - began, digest(target)


def digest(directory: Path) -> str:
    """Digest of a directory's files and their names."""
    whole = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            whole.update(str(path.relative_to(directory)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


@contextlib.asynccontextmanager
async def index(wheels: Path, made: DevelopmentCertificates, window: int) -> AsyncIterator[int]:
    """Serve the index; its port."""
    os.environ["WHEELS"] = str(wheels)
    flags = ("--certfile", made.certfile, "--keyfile", made.keyfile, "--port", 0, "--alt-svc", "", "-q")
    flags += ("--app-dir", EXAMPLES, "--initial-window", window)
    async with command("serve", "package_index.app:app", *flags) as server:
        yield int(await server.find(r"https://localhost:(\d+)"))


async def plain(port: int, made: DevelopmentCertificates, target: Path) -> tuple[float, str]:
    """Over HTTPS."""
    return await install(f"https://localhost:{port}/simple/", target, made.cafile)


async def relayed(port: int, made: DevelopmentCertificates, target: Path) -> tuple[float, str]:
    """Through a relay that nothing has gone through yet."""
    async with command("relay", f"https://localhost:{port}", "--listen", 0, "--cacert", made.cafile) as relay:
        base = await relay.find(r"(http://localhost:\d+) leads")
        await connected(base)
        return await install(f"{base}/simple/", target, made.cafile)


WAYS = {"plain HTTPS": (plain, 10), "relay": (relayed, 10), "relay, 32 packets first": (relayed, 32)}


async def measure(options: argparse.Namespace, directory: Path, wheels: Path) -> list[list[str]]:
    """A row for each link and way."""
    made = development_certificates(directory / "state", ["localhost"])
    digests, found = set(), []
    for rate in options.rate:
        plainly = 0.0
        for name, (way, window) in WAYS.items():
            seconds = []
            for run in range(options.runs):
                target = directory / f"{rate}-{name}-{run}"
                async with index(wheels, made, window) as port:
                    flags = ("--rtt", options.rtt, "--rate", rate)
                    async with command("lab", "link", "--listen", 0, "--to", port, *flags) as link:
                        near = int(await link.find(r"127\.0\.0\.1:(\d+) leads"))
                        took, one = await way(near, made, target)
                seconds.append(took)
                digests.add(one)
            middle = statistics.median(seconds)
            plainly = plainly or middle
            found.append([f"{options.rtt:g} ms, {rate:g} Mbit/s", name, f"{middle:.1f}", f"{middle / plainly:.2f}"])
            print(*found[-1], flush=True)
    target = directory / "near"
    async with index(wheels, made, 10) as port:
        took, one = await plain(port, made, target)
    digests.add(one)
    found.append(["no link", "plain HTTPS", f"{took:.1f}", ""])
    assert len(digests) == 1, "the files differ"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rtt", type=float, default=300, help="milliseconds")
    parser.add_argument("--rate", type=lambda text: list(map(float, text.split(","))), default=[10, 100], help="Mbit/s")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-write", action="store_true", help="leave docs/reference/benchmarks.md alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="h3push-bench-pip-") as text:
        directory = Path(text)
        wheels = download(directory / "wheels")
        size = sum(path.stat().st_size for path in wheels) / 1e6
        found = asyncio.run(measure(options, directory, directory / "wheels"))
    said = (
        f"{machine()}, a load of {os.getloadavg()[1]:.0f}; {PROJECT} and its {len(wheels) - 1} dependencies, "
        f"{size:.1f} MB of wheels; medians of {options.runs}; wanted: {WANTED:.2f} of plain HTTPS. Every installed file was "
        "the same on every way."
    )
    header = ["link", "way", "seconds", "of plain HTTPS"]
    print(said, text_table(header, found), sep="\n\n")
    if not options.no_write:
        write_section("pip_install", "\n\n".join([said, markdown_table(header, found)]))


if __name__ == "__main__":
    main()
