"""The holdings of a connection: the resources that its client was given, and how long a push of them would be waste.

A client that got a resource on this connection, because it asked or because it was pushed, or that named a validator for
it, has it. As long as what it has is fresh (RFC 9111 section 4.2) it would not ask again, so a push would be the same bytes
twice. When it is stale, a push saves the round trip of the next request, and is allowed again.

    requested ─▶ HELD until the response says how long it is fresh ──▶ stale: may be pushed
    promised  ─▶ HELD                     "                             failed on our side: forgotten
    named a validator ─▶ HELD as long as the connection: a 304 is cheaper than any push

A response that says nothing about its freshness holds as long as the connection: no push is the safe mistake.
"""

from collections import OrderedDict
from math import inf

MAX_RESOURCES = 4_096
"""Resources that one connection remembers, at some 200 bytes each. The one that was given longest ago is forgotten first, and
may then be pushed a second time."""

MAX_PATH = 1_024
"""Bytes of a path that is remembered. Nothing that a page needs has a longer one, and a client could make them up."""

Key = tuple[bytes, bytes, bytes]
"""Method, authority, path with query, as they are on the wire: what tells resources apart."""


class Holdings:
    """The resources that one client has from us. Times are seconds of one clock, whichever the caller uses."""

    __slots__ = ("_held", "_max_resources")

    def __init__(self, max_resources: int = MAX_RESOURCES) -> None:
        self._held: OrderedDict[Key, float] = OrderedDict()
        self._max_resources = max_resources

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: Key) -> bool:
        """True for what is remembered, fresh or stale."""
        return key in self._held

    def holds(self, key: Key, now: float) -> bool:
        """True while a push of the resource would be waste."""
        until = self._held.get(key)
        return until is not None and now < until

    def hold(self, key: Key, until: float = inf) -> None:
        """Remember that the client has the resource, or will have it, fresh until then."""
        if len(key[2]) > MAX_PATH:
            return
        held = self._held
        if key in held:
            held.move_to_end(key)
        held[key] = until
        if len(held) > self._max_resources:
            held.popitem(last=False)

    def answered(self, key: Key, lifetime: float | None, now: float) -> None:
        """The response began: it is fresh for `lifetime` seconds, `None` when it does not say.

        Only shortens what is known: who named a validator keeps what it has.
        """
        if lifetime is not None and key in self._held:
            self._held[key] = now + lifetime

    def forget(self, key: Key) -> None:
        """Forget a resource that did not get there through our own fault."""
        self._held.pop(key, None)
