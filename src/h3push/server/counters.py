"""Counts of what a server did."""

from dataclasses import dataclass, field

from h3push.h3.push.counters import PushCounters


@dataclass(slots=True)
class ServerCounters:
    """Counts of everything that a server did. Nothing that was refused, cancelled or rejected is missing here."""

    connections: int = 0
    """Connections whose handshake was completed."""
    handshakes_failed: int = 0
    """Connections that ended before that."""
    requests: int = 0
    """Requests given to the handler, pushes apart."""
    requests_over_tcp: int = 0
    """Those of `requests` that came over HTTP/1.1 or HTTP/2; WebSockets are requests too."""
    rejected: int = 0
    """Requests refused without calling the handler: too many at once, or too large."""
    timed_out: int = 0
    """Requests whose header section was not complete in time."""
    failed: int = 0
    """Handlers that raised, or whose response was given up before its end."""
    stalled: int = 0
    """Responses, pushed ones included, that were reset because the client did not take them (`drain_timeout`)."""
    push: PushCounters = field(default_factory=PushCounters)
    """The core's count of the pushes of all connections; the properties below are views of it."""

    @property
    def pushes(self) -> int:
        """Promises made."""
        return self.push.promised

    @property
    def pushes_fulfilled(self) -> int:
        """Pushes whose whole response the client has acknowledged."""
        return self.push.fulfilled

    @property
    def pushes_cancelled(self) -> int:
        """Promised pushes that ended early: called off by either side, or given up by us."""
        return self.push.cancelled + self.push.cancelled_by_peer + self.push.failed

    @property
    def pushes_refused(self) -> int:
        """Pushes that were asked for and not promised; `Push.refusal` says why."""
        return self.push.refused.total()
