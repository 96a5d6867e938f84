"""Workers: how many processes serve, and for how long each."""

from dataclasses import dataclass

import rich_click as click

from h3push.cli.serving.flag import Subject, flag


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes(Subject):
    """Workers."""

    heading = "Workers"

    workers: int = flag(
        "--workers N",
        "Processes that serve. SIGHUP renews them all, with application and certificates.",
        default=1,
        type=click.IntRange(1, 127),
        envvar="WEB_CONCURRENCY",
        show_envvar=True,
    )
    limit_max_requests: int | None = flag(
        "--limit-max-requests --max-requests N",
        "A worker that has answered so many requests gives way to a new one.",
        type=click.IntRange(1),
    )
    limit_max_requests_jitter: int = flag(
        "--limit-max-requests-jitter --max-requests-jitter N",
        "Up to N more, so that workers do not give way all at once.",
        default=0,
        type=click.IntRange(0),
    )
