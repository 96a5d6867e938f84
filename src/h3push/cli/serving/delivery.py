"""Pushes and hints: the things that go with a page, and how they go."""

import math
from dataclasses import dataclass
from pathlib import Path

import rich_click as click

from h3push.cli.serving.flag import FILE, Subject, flag

LEARNED_HOLD_OUT = 0.03
"""Share of connections that a controller holds out of pushes, to measure what they save."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Subject):
    """Pushes and hints."""

    heading = "Pushes"

    push: str = flag(
        "--push WHEN",
        "auto, off, or learned[:PLAN]: what was seen to pay.",
        default="auto",
    )
    push_manifest: Path | None = flag("--push-manifest FILE", "JSON that says what goes with which page.", type=FILE)
    push_limit: int = flag("--push-limit N", "Resources that one page may push.", default=1000, type=click.IntRange(1))
    push_wait: float = flag(
        "--push-wait SECONDS",
        "Hold a page open behind its content for push credit.",
        default=5.0,
        type=click.FloatRange(0),
    )
    push_hold_out: float | None = flag(
        "--push-hold-out PERCENT",
        "Connections without pushes; with learned 3.  [default: 0]",
        type=click.FloatRange(0, 100),
    )
    push_waste: str = flag("--push-waste PERCENT", "Bytes that learned pushes may waste, of all.", default="2%")
    push_state: Path | None = flag("--push-state FILE", "Where learned keeps what it learns.", type=FILE)

    @property
    def is_on(self) -> bool:
        """False: a directory's pages are sent alone, and an application's pushes become hints."""
        return self.push != "off"

    @property
    def is_learned(self) -> bool:
        """True: a controller decides which pushes pay."""
        return self.push.partition(":")[0] == "learned"

    @property
    def plan(self) -> Path | None:
        """The plan that a controller begins with."""
        name = self.push.partition(":")[2]
        return Path(name) if name else None

    @property
    def hold_out(self) -> float:
        """The share of connections that is held out of pushes."""
        if self.push_hold_out is None:
            return LEARNED_HOLD_OUT if self.is_learned else 0.0
        return self.push_hold_out / 100

    @property
    def waste(self) -> float:
        """The share of all bytes that may be wasted. Raises `click.UsageError` for what is none."""
        try:
            percent = float(self.push_waste.strip().removesuffix("%"))
        except ValueError:
            percent = math.nan
        if not 0 <= percent <= 100:
            raise click.UsageError(f"--push-waste takes a percentage, such as 2%, not {self.push_waste!r}.")
        return percent / 100

    def check(self) -> None:
        """Refuse what does not go together."""
        _ = self.waste
        if self.push not in {"auto", "off", "learned"} and not self.push.startswith("learned:"):
            raise click.UsageError(f"--push takes auto, off, learned or learned:PLAN, not {self.push!r}.")
        if self.push_state is not None and not self.is_learned:
            raise click.UsageError("--push-state goes with --push learned.")
