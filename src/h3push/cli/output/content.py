"""The response of `h3push get` on its way to a file or to standard output."""

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from click.exceptions import Exit

from h3push.cli.failures import CommandFailed, ExitCode, file_failure, say
from h3push.cli.fetch import Sink
from h3push.cli.options.arguments import Arguments
from h3push.cli.options.cookies import Cookies
from h3push.cli.options.redirects import is_trusted
from h3push.cli.options.request import Request
from h3push.cli.outcome import Address, Reply
from h3push.cli.output.coding import Decoder, decoder_of
from h3push.cli.output.progress import Bar, Progress
from h3push.cli.output.report import response_heads, text
from h3push.http.url import target_of

FIRST_ERROR_STATUS = 400
"""From here on a status is an error (RFC 9110 section 15)."""
TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be another one next time, by curl's list."""


class TryAgain(Exception):
    """The response is one that `--retry` does not take.

    Attributes:
        status: its status.
        seconds: what its Retry-After says; `None` without one.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"the server answered {reply.status}")
        self.status = reply.status
        after = reply.headers.get("retry-after", "")
        self.seconds = int(after) if after.isdecimal() else None


class Output(Sink):
    """Takes a response to where the command line wants it.

    Arguments:
        arguments: the command line.
        url: the URL that was asked for first.
        path: file for the content; `None`: standard output.
        cookies: what is sent, and where what is set goes.
        progress: where bars are shown; `None` for content that goes nowhere but to `on_content`.
    """

    def __init__(
        self, arguments: Arguments, url: str, path: Path | None, cookies: Cookies, progress: Progress | None
    ) -> None:
        self.on_content: Callable[[bytes], None] | None = None
        """Gets the content too, decompressed, unless the status makes it a failure."""
        self.is_failure = False
        """True when the status is an error and `--fail` makes that a failure."""
        self.may_try_again = False
        """True has a response of `TRY_AGAIN` raise `TryAgain`."""
        self._arguments = arguments
        self._first_url = self._url = url
        self.path = path
        """File for the content; `None`: standard output."""
        self._cookies = cookies
        self._progress = progress
        self._bar: Bar | None = None
        self._decoder: Decoder | None = None
        self._file: BinaryIO | None = None
        self._opened = ExitStack()
        self._is_terminal = False

    def prepares(self, request: Request) -> Request:
        """Add the cookies; those of `-b` go to the first origin alone, as in curl."""
        is_trusted_with = is_trusted(self._arguments, self._first_url, request.url)
        cookies = self._cookies.header(request.url, with_given=is_trusted_with)
        given = any(name == b"cookie" for name, _ in request.fields)
        self._url = request.url
        if cookies is None or given:
            return request
        return replace(request, fields=(*request.fields, (b"cookie", cookies)))

    def connected(self, remote: Address, http_version: str, seconds: float) -> None:
        """Tell the connection."""
        if self._arguments.verbose:
            host, port = remote
            say(f"* connected to {host} port {port} over HTTP/{http_version} in {seconds:.4f} s")

    def falls_back(self, why: str) -> None:
        """Tell why another version is tried."""
        if self._arguments.verbose:
            say(f"* {why}; trying HTTP/2 and HTTP/1.1 over TCP")

    def sending(self, request: Request, http_version: str) -> None:
        """Tell what is sent."""
        if self._arguments.verbose:
            lines = [f"{request.method} {target_of(request.url)} HTTP/{http_version}"]
            lines += [f"{text(name)}: {text(value)}" for name, value in request.fields]
            say("\n".join(f"> {line}" for line in lines))

    def claims(self, request: Request) -> None:
        """Tell that nothing is sent."""
        if self._arguments.verbose:
            say(f"* {request.method} {request.url} is answered by a push")

    def begin(self, response: Reply) -> None:
        """Print the header sections where they are wanted, and open the file."""
        arguments = self._arguments
        self._cookies.extract(self._url, response.headers)
        heads = response_heads(response)
        if arguments.verbose:
            say("\n<\n".join("\n".join(f"< {line}".rstrip() for line in head) for head in heads))
        if self.may_try_again and response.status in TRY_AGAIN:
            raise TryAgain(response)
        self.is_failure = arguments.fail and response.status >= FIRST_ERROR_STATUS
        self._decoder = None
        if self.is_failure:
            self.on_content = None
            return
        if not (self._progress is None or (arguments.json and self.path is None)):
            self._open(response, self._progress)
            if arguments.include or arguments.head:
                self._put("".join(f"{line}\r\n" for head in heads for line in [*head, ""]).encode())
        if arguments.compressed and "content-encoding" in response.headers and self._is_wanted:
            self._decoder = decoder_of(response.headers["content-encoding"])

    def write(self, data: bytes) -> None:
        """Take a piece of content."""
        if not self._is_wanted:
            return
        if self._bar is not None:
            self._bar.advance(len(data))
        for piece in [data] if self._decoder is None else self._decoder.decode(data):
            if self.on_content is not None:
                self.on_content(piece)
            if self._file is None:
                continue
            if self._is_terminal and b"\0" in piece:
                raise CommandFailed("this is binary content: use -o FILE, or pipe it", ExitCode.WRITE_ERROR)
            self._put(piece)

    def end(self) -> None:
        """See whether compressed content is whole."""
        if self._decoder is not None:
            self._decoder.finish()

    def close(self) -> None:
        """Close the file, and end its bar. Raises `CommandFailed` when the last of it cannot be written."""
        if self._bar is not None:
            self._bar.end()
        try:
            self._opened.close()
        except OSError as error:
            raise file_failure(error, "write", self.path or "", ExitCode.WRITE_ERROR) from None

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        try:
            self._file.write(data)
            if self.path is None:
                self._file.flush()
        except BrokenPipeError:  # its reader has enough, and asks for no explanation
            raise Exit(ExitCode.WRITE_ERROR) from None
        except OSError as error:
            where = self.path or "to standard output"
            raise file_failure(error, "write", where, ExitCode.WRITE_ERROR) from None

    @property
    def _is_wanted(self) -> bool:
        return self._file is not None or self.on_content is not None

    def _open(self, response: Reply, progress: Progress) -> None:
        if self._file is not None:
            return
        if self.path is None:
            if sys.stdout is None:
                raise CommandFailed("standard output is closed: use -o FILE", ExitCode.WRITE_ERROR)
            self._file = sys.stdout.buffer
            self._is_terminal = sys.stdout.isatty()
            return
        try:
            self._file = self._opened.enter_context(self.path.open("wb"))
        except OSError as error:
            raise file_failure(error, "write", self.path, ExitCode.WRITE_ERROR) from None
        if sys.stderr is not None and sys.stderr.isatty() and not self._arguments.silent:
            length = response.headers.get("content-length", "")
            self._bar = progress.begin(self.path.name, int(length) if length.isdecimal() else None)
