"""The cost that one request may cause by pushes, shared down a chain: a pushed page that pushes charges the same budget.

Every promise of a chain travels on the stream of the request at its root, the only one that can carry a promise; when that
response has ended, nothing more is promised. Promises and bytes count there too, and so does what was promised already, so that
no chain grows past what one request may cause or leads back into itself.
"""

from typing import Protocol

Target = tuple[bytes, bytes, bytes]
"""A request that can be promised: method, authority, path with query."""


class Carrier(Protocol):
    """The response whose stream carries the promises."""

    stream_id: int | None
    """Its stream."""


class PushBudget:
    """Promises and pushed bytes of one chain.

    Args:
        carrier: the response to the request that the client sent.
        target: that request.
        max_promises: `ServerSettings.max_pushes_per_request`.
        max_bytes: `ServerSettings.max_push_bytes`.
    """

    __slots__ = ("_carrier", "max_bytes", "max_promises", "promised", "promises", "pushed_bytes")

    def __init__(self, carrier: Carrier, target: Target, max_promises: int, max_bytes: int) -> None:
        self._carrier = carrier
        self.max_promises = max_promises
        """Promises that the chain may make."""
        self.max_bytes = max_bytes
        """Pushed content that the chain may cause."""
        self.promises = 0
        """Promises made so far."""
        self.pushed_bytes = 0
        """Pushed content handed to QUIC so far."""
        self.promised: set[Target] = {target}
        """The root of the chain, and everything promised on its stream."""

    @property
    def stream_id(self) -> int:
        """The stream that carries the promises."""
        stream_id = self._carrier.stream_id
        assert stream_id is not None
        return stream_id

    @property
    def is_spent(self) -> bool:
        """True when nothing further may be promised."""
        return self.promises >= self.max_promises or self.pushed_bytes >= self.max_bytes

    def charge(self, size: int) -> bool:
        """Count pushed content; False when it is more than the chain may cause."""
        self.pushed_bytes += size
        return self.pushed_bytes <= self.max_bytes
