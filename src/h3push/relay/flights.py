"""Requests for the same thing at the same time: one goes out, the others wait for what it brings into the cache.

A fleet of devices wakes up and asks for one file; each request of its own would cross the link. Only requests that name nobody
(no cookies, no Authorization) and ask for all of it wait for each other, and only for a response that may be stored and whose end
is in sight. Nobody waits longer than `RelaySettings.flight_seconds`: a slow program must not hold up the others.
"""

import asyncio
from contextlib import suppress

from h3push.client.answer import Answer, Source
from h3push.client.claims import Key, key_of
from h3push.http.content import Content
from h3push.http.fields import RequestHead
from h3push.http.headers import declared_length, has_field
from h3push.http.semantics import PRECONDITION_FIELDS

_OF_ITS_OWN = PRECONDITION_FIELDS | {b"authorization", b"cookie", b"range", b"cache-control", b"pragma"}
_NOT_KEPT = (b"no-store", b"no-cache", b"private")


class Flight:
    """One request, until its answer is in the cache or known not to come there."""

    def __init__(self, owner: dict[Key, "Flight"], key: Key) -> None:
        self._owner = owner
        self._key = key
        self._landed = asyncio.Event()

    def land(self) -> None:
        """Let the others go on."""
        self._landed.set()
        if self._owner.get(self._key) is self:
            del self._owner[self._key]

    async def wait(self, seconds: float) -> None:
        """Wait until it has landed, but not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._landed.wait()


class Flights:
    """The requests under way that others may wait for.

    Args:
        seconds: the longest wait.
    """

    def __init__(self, seconds: float) -> None:
        self._under_way: dict[Key, Flight] = {}
        self._seconds = seconds

    async def begin(self, head: RequestHead, content: Content) -> Flight | None:
        """Wait for the same request of somebody else, if there is one; else this one is the one to wait for."""
        if content is not None or head.method != b"GET" or any(name in _OF_ITS_OWN for name, _ in head.fields):
            return None
        key = key_of(head)
        before = self._under_way.get(key)
        if before is not None:
            await before.wait(self._seconds)
            return None
        flight = self._under_way[key] = Flight(self._under_way, key)
        return flight


def is_worth_waiting(answer: Answer) -> bool:
    """True for an answer that will be in the cache soon."""
    if answer.source is Source.STORE or answer.status != 200 or has_field(answer.fields, b"set-cookie"):
        return False
    control = b",".join(value for name, value in answer.fields if name == b"cache-control").lower()
    return declared_length(answer.fields) is not None and not any(word in control for word in _NOT_KEPT)
