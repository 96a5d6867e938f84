"""The addresses that the server listens on."""

from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.serving.flag import FILE, Subject, flag

LONGEST_PATH = 107
"""Bytes of a UNIX socket's path (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding(Subject):
    """Host and port, for UDP and TCP alike."""

    heading = "Listening"

    host: str = flag("--host HOST", "Address or name to listen on; :: is all.", default="localhost")
    port: int = flag(
        "--port PORT", "Port, of UDP and of TCP; 0 takes a free one.", default=4433, type=click.IntRange(0, 65535)
    )
    fd: tuple[int, ...] = flag(
        "--fd N", "Take this open socket, of UDP or TCP; may be repeated.", multiple=True, type=click.IntRange(3)
    )
    uds: Path | None = flag("--uds PATH", "UNIX socket for a proxy, instead of TCP: plain HTTP/1.1.", type=FILE)
    server_name: tuple[str, ...] = flag(
        "--server-name HOST", "Answer for these authorities alone.", also="--authority", multiple=True
    )

    def check(self) -> None:
        """Refuse a path that no UNIX socket can have."""
        if self.uds is not None and len(str(self.uds).encode()) > LONGEST_PATH:
            raise click.UsageError(f"--uds: a path of a UNIX socket has {LONGEST_PATH} bytes at most.")
