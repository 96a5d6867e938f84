"""Time-outs and bounds: the settings of `ServerSettings`, each as a flag.

A flag that is not given leaves the default to `ServerSettings`, where its reason stands too.
"""

from dataclasses import dataclass, fields
from typing import Any

import rich_click as click

from h3push.cli.serving.flag import Subject, flag
from h3push.cli.serving.size import SIZE

SECONDS = click.FloatRange(0)
COUNT = click.IntRange(1)


def _seconds(usage: str, help_line: str, also: str = "") -> Any:
    return flag(f"{usage} SECONDS", help_line, also=also, type=SECONDS)


def _count(usage: str, help_line: str, also: str = "") -> Any:
    return flag(f"{usage} N", help_line, also=also, type=COUNT)


def _size(usage: str, help_line: str, also: str = "") -> Any:
    return flag(f"{usage} BYTES", help_line, also=also, type=SIZE)


class ServerFlags(Subject):
    """Flags with the names of `ServerSettings`' fields."""

    __slots__ = ()

    def settings(self) -> dict[str, Any]:
        """The settings that were given; 0 seconds mean `None`, where a time-out can be none."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}  # type: ignore[arg-type]  # a dataclass each
        return {
            name: None if value == 0 and name in MAY_BE_NONE else value
            for name, value in given.items()
            if value is not None and value != ()
        }


MAY_BE_NONE = frozenset(
    {
        "idle_timeout",
        "handshake_timeout",
        "request_timeout",
        "read_timeout",
        "drain_timeout",
        "graceful_timeout",
        "linger_timeout",
        "first_request_timeout",
        "websocket_ping_interval",
        "websocket_ping_timeout",
    }
)
"""Time-outs that 0 switches off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts(ServerFlags):
    """Time-outs; 0 is none."""

    heading = "Time-outs (0: none)"

    idle_timeout: float | None = _seconds(
        "--timeout-keep-alive",
        "Close a silent connection.  [default: 30]",
        "--keep-alive --idle-timeout",
    )
    handshake_timeout: float | None = _seconds("--handshake-timeout", "Give up a handshake.  [default: 10]")
    request_timeout: float | None = _seconds("--request-timeout", "Give up a header section that began.  [default: 10]")
    first_request_timeout: float | None = _seconds(
        "--first-request-timeout", "Close a connection without a request.  [default: 30]"
    )
    read_timeout: float | None = _seconds("--read-timeout", "Give up content that a handler waits for.  [default: 60]")
    drain_timeout: float | None = _seconds("--drain-timeout", "Reset what its client does not take.  [default: 60]")
    graceful_timeout: float | None = _seconds(
        "--timeout-graceful-shutdown", "Let what is under way finish, at a stop.  [default: 10]", "--graceful-timeout"
    )
    linger_timeout: float | None = _seconds(
        "--linger-timeout", "Wait for the client's goodbye after that.  [default: 2]"
    )
    evict_idle_after: float | None = _seconds("--evict-idle-after", "Idle connections give way then.  [default: 10]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(ServerFlags):
    """Bounds on what clients can make the server hold."""

    heading = "Limits"

    max_connections: int | None = _count(
        "--limit-concurrency", "Connections at once.  [default: 10000]", "--max-connections --worker-connections"
    )
    max_connections_per_address: int | None = _count(
        "--max-connections-per-address", "Of one IPv4 address, or /64 of IPv6.  [default: 1000]"
    )
    max_concurrent_requests: int | None = _count(
        "--max-concurrent-requests", "Requests at once on one connection.  [default: 100]"
    )
    max_push_bytes: int | None = _size("--max-push-bytes", "Pushed content of one page.  [default: 1GiB]")
    backlog: int | None = _count("--backlog", "TCP connections that wait to be accepted.  [default: 2048]")
    byte_budget: int | None = _size("--byte-budget", "Bytes held for all connections together.  [default: 1GiB]")
    byte_budget_per_address: int | None = _size(
        "--byte-budget-per-address", "The part that one address may have.  [default: 256MiB]"
    )
    unread_budget: int | None = _size("--unread-budget", "Unread content of all requests.  [default: 256MiB]")
    receive_high_water: int | None = _size("--receive-high-water", "Unread content of one request.  [default: 256KiB]")
    send_high_water: int | None = _size("--send-high-water", "Unsent content of one response.  [default: 64KiB]")
    stream_receive_window: int | None = _size(
        "--stream-receive-window", "Flow control of one request.  [default: 256KiB]"
    )
    connection_receive_window: int | None = _size(
        "--connection-receive-window", "Flow control of one connection.  [default: 1MiB]"
    )
    send_window: int | None = _size("--send-window", "Bytes under way to one client.  [default: 2MiB]")
    initial_window: int | None = flag(
        "--initial-window N", "Packets before the first acknowledgment.  [default: 10]", type=click.IntRange(10, 1_000)
    )
    max_open_files: int | None = _count("--max-open-files", "Files open for sending.  [default: 64]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSockets(ServerFlags):
    """Bounds of WebSockets."""

    heading = "WebSockets"

    websocket_max_size: int | None = _size("--ws-max-size", "Largest message.  [default: 1MiB]", "--websocket-max-size")
    websocket_max_queue: int | None = _count(
        "--ws-max-queue", "Messages that wait.  [default: 32]", "--websocket-max-queue"
    )
    websocket_ping_interval: float | None = _seconds(
        "--ws-ping-interval", "Ping clients so often.  [default: 20]", "--websocket-ping-interval"
    )
    websocket_ping_timeout: float | None = _seconds(
        "--ws-ping-timeout", "Give up those that do not answer.  [default: 20]", "--websocket-ping-timeout"
    )
    websocket_close_timeout: float | None = _seconds(
        "--ws-close-timeout", "Wait for the answer to a close.  [default: 5]", "--websocket-close-timeout"
    )
    websocket_compression: bool = flag(
        "--ws-per-message-deflate BOOL",
        "Compress messages where clients ask for it.",
        default=True,
        type=bool,
    )
