"""Every time-out and bound of the way to the upstreams. Times are seconds and `None` is no limit, sizes are bytes."""

from dataclasses import dataclass

from h3push.plans.page import PageScanSettings

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Settings of the connections to upstreams."""

    connect_timeout: float | None = 5.0
    """For opening a connection, TLS included. An upstream is near; one that takes longer is down."""
    response_timeout: float | None = 60.0
    """From the request to the header section of its answer."""
    read_timeout: float | None = 60.0
    """Between two pieces of the answer's content."""
    write_timeout: float | None = 60.0
    """For the upstream to take the next piece of the request's content."""
    pool_timeout: float | None = 5.0
    """For a request to get one of the `max_requests` places; after it the client gets 503."""
    keepalive: float = 30.0
    """After which an unused connection is closed. It need not be shorter than the upstream's own bound, commonly 5 to 75 s: a
    connection that the upstream closed is noticed at once."""
    max_requests: int = 100
    """Requests to one upstream at once. Over HTTP/1.1 each has a connection of its own."""
    fail_timeout: float = 5.0
    """For which an upstream that could not be reached is left out, if there is another."""
    health_interval: float = 10.0
    """Between two health checks (`--health-check`) of an upstream."""
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
