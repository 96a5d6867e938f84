"""`h3push relay`: the near side of a long link."""

import asyncio
import logging
import signal
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, bind_failure, file_failure, say

if TYPE_CHECKING:
    from h3push.relay.places import RelayedOrigin
    from h3push.relay.relay import Relay
    from h3push.relay.settings import RelaySettings
    from h3push.tcp.backend import BackendKind

MIB = 1024 * 1024


@click.command(
    context_settings={"show_default": True},
    epilog="Example: h3push relay https://docs.example.com --cache ~/.cache/h3push",
)
@click.argument("origins", metavar="ORIGIN...", nargs=-1, required=True)
@click.option("--listen", metavar="HOST:PORT",
              help="Where the first origin is found here; others have the next ports.  [default: localhost:8080]")  # fmt: skip
@click.option("--name", "names", multiple=True, metavar="HOST",
              help="A further name by which programs call the relay; may be repeated.")  # fmt: skip
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Keep the cache there, over restarts.  [default: in memory]")  # fmt: skip
@click.option("--cache-size", default=256, type=click.IntRange(1), metavar="MIB", help="Content in the cache.")
@click.option("--cache-entries", default=10_000, type=click.IntRange(1), metavar="N", help="Responses in the cache.")
@click.option("--tls", "--dev", is_flag=True,
              help="Speak HTTPS, and HTTP/2, to programs, with a certificate of the development CA.")  # fmt: skip
@click.option("--dev-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Where that CA is kept.  [default: $XDG_STATE_HOME/h3push]")  # fmt: skip
@click.option("--certfile", type=click.Path(path_type=Path), metavar="FILE", help="The same with this chain (PEM).")
@click.option("--keyfile", type=click.Path(path_type=Path), metavar="FILE", help="Its private key (PEM).")
@click.option("--cacert", type=click.Path(path_type=Path), metavar="FILE",
              help="Trust these authorities (PEM) for origins, not the system's.")  # fmt: skip
@click.option("-k", "--insecure", is_flag=True, help="Accept any certificate of an origin.")
def relay(
    origins: tuple[str, ...],
    listen: str | None,
    names: tuple[str, ...],
    cache: Path | None,
    cache_size: int,
    cache_entries: int,
    tls: bool,
    dev_dir: Path | None,
    certfile: Path | None,
    keyfile: Path | None,
    cacert: Path | None,
    insecure: bool,
) -> int:
    """Give pushes to programs that know nothing of them: HTTP/1.1 and HTTP/2 here, HTTP/3 to each ORIGIN.

    ORIGIN is such as https://docs.example.com, or https://docs.example.com=127.0.0.1:9000 to say where it is found here. The
    relay keeps a connection to each open, takes what is pushed, and answers from it. Its status is at /.h3push/, for a browser,
    for curl, and as JSON.
    """
    from h3push.relay.places import read_places
    from h3push.relay.settings import RelaySettings

    try:
        places = read_places(origins, listen, names)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if (certfile is None) != (keyfile is None):
        raise click.UsageError("--certfile and --keyfile go together.")
    if tls and certfile is not None:
        raise click.UsageError("Give --tls or --certfile and --keyfile, not both.")
    if dev_dir is not None and not tls:
        raise click.UsageError("--dev-dir goes with --tls.")
    settings = RelaySettings(stored_bytes=cache_size * MIB, stored=cache_entries)
    context: ssl.SSLContext | None = None
    if certfile is not None and keyfile is not None:
        context = _context(certfile, keyfile)
    elif tls:
        context = _development_context(dev_dir, [*(place.host for place in places), *names])
    asyncio.run(_run(places, settings, context, cache, cacert, verify=not insecure))
    return ExitCode.DONE


def _development_context(directory: Path | None, names: list[str]) -> ssl.SSLContext:
    from h3push.cli.serving.certificates import development_files

    files = development_files(directory, names)
    return _context(*files.pairs[0])


def _context(certfile: Path, keyfile: Path) -> ssl.SSLContext:
    """TLS towards programs."""
    from h3push.server.identities import read_identities
    from h3push.tcp.tls import TcpTls

    def no_password() -> bytes:
        raise CommandFailed(f"the private key {keyfile} is encrypted: the relay needs one that is not")

    tls = TcpTls(list(_backend().abilities.versions))
    try:
        tls.load(read_identities([(certfile, keyfile)], no_password), None)
    except ValueError as error:
        raise CommandFailed(str(error)) from None
    return tls.context


def _backend() -> "BackendKind":
    from h3push.tcp.side import TcpUnavailable, find_backend

    try:
        kind = find_backend("uvicorn")
    except TcpUnavailable as error:
        raise CommandFailed(str(error)) from None
    assert kind is not None
    return kind


async def _run(
    places: "list[RelayedOrigin]",
    settings: "RelaySettings",
    context: ssl.SSLContext | None,
    cache: Path | None,
    cacert: Path | None,
    *,
    verify: bool,
) -> None:
    """Relay until a signal comes."""
    running = _make(places, settings, context, cache, cacert, verify=verify)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a response cut short is seen by its program
    try:
        await running.open()
    except OSError as error:
        await running.shutdown(0)
        raise _explained(error, running, cache) from None
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    for url, place in zip(running.urls(), running.places, strict=True):
        say(f"h3push: {url} leads to https://{place.origin.authority}; status at {url}/.h3push/")
    await stop.wait()
    stopping = asyncio.create_task(running.shutdown(10))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.cancel)
    with suppress(asyncio.CancelledError):
        await stopping


def _make(
    places: "list[RelayedOrigin]",
    settings: "RelaySettings",
    context: ssl.SSLContext | None,
    cache: Path | None,
    cacert: Path | None,
    *,
    verify: bool,
) -> "Relay":
    kind = _backend()
    try:
        from h3push.relay.relay import Relay
    except ImportError as error:
        raise CommandFailed(str(error)) from None
    try:
        return Relay(places, kind, settings, context=context, cache=cache, cafile=cacert, verify=verify)
    except ValueError as error:
        raise CommandFailed(str(error), ExitCode.CACERT) from None


def _explained(error: OSError, running: "Relay", cache: Path | None) -> CommandFailed:
    from h3push.relay.disk import CacheInUse

    if isinstance(error, CacheInUse):
        return CommandFailed(f"{error}: give another directory with --cache")
    if cache is not None and getattr(error, "where", None) is None and not isinstance(error, ConnectionError):
        return file_failure(error, "keep the cache in", cache)
    place = running.places[0]
    failure = bind_failure(error, place.host, place.port)
    return CommandFailed(failure.message.replace("--port", "--listen").replace("--host", "--listen"))
