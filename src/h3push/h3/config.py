"""Every knob of the protocol core, with its unit, default and reason.

Each bound is per connection. Passing a bound that the protocol has an answer for gets that answer (431, CANCEL_PUSH, a stream
error); passing a flood bound ends the connection with H3_EXCESSIVE_LOAD.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class H3Config:
    """Settings of one HTTP/3 connection, either role."""

    max_field_section_size: int = 65_536
    """Largest decoded header or trailer section we accept, in bytes as RFC 9114 section 4.2.2 counts (name + value + 32 a
    field). Sent as SETTINGS_MAX_FIELD_SECTION_SIZE. 64 KiB: what large cookies and tokens need; nginx and Apache stop earlier."""
    max_encoded_field_section_size: int = 131_072
    """Largest encoded HEADERS or PUSH_PROMISE payload that is buffered, in bytes; larger ends the connection. Twice the decoded
    limit, so that a section somewhat over that limit still gets its own answer (431, CANCEL_PUSH)."""
    qpack_max_table_capacity: int = 4_096
    """Dynamic table that the peer's encoder may use with us, in bytes (RFC 9204 section 5); 0 turns it off."""
    qpack_blocked_streams: int = 16
    """How many streams may wait for the peer's encoder stream (RFC 9204 section 2.1.2)."""
    qpack_encoder_table_capacity: int = 4_096
    """Dynamic table that our encoder uses at most, whatever the peer allows, in bytes; 0 encodes with the static table only."""

    max_concurrent_pushes: int | None = None
    """Client: how many pushes the server may have granted and unfinished at any instant; `None` (the default) never sends
    MAX_PUSH_ID, so that nothing may be pushed (RFC 9114 section 7.2.7)."""
    grant_in_two_steps: bool = False
    """Client: send the first MAX_PUSH_ID as two frames, the second one higher. So the server sees at once that this limit moves,
    and may keep a response open for what had no credit yet. `h3push.connect` does it, because its window always moves."""
    release_pushes: bool = True
    """Client: a push gives its credit back when its stream ended. False: only when `release_push` is called, so that what the
    application has not read yet counts too."""
    push_promise_timeout: float | None = 10.0
    """Client: seconds that a push stream may wait for its promise before it is stopped (RFC 9114 section 4.6 'reasonable time').
    The promise left before the stream; ten seconds is many retransmissions."""
    push_stream_timeout: float | None = 60.0
    """Client: seconds that a promise may wait for its push stream before it is cancelled."""
    push_authorities: tuple[bytes, ...] = ()
    """Server: further authorities (host or host:port) that this server may push for; the authority of the request that a push
    goes with is always allowed."""
    max_repeated_promises: int = 64
    """Client: how often one push ID may be promised in all, and server: how often we do it."""
    max_interim_responses: int = 32
    """Client: 1xx sections accepted before a final response (a 103 flood costs memory and time)."""
    enable_push: bool = True
    """Server: False never pushes, and still checks what the client says about pushes."""

    connect_protocol: bool = False
    """Server: take extended CONNECT (RFC 9220), as WebSockets need it; sent as SETTINGS_ENABLE_CONNECT_PROTOCOL."""
    max_request_streams_buffered_priorities: int = 128
    """Server: PRIORITY_UPDATE frames kept for requests that have not arrived (RFC 9218 section 7); the oldest is dropped."""
    max_control_frame_size: int = 4_096
    """Largest payload of a frame on the control stream, in bytes: SETTINGS and PRIORITY_UPDATE are the ones that vary."""
    remembered_pushes: int = 256
    """How many finished pushes are remembered one by one (their end, and that a push stream was seen), either role. Older ones
    are remembered as ranges of IDs only."""
    flood_burst: int = 1_000
    """Frames without any progress (unknown, empty DATA, repeated MAX_PUSH_ID or GOAWAY, CANCEL_PUSH, PRIORITY_UPDATE, resets)
    that a peer may send at once. Each request and each push earns some back. nghttp3's limiter uses the same burst."""
    flood_rate: float = 100.0
    """How many more of them a second."""
    grease: bool = True
    """Send reserved settings, a reserved frame and a reserved stream, so that peers keep ignoring them (RFC 9114 section
    7.2.8); what is sent depends on `grease_seed` only."""
    grease_seed: int | None = None
    """Picks the reserved values. None: the asyncio layer picks one for each connection; by itself the core takes 0."""
