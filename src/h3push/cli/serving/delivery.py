"""Pushes and hints: the things that go with a page, and how they go."""

from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.serving.flag import FILE, Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Subject):
    """Pushes and hints."""

    heading = "Pushes"

    push: str = flag(
        "--push WHEN",
        "auto: push what a page and its style sheets need.",
        default="auto",
        type=click.Choice(["auto", "off"]),
    )
    push_manifest: Path | None = flag("--push-manifest FILE", "JSON that says what goes with which page.", type=FILE)
    push_limit: int = flag("--push-limit N", "Resources that one page may push.", default=1000, type=click.IntRange(1))
    push_wait: float = flag(
        "--push-wait SECONDS",
        "Hold a page open behind its content for push credit.",
        default=5.0,
        type=click.FloatRange(0),
    )
    push_hold_out: float = flag(
        "--push-hold-out PERCENT",
        "Connections without pushes, for h3push report.",
        default=0.0,
        type=click.FloatRange(0, 100),
    )

    @property
    def is_on(self) -> bool:
        """False: a directory's pages are sent alone, and an application's pushes become hints."""
        return self.push == "auto"
