"""Every time-out and bound of the asyncio layer, with its unit, default and reason.

What the protocol itself bounds (header sizes, concurrent pushes, floods) is in `h3push.h3.config`. Times are seconds and `None`
is no limit, sizes are bytes. Each settings object also makes the QUIC transport settings, so that a number is written in one
place.
"""

from dataclasses import dataclass

from h3push import _quic
from h3push.h3.transport import FIRST_READ_BYTES

KIB = 1024
MIB = 1024 * KIB

NO_LIMIT = 10 * 365 * 86_400.0
"""Seconds that stand for "no limit" where QUIC needs a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of a server."""

    idle_timeout: float | None = 30.0
    """A connection on which nothing arrives for so long is gone. Long enough for a reader of a page, short enough that NAT
    bindings (often 30 s for UDP) have not been forgotten first."""
    handshake_timeout: float | None = 10.0
    """A handshake that takes longer is given up: what it holds is the cheapest thing to attack."""
    request_timeout: float | None = 10.0
    """A request's header section must be complete so long after its first byte (slowloris)."""
    read_timeout: float | None = 60.0
    """A handler that waits for request content waits so long for the next piece, then gets `Timeout`."""
    drain_timeout: float | None = 60.0
    """A client that takes less than 16 KiB of a response for so long is a slow reader: the response is reset, though its handler
    may be done. Looked at four times within that time; a client that takes 16 KiB for each of its responses on average is
    excused, as the order among them is ours."""
    graceful_timeout: float | None = 10.0
    """`Server.shutdown` lets requests and pushes finish for so long; then they are reset. Process managers kill at 30 s."""
    linger_timeout: float | None = 2.0
    """After the last response of a graceful shutdown, the client has so long to acknowledge it and close by itself."""

    authorities: tuple[str, ...] | None = None
    """Authorities that the server answers for ("example.com", "example.com:4433"), compared without case and with 443 as the
    default port; a request for another one gets 421 (RFC 9110 section 15.5.20). None: any, as suits one site behind one
    certificate."""
    backlog: int = 2048
    """TCP connections that may wait to be accepted; the kernel takes the least of this and its own bound."""
    max_connections: int = 10_000
    """Connections at once. Beyond it the idlest gives way (`evict_idle_after`), or new ones are refused. An idle one costs some
    40 KB."""
    max_connections_per_address: int = 1_000
    """Connections of one IPv4 address, or of one /64 of IPv6; further ones are refused. Raise it behind a relay, whose clients
    share an address."""
    evict_idle_after: float = 10.0
    """When places run out, a connection with no open request, on which nothing but PINGs went for so long, is closed for whoever
    has proved its address."""
    first_request_timeout: float | None = 30.0
    """A connection on which no request came for so long after the handshake is closed: PINGs alone do not hold it. Browsers that
    connect ahead have their request within seconds."""
    byte_budget: int = 1024 * MIB
    """Bytes that all connections may hold together in QUIC, sent and not acknowledged or received and not read, beyond the
    first 64 KiB (receiving) and 128 KiB (sending) of each. A connection that finds it used up goes on with those."""
    byte_budget_per_address: int = 256 * MIB
    """The part of `byte_budget` that one IPv4 address, or /64 of IPv6, may have."""
    unread_budget: int = 256 * MIB
    """Request content of all connections together that waits for handlers. Beyond it each stream is paused with its first unread
    piece, instead of at `receive_high_water`."""
    max_concurrent_requests: int = 100
    """Handlers that run at once for one connection, pushes apart (the QUIC stream limit is the same number). It counts
    handlers, not streams: a request that is reset holds its place until its handler is done (CVE-2023-44487)."""
    max_pushes_per_request: int = 100
    """Promises that one request may cause, those of pushed requests included; further ones are refused with LIMIT."""
    max_push_bytes: int = 1024 * MIB
    """Pushed content that one request may cause; the push that passes it is cancelled. A small request must not be able to
    make a server send without end (RFC 9114 section 10.5)."""
    push_hold_out: float = 0.0
    """Share of connections that get no pushes, though they take them: half of those get hints, the others nothing. Which ones is
    drawn at random, and the access log says it (`arm`), so that `h3push report` can measure what pushes save. 0.06 costs
    little."""
    early_data: bool = False
    """Give requests that came in early data (0-RTT) and are safe to repeat to the handler at once, marked `Request.early`. They
    may be replays (RFC 8470); all others wait until the handshake is done. `ServerTls` has to allow early data too; certificate
    files given to `serve` do then."""
    cancel_handlers: bool = True
    """The handler's task is cancelled when the client does not want the response any more. False: only `disconnected` is
    set, for applications that are not written for cancellation."""
    send_date: bool = True
    """Add Date to final responses without one (RFC 9110 section 6.6.1: a server with a clock must)."""

    websocket_max_size: int = 1 * MIB
    """Largest message of a WebSocket that is taken, after decompression; a larger one ends it with 1009. Each WebSocket can hold
    three of these: one that arrives, one that waits for room, and those that the application has not taken."""
    websocket_max_queue: int = 32
    """Messages of a WebSocket that wait for the application; beyond it nothing further is read."""
    websocket_ping_interval: float | None = 20.0
    """A WebSocket's client is sent a ping so often: NAT bindings and proxies forget what is silent for 30 s."""
    websocket_ping_timeout: float | None = 20.0
    """A client that does not answer a ping for so long is gone: 1011. Not counted while the application takes no messages."""
    websocket_close_timeout: float = 5.0
    """The other side has so long to answer a close, before the stream is ended without."""
    websocket_compression: bool = True
    """Agree to permessage-deflate, with windows of 4 KiB: some 64 KB for each WebSocket that asks for it."""

    max_open_files: int = 64
    """Files that are open for sending, over all connections. One that has no descriptor is opened again for its next 64 KiB, so
    that clients that stop reading do not use them up (a process often has 1,024)."""
    receive_high_water: int = 256 * KIB
    """Request content that waits for its handler; beyond it the stream is paused and the client is not granted more."""
    send_high_water: int = 64 * KIB
    """`send` waits while more than this of one response waits to be sent. A body of bytes, which its owner keeps anyway, goes out
    in parts of 1 MiB, uncopied."""
    stream_receive_window: int = 256 * KIB
    """QUIC flow control for one request's content: an upload runs at most at window / round-trip time."""
    connection_receive_window: int = 1 * MIB
    """QUIC flow control for all requests of a connection together."""
    send_window: int = 2 * MIB
    """Bytes sent and not acknowledged on one connection: a download runs at most at window / round-trip time (2 MiB at 100 ms:
    160 Mbit/s), and a client that stops acknowledging holds that much. Pushes get three quarters of it, and no further ahead of
    the network than two congestion windows, so that what is asked for finds room at once."""

    initial_window: int = 10
    """Packets of 1,200 bytes under way before the first acknowledgment; RFC 9002 section 7.2 recommends ten. More, 1,000 at most,
    saves round trips where whoever runs the server knows that the way to its clients bears it, as a relay's. On a way that does
    not, the excess is lost and sent again."""

    def transport(self) -> "_quic.Transport":
        """The QUIC transport settings that go with these."""
        return _quic.Transport(
            idle_timeout=self.idle_timeout or 0.0,
            handshake_timeout=_number(self.handshake_timeout),
            max_bidirectional_streams=self.max_concurrent_requests,
            max_unidirectional_streams=16,
            stream_receive_window=self.stream_receive_window,
            connection_receive_window=self.connection_receive_window,
            send_window=self.send_window,
            high_water=self.send_high_water,
            low_water=self.send_high_water // 4,
            max_connections=self.max_connections,
            max_connections_per_address=self.max_connections_per_address,
            evict_idle_after=self.evict_idle_after,
            byte_budget=self.byte_budget,
            byte_budget_per_address=self.byte_budget_per_address,
            max_open_files=self.max_open_files,
            initial_window=self.initial_window,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """Settings of a client connection."""

    connect_timeout: float | None = 10.0
    """From the look-up of the name to the end of the handshake, all addresses together."""
    attempt_delay: float = 0.25
    """The next address is tried too when one has not answered for so long (RFC 8305 section 5 recommends 250 ms)."""
    idle_timeout: float | None = 30.0
    """A connection on which nothing arrives for so long is gone. While a request or a wanted push is under way it is kept
    alive by a PING every third of this (RFC 9114 section 5.1)."""
    request_timeout: float | None = 30.0
    """How long a request waits for a stream when the server's limit on concurrent requests is reached."""
    response_timeout: float | None = 60.0
    """From the end of the request (or its last accepted byte) to the final response's header section."""
    read_timeout: float | None = 60.0
    """`read` and `stream` wait so long for the next piece of content, then raise `Timeout`."""
    drain_timeout: float | None = 60.0
    """A server that takes less than 16 KiB of a request's content for so long: the request fails with `Timeout`."""
    push_timeout: float | None = 10.0
    """Once everything that was asked for has arrived, a push of which nothing comes for so long is cancelled and counts as
    failed, and a response that is kept open for further promises is closed. So a server that promises and does not send holds
    nobody up for ever. Looked at four times within that time."""

    receive_high_water: int = 1 * MIB
    """Content of one response or push that waits for the application; beyond it the stream is paused."""
    send_high_water: int = 64 * KIB
    """An upload waits while more than this of it waits to be sent."""
    stream_receive_window: int = 4 * MIB
    """QUIC flow control for one response: it arrives at most at window / round-trip time (4 MiB at the 600 ms of a satellite:
    56 Mbit/s)."""
    connection_receive_window: int = 16 * MIB
    """QUIC flow control for all responses together; each push that the client allows adds a `stream_receive_window`, so that
    pushes that nobody reads yet cannot stop what somebody waits for."""
    send_window: int = 4 * MIB
    """Bytes sent and not acknowledged."""
    push_streams: int = 100
    """Push streams that may be open at once, at least; `max_pushes` raises it. Three more are for control and QPACK."""

    def transport(self, max_pushes: int | None = None) -> "_quic.Transport":
        """The QUIC transport settings that go with these."""
        return _quic.Transport(
            idle_timeout=self.idle_timeout or 0.0,
            handshake_timeout=_number(self.connect_timeout),
            max_bidirectional_streams=0,
            max_unidirectional_streams=16 + (max(self.push_streams, max_pushes) if max_pushes else 0),
            stream_receive_window=self.stream_receive_window,
            connection_receive_window=self.connection_receive_window + (max_pushes or 0) * self.stream_receive_window,
            send_window=self.send_window,
            high_water=self.send_high_water,
            low_water=self.send_high_water // 4,
            first_read_unidirectional=FIRST_READ_BYTES,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushCacheSettings:
    """Bounds of the pushes that a client of many servers keeps: `AsyncClient`, `Client` and the transports for httpx."""

    concurrent: int = 100
    """Pushes under way at once on one connection (MAX_PUSH_ID): a page of a hundred resources in one go."""
    unclaimed: int = 256
    """Pushes that wait for a request, over all connections. A page rarely has so many resources."""
    unclaimed_bytes: int = 16 * MIB
    """Their content together; the oldest is dropped when it is more. A large page has 3 MiB."""
    unclaimed_seconds: float = 60.0
    """How long one waits. Whoever reads a page asks for its resources within seconds."""
    reload_seconds: float = 0.0
    """A whole push answers a request with `Cache-Control: max-age=0` (a reload, pip's index pages) for so long after its promise.
    0: only while it is under way."""
    stored: int = 1_000
    """Claimed pushes that are kept for further requests while they are fresh (RFC 9111)."""
    stored_bytes: int = 32 * MIB
    """Their content together; the one that was used longest ago is dropped when it is more. One alone has an eighth at most."""
    report: bool = True
    """Tell the server, with a later request of the same connection, which pushes were used and which were not (`Push-Report`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Settings of a client of many servers."""

    idle_seconds: float = 20.0
    """A connection without requests is closed after so long: before the server's 30 s, so that no request meets its end."""
    connections: int = 100
    """Connections that are open at once; the one that was used longest ago is closed for a further one. If all are in use, the
    request waits for one, as long as its time-out for connecting allows."""
    head_start: float = 1.0
    """How long HTTP/3 may take to connect before the ordinary transport gets the request. A satellite's handshake takes 0.7 s."""
    retry_after: float = 300.0
    """An origin where HTTP/3 did not answer is asked again after so long, as browsers do."""
    alternatives: int = 1_000
    """Origins of which an Alt-Svc, or that HTTP/3 did not answer, is remembered; the oldest is forgotten first."""


def _number(seconds: float | None) -> float:
    return NO_LIMIT if seconds is None else seconds
