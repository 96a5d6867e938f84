"""How commands end: exit codes, and one sentence instead of a traceback.

0    done; an HTTP error status alone is no failure 1    it could not be done: no connection, a protocol failure, a missing
directory, a port in use 2    the command line makes no sense 130  interrupted (128 + SIGINT, as shells count)
"""

import errno
import os
import socket
import sys
from typing import IO, Any

import rich_click as click

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


class CommandFailed(click.ClickException):
    """The command could not be done; the message is one sentence for stderr."""

    exit_code = 1

    def __init__(self, message: str, *, silent: bool = False) -> None:
        super().__init__(message)
        self.silent = silent
        """True when the user asked for silence: the exit code says it."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence."""
        if not self.silent:
            click.echo(f"h3push: {self.format_message()}", file=file or sys.stderr)


def bind_failure(error: OSError, host: str, port: int) -> CommandFailed:
    """Explain why a server could not listen."""
    where = f"UDP port {port} of {host}"
    if error.errno == errno.EADDRINUSE:
        return CommandFailed(f"{where} is in use by another program: stop it, or choose another port with --port")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return CommandFailed(f"{where} is not for everybody to use: choose a port above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return CommandFailed(f"{host} is no address of this machine: choose one with --host")
    return CommandFailed(f"cannot listen on {where}: {error.strerror or error}")


def file_failure(error: OSError, what: str, path: str | os.PathLike[str]) -> CommandFailed:
    """Explain why a file could not be read or written."""
    return CommandFailed(f"cannot {what} {os.fspath(path)}: {(error.strerror or str(error)).lower()}")


def leave_stdout_quietly() -> None:
    """Nobody reads our output any more (`h3push get ... | head`): no message, and none when Python flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
