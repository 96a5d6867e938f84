"""The command line of `h3push serve`, understood: every subject, and what concerns more than one of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import rich_click as click

from h3push.cli.failures import CommandFailed
from h3push.cli.serving.application import Application
from h3push.cli.serving.binding import Binding
from h3push.cli.serving.certificates import CertificateFiles, Certificates
from h3push.cli.serving.delivery import Delivery
from h3push.cli.serving.development import Development
from h3push.cli.serving.flag import Subject
from h3push.cli.serving.limits import Limits, Timeouts, WebSockets
from h3push.cli.serving.logs import Logs
from h3push.cli.serving.metrics import Metrics
from h3push.cli.serving.over_tcp import OverTcp
from h3push.cli.serving.processes import Processes
from h3push.cli.serving.responses import Responses
from h3push.cli.serving.site import Site
from h3push.cli.serving.upstreaming import Upstreaming

SUBJECTS: Mapping[str, type[Subject]] = {
    "binding": Binding,
    "certificates": Certificates,
    "over_tcp": OverTcp,
    "application": Application,
    "site": Site,
    "responses": Responses,
    "delivery": Delivery,
    "processes": Processes,
    "development": Development,
    "logs": Logs,
    "metrics": Metrics,
    "timeouts": Timeouts,
    "limits": Limits,
    "websockets": WebSockets,
}
"""Field of `ServeOptions` -> its class, in the order of the help. A further subject is a line here and a field there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The whole command line."""

    target: str
    """The directory to serve, or `module:app`."""
    binding: Binding
    """Where it listens."""
    certificates: Certificates
    """With which certificate."""
    over_tcp: OverTcp
    """Beside HTTP/3."""
    application: Application
    """How an application is found."""
    site: Site
    """How a directory is served."""
    responses: Responses
    """Fields of responses."""
    delivery: Delivery
    """The things that go with a page."""
    processes: Processes
    """How many processes."""
    development: Development
    """Reloading, while it is being written."""
    logs: Logs
    """The logs."""
    metrics: Metrics
    """The port for Prometheus."""
    timeouts: Timeouts
    """Time-outs."""
    limits: Limits
    """Bounds."""
    websockets: WebSockets
    """Bounds of WebSockets."""

    @classmethod
    def subjects(cls) -> Mapping[str, type[Subject]]:
        """Field -> its class, in the order of the help."""
        return SUBJECTS

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Make them of what click parsed. Raises `click.UsageError` for what makes no sense, `CommandFailed` for a bad target."""
        target = given.pop("target")
        subjects: dict[str, Any] = {field: subject.taken_from(given) for field, subject in cls.subjects().items()}
        assert not given, f"no subject has {given}"
        options = cls(target=target, **subjects)
        for one in subjects.values():
            one.check()
        options.check_together()
        options.check_reload()
        options.check_target()
        return options

    @property
    def directory(self) -> Path | None:
        """The directory to serve; `None` for an application. A directory is what exists as one, or cannot be a module."""
        path = Path(self.target)
        module = self.target.partition(":")[0]
        is_module = all(part.isidentifier() for part in module.split("."))
        is_application = is_module and not path.is_dir() and (":" in self.target or self.application.factory)
        return None if is_application else path

    @property
    def is_supervised(self) -> bool:
        """True when a supervisor has the port: for several workers, for one that gives way in time, and to reload."""
        processes = self.processes
        return processes.workers > 1 or processes.limit_max_requests is not None or self.development.reload

    def certificate_files(self) -> CertificateFiles:
        """The certificate as it is now; made or renewed for development. Raises `CommandFailed`."""
        return self.certificates.find(self.binding.host)

    def check_together(self) -> None:
        """Refuse flags of two subjects that exclude each other."""
        over_tcp, certificates = self.over_tcp, self.certificates
        if self.binding.uds is not None and (over_tcp.tcp == "off" or over_tcp.redirect_http is not None):
            raise click.UsageError("--uds takes the place of TCP: leave out --tcp off and --redirect-http.")
        if over_tcp.redirect_http and over_tcp.redirect_http == self.binding.port:
            raise click.UsageError("--redirect-http and --port need two ports: TLS and plain HTTP cannot share one.")
        if certificates.ssl_ciphers is not None and over_tcp.tcp == "off":
            raise click.UsageError("--ssl-ciphers goes with TCP: QUIC has TLS 1.3, and its own cipher suites.")
        if certificates.early_data and self.is_supervised:
            raise click.UsageError("--early-data goes with one process: several could not tell a replay.")

    def check_reload(self) -> None:
        """Refuse to reload what needs no reload, and several workers of what is being written."""
        if self.development.reload and self.directory is not None:
            raise click.UsageError(
                "--reload goes with an application: files of a directory are served as they are now."
            )
        if self.development.reload and self.processes.workers > 1:
            raise click.UsageError(
                "--reload and --workers exclude each other: one process serves what is being written."
            )

    def check_target(self) -> None:
        """Refuse a target that is no directory and does not look like `module:app`, and flags of the other kind."""
        directory, site = self.directory, self.site
        if directory is None:
            if site.charset is not None or site.follow_symlinks:
                raise click.UsageError("--charset and --follow-symlinks go with a directory.")
            if site.browse or site.spa or site.cache_control or site.compress:
                raise click.UsageError("--browse, --spa, --compress and --cache-control go with a directory.")
            return
        application = self.application
        if application != Application():
            raise click.UsageError(
                "--factory, --app-dir, --lifespan and --root-path go with an application: h3push serve module:app"
            )
        if not directory.is_dir():
            if directory.exists():
                hint = f" (an application is given as {directory.stem}:app)" if directory.suffix == ".py" else ""
                raise CommandFailed(f"{directory} is not a directory{hint}")
            hint = "" if len(directory.parts) > 1 else " (an application is given as module:app)"
            raise CommandFailed(f"there is no directory {directory}{hint}")


_OF_FILES_AND_APPLICATIONS = frozenset({"application", "development", "site"})
"""Subjects that a proxy has nothing to do with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions(ServeOptions):
    """The command line of `h3push proxy`: what is served is what upstreams answer."""

    upstreams: tuple[str, ...]
    """Addresses, as they were typed."""
    upstreaming: Upstreaming
    """How they are asked."""
    application: Application = Application()  # noqa: RUF009 - frozen
    development: Development = Development()  # noqa: RUF009 - frozen
    site: Site = Site()  # noqa: RUF009 - frozen

    @classmethod
    def subjects(cls) -> Mapping[str, type[Subject]]:
        """Field -> its class, in the order of the help."""
        shared = {field: subject for field, subject in SUBJECTS.items() if field not in _OF_FILES_AND_APPLICATIONS}
        return {"upstreaming": Upstreaming, **shared}

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        """Make them of what click parsed; raises as `ServeOptions.of`."""
        upstreams = given.pop("upstream")
        subjects: dict[str, Any] = {field: subject.taken_from(given) for field, subject in cls.subjects().items()}
        options = cls(target=" ".join(upstreams), upstreams=upstreams, **subjects)
        for one in subjects.values():
            one.check()
        options.check_together()
        return options

    @property
    def directory(self) -> Path | None:
        """None: an application is served, which is the proxy."""
        return None
