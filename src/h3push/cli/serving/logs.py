"""The logs."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import rich_click as click

from h3push.cli.failures import file_failure
from h3push.cli.serving.flag import FILE, Subject, flag

if TYPE_CHECKING:
    from h3push.server.access_log import LogFormat

LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": 5,
}
"""Values of `--log-level`, with uvicorn's "trace" below the five of logging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs(Subject):
    """The access log, and what is logged besides."""

    heading = "Logs"

    access_log: bool = flag("--access-log/--no-access-log", "Print responses to stdout.", default=True)
    log_format: "LogFormat" = flag(
        "--log-format FORMAT", "Format of these lines.", default="text", type=click.Choice(["text", "json"])
    )
    access_log_format: str | None = flag(
        "--access-log-format TEXT", "One of your own: '%(h)s \"%(r)s\" %(s)s %(b)s'.", also="--access-logformat"
    )
    log_level: str | None = flag(
        "--log-level LEVEL",
        "debug also tells why what is pushed.  [default: warning]",
        type=click.Choice(list(LEVELS), case_sensitive=False),
    )
    log_config: Path | None = flag(
        "--log-config FILE", "Configuration of logging: .ini, .json or .yaml.", also="--log-config-file", type=FILE
    )
    use_colors: bool | None = flag(
        "--use-colors/--no-use-colors", "Colour statuses on stdout.  [default: in a terminal]", undecided=True
    )
    qlog: Path | None = flag("--qlog DIR", "Write what HTTP/3 does on each connection there (qlog).", type=FILE)
    quiet: bool = flag("-q --quiet", "The same as --no-access-log.")

    @property
    def has_access_log(self) -> bool:
        """True to print a line for each response."""
        return self.access_log and not self.quiet

    def has_colours(self, stream: TextIO) -> bool:
        """True to colour what is written there: as the flag says, or else in a terminal whose user did not say NO_COLOR."""
        if self.use_colors is None:
            return stream.isatty() and not os.environ.get("NO_COLOR")
        return self.use_colors

    def qlog_directory(self) -> Path | None:
        """The directory of --qlog, made if it is not there. Raises `CommandFailed`."""
        if self.qlog is not None:
            try:
                self.qlog.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise file_failure(error, "write to", self.qlog) from None
        return self.qlog

    def check(self) -> None:
        """Refuse two formats at once."""
        if self.access_log_format is not None and self.log_format == "json":
            raise click.UsageError("Give --access-log-format or --log-format json, not both.")
