"""Settings and bounds of a relay."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Settings of a relay."""

    stored: int = 10_000
    """Responses in the cache: some hundred pages with what belongs to them."""
    stored_bytes: int = 256 * MIB
    """Their content together; one alone has an eighth at most. What was used longest ago goes first."""
    unclaimed: int = 1_000
    """Pushes that wait for a request."""
    unclaimed_bytes: int = 64 * MIB
    """Their content together."""
    unclaimed_seconds: float = 60.0
    """How long one waits: a browser asks for what a page needs within seconds."""
    reload_seconds: float = 10.0
    """From its promise, how long a push answers a reload (`Cache-Control: max-age=0`): what came with a page that was
    reloaded is as new as the page. pip asks for every index page in this way. `no-cache` always goes to the origin."""
    silent_seconds: float = 60.0
    """How long a response that says nothing of its freshness answers further requests, at least: as long as a push may wait."""
    concurrent_pushes: int = 200
    """Pushes under way at once on one connection (MAX_PUSH_ID)."""
    max_connections: int = 1_000
    """Connections of programs that are open at once."""
    response_timeout: float | None = 300.0
    """From a request to the header section of its response: reports that take minutes exist, and the program in front of the
    relay has a time-out of its own."""
    connect_timeout: float = 15.0
    """For a connection to an origin: three round trips of a satellite, and two losses."""
    ping_seconds: float = 10.0
    """Silence after which a connection is probed with a PING: before NAT bindings and the origin's idle time-out end it, which
    are 30 s or more."""
    quiet_seconds: float = 2.0
    """The same while a request is under way."""
    flight_seconds: float = 5.0
    """How long a request waits for the same one of somebody else, whose answer may be stored: some round trips of a satellite."""
    first_backoff: float = 0.5
    """The first wait before an origin that does not answer is tried again; each further wait is twice as long."""
    last_backoff: float = 30.0
    """The longest of these waits."""
    websockets: int = 256
    """WebSockets that are open at once: Chromium opens 255 for itself. A further one is answered with 503."""
    websocket_max_size: int = 4 * MIB
    """Largest message of a WebSocket in either direction, after decompression: dashboards send plots of some MiB. A larger one
    ends it with 1009. Each WebSocket can hold one of the origin's, and `websocket_max_queue` of the program's."""
    websocket_max_queue: int = 4
    """Messages of a program's that wait for the origin; beyond it nothing further is read."""
    websocket_ping_interval: float | None = 20.0
    """Both sides of a WebSocket are sent a ping so often: proxies forget what is silent for 30 s."""
    websocket_ping_timeout: float | None = 20.0
    """The side that does not answer one in that time is given up, and the other is told 1011."""
    websocket_close_timeout: float = 5.0
    """How long a side has to answer a close."""
    loads: int = 8
    """Page loads that the status page shows."""
    rows: int = 300
    """Requests that it shows of each."""
    watchers: int = 16
    """Status pages that may be open at once."""
