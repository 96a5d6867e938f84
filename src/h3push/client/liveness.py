"""A check that the server is still there, made when a time-out has passed (RFC 9000 section 10.1.2).

A request that timed out says little: its server may be slow, or the way to it may be gone, and then every further request would
wait for its own time-out. So a PING goes out, and until anything at all has arrived the connection takes no further request. When
nothing has come within three probe time-outs, and a second at least, the connection is given up.
"""

from collections.abc import Callable

LEAST_WAIT = 1.0
"""Seconds that a server has to answer, at least: a packet may be lost, and so may the next one."""
ROUND_TRIPS = 10
"""The same on slower paths, in round trips: three probe time-outs of about three each (RFC 9002 section 6.2)."""


class Liveness:
    """The question to one server, while it is open.

    Args:
        heard: counts what arrived, such as datagrams.
        rtt: the round trip time in seconds.
    """

    def __init__(self, heard: Callable[[], float], rtt: float, now: float) -> None:
        self._heard = heard
        self._before = heard()
        self._interval = max(rtt, 0.01)
        self._deadline = now + max(LEAST_WAIT, ROUND_TRIPS * rtt)
        self.next_look = now + self._interval
        """When `look` is due."""

    def look(self, now: float) -> bool | None:
        """True: the server has answered. False: it will not. `None`: `next_look` tells when to look again."""
        if self._heard() != self._before:
            return True
        if now >= self._deadline:
            return False
        self._interval *= 2
        self.next_look = min(now + self._interval, self._deadline)
        return None
