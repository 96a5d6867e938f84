"""The native QUIC transport: quinn-proto, quinn-udp and rustls. No HTTP/3 in here.

Three drivers share one core and one stream interface: `Endpoint` (a UDP socket driven from the event loop's own thread),
`ThreadedEndpoint` (the same socket on an IO thread) and `SansIo` (datagrams and clock passed in). Handles of connections
are plain integers that are never used again for another connection; a call for a connection or stream that is gone does nothing.

Events are tuples whose first item is one of the `int` constants below. Addresses are `(host, port)`; IPv6 hosts have no
scope and no brackets. Times of `SansIo` are nanoseconds of a clock that the caller owns and that never goes back.

What a peer does raises nothing; what a caller gets wrong (an address that is none, a number that cannot be) is a `ValueError`.
No method releases the GIL but `shutdown`. An endpoint belongs to the process that made it: fork first, then bind. In a child,
`recv`, `tick`, `flush` and `rebind` are a `RuntimeError`, and `shutdown` lets go of the copy without a word to the peers.
"""

# ruff: noqa: D204, D205, D209 -- docstrings of a stub stand close; the formatter wants D204's blank line away

import os
from collections.abc import Sequence
from typing import Final, final

from typing_extensions import disjoint_base

_Address = tuple[str, int]
_Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]

INCOMING: Final[int]
"""`(INCOMING, incoming, address, validated)`: only with `Transport(ask_incoming=True)`; answer with one of accept, refuse,
retry, ignore within `handshake_timeout`."""
ACCEPTED: Final[int]
"""`(ACCEPTED, connection, address)`: a server connection exists; its handshake is under way."""
HANDSHAKE: Final[int]
"""`(HANDSHAKE, connection, alpn, server_name)`: handshake data is known; `alpn` is bytes, `server_name` str or None."""
CONNECTED: Final[int]
"""`(CONNECTED, connection, early_data_accepted)`: the handshake is done. When a client's 0-RTT was not accepted, the streams
that it opened before this event are void and their numbers are given again."""
DATA: Final[int]
"""`(DATA, connection, stream, data, fin)`: all that was readable, as one bytes object; `fin` at the end of the stream."""
RESET: Final[int]
"""`(RESET, connection, stream, error_code)`: the peer reset its sending side."""
STOP: Final[int]
"""`(STOP, connection, stream, error_code)`: the peer sent STOP_SENDING; RESET_STREAM has been answered already."""
DRAINED: Final[int]
"""`(DRAINED, connection, stream)`: a stream whose `write` reported more than `high_water` (or that had more to send after
`write_file`) is at or below `low_water` again."""
ACKED: Final[int]
"""`(ACKED, connection, stream)`: everything written to the stream, and its end, is acknowledged."""
STREAMS_AVAILABLE: Final[int]
"""`(STREAMS_AVAILABLE, connection, unidirectional)`: the peer raised the limit."""
DATAGRAM: Final[int]
"""`(DATAGRAM, connection, data)`: an RFC 9221 datagram."""
CLOSED: Final[int]
"""`(CLOSED, connection, kind, error_code, reason)`: the connection is over; the handle is dead. `kind` is one of the
`CLOSED_*` constants, `error_code` int or None, `reason` str."""
PATH_CHANGED: Final[int]
"""`(PATH_CHANGED, connection, address)`: the peer moved to another address (migration or NAT rebinding)."""

UNSENT: Final[int]
"""`(UNSENT, connection, stream, bytes)`: so much of a stream waited and will never be sent. It comes before the STOP, FILE_FAILED
or CLOSED that is the reason, and not when nothing waited."""
FILE_FAILED: Final[int]
"""`(FILE_FAILED, connection, stream, errno, reason)`: a file of `write_file` could not be sent to its end, because it was
changed, cut or removed meanwhile (`errno` None) or could not be read; RESET_STREAM with 0x102 is under way."""

FLUSH_DONE: Final[int]
"""Result of `flush`: nothing is left to send."""
FLUSH_MORE: Final[int]
"""Result of `flush`: its budget was used up, call it again soon."""
FLUSH_FULL: Final[int]
"""Result of `flush`: the socket is full, call it again when the socket is writable."""

CLOSED_BY_APPLICATION: Final[str]
"""The peer sent CONNECTION_CLOSE 0x1d."""
CLOSED_BY_TRANSPORT: Final[str]
"""The peer sent CONNECTION_CLOSE 0x1c."""
CLOSED_LOCALLY: Final[str]
"""We closed, by `close` or by dropping the endpoint."""
CLOSED_TRANSPORT_ERROR: Final[str]
"""The peer broke QUIC; TLS alerts come here as 0x100 + alert."""
CLOSED_TIMED_OUT: Final[str]
"""Idle time-out or handshake time-out."""
CLOSED_RESET: Final[str]
"""A stateless reset arrived."""
CLOSED_REFUSED: Final[str]
"""No version in common, or no connection IDs left."""
CLOSED_UNREACHABLE: Final[str]
"""The kernel says, by ICMP, that nobody is there (clients only); the code is an errno. After the handshake, a PING asks first."""
CLOSED_INTERNAL: Final[str]
"""A panic in the core; only this connection was closed."""

@final
class ServerTls:
    """A server's TLS settings. PEM in, checked here: `ValueError` with one sentence when something does not fit."""
    def __new__(
        cls,
        identities: Sequence[tuple[bytes, bytes]],
        *,
        alpn: Sequence[bytes] | None = None,
        client_ca: bytes | None = None,
        require_client: bool = True,
        early_data: bool = False,
        ticket_key: bytes | None = None,
        key_log_file: _Path | None = None,
    ) -> ServerTls:
        """`identities`: (certificate chain PEM, private key PEM) pairs, picked by SNI against the names in the leaf
        certificate (wildcards too); the first serves unknown and missing names. `alpn` None: `[b"h3"]`.
        `client_ca`: PEM of the authorities of clients' certificates, which are asked for then; `require_client` refuses
        those who have none. `early_data` lets clients send 0-RTT. `key_log_file`: NSS key log (SSLKEYLOGFILE), appended, and
        made for its owner alone (0600); `OSError` with its name when it cannot be opened. Sessions for resumption live in
        the object, or with
        `ticket_key` (32 bytes or more, shared by the servers of a port) in tickets, which excludes `early_data`."""

@final
class ClientTls:
    """A client's TLS settings."""
    def __new__(
        cls,
        *,
        trust: bytes | None = None,
        verify: bool = True,
        alpn: Sequence[bytes] | None = None,
        early_data: bool = False,
        identity: tuple[bytes, bytes] | None = None,
        key_log_file: _Path | None = None,
    ) -> ClientTls:
        """`trust`: PEM of the only authorities to trust, or None for those of the system. `verify=False` accepts every
        certificate. Session tickets are kept in the object and resumed by later connections made with it; `early_data`
        also sends in 0-RTT. `identity`: a client certificate (chain PEM, key PEM)."""

@final
class Transport:
    """QUIC transport settings; everything that a peer can make us hold has its bound here."""
    def __new__(
        cls,
        *,
        idle_timeout: float = 30.0,
        handshake_timeout: float = 10.0,
        keep_alive_interval: float | None = None,
        max_bidirectional_streams: int = 100,
        max_unidirectional_streams: int = 16,
        stream_receive_window: int = 262144,
        connection_receive_window: int = 1048576,
        send_window: int = 1048576,
        high_water: int = 65536,
        low_water: int = 16384,
        max_connections: int = 10000,
        max_connections_per_address: int = 1000,
        evict_idle_after: float = 10.0,
        byte_budget: int = 1073741824,
        byte_budget_per_address: int = 268435456,
        retry_above: int = 1000,
        ask_incoming: bool = False,
        first_read_unidirectional: int = 0,
        congestion: str = "cubic",
        initial_window: int = 10,
        initial_rtt: float = 0.333,
        max_datagram_frame: int = 0,
        migration: bool = True,
        mtu_discovery: bool = True,
        initial_mtu: int = 1200,
        max_open_files: int = 64,
    ) -> Transport:
        """Times in seconds, windows in bytes.

        `handshake_timeout`: a connection not CONNECTED by then is closed. `send_window`: bytes in flight and unacknowledged per
        connection. `high_water`/`low_water`: see DRAINED. `max_connections`: beyond it, a connection that was of no use
        for `evict_idle_after` gives way (no request open, nothing sent or received but PINGs), or else new ones are refused.
        `max_connections_per_address`: of one IPv4 address, or /64 of IPv6. `byte_budget`: a server's connections begin with
        64 KiB to be unread and 128 KiB to be acknowledged; the rest of their windows is granted from this, for all connections
        together, and `byte_budget_per_address` of it to one address; without a grant they go on with those.
        `retry_above`: with so many handshakes under way, new clients must prove their address (Retry).
        `first_read_unidirectional`: when not 0, the first read of a peer's unidirectional stream is cut to so many bytes and
        the stream is paused until `resume`. `congestion`: "cubic" or "new_reno". `initial_window`: packets of 1,200
        bytes under way before the first acknowledgment, 10 to 1000. `idle_timeout` 0: none.
        `max_open_files`: descriptors for files of `write_file`, over all connections; a file that has none is opened again
        for its next piece. `max_datagram_frame`: not 0 turns RFC 9221 datagrams on; quinn then takes up to 65535 bytes.
        `ValueError` for settings that cannot be.
        """

@disjoint_base
class _Streams:
    """What every driver can do with its connections. `stream` IDs are those of RFC 9000 section 2.1."""
    def open(self, connection: int, unidirectional: bool) -> int | None: ...
    def stream_credit(self, connection: int, unidirectional: bool, wanted: int) -> int:
        """How many of `wanted` streams `open` could give now."""
    def write(self, connection: int, stream: int, data: bytes, fin: bool) -> int:
        """Take everything; return the bytes of this stream that quinn has not taken yet (a file's rest included).

        From 16 KiB on, `data` is kept until it has been acknowledged, not copied.
        """
    def write_part(self, connection: int, stream: int, data: bytes, offset: int, length: int, fin: bool) -> int:
        """The same for `length` bytes of `data` from `offset` on. `ValueError` when they are not within it."""
    def send_stream(self, connection: int, priority: int, data: bytes) -> int | None:
        """Open a unidirectional stream, set its priority and write all of it; `None`, and nothing done, when there is none."""
    def writev(self, connection: int, stream: int, buffers: Sequence[bytes], fin: bool) -> int: ...
    def write_file(self, connection: int, stream: int, path: _Path, offset: int, length: int, fin: bool) -> None:
        """Send a part of a file, read in Rust as the stream takes it; writes that follow are sent after it. `OSError` when it
        cannot be opened (EMFILE too). What fails later resets the stream: see FILE_FAILED."""
    def reset(self, connection: int, stream: int, error_code: int) -> None: ...
    def stop(self, connection: int, stream: int, error_code: int) -> None: ...
    def set_priority(self, connection: int, stream: int, priority: int) -> None: ...
    def pause(self, connection: int, stream: int) -> None: ...
    def resume(self, connection: int, stream: int) -> None:
        """What is readable is delivered by the next `recv`, `tick` or `events` call; `pending` tells that there is something."""
    def send_datagram(self, connection: int, data: bytes) -> bool: ...
    def max_datagram(self, connection: int) -> int | None: ...
    def connect(self, address: _Address, server_name: str, *, client: ClientTls | None = None) -> int:
        """Begin a connection. `ValueError` for a name or address that cannot be one, `RuntimeError` without client settings."""
    def accept(self, incoming: int) -> int | None: ...
    def refuse(self, incoming: int) -> None: ...
    def retry(self, incoming: int) -> None: ...
    def ignore(self, incoming: int) -> None: ...
    def set_accepting(self, accepting: bool) -> None:
        """False: new connections are refused (graceful shutdown)."""
    def close(self, connection: int, error_code: int, reason: bytes) -> None: ...
    def ping(self, connection: int) -> None: ...
    def set_keep_alive(self, connection: int, interval: float | None) -> None:
        """Send a PING after so many idle seconds from now on; None: no more."""
    def set_max_streams(self, connection: int, unidirectional: bool, count: int) -> None: ...
    def info(self, connection: int) -> dict[str, object]:
        """`alpn`, `server_name`, `peer_certificates` (DER list), `remote` (address), `local_ip`, `early_data`, `cipher_suite`
        (int), `resumed` (bool). Empty when the connection is gone."""
    def export_keying_material(self, connection: int, label: bytes, context: bytes, length: int) -> bytes:
        """RFC 5705. `ValueError` before the handshake is done, after the end, and for absurd lengths."""
    def stats(self, connection: int) -> dict[str, int | float]:
        """`rtt`, `min_rtt` (seconds), `congestion_window`, `sent_bytes`, `received_bytes`, `sent_packets`,
        `lost_packets`, `mtu`, `buffered_bytes` (in memory, waiting outside of quinn for all streams). Empty when the connection
        is gone."""
    def connection_count(self) -> int: ...
    def set_server_tls(self, server: ServerTls) -> None:
        """New connections use the new settings (certificate renewal)."""
    def pending(self) -> bool:
        """True when events wait that no datagram will announce (after `resume`, `close`, a panic)."""

@final
class Endpoint(_Streams):
    """One UDP socket, for a server, clients, or both, driven from the event loop's thread. Keeps the GIL."""
    @staticmethod
    def bind(
        address: _Address,
        *,
        server: ServerTls | None = None,
        client: ClientTls | None = None,
        transport: Transport,
        fd: int | None = None,
        worker: tuple[int, int] | None = None,
        reset_key: bytes | None = None,
        token_key: bytes | None = None,
        roster: int | None = None,
    ) -> Endpoint:
        """Bind, or take over the bound socket `fd`. The host `::` takes IPv4 too. `worker`: (index, count) for connection-ID
        steering: the first byte of our connection IDs is congruent to index (count at most 255). Keys of 16 bytes or more are
        shared by workers; a server without them derives them from its first TLS key, its address and the machine's name, so
        that a restart resets the connections from before. `roster`: a file of shared memory, of which the first 32 bytes for each
        connection say where its client is. `OSError` as from the socket module."""
    def fileno(self) -> int: ...
    def local_address(self) -> _Address: ...
    def recv(self, max_batches: int = 8) -> list[tuple[object, ...]]:
        """Read datagrams (bounded), run the protocol, return the events."""
    def tick(self) -> list[tuple[object, ...]]:
        """Run the timers that are due; also returns events that were pending."""
    def flush(self) -> tuple[float | None, int]:
        """Send what may be sent. Returns (seconds until `tick` is due, one of the `FLUSH_*` constants)."""
    def rebind(self, fd: int | None = None) -> None:
        """Move to a new socket on the same host (fresh port when `fd` is None)."""
    def tell_orphans(self, fd: int) -> int:
        """Reset every connection of a roster, whose worker is gone; `flush` follows. Returns how many."""
    def shutdown(self) -> None:
        """Close every connection (CONNECTION_CLOSE 0x100 goes out; half a second at most is spent on a full socket) and the
        socket; so does dropping the object. The CLOSED events are returned by the next `recv` or `tick`."""

@final
class ThreadedEndpoint(_Streams):
    """The same on an IO thread: acknowledgements, pacing and keep-alive go on while Python is busy."""
    @staticmethod
    def bind(
        address: _Address,
        *,
        server: ServerTls | None = None,
        client: ClientTls | None = None,
        transport: Transport,
        fd: int | None = None,
        worker: tuple[int, int] | None = None,
        reset_key: bytes | None = None,
        token_key: bytes | None = None,
        roster: int | None = None,
    ) -> ThreadedEndpoint: ...
    def fileno(self) -> int:
        """An eventfd that is readable while events wait."""
    def local_address(self) -> _Address: ...
    def recv(self, max_batches: int = 8) -> list[tuple[object, ...]]: ...
    def tick(self) -> list[tuple[object, ...]]: ...
    def flush(self) -> tuple[float | None, int]:
        """Wake the IO thread; `(None, FLUSH_DONE)`."""
    def rebind(self, fd: int | None = None) -> None: ...
    def shutdown(self) -> None: ...

@final
class SansIo(_Streams):
    """The same core without socket and clock. The same seed and the same calls give the same packets, byte lengths and times
    (TLS keys and signatures differ each time; ECDSA signatures of servers are made until they have the usual length)."""
    def __new__(
        cls,
        *,
        server: ServerTls | None = None,
        client: ClientTls | None = None,
        transport: Transport,
        seed: bytes,
        now: int,
    ) -> SansIo:
        """`seed`: 32 bytes. `now`: nanoseconds."""
    def feed(self, now: int, data: bytes, address: _Address, ecn: int | None = None) -> None:
        """Take in a datagram. Feed all that arrived at one time, then ask for `events`: a stream is read once per call of it."""
    def advance(self, now: int) -> None:
        """Set the clock and run the timers that are due."""
    def events(self) -> list[tuple[object, ...]]: ...
    def transmits(self, now: int, max_datagrams: int = 1) -> list[tuple[_Address, bytes, int | None, int | None]]:
        """`(destination, bytes, segment_size, ecn)`; with `max_datagrams=1` each is one datagram and segment_size is None."""
    def timeout(self) -> int | None:
        """When `advance` is due (nanoseconds), or None."""

def version() -> dict[str, str]:
    """`quinn_proto`, `rustls`, `crypto` (provider name)."""
