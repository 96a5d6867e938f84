"""How the application is found."""

from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.serving.flag import FILE, Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Application(Subject):
    """The application, where one is served."""

    heading = "Application"

    factory: bool = flag("--factory", "APP is a function that makes the application.")
    app_dir: Path | None = flag("--app-dir DIR", "Directory of APP's module.  [default: .]", type=FILE)
    lifespan: str = flag(
        "--lifespan HOW",
        "on: fail without its lifespan events; off: send none.",
        default="auto",
        type=click.Choice(["auto", "on", "off"]),
    )
    root_path: str = flag("--root-path PATH", "Where a proxy in front has mounted APP, as /api.", default="")
