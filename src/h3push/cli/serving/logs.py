"""The access log."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import rich_click as click

from h3push.cli.serving.flag import Subject, flag

if TYPE_CHECKING:
    from h3push.server.access_log import LogFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs(Subject):
    """The access log."""

    heading = "Logs"

    access_log: bool = flag("--access-log/--no-access-log", "Print responses to stdout.", default=True)
    log_format: "LogFormat" = flag(
        "--log-format FORMAT", "Format of these lines.", default="text", type=click.Choice(["text", "json"])
    )
    log_level: str = flag(
        "--log-level LEVEL",
        "Log from here on; debug: why what is pushed.",
        default="warning",
        type=click.Choice(["debug", "info", "warning", "error"]),
    )
    quiet: bool = flag("-q --quiet", "The same as --no-access-log.")

    def begin(self) -> None:
        """Have everything of h3push from this level on written to stderr."""
        if self.log_level != "warning":  # Python's own way of last resort
            logging.basicConfig(format="h3push: %(levelname)s: %(message)s")
            logging.getLogger("h3push").setLevel(self.log_level.upper())

    @property
    def has_access_log(self) -> bool:
        """True to print a line for each response."""
        return self.access_log and not self.quiet
