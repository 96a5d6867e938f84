"""The time-outs of one request: as callers give them, and as the client keeps them."""

from dataclasses import dataclass
from typing import TypedDict

from h3push.http.arguments import check_type


class Timeouts(TypedDict, total=False):
    """Time-outs of one request, in seconds; `None` is no limit, and what is not named is as in `ClientSettings`."""

    connect: float | None
    """For a connection, where one is needed; a `ClientConnection` has one already."""
    pool: float | None
    """To wait until the server allows a further request (`request_timeout`)."""
    read: float | None
    """To wait for the response to begin, and from each piece of its content to the next (`response_timeout`, `read_timeout`)."""
    write: float | None
    """For the server to take 16 KiB of the request's content (`drain_timeout`)."""


_NAMES = frozenset(Timeouts.__annotations__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The time-outs of one request, in seconds; `None` is no limit."""

    pool: float | None
    """To wait for a stream of its own."""
    response: float | None
    """From the end of the request to the final response's header section."""
    read: float | None
    """Between two pieces of content."""
    write: float | None
    """For the server to take 16 KiB of the request's content."""


def limits_of(usual: Limits, timeouts: Timeouts) -> Limits:
    """The time-outs of one request: those that its caller names, and `usual` ones. `TypeError` for what is no time-out."""
    for name, seconds in timeouts.items():
        if name not in _NAMES:
            raise TypeError(f"timeouts has no {name!r}: it takes {', '.join(Timeouts.__annotations__)}")
        if seconds is not None and type(seconds) is not float:
            check_type(f"timeouts[{name!r}]", seconds, int, float)
    read = "read" in timeouts
    return Limits(
        pool=timeouts.get("pool", usual.pool),
        response=timeouts.get("read") if read else usual.response,
        read=timeouts.get("read") if read else usual.read,
        write=timeouts.get("write", usual.write),
    )
