"""The addresses that the server listens on."""

from dataclasses import dataclass

import rich_click as click

from h3push.cli.serving.flag import Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding(Subject):
    """Host and port, for UDP and TCP alike."""

    heading = "Listening"

    host: str = flag("--host HOST", "Address or name to listen on; :: is all of this machine's.", default="localhost")
    port: int = flag(
        "--port PORT", "Port, of UDP and of TCP; 0 takes a free one.", default=4433, type=click.IntRange(0, 65535)
    )
