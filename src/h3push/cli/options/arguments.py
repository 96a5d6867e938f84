"""The command line of `h3push get`, as typed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """One field a flag of `options.flags`, of the same name."""

    urls: tuple[str, ...]
    parallel: bool
    parallel_max: int
    fail_early: bool
    assets: bool
    # the request
    request: str | None
    header: tuple[str, ...]
    data: tuple[str, ...]
    data_binary: tuple[str, ...]
    form: tuple[str, ...]
    get: bool
    upload_file: tuple[str, ...]
    head: bool
    user_agent: str | None
    referer: str | None
    user: str | None
    cookie: tuple[str, ...]
    cookie_jar: str | None
    range: str | None
    compressed: bool
    location: bool
    location_trusted: bool
    max_redirs: int
    retry: int
    # pushes
    push: str
    max_pushes: int
    cancel: tuple[str, ...]
    push_timeout: float
    # the connection
    insecure: bool
    cacert: Path | None
    cert: Path | None
    key: Path | None
    resolve: tuple[str, ...]
    connect_to: tuple[str, ...]
    connect_timeout: float
    fallback: bool
    max_time: float | None
    # the output
    output: tuple[Path, ...]
    remote_name: int
    remote_name_all: bool
    output_dir: Path | None
    include: bool
    fail: bool
    silent: bool
    show_error: bool
    verbose: bool
    write_out: str | None
    json: bool
    waterfall: bool
    har: Path | None
    svg: Path | None
    qlog: Path | None
    # all of them
    order: tuple[str, ...] = ()
    """Names of the flags in the order in which they were typed, once for each time."""

    @property
    def follows_redirects(self) -> bool:
        """True with `-L`, in either form."""
        return self.location or self.location_trusted
