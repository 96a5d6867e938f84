"""Metrics: where Prometheus reads what was counted."""

from dataclasses import dataclass

import rich_click as click

from h3push.cli.serving.flag import Subject, flag

LOOPBACK = "127.0.0.1"
"""Host when only a port is given: metrics are for this machine alone unless the user says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Subject):
    """The port of the figures."""

    heading = "Metrics"

    metrics: str | None = flag("--metrics [HOST:]PORT", "Figures for Prometheus; by default on 127.0.0.1.")

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; `None`: nothing is shown. Raises `click.UsageError` for what is neither."""
        if self.metrics is None:
            return None
        host, colon, port = self.metrics.rpartition(":")
        if not (port.isascii() and port.isdigit() and int(port) < 65536) or (colon and not host):
            raise click.UsageError(f"--metrics takes [HOST:]PORT, such as 9090 or 0.0.0.0:9090, not {self.metrics!r}.")
        return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)

    def check(self) -> None:
        """Refuse what is no address."""
        _ = self.address
