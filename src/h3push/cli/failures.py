"""How commands end: exit codes, and one sentence instead of a traceback.

The codes of `h3push get` are curl's, so that a script that knows curl's knows ours. An HTTP error status alone is no failure.
"""

import errno
import os
import socket
import sys
from contextlib import suppress
from enum import IntEnum
from typing import IO, Any, Literal

import rich_click as click

from h3push.errors import ConnectFailed, ConnectFailure, ConnectionClosed, ErrorCode, H3PushError, StreamFailed, Timeout


class ExitCode(IntEnum):
    """Exit codes; from 3 to 96 with curl's meanings."""

    DONE = 0
    """Done."""
    FAILED = 1
    """It could not be done, for a reason that no other code names."""
    USAGE = 2
    """The command line makes no sense."""
    DNS = 6
    """The host name could not be resolved."""
    REFUSED = 7
    """No connection: nobody listens, or no way leads there."""
    PARTIAL = 18
    """The response broke off."""
    HTTP_ERROR = 22
    """The status was 400 or above, and `--fail` makes that a failure."""
    WRITE_ERROR = 23
    """The output could not be written."""
    READ_ERROR = 26
    """A file that was to be sent or read could not be."""
    TIMEOUT = 28
    """A time-out passed."""
    TLS = 35
    """The TLS handshake failed."""
    TOO_MANY_REDIRECTS = 47
    """More redirects than `--max-redirs` allows."""
    RECEIVE = 56
    """The connection was lost, or a message was malformed."""
    CLIENT_CERTIFICATE = 58
    """The client certificate or its key cannot be used."""
    CERTIFICATE = 60
    """The server's certificate was not accepted."""
    CONTENT_CODING = 61
    """The content coding is unknown, or the content is not what it says."""
    CACERT = 77
    """The file of authorities cannot be used."""
    HTTP3 = 95
    """The server broke HTTP/3."""
    QUIC = 96
    """The QUIC handshake failed."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as shells count."""


CONNECT_CODES = {
    ConnectFailure.DNS: ExitCode.DNS,
    ConnectFailure.REFUSED: ExitCode.REFUSED,
    ConnectFailure.TIMEOUT: ExitCode.TIMEOUT,
    ConnectFailure.CERTIFICATE: ExitCode.CERTIFICATE,
    ConnectFailure.TLS: ExitCode.TLS,
    ConnectFailure.PROTOCOL: ExitCode.QUIC,
}
"""Exit codes of the kinds of `ConnectFailed`."""


class CommandFailed(click.ClickException):
    """The command could not be done; the message is one sentence for stderr."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED, *, silent: bool = False) -> None:
        super().__init__(message)
        self.exit_code: int = code  # type: ignore[misc]  # click has one code a class
        self.silent = silent
        """True when the user asked for silence: the exit code says it."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        if not self.silent:
            say(f"h3push: {self.format_message()}", file)


def failure_of(error: H3PushError, *, begun: bool) -> CommandFailed:
    """Make the failure of a command of an error; `begun`: some content had arrived."""
    return CommandFailed(str(error), _code_of(error, begun))


def _code_of(error: H3PushError, begun: bool) -> ExitCode:
    if isinstance(error, ConnectFailed):
        return CONNECT_CODES[error.kind]
    if isinstance(error, Timeout):
        return ExitCode.TIMEOUT
    if isinstance(error, StreamFailed) and error.error_code == ErrorCode.H3_MESSAGE_ERROR:
        return ExitCode.HTTP3
    if isinstance(error, StreamFailed | ConnectionClosed):
        return ExitCode.PARTIAL if begun else ExitCode.RECEIVE
    return ExitCode.FAILED


def say(text: str, file: IO[Any] | None = None, *, nl: bool = True) -> None:
    """Print to stderr, with a newline if `nl`. Where that cannot be written, nobody can be told; the exit code still stands."""
    with suppress(OSError):
        click.echo(text, file=file or sys.stderr, nl=nl)


def bind_failure(error: OSError, host: str, port: int) -> CommandFailed:
    """Explain why a server could not listen."""
    where = getattr(error, "where", None) or f"UDP port {port} of {host}"
    if error.errno == errno.EADDRINUSE:
        return CommandFailed(f"{where} is in use by another program: stop it, or choose another port with --port")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return CommandFailed(f"{where} is not for everybody to use: choose a port above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return CommandFailed(f"{host} is no address of this machine: choose one with --host")
    return CommandFailed(f"cannot listen on {where}: {error.strerror or error}")


def file_failure(
    error: OSError, verb: str, path: str | os.PathLike[str], code: ExitCode = ExitCode.FAILED
) -> CommandFailed:
    """Explain why a file could not be read or written."""
    return CommandFailed(f"cannot {verb} {os.fspath(path)}: {(error.strerror or str(error)).lower()}", code)


def give_up_stream(name: Literal["stdout", "stderr"]) -> None:
    """Drop what is still buffered for stdout or stderr, which cannot be written, or Python complains of it at exit."""
    stream = getattr(sys, name)
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
