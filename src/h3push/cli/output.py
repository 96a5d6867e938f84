"""Where the response of `h3push get` goes, and how the command ends."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn
from urllib.parse import urlsplit

import rich_click as click
from click.exceptions import Exit

from h3push.cli.failures import INTERRUPTED, CommandFailed, file_failure
from h3push.cli.fetch import Fetched, FetchOptions, Sink, fetch
from h3push.cli.report import head_lines, push_lines, to_json
from h3push.client.client import Client
from h3push.client.response import ClientResponse
from h3push.errors import H3PushError

FIRST_ERROR_STATUS = 400
"""From here on a status is an error (RFC 9110 section 15)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What to do with what comes."""

    path: Path | None
    """File for the content; `None`: standard output."""
    include: bool
    """Print the header section before the content."""
    head: bool
    """Print the header section, and nothing else: there is no content."""
    json: bool
    """Print a JSON object instead of the content."""
    verbose: bool
    """Tell on stderr what goes on."""
    silent: bool
    """No progress, no messages."""
    fail: bool
    """An HTTP error status is a failure."""


def run(options: FetchOptions, target: OutputOptions, max_time: float | None) -> None:
    """Fetch, print, and turn whatever fails into a sentence."""
    with ExitStack() as stack:
        output = Output(options, target, stack)
        try:
            fetched = asyncio.run(_fetch_within(max_time, options, output))
        except (H3PushError, ValueError) as error:
            _fail(str(error), target)
        except KeyboardInterrupt:
            raise Exit(INTERRUPTED) from None
        except TimeoutError:
            _fail(f"not everything arrived within {max_time:g} s (--max-time)", target)
    if target.verbose:
        click.echo("\n".join(push_lines(fetched.pushes) if fetched.pushes else ["* nothing was pushed"]), err=True)
    if target.json:
        click.echo(to_json(options.url, fetched))
    if output.is_failure:
        _fail(f"the server answered {fetched.response.status}", target)


def _fail(sentence: str, target: OutputOptions) -> NoReturn:
    raise CommandFailed(sentence, silent=target.silent) from None


async def _fetch_within(seconds: float | None, options: FetchOptions, sink: Sink) -> Fetched:
    async with asyncio.timeout(seconds):
        return await fetch(options, sink)


class Output(Sink):
    """Takes a response to where the command line wants it.

    Arguments:
        options: what is fetched.
        target: where it goes.
        stack: closes what is opened here.
    """

    def __init__(self, options: FetchOptions, target: OutputOptions, stack: ExitStack) -> None:
        self.is_failure = False
        """True when the status is an error and `--fail` makes that a failure."""
        self._options = options
        self._target = target
        self._stack = stack
        self._progress = Progress(stack)
        self._file: BinaryIO | None = None
        self._is_terminal = False

    def connected(self, client: Client, seconds: float) -> None:
        """Tell the connection, and what is sent on it."""
        if not self._target.verbose:
            return
        host, port = client.connection.address[:2]
        path = self._options.url.partition(urlsplit(self._options.url).netloc)[2]
        lines = [
            f"* connected to {host} port {port} over HTTP/3 in {seconds:.4f} s",
            f"> {self._options.method} {path} HTTP/3",
            *(f"> {name}: {value}" for name, value in self._options.headers),
        ]
        click.echo("\n".join(lines), err=True)

    def begin(self, response: ClientResponse) -> None:
        """Print the header section where it is wanted, and open the file."""
        target = self._target
        lines = head_lines(response.status, response.headers.raw)
        if target.verbose:
            click.echo("\n".join(f"< {line}" for line in lines), err=True)
        self.is_failure = target.fail and response.status >= FIRST_ERROR_STATUS
        if self.is_failure or (target.json and target.path is None):
            return
        self._open(response)
        if target.include or target.head:
            self._put("".join(f"{line}\r\n" for line in [*lines, ""]).encode())

    def write(self, data: bytes) -> None:
        """Take a piece of content."""
        if self._file is None:
            return
        if self._is_terminal and b"\0" in data:
            raise CommandFailed("this is binary content: use -o FILE, or pipe it", silent=self._target.silent)
        self._put(data)

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(data)
            if self._target.path is None:
                self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise file_failure(error, "write", self._target.path or "to standard output") from None
        self._progress.advance(len(data))

    def _open(self, response: ClientResponse) -> None:
        path = self._target.path
        if path is None:
            self._file = sys.stdout.buffer
            self._is_terminal = sys.stdout.isatty()
            return
        try:
            self._file = self._stack.enter_context(path.open("wb"))
        except OSError as error:
            raise file_failure(error, "write", path) from None
        if sys.stderr.isatty() and not self._target.silent:
            length = response.headers.get("content-length", "")
            self._progress.begin(path.name, int(length) if length.isdecimal() else None)


class Progress:
    """A progress bar on stderr; nothing is shown, and rich is not imported, until it is begun."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._update: Callable[[int], None] | None = None

    def begin(self, name: str, total: int | None) -> None:
        """Show a bar for `total` bytes (`None`: unknown)."""
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        bars = self._stack.enter_context(progress.Progress(*columns, console=Console(stderr=True)))
        task = bars.add_task(name, total=total)
        self._update = lambda size: bars.advance(task, size)

    def advance(self, size: int) -> None:
        """So many bytes more."""
        if self._update is not None:
            self._update(size)
