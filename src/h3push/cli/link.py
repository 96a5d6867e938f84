"""`h3push lab link`: a long link in real time, between programs that are real."""

import asyncio
import re
import signal
import sys
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, bind_failure, say

if TYPE_CHECKING:
    from h3push.lab.forwarder import Forwarder
    from h3push.lab.passage import Passed
    from h3push.testing.link import LinkSettings

Both = tuple[float, float]
"""A value for each direction: from the server, to the server."""
_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]/]+):)?(?P<port>\d{1,5})")
_QUEUE = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|kB|B)")


def read_address(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, int]:
    """Read HOST:PORT, or a port of this machine."""
    found = _ADDRESS.fullmatch(value)
    if found is None or int(found["port"]) > 65535:
        raise click.BadParameter(f"{value!r} is neither HOST:PORT nor a port")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])


def read_both(low: float, high: float, unit: str) -> "type[click.ParamType[Both]]":
    """Make the type of an option with a number for both directions, or DOWN/UP."""

    class Numbers(click.ParamType[Both]):
        name = unit

        def convert(self, value: object, _param: click.Parameter | None, _ctx: click.Context | None) -> Both:
            if isinstance(value, tuple):
                return value
            words = str(value).split("/")
            try:
                found = [float(word) for word in words]
            except ValueError:
                found = []
            if len(found) not in {1, 2} or not all(low <= one <= high for one in found):
                self.fail(f"{value!r} is no number between {low:g} and {high:g} {unit}, nor two such as 50/10")
            return found[0], found[-1]

    return Numbers


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push lab link --listen 4500 --to 4433 --rtt 300 --rate 10 --loss 0.1",
)
@click.option("--listen", required=True, metavar="HOST:PORT", callback=read_address,
              help="Where clients come, over UDP and TCP; a port alone is one of 127.0.0.1.")  # fmt: skip
@click.option("--to", required=True, metavar="HOST:PORT", callback=read_address, help="Where the server is.")
@click.option("--rtt", default=100.0, type=click.FloatRange(0, 10_000), metavar="MS",
              help="Round trip, half of it in each direction.")  # fmt: skip
@click.option("--rate", type=read_both(0.01, 10_000, "Mbit/s")(), metavar="MBIT[/UP]",
              help="Rate in each direction, or of both: from the server / to it.  [default: no limit]")  # fmt: skip
@click.option("--loss", default="0", type=read_both(0, 50, "per cent")(), metavar="PERCENT[/UP]", help="Packets lost.")
@click.option("--queue", default="100ms", metavar="SIZE",
              help="What may wait for a rate: 100ms of it, or 64kB.")  # fmt: skip
@click.option("--jitter", default=0.0, type=click.FloatRange(0, 10_000), metavar="MS",
              help="Further delay, by chance, in each direction.")  # fmt: skip
@click.option("--seed", default=0, type=int, metavar="N", help="Decides which packets are lost.")
@click.option("--report", type=click.FloatRange(0.1), metavar="SECONDS", help="Say what passed so often, too.")
def link(
    listen: tuple[str, int],
    to: tuple[str, int],
    rtt: float,
    rate: Both | None,
    loss: Both,
    queue: str,
    jitter: float,
    seed: int,
    report: float | None,
) -> int:
    """Put a long link between clients and a server, in real time: delay, rate, queue and loss.

    Clients are told the address of --listen instead of the server's. UDP passes packet by packet. TCP is ended on both sides,
    and what it does on a long link is emulated: a handshake, slow start, and a window that losses halve. Ctrl-C says what
    passed.
    """
    from h3push.lab.fine_selector import fine_loop

    down, up = (
        link_settings(rtt / 2000, None if rate is None else rate[way], loss[way], queue, jitter) for way in (0, 1)
    )
    with asyncio.Runner(loop_factory=fine_loop) as runner:
        runner.run(_forward(listen, to, (down, up), seed, report))
    return ExitCode.DONE


def link_settings(delay: float, rate: float | None, loss: float, queue: str, jitter: float) -> "LinkSettings":
    """Make the settings of one direction, of seconds, Mbit/s, per cent, and milliseconds of jitter."""
    from h3push.testing.link import LinkSettings

    bits = None if rate is None else round(rate * 1e6)
    return LinkSettings(
        delay=delay, rate=bits, queue=queue_bytes(queue, bits), loss=loss / 100, jitter=jitter / 1000
    )  # fmt: skip


def queue_bytes(text: str, rate: int | None) -> int | None:
    """Read `100ms` or `64kB`; no less than two full packets, without which nothing passes."""
    found = _QUEUE.fullmatch(text)
    if found is None:
        raise click.UsageError(f"--queue: {text!r} is neither a time such as 100ms nor a size such as 64kB")
    if rate is None:
        return None
    number = float(found["number"])
    size = {"ms": number / 8000 * rate, "kB": number * 1000, "B": number}[found["unit"]]
    return max(3000, round(size))


async def _forward(
    listen: tuple[str, int],
    to: tuple[str, int],
    both: "tuple[LinkSettings, LinkSettings]",
    seed: int,
    every: float | None,
) -> None:
    from h3push.lab.forwarder import Forwarder

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        await loop.getaddrinfo(*to)  # a name without an address would swallow every packet
    except OSError:
        raise CommandFailed(f"no address found for {to[0]}: give another server with --to") from None
    forwarder = Forwarder(listen, to, both[1], both[0], seed=seed)
    try:
        await forwarder.__aenter__()
    except OSError as error:
        raise _bind_failure(error, listen) from None
    try:
        say(f"h3push: {_named(forwarder.address)} leads to {_named(to)} over {describe(*both)}; Ctrl-C stops")
        while not stop.is_set():
            try:
                async with asyncio.timeout(every):
                    await stop.wait()
            except TimeoutError:
                print_report(forwarder)
    finally:
        await forwarder.__aexit__()
    print_report(forwarder)


def _bind_failure(error: OSError, listen: tuple[str, int]) -> CommandFailed:
    failure = bind_failure(error, *listen)
    return CommandFailed(failure.message.replace("--port", "--listen").replace("--host", "--listen"))


def _named(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def describe(down: "LinkSettings", up: "LinkSettings") -> str:
    """A link in words."""
    said = [f"{(down.delay + up.delay) * 1000:g} ms"]
    if down.rate is not None and up.rate is not None:
        rates = [f"{one / 1e6:g}" for one in dict.fromkeys((down.rate, up.rate))]
        said.append(f"{'/'.join(rates)} Mbit/s")
    losses = [f"{one * 100:g}" for one in dict.fromkeys((down.loss, up.loss))]
    if losses != ["0"]:
        said.append(f"{'/'.join(losses)} % loss")
    return ", ".join(said)


def print_report(forwarder: "Forwarder") -> None:
    """Print what passed, a line for each direction."""
    to_server, from_server = forwarder.passed
    click.echo(
        f"{'':12}{'packets':>9}{'bytes':>13}{'dropped':>9}{'lost':>7}   delay ms: 50 %{'90 %':>8}{'99 %':>8}{'most':>8}"
        "   late ms: 50 %   99 %   most"
    )
    for name, passed in (("to server", to_server), ("from server", from_server)):
        click.echo(report_line(name, passed))
    sys.stdout.flush()


def report_line(name: str, passed: "Passed") -> str:
    """The account of one direction as a line."""
    delays = [*passed.delay.percentiles(0.5, 0.9, 0.99), passed.delay.largest]
    late = [*passed.late.percentiles(0.5, 0.99), passed.late.largest]
    counts = f"{name:12}{passed.packets:>9}{passed.octets:>13}{passed.dropped:>9}{passed.lost:>7}"
    shown = "".join(f"{one * 1000:8.2f}" for one in delays)
    return f"{counts}         {shown}         {''.join(f'{one * 1000:7.2f}' for one in late)}"
