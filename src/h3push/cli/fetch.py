"""One request and everything that is pushed with it: the machinery of `h3push get`.

A push is taken as soon as its promise arrives, by a task that reads it to the end, so that its credit goes back to the
server and a page with a thousand pushes needs no more memory than one with ten. Content of pushes is counted and hashed, not
kept.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from h3push.client.client import Client, connect
from h3push.client.response import ClientResponse, ReceivedPush, ReceivedState
from h3push.errors import H3PushError, PushCancelled
from h3push.http.url import target_of
from h3push.runtime.settings import ClientSettings

STATES = {
    ReceivedState.FULFILLED: "fulfilled",
    ReceivedState.CANCELLED: "cancelled",
}
"""Words for the ends of a push; anything else is "failed"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """What to fetch and how."""

    url: str
    """Absolute https URL, percent-encoded."""
    method: str = "GET"
    """Request method."""
    headers: Sequence[tuple[str, str]] = ()
    """Further request fields."""
    content: bytes | None = None
    """Request content."""
    cafile: Path | None = None
    """Authorities to trust instead of the system's, PEM."""
    verify: bool = True
    """False accepts any certificate."""
    max_pushes: int | None = None
    """Pushes that may be under way at once; `None` takes none."""
    cancel: Sequence[str] = ()
    """Globs: a push whose path or URL matches one is cancelled when it is promised."""
    connect_timeout: float = 10.0
    """Seconds until there must be a connection."""


@dataclass(slots=True)
class PushRecord:
    """What became of one push."""

    push_id: int
    """The push ID."""
    url: str
    """URL of the promised request."""
    method: str
    """Method of the promised request."""
    promised: float
    """When the promise came, in seconds since the start."""
    status: int | None = None
    """Status of the pushed response, when there was one."""
    body_bytes: int = 0
    """Content received, in bytes."""
    body_sha256: str | None = None
    """SHA-256 of the content, hexadecimal; `None` unless it is complete."""
    state: str = "promised"
    """At the end `fulfilled`, `cancelled` or `failed`."""
    done: float | None = None
    """When it was complete or ended early, in seconds since the start."""
    reason: str = ""
    """Why it is not fulfilled."""


@dataclass(slots=True)
class Fetched:
    """The outcome."""

    response: ClientResponse
    """The response that was asked for; its content has been read."""
    body_bytes: int
    """Its content, in bytes."""
    time_total: float
    """Seconds from the start (before the name is looked up) to the end of the last push."""
    pushes: list[PushRecord] = field(default_factory=list)
    """In the order of the promises."""


class Sink:
    """Where the response goes; the base throws it away."""

    def connected(self, client: Client, seconds: float) -> None:
        """There is a connection, after so many seconds."""

    def begin(self, response: ClientResponse) -> None:
        """The header section is there. Raise to fetch no further."""

    def write(self, data: bytes) -> None:
        """Take a piece of content."""


async def fetch(options: FetchOptions, sink: Sink) -> Fetched:
    """Send the request, give the response to `sink`, wait for every push.

    Raises: H3PushError: no connection, or the response failed; the message is a sentence. ValueError: the file of
    authorities cannot be used.
    """
    now = asyncio.get_running_loop().time
    start = now()
    client = connect(
        options.url,
        cafile=options.cafile,
        verify=options.verify,
        max_pushes=options.max_pushes,
        settings=ClientSettings(connect_timeout=options.connect_timeout),
    )
    async with client:
        sink.connected(client, now() - start)
        taker = PushTaker(options.cancel, start, now)
        client.connection.pushes.listeners.append(_Listener(taker.take))
        try:
            response = await client.request(
                options.method, target_of(options.url), headers=list(options.headers), content=options.content
            )
            sink.begin(response)
            size = 0
            async for data in response.stream():
                size += len(data)
                sink.write(data)
            async for push in response.pushes():
                taker.take(push)
            await taker.finish()
            return Fetched(response, size, now() - start, list(taker.records.values()))
        finally:
            taker.cancel()


class PushTaker:
    """Takes every push once: cancels it or reads it to the end, and keeps a record."""

    def __init__(self, cancel: Sequence[str], start: float, now: Callable[[], float]) -> None:
        self.records: dict[int, PushRecord] = {}
        """By push ID, in the order of the promises."""
        self._cancel = cancel
        self._start = start
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, push: ReceivedPush) -> None:
        """Take a push; nothing happens when it was taken before."""
        if push.push_id in self.records:
            return
        record = PushRecord(push.push_id, push.request.url, push.request.method, push.promised_at - self._start)
        self.records[push.push_id] = record
        glob = next((glob for glob in self._cancel if matches(glob, push)), None)
        if glob is not None:
            push.cancel()
            self._end(record, push, f"matches --cancel {glob}")
            return
        task = asyncio.create_task(self._read(push, record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until every push that was taken is over."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Read no further."""
        for task in self._tasks:
            task.cancel()

    async def _read(self, push: ReceivedPush, record: PushRecord) -> None:
        digest = hashlib.sha256()
        reason = ""
        try:
            response = await push.response()
            record.status = response.status
            async for data in response.stream():
                record.body_bytes += len(data)
                digest.update(data)
            record.body_sha256 = digest.hexdigest()
        except H3PushError as error:
            reason = str(error)
            if not isinstance(error, PushCancelled):
                push.cancel()
                record.state = "failed"
        self._end(record, push, reason)

    def _end(self, record: PushRecord, push: ReceivedPush, reason: str) -> None:
        if record.state != "failed":
            record.state = STATES.get(push.state, "failed")
        record.reason = reason
        record.done = (self._now() if push.done_at is None else push.done_at) - self._start


class _Listener(asyncio.Queue[ReceivedPush | None]):
    """Has each push taken in the very moment of its promise, before what else arrived in the same packet is looked at.

    A push that is to be cancelled must be called off then: a small one may be complete a turn of the loop later.
    """

    def __init__(self, take: Callable[[ReceivedPush], None]) -> None:
        super().__init__()
        self._take = take

    def put_nowait(self, item: ReceivedPush | None) -> None:
        """Take a push; `None` ends the connection."""
        if item is not None:
            self._take(item)


def matches(glob: str, push: ReceivedPush) -> bool:
    """Tell whether a shell glob means a push: its URL, its path with or without query, or its last name.

    So `*.png`, `/img/*` and `https://example.org/*` all do what they look like.
    """
    path = push.request.path.partition("?")[0]
    names = (push.request.url, push.request.path, path, path.rpartition("/")[2])
    return any(fnmatchcase(name, glob) for name in names)
