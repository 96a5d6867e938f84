"""Reloading: an application that is being written is served as it is now."""

from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.serving.flag import FILE, Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Development(Subject):
    """Reloading, with uvicorn's flags."""

    heading = "Development"

    reload: bool = flag("--reload", "Serve APP anew when its files change.")
    reload_dir: tuple[Path, ...] = flag(
        "--reload-dir DIR", "Watch DIR; may be repeated.  [default: --app-dir]", type=FILE, multiple=True
    )
    reload_include: tuple[str, ...] = flag(
        "--reload-include GLOB", "Look at these files too, besides *.py.", multiple=True
    )
    reload_exclude: tuple[str, ...] = flag("--reload-exclude GLOB", "Look at no such files.", multiple=True)
    reload_delay: float = flag(
        "--reload-delay SECONDS",
        "Wait for further changes so long.",
        default=0.25,
        type=click.FloatRange(0.01, 60),
    )

    def check(self) -> None:
        """Refuse flags of reloading without it."""
        if (self.reload_dir or self.reload_include or self.reload_exclude) and not self.reload:
            raise click.UsageError("--reload-dir, --reload-include and --reload-exclude go with --reload.")
