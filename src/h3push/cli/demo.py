"""`h3push demo`: the bundled site, served, fetched with its pushes, and measured; no network needed."""

import asyncio
import shlex
import shutil
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed

if TYPE_CHECKING:
    from h3push.lab.page_load import PageLoad

MAX_PUSHES = 100
"""Pushes that the demo's client takes at once."""
ROUND_TRIP, RATE = 0.1, 10_000_000
"""The emulated link: seconds, and bits per second."""
PORT = 4433
"""The port that `serve` takes by default."""


@click.command(epilog="Example: h3push demo")
def demo() -> None:
    """Serve the bundled site, fetch it with its pushes, and measure what they save.

    First over a real UDP socket of this machine, with every byte checked; then over an emulated link of 100 ms and 10
    Mbit/s, without and with pushes.
    """
    from h3push.errors import H3PushError

    root = site_directory()
    try:
        show_fetch(root, asyncio.run(fetch_over_loopback(root)))
    except (H3PushError, OSError) as error:
        raise CommandFailed(f"the demo failed: {error}") from None
    show_gain(root)
    show_commands(root)


def site_directory() -> Path:
    """Where the bundled site is. It is package data, so it is a directory in every installation but a zipped one."""
    root = Path(str(resources.files("h3push").joinpath("site")))
    if not (root / "index.html").is_file():
        raise CommandFailed(f"the bundled site is not in this installation ({root})")
    return root


async def fetch_over_loopback(root: Path) -> "PageLoad":
    """Serve `root` on a free port with certificates of its own, and load its page with pushes."""
    from h3push.client.connect import connect
    from h3push.files.directory import Directory
    from h3push.files.handler import DirectoryHandler
    from h3push.lab.page_load import load_page
    from h3push.server.certificates import development_certificates
    from h3push.server.server import serve

    with tempfile.TemporaryDirectory(prefix="h3push-demo-") as directory:
        made = development_certificates(Path(directory))
        handler = DirectoryHandler(Directory(root))
        async with serve(handler, port=0, certfile=made.certfile, keyfile=made.keyfile) as server:
            url = f"https://localhost:{server.address[1]}/"
            address = server.address
            click.echo(f"Serving {root} at {url} over UDP, and fetching it with pushes.\n")
            started = asyncio.get_running_loop().time()
            client = connect(url, cafile=made.cafile, max_pushes=MAX_PUSHES, address=address)
            async with client:
                return await load_page(client, url, started=started)


def show_fetch(root: Path, load: "PageLoad") -> None:
    """Print each response, after comparing it with its file."""
    from h3push.cli.output.waterfall import Row, print_waterfall

    rows = [
        Row(
            path=resource.path,
            pushed=resource.pushed,
            body_bytes=len(resource.content),
            started=resource.started,
            first_byte=resource.first_byte,
            ended=resource.ended,
        )
        for resource in load.resources
    ]
    print_waterfall(rows, load.started)
    check_contents(root, load)
    pushed = sum(resource.pushed for resource in load.resources)
    click.echo(
        f"\n{len(rows)} responses, {pushed} of them pushed, {load.content_bytes:,} bytes: each the same as its file."
        f" {load.duration * 1000:.1f} ms with the handshake.\n"
    )


def check_contents(root: Path, load: "PageLoad") -> None:
    """Compare what arrived with the files; one difference is a failure."""
    from h3push.files.directory import Directory

    served = Directory(root)
    for resource in load.resources:
        found = served.find(resource.path)
        if found is None or found.path.read_bytes() != resource.content:
            raise CommandFailed(f"what arrived for {resource.path} is not what is in its file")


def show_gain(root: Path) -> None:
    """Load the page over the emulated link, without and with pushes, and print both times."""
    from h3push.lab.emulation import AccessLink, emulated_page_load

    link = AccessLink(round_trip=ROUND_TRIP, rate=RATE)
    without = emulated_page_load(root, "/", link, max_pushes=None)
    pushed = emulated_page_load(root, "/", link, max_pushes=MAX_PUSHES)
    for load in (without, pushed):
        check_contents(root, load)
    click.echo(
        f"The same page over an emulated link of {ROUND_TRIP * 1000:.0f} ms and {RATE / 1e6:.0f} Mbit/s"
        " (the real stack in virtual time, handshake included):\n"
    )
    click.echo(f"{'':<14}{'shown after':>14}{'complete after':>17}")
    for name, load in (("without push", without), ("with push", pushed)):
        click.echo(f"{name:<14}{load.blocking_duration * 1000:>11.1f} ms{load.duration * 1000:>14.1f} ms")
    shown = gain(without.blocking_duration, pushed.blocking_duration)
    complete = gain(without.duration, pushed.duration)
    click.echo(f"{'gain':<14}{shown:>14}{complete:>17}\n")


def gain(before: float, after: float) -> str:
    """How much less time it took, in per cent; negative when it took more."""
    return f"{(before - after) / before:.0%}"


def show_commands(root: Path) -> None:
    """Print the two commands to go on with."""
    from h3push.server.certificates import state_directory

    program = program_name()
    serve = [program, "serve", str(root), "--dev"]
    get = [
        program,
        "get",
        "-v",
        "--cacert",
        str(state_directory() / "ca.pem"),
        "-o",
        "/dev/null",
        f"https://localhost:{PORT}/",
    ]
    click.echo("Go on by hand, in two terminals:\n")
    for command in (serve, get):
        click.echo(f"    {shlex.join(command)}")


def program_name() -> str:
    """How the user can start us: `h3push` when that is on the path, else the way we were started."""
    found = shutil.which("h3push")
    started = Path(sys.argv[0])
    if started.name != "h3push" or (found is not None and Path(found).resolve() == started.resolve()):
        return "h3push"
    return str(started)
