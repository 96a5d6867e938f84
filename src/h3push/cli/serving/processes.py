"""Workers: how many processes serve, and for how long each."""

from dataclasses import dataclass

import rich_click as click

from h3push.cli.serving.flag import Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes(Subject):
    """Workers."""

    heading = "Workers"

    workers: int = flag(
        "-w --workers N",
        "Processes that serve; SIGHUP renews them all.",
        default=1,
        type=click.IntRange(1, 127),
        envvar="WEB_CONCURRENCY",
    )
    limit_max_requests: int | None = flag(
        "--limit-max-requests N",
        "A worker that answered so many gives way to a new one.",
        also="--max-requests",
        type=click.IntRange(1),
    )
    limit_max_requests_jitter: int = flag(
        "--limit-max-requests-jitter N",
        "Up to N more, so that not all do so at once.",
        also="--max-requests-jitter",
        default=0,
        type=click.IntRange(0),
    )

    def check(self) -> None:
        """Refuse a jitter of nothing."""
        if self.limit_max_requests_jitter and self.limit_max_requests is None:
            raise click.UsageError("--limit-max-requests-jitter goes with --limit-max-requests.")
