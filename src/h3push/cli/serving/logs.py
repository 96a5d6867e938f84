"""The access log."""

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
    quiet: bool = flag("-q --quiet", "The same as --no-access-log.")

    @property
    def has_access_log(self) -> bool:
        """True to print a line for each response."""
        return self.access_log and not self.quiet
