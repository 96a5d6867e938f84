"""The client's pushes: the window of push IDs, promises and push streams in either order, and how each push ends.

Theory of operation
===================

*The window.* The client grants push IDs with MAX_PUSH_ID and wants at most N pushes granted and unfinished at any instant. With F
push IDs finished, the largest ID it can grant is F + N - 1; so every push that finishes raises the limit by one, and a
connection never runs dry. An ID is *finished* when the push has ended and, with `release_pushes=False`, when the application has
also released it. IDs that the application never heard of (refused, orphaned, cancelled before their promise) release themselves.

*Memory.* Pushes under way are bounded by N. How a finished push ended is remembered one by one for the last
`remembered_pushes`; before that, that an ID is finished is all that is known, kept as ranges (`IdRanges`). A second push
stream for a forgotten ID is stopped instead of being answered with H3_ID_ERROR (RFC 9114 section 6.2.2 asks for detection only).

This module decides and remembers; `h3.push.client` puts on the wire what it decides.
"""

from collections import OrderedDict
from dataclasses import dataclass

from h3push.errors import ErrorCode, H3ConnectionError, LocalProtocolError
from h3push.h3.config import H3Config
from h3push.h3.events import CancelledBy
from h3push.h3.push.counters import PushCounters
from h3push.h3.push.id_ranges import IdRanges
from h3push.h3.push.states import (
    CLIENT_ENDS,
    CLIENT_FAILURES,
    CLIENT_PUSH,
    ClientPushAction,
    ClientPushInput,
    ClientPushState,
)
from h3push.http.fields import Fields, RequestHead
from h3push.wire.varint import VARINT_MAX


@dataclass(slots=True)
class ClientPush:
    """One push ID that is under way."""

    push_id: int
    """Its push ID."""
    state: ClientPushState = ClientPushState.UNKNOWN
    """Where it stands."""
    request: RequestHead | None = None
    """The promised request, once promised."""
    fields: Fields | None = None
    """The promised field section as it was decoded, for comparing repeats."""
    promises: int = 0
    """How often it was promised."""
    stream_id: int | None = None
    """Its push stream, once that came."""
    held: bytes = b""
    """Bytes of the push stream that came before the promise."""
    held_end: bool = False
    """True when that is all."""
    told: bool = False
    """True when the application has heard of it."""


class ClientPushBook:
    """All pushes of one connection, on the client."""

    def __init__(self, config: H3Config) -> None:
        self.max_push_id: int | None = None
        """The limit that we granted, inclusive; None: nothing may be pushed."""
        self.counters = PushCounters()
        """Outcomes of the pushes."""
        self._config = config
        self._live: dict[int, ClientPush] = {}
        self._recent: OrderedDict[int, ClientPushState] = OrderedDict()
        self._finished = IdRanges()
        self._unreleased: set[int] = set()
        self._released = 0
        self._highest_seen = -1
        # Push ID to deadline, in the order of both: the time-outs are constants.
        self._orphans: dict[int, float] = {}
        self._unfulfilled: dict[int, float] = {}

    # ---------------------------------------------------------------- the window

    def grant(self) -> int | None:
        """The MAX_PUSH_ID to send now, or None when there is nothing new to grant."""
        window = self._config.max_concurrent_pushes
        if not window:
            return None
        limit = min(self._released + window - 1, VARINT_MAX)
        if self.max_push_id is not None and limit <= self.max_push_id:
            return None
        self.max_push_id = limit
        return limit

    def release(self, push_id: int) -> None:
        """The application is done with a push; one that is still under way is released when it ends."""
        if push_id in self._unreleased:
            self._unreleased.discard(push_id)
            if push_id not in self._live:
                self._released += 1

    @property
    def granted_and_unfinished(self) -> int:
        """How many push IDs the server may use or is using."""
        return 0 if self.max_push_id is None else self.max_push_id + 1 - self._released

    @property
    def next_unseen(self) -> int:
        """The smallest push ID above all that the server has used: what GOAWAY names."""
        return self._highest_seen + 1

    def __len__(self) -> int:
        """How many pushes are under way."""
        return len(self._live)

    # ---------------------------------------------------------------- checks

    def check_push_id(self, push_id: int, where: str) -> None:
        """Raise H3_ID_ERROR for a push ID above the limit, or when there is none (RFC 9114 section 7.2.7)."""
        if self.max_push_id is None:
            raise H3ConnectionError(ErrorCode.H3_ID_ERROR, f"{where} for push {push_id}, and no push was allowed")
        if push_id > self.max_push_id:
            raise H3ConnectionError(
                ErrorCode.H3_ID_ERROR, f"{where} for push {push_id}; MAX_PUSH_ID is {self.max_push_id}"
            )

    def check_repeat(self, push_id: int, fields: Fields) -> None:
        """Compare a repeated promise with the first one (RFC 9114 section 7.2.5).

        Raises:
            H3ConnectionError: H3_GENERAL_PROTOCOL_ERROR when the fields differ, H3_EXCESSIVE_LOAD when it is promised too often.
        """
        push = self._live.get(push_id)
        if push is None or push.fields is None:
            return
        if push.fields != fields:
            raise H3ConnectionError(
                ErrorCode.H3_GENERAL_PROTOCOL_ERROR, f"push {push_id} is promised again with other fields"
            )
        if push.promises >= self._config.max_repeated_promises:
            raise H3ConnectionError(ErrorCode.H3_EXCESSIVE_LOAD, f"push {push_id} is promised too often")

    # ---------------------------------------------------------------- what happens

    def state(self, push_id: int) -> ClientPushState:
        """Where a push stands; finished and forgotten counts as CANCELLED."""
        push = self._live.get(push_id)
        if push is not None:
            return push.state
        known = self._recent.get(push_id)
        if known is not None:
            return known
        return ClientPushState.CANCELLED if push_id in self._finished else ClientPushState.UNKNOWN

    def find(self, push_id: int) -> ClientPush | None:
        """The push with that ID, when it is under way."""
        return self._live.get(push_id)

    def apply(
        self, push_id: int, happened: ClientPushInput, now: float, by: CancelledBy | None = None
    ) -> tuple[ClientPushAction, ClientPush]:
        """Move a push along the table; `by` says who ends it early, where that is what happens.

        Returns:
            What to do, and the push as it stands now (it may be finished and forgotten already).

        Raises:
            H3ConnectionError: H3_ID_ERROR when the server did what the table has no row for.
            LocalProtocolError: our own caller did.
        """
        push = self._live.get(push_id)
        if push is None:
            push = ClientPush(push_id, self.state(push_id))
        row = CLIENT_PUSH.get((push.state, happened))
        if row is None:
            raise _no_row(push, happened)
        self._highest_seen = max(self._highest_seen, push_id)
        before, (push.state, action) = push.state, row
        if happened is ClientPushInput.RECEIVE_PROMISE and push.state not in CLIENT_ENDS:
            if not push.promises:
                self.counters.promised += 1
            push.promises += 1
        if push.state is not before:
            self._moved(push, by, now)
        return action, push

    def _moved(self, push: ClientPush, by: CancelledBy | None, now: float) -> None:
        self._orphans.pop(push.push_id, None)
        self._unfulfilled.pop(push.push_id, None)
        if push.state not in CLIENT_ENDS:
            self._live[push.push_id] = push
            promise, stream = self._config.push_promise_timeout, self._config.push_stream_timeout
            if push.state is ClientPushState.ORPHAN and promise is not None:
                self._orphans[push.push_id] = now + promise
            elif push.state is ClientPushState.PROMISED and stream is not None:
                self._unfulfilled[push.push_id] = now + stream
            return
        if self._live.pop(push.push_id, None) is not None and push.promises:
            self._count(push.state, by)
        self._recent[push.push_id] = push.state
        if len(self._recent) > self._config.remembered_pushes:
            self._recent.popitem(last=False)
        if self._finished.add(push.push_id) and push.push_id not in self._unreleased:
            self._released += 1

    def _count(self, end: ClientPushState, by: CancelledBy | None) -> None:
        """A push that was promised is over."""
        if end is ClientPushState.FULFILLED:
            self.counters.fulfilled += 1
        elif end in CLIENT_FAILURES:
            self.counters.failed += 1
        elif by is CancelledBy.PEER:
            self.counters.cancelled_by_peer += 1
        else:
            self.counters.cancelled += 1

    def mark_told(self, push: ClientPush) -> None:
        """The application hears of a push now: its credit waits for `release` if the configuration says so."""
        if not push.told:
            push.told = True
            if not self._config.release_pushes:
                self._unreleased.add(push.push_id)

    # ---------------------------------------------------------------- time

    def next_deadline(self) -> float | None:
        """When the next orphan or unfulfilled promise expires."""
        if not (self._orphans or self._unfulfilled):
            return None
        heads = [next(iter(waiting.values())) for waiting in (self._orphans, self._unfulfilled) if waiting]
        return min(heads, default=None)

    def expired(self, now: float) -> list[int]:
        """Pushes whose other half did not come in time; each has to be moved along with EXPIRE."""
        due: list[int] = []
        for waiting in (self._orphans, self._unfulfilled):
            for push_id, deadline in waiting.items():
                if deadline > now:
                    break
                due.append(push_id)
        return due


_LOCAL_INPUTS = frozenset(
    {ClientPushInput.CANCEL, ClientPushInput.EXPIRE, ClientPushInput.FAIL, ClientPushInput.REFUSE}
)


def _no_row(push: ClientPush, happened: ClientPushInput) -> Exception:
    if happened in _LOCAL_INPUTS:
        return LocalProtocolError(f"push {push.push_id} is {push.state.name}: {happened.name} is not possible")
    return H3ConnectionError(
        ErrorCode.H3_ID_ERROR, f"{happened.name} for push {push.push_id}, which is {push.state.name}"
    )
