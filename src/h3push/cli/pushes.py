"""Takes every push of a command, and keeps a record: it answers a request to come, is read to its end, or is cancelled.

While a further request may come, the push cache holds what is promised. Afterwards a push is read in the moment of its promise:
its credit goes back to the server, and a page with a thousand pushes needs no more memory than one with ten. Content that
answers no request is counted and hashed, not kept.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from fnmatch import fnmatchcase

from h3push.cli.outcome import FetchOutcome, PushRecord, Reply
from h3push.client.progress import ReceivedState
from h3push.client.push_stats import Unused
from h3push.client.pushes import OnPush, RefusedPush
from h3push.client.response import ReceivedPush
from h3push.errors import H3PushError, PushCancelled
from h3push.http.headers import Headers

MAX_PUSHES = 10_000
"""Pushes that one command takes; further ones are called off and counted. A record stays until the end, and a server that
promises without end must not fill the memory."""
STATES = {
    ReceivedState.FULFILLED: "fulfilled",
    ReceivedState.CANCELLED: "cancelled",
}
"""Words for the ends of a push; anything else is "failed"."""
REASONS = {
    Unused.FRESH: "the cache has it",
    Unused.REQUESTED: "it was asked for already",
    Unused.HELD: "the same was pushed before, and waits",
    Unused.REFUSED: "it was refused",
    Unused.EVICTED: "too much waited for a request",
    Unused.CHANGED: "a request may have put it out of date",
    Unused.WITHDRAWN: "the server called the push off",
    Unused.FAILED: "its response failed",
}
"""Why the push cache let go of a push, in words."""


class Expectation:
    """Something that may still send a request, which a push could answer."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end: Callable[[], None] | None = on_end

    def end(self) -> None:
        """It will send no further request. Harmless when called again."""
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()


class PushTaker:
    """Takes every push once.

    Arguments:
        cancel: globs of what is called off.
        outcome: where the records go.
        start: when the command began, in seconds of the loop's clock.
    """

    def __init__(self, cancel: Sequence[str], outcome: FetchOutcome, start: float) -> None:
        self.give_out: Callable[[], list[ReceivedPush]] = list
        """Has the push cache give up what waits there."""
        self.unrecorded: Counter[str] = outcome.unrecorded
        """States of those that have no record."""
        self._records = outcome.pushes
        self._cancel = cancel
        self._start = start
        self._open: dict[ReceivedPush, PushRecord] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self._expected = 0

    # requests to come

    def expect(self) -> Expectation:
        """Announce that requests may follow, until the returned object says that none will."""
        self._expected += 1
        return Expectation(self._expect_less)

    def _expect_less(self) -> None:
        self._expected -= 1
        if not self._expected:
            self._read_what_waits()

    def _read_what_waits(self) -> None:
        for push in self.give_out():
            self._read_soon(push)

    def claimed(self, push: ReceivedPush) -> PushRecord | None:
        """A push answers a request; its record, if it has one."""
        record = self._open.get(push)
        if record is not None:
            record.claimed = True
        return record

    def read(self, push: ReceivedPush, sha256: str | None) -> None:
        """A push that was claimed is over; `sha256` of its content if it is whole."""
        record = self._open.get(push)
        if record is not None:
            record.body_sha256 = sha256
            self._end(push, STATES.get(push.state, "failed"), "")

    # promises

    def promise(self, hold: OnPush, push: ReceivedPush) -> bool | Awaitable[bool | None] | None:
        """Take a push the moment it is promised: a small one may be complete a turn of the loop later.

        `hold` has the push cache keep it.
        """
        if len(self._records) >= MAX_PUSHES:
            self.unrecorded["cancelled"] += 1
            return False
        promised = push.promised_at - self._start
        request = push.request
        record = PushRecord(push.push_id, request.url, request.method, promised, request.headers.raw, push.initiator)
        self._records.append(record)
        self._open[push] = record
        glob = next((glob for glob in self._cancel if matches(glob, push)), None)
        if glob is not None:
            push.resolved(claimed=False)
            push.cancel()
            self._end(push, STATES.get(push.state, "failed"), f"matches --cancel {glob}")
            return False
        if self._expected:
            return hold(push)
        self._read_soon(push)
        return None

    def unused(self, push: ReceivedPush, why: Unused) -> None:
        """The push cache lets go of a push."""
        if push in self._open:
            ended = {Unused.WITHDRAWN: "cancelled", Unused.FAILED: "failed"}.get(why, "cancelled")
            self._end(push, "fulfilled" if push.state is ReceivedState.FULFILLED else ended, REASONS[why])

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
            self._records.append(record)

    # reading

    async def finish(self) -> None:
        """Wait until every push is over. No further request comes."""
        self._expected = 0
        self._read_what_waits()
        while self._reading:
            await asyncio.wait(self._reading)

    def stop(self) -> None:
        """Read no further."""
        for task in self._reading:
            task.cancel()
        for push in list(self._open):
            is_whole = push.state is ReceivedState.FULFILLED
            self._end(
                push, STATES.get(push.state, "failed"), "" if is_whole else "the command ended before it was there"
            )

    def _read_soon(self, push: ReceivedPush) -> None:
        if push not in self._open:
            return
        push.resolved(claimed=False)
        task = asyncio.create_task(self._read(push, self._open[push]))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, push: ReceivedPush, record: PushRecord) -> None:
        try:
            record.body_sha256 = await _sha256(push)
        except PushCancelled as error:
            self._end(push, STATES.get(push.state, "failed"), str(error))
        except H3PushError as error:
            push.cancel()
            self._end(push, "failed", str(error))
        else:
            self._end(push, "fulfilled", "")

    def _end(self, push: ReceivedPush, state: str, reason: str) -> None:
        """Note how a push ended, and let go of it: its content may be in memory."""
        record = self._open.pop(push)
        _update(record, push, self._start)
        record.state, record.reason = state, reason
        if record.done is None:
            record.done = asyncio.get_running_loop().time() - self._start


async def _sha256(push: ReceivedPush) -> str:
    digest = hashlib.sha256()
    response = await push.response()
    async for data in response.stream():
        digest.update(data)
    return digest.hexdigest()


def _update(record: PushRecord, push: ReceivedPush, start: float) -> None:
    """Take over what is known of a push now."""
    head, timing = push.head, push.timing
    if head is not None:
        record.response = Reply(status=head.status, headers=Headers.wrap(head.fields))
    record.body_bytes = push.received
    record.first_byte = None if timing.first_byte is None else timing.first_byte - start
    record.done = None if timing.ended is None else timing.ended - start


def matches(glob: str, push: ReceivedPush) -> bool:
    """Tell whether a shell glob means a push: its URL, its path with or without query, or its last name.

    So `*.png`, `/img/*` and `https://example.org/*` all do what they look like.
    """
    path = push.request.path.partition("?")[0]
    names = (push.request.url, push.request.path, path, path.rpartition("/")[2])
    return any(fnmatchcase(name, glob) for name in names)
