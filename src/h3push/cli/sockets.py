"""Sockets that `h3push serve` does not bind by host and port: inherited ones, and a UNIX socket for a proxy."""

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from h3push.cli.failures import CommandFailed
from h3push.cli.serving.options import ServeOptions

if TYPE_CHECKING:
    from h3push.server.inherited import InheritedSockets


class GivenSockets:
    """Made once, in the first process; workers have them from there."""

    def __init__(self, options: ServeOptions) -> None:
        from h3push.server.inherited import inherited_sockets

        try:
            self.inherited: InheritedSockets = inherited_sockets(os.environ, options.binding.fd)
        except ValueError as error:
            raise CommandFailed(str(error)) from None
        if self.inherited.udp and options.is_supervised:
            raise CommandFailed(
                "a UDP socket that is inherited goes with one process: several need sockets of their own, so give --host and "
                "--port, and leave ListenDatagram= to one"
            )
        self._path = options.binding.uds
        self._owner = os.getpid()
        if self._path is not None:
            self.inherited.unix.append(_listen(self._path, options.limits.backlog))

    def close(self) -> None:
        """Remove the UNIX socket; workers leave that to the process that made it."""
        if self._path is not None and os.getpid() == self._owner:
            with suppress(OSError):
                self._path.unlink()


def _listen(path: Path, backlog: int | None) -> socket.socket:
    """Listen at a path, for everybody on this machine, as uvicorn does. A socket that nobody listens at any more is removed."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.setblocking(False)
    try:
        if _is_left_over(path):
            path.unlink()
        found.bind(str(path))
        path.chmod(0o666)
        found.listen(backlog or socket.SOMAXCONN)
    except OSError as error:
        found.close()
        raise CommandFailed(f"cannot listen at {path}: {(error.strerror or str(error)).lower()}") from None
    return found


def _is_left_over(path: Path) -> bool:
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
    except OSError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False
