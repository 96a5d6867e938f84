"""The addresses that the server listens on."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar

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
    bind: tuple[str, ...] = flag("-b --bind ADDRESS", "HOST:PORT, unix:PATH or fd://N; may be repeated.", multiple=True)
    fd: tuple[int, ...] = flag(
        "--fd N", "Take this open socket, of UDP or TCP; may be repeated.", multiple=True, type=click.IntRange(3)
    )
    uds: Path | None = flag("--uds PATH", "UNIX socket for a proxy, instead of TCP: plain HTTP/1.1.", type=FILE)
    server_name: tuple[str, ...] = flag(
        "--server-name HOST", "Answer for these authorities alone.", also="--authority", multiple=True
    )

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Self:
        """Make one of what click parsed; `--bind` says in one word what the other flags say."""
        found = super(Binding, cls).taken_from(given)
        for address in found.bind:
            found = _bound(found, address)
        return found

    def check(self) -> None:
        """Refuse a path that no UNIX socket can have."""
        if self.uds is not None and len(str(self.uds).encode()) > LONGEST_PATH:
            raise click.UsageError(f"--uds: a path of a UNIX socket has {LONGEST_PATH} bytes at most.")


AnyBinding = TypeVar("AnyBinding", bound=Binding)


def _bound(binding: AnyBinding, address: str) -> AnyBinding:
    """The same with an address as Hypercorn and gunicorn write it. `click.UsageError` for one that is none, or one too many."""
    if address.startswith("unix:"):
        return replace(binding, uds=Path(address.removeprefix("unix:")))
    number = address.removeprefix("fd://")
    if number != address and number.isdecimal():
        return replace(binding, fd=(*binding.fd, int(number)))
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise click.UsageError(f"--bind takes HOST:PORT, [ADDRESS]:PORT, unix:PATH or fd://N, not {address!r}.")
    if [one for one in binding.bind if not one.startswith(("unix:", "fd://"))][1:]:
        raise click.UsageError(
            "--bind takes one HOST:PORT: a name stands for all of its addresses, :: for all there are."
        )
    return replace(binding, host=host.strip("[]") or "::", port=int(port))
