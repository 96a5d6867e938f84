"""Takes every push of a fetch: cancels it or reads it to the end, and keeps a record.

A push is taken in the moment of its promise, so that its credit goes back to the server and a page with a thousand pushes needs
no more memory than one with ten. Content of pushes is counted and hashed, not kept.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from h3push.client.progress import ReceivedState
from h3push.client.pushes import RefusedPush
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.errors import H3PushError, PushCancelled
from h3push.http.fields import Field

MAX_PUSHES = 10_000
"""Pushes that one fetch takes; further ones are called off and counted. A record stays until the end, and a server that
promises without end must not fill the memory."""
STATES = {
    ReceivedState.FULFILLED: "fulfilled",
    ReceivedState.CANCELLED: "cancelled",
}
"""Words for the ends of a push; anything else is "failed"."""


@dataclass(slots=True)
class PushRecord:
    """The fate of one push; times in seconds since the start."""

    push_id: int
    """The push ID."""
    url: str
    """URL of the promised request."""
    method: str
    """Method of the promised request."""
    promised: float | None
    """When the promise came; `None` for one that was refused."""
    fields: Sequence[Field]
    """Header fields of the promised request."""
    response: ClientResponse | None = None
    """The pushed response, once its header section is there."""
    first_byte: float | None = None
    """When its header section came."""
    body_bytes: int = 0
    """Content received, in bytes."""
    body_sha256: str | None = None
    """SHA-256 of the content, hexadecimal; `None` unless it is complete."""
    state: str = "promised"
    """At the end `fulfilled`, `cancelled`, `failed` or `refused`."""
    done: float | None = None
    """When it was complete or ended early."""
    reason: str = ""
    """Why it is not fulfilled."""

    @property
    def status(self) -> int | None:
        """Status of the pushed response, when there was one."""
        return None if self.response is None else self.response.status


class PushTaker:
    """Takes every push once.

    Arguments:
        cancel: globs of what is called off.
        start: when the fetch began, in seconds of the loop's clock.
    """

    def __init__(self, cancel: Sequence[str], start: float) -> None:
        self.records: list[PushRecord] = []
        """In the order of the promises, `MAX_PUSHES` at most."""
        self.unrecorded: Counter[str] = Counter()
        """States of those that have no record."""
        self._cancel = cancel
        self._start = start
        self._reading: set[asyncio.Task[None]] = set()

    def take(self, push: ReceivedPush) -> None:
        """Take a push in the moment of its promise: a small one may be complete a turn of the loop later."""
        if len(self.records) >= MAX_PUSHES:
            push.cancel()
            self.unrecorded["cancelled"] += 1
            return
        promised = push.promised_at - self._start
        record = PushRecord(push.push_id, push.request.url, push.request.method, promised, push.request.headers.raw)
        self.records.append(record)
        glob = next((glob for glob in self._cancel if matches(glob, push)), None)
        if glob is not None:
            push.cancel()
            self._end(record, STATES.get(push.state, "failed"), f"matches --cancel {glob}")
            return
        task = asyncio.create_task(self._read(push, record))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def finish(self) -> None:
        """Wait until every push is over."""
        while self._reading:
            await asyncio.wait(self._reading)

    def note_refusals(self, refusals: Collection[RefusedPush], total: int) -> None:
        """Keep a record of promises that could not be used: of those that the connection remembers, without their time."""
        self.unrecorded["refused"] += total - len(refusals)
        for refused in refusals:
            request = refused.request
            url, method = ("", "") if request is None else (request.url, request.method)
            fields = [] if request is None else request.headers.raw
            record = PushRecord(
                refused.push_id, url, method, None, fields, state="refused", reason=refused.reason.value
            )
            self.records.append(record)

    def stop(self) -> None:
        """Read no further."""
        for task in self._reading:
            task.cancel()

    async def _read(self, push: ReceivedPush, record: PushRecord) -> None:
        try:
            await self._read_content(push, record)
        except PushCancelled as error:
            self._end(record, STATES.get(push.state, "failed"), str(error), push.done_at)
        except H3PushError as error:
            push.cancel()
            self._end(record, "failed", str(error))
        else:
            self._end(record, "fulfilled", "", push.done_at)

    async def _read_content(self, push: ReceivedPush, record: PushRecord) -> None:
        digest = hashlib.sha256()
        record.response = response = await push.response()
        arrived = response.timing.first_byte
        record.first_byte = self._now() if arrived is None else arrived - self._start
        async for data in response.stream():
            record.body_bytes += len(data)
            digest.update(data)
        record.body_sha256 = digest.hexdigest()

    def _end(self, record: PushRecord, state: str, reason: str, done_at: float | None = None) -> None:
        """Note how a push ended, and when (loop time; `None`: now)."""
        record.state, record.reason = state, reason
        record.done = self._now() if done_at is None else done_at - self._start

    def _now(self) -> float:
        """Seconds since the start."""
        return asyncio.get_running_loop().time() - self._start


def matches(glob: str, push: ReceivedPush) -> bool:
    """Tell whether a shell glob means a push: its URL, its path with or without query, or its last name.

    So `*.png`, `/img/*` and `https://example.org/*` all do what they look like.
    """
    path = push.request.path.partition("?")[0]
    names = (push.request.url, push.request.path, path, path.rpartition("/")[2])
    return any(fnmatchcase(name, glob) for name in names)
