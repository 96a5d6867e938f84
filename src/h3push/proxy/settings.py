"""Every time-out and bound of the way to the upstreams. Times are seconds and `None` is no limit, sizes are bytes."""

from dataclasses import dataclass

from h3push.plans.page import PageScanSettings

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Settings of the connections to upstreams."""

    connect_timeout: float | None = 5.0
    """A connection, with TLS, is there after so long. An upstream is near; one that takes longer is down."""
    response_timeout: float | None = 60.0
    """The header section of the answer comes so long after the request."""
    read_timeout: float | None = 60.0
    """The next piece of the answer's content comes so long after the last one."""
    write_timeout: float | None = 60.0
    """The upstream takes the next piece of the request's content within so long."""
    pool_timeout: float | None = 5.0
    """A request waits so long for one of `max_requests`; then the client gets 503."""
    keepalive: float = 30.0
    """A connection that nobody uses is closed after so long. Shorter than most servers' own bound is the wrong way round: they
    close theirs at 5 to 75 s, and what they closed is noticed at once."""
    max_requests: int = 100
    """Requests to one upstream at once. Over HTTP/1.1 each has a connection of its own."""
    fail_timeout: float = 5.0
    """An upstream that could not be reached is left out for so long, if there is another."""
    health_interval: float = 10.0
    """Upstreams are asked for `--health-check` so often."""
    high_water: int = 256 * KIB
    """Content of one answer that waits for the client; beyond it the upstream is not read from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How requests are forwarded."""

    host: str | None = None
    """Host as upstreams get it: `None` for the one that was asked for, "upstream" for the upstream's own, or a value."""
    trusted: tuple[str, ...] = ()
    """Addresses and networks whose `Forwarded` and `X-Forwarded-*` are believed; "*" is everybody."""
    via: str = "h3push"
    """The name of this proxy in `Via`."""
    read_pages: bool = True
    """Read pages that pass for what they name."""
    scan: PageScanSettings = PageScanSettings(max_work=16 * KIB)  # noqa: RUF009 - frozen
    """Bounds of one look at a page that passes: some 10 ms at most, in which nobody else is served."""
    cached: int = 4_096
    """Answers that are kept while they are fresh (RFC 9111, as a shared cache); 0: none."""
    cached_bytes: int = 64 * 1024 * KIB
    """Their content together; the one that was used longest ago goes first. One alone has an eighth at most."""
    websocket_max_size: int = 1024 * KIB
    """Largest message of a WebSocket that is taken from an upstream."""
