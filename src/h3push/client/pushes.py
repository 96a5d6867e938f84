"""The pushes of one connection of a client: from promises to whoever takes them."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from h3push.client.exchange import Exchange, ExchangeOwner, PushedExchange, SentRequest
from h3push.client.limits import Limits
from h3push.client.response import ReceivedPush
from h3push.errors import ConnectionClosed, ErrorCode
from h3push.h3 import events as h3
from h3push.h3.client import H3ClientConnection
from h3push.h3.push.rules import PushRefusal

logger = logging.getLogger("h3push.client")

OnPush = Callable[[ReceivedPush], bool | Awaitable[bool | None] | None]
"""Asked about each promise in the moment that it comes: False, at once or awaited, refuses it."""


REMEMBERED_REFUSALS = 256
"""Refused promises that are kept for whoever wants to know, for each connection: a page rarely has so many resources."""


@dataclass(frozen=True, slots=True)
class RefusedPush:
    """A push that never came about: its promise could not be used, or was called off before it came."""

    push_id: int
    """The push ID."""
    request: SentRequest | None
    """The promised request, as far as it could be read."""
    reason: PushRefusal
    """Why."""


class PushesOwner(ExchangeOwner, Protocol):
    """The connection, as its pushes see it."""

    @property
    def core(self) -> H3ClientConnection:
        """The protocol core."""

    fulfilling: dict[int, PushedExchange]
    """Pushes whose response is still to come, or coming, by push ID."""

    @property
    def limits(self) -> Limits:
        """The time-outs that go with the settings."""

    def schedule_flush(self) -> None:
        """See that what was written is sent at the end of this turn."""

    def progressed(self) -> None:
        """Something ended or began: see whether the connection is still needed."""


class ClientPushes:
    """The promises of the server on one connection."""

    def __init__(self, owner: PushesOwner) -> None:
        self.unreleased: dict[int, PushedExchange] = {}
        """Pushes that hold credit, by push ID, in the order of their promises."""
        self.on_push: OnPush | None = None
        """Called in the moment of each new promise, before anything else that came with it is looked at."""
        self.refusals: deque[RefusedPush] = deque(maxlen=REMEMBERED_REFUSALS)
        """Promises that were refused, the last ones; `core.push_counters` has the number of all."""
        self._listeners: list[asyncio.Queue[ReceivedPush | None]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._owner = owner
        self._is_over = False

    # what the server does

    def promise(self, event: h3.PushPromiseReceived, parent: Exchange | None) -> None:
        """A promise came, with the response `parent`; the same push may be promised with several."""
        push = self.unreleased.get(event.push_id)
        view = None if push is None else ReceivedPush.of(push)  # it lives until the push belongs to somebody
        if push is None and not event.repeated:
            push, view = self._begin(event, parent)
        if push is None:
            return
        if parent is not None and not parent.closed:
            parent.promise(push)
        elif not push.claimed:
            push.cancel()
        del view

    def _begin(self, event: h3.PushPromiseReceived, parent: Exchange | None) -> tuple[PushedExchange, ReceivedPush]:
        owner = self._owner
        request = SentRequest(event.request)
        initiator = request if parent is None else parent.request
        push = PushedExchange(owner, request, owner.now(), owner.limits, event.push_id, initiator)
        self.unreleased[event.push_id] = push
        self._owner.fulfilling[event.push_id] = push
        view = ReceivedPush(push)
        for listener in self._listeners:
            push.claimed = True
            listener.put_nowait(view)
        if self.on_push is not None:
            self._ask(self.on_push, view)
        return push, view

    def _ask(self, on_push: OnPush, push: ReceivedPush) -> None:
        try:
            answer = on_push(push)
        except Exception:
            _on_push_failed(push)
            return
        if answer is False:
            push.cancel()
        elif isinstance(answer, Awaitable):
            task = asyncio.ensure_future(_ask_later(answer, push))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    def refused(self, event: h3.PushRefused) -> None:
        """A promise is not used, or was called off before it came."""
        request = None if event.request is None else SentRequest(event.request)
        self.refusals.append(RefusedPush(event.push_id, request, event.reason))

    def cancelled(self, event: h3.PushCancelled) -> None:
        """A push ended before it was complete."""
        code = ErrorCode.H3_REQUEST_CANCELLED if event.error_code is None else event.error_code
        self.over(event.push_id, event.by, ENDINGS[event.by], code)

    def over(self, push_id: int, by: h3.CancelledBy, sentence: str, code: int) -> None:
        """A push ended early; its credit goes back."""
        push = self._owner.fulfilling.pop(push_id, None)
        if push is not None:
            push.ended_early(by, sentence, code)
            push.release()

    def lost(self, error: ConnectionClosed) -> None:
        """The connection is over, and every push with it."""
        self._is_over = True
        fulfilling, self._owner.fulfilling = self._owner.fulfilling, {}
        for push in fulfilling.values():
            sentence = f"the connection was lost: {error.reason}"
            push.ended_early(h3.CancelledBy.FAILED, sentence, ErrorCode.H3_REQUEST_CANCELLED)
        for listener in self._listeners:
            listener.put_nowait(None)
        for task in self._asking:
            task.cancel()

    # what the application does

    def __len__(self) -> int:
        return len(self.unreleased)

    def values(self) -> list[ReceivedPush]:
        """Pushes that hold credit, in the order of their promises."""
        return [ReceivedPush.of(push) for push in self.unreleased.values()]

    @property
    def is_listened_to(self) -> bool:
        """True when somebody takes promises whatever response they come with."""
        return self.on_push is not None or bool(self._listeners)

    def of(self, exchange: Exchange) -> list[PushedExchange]:
        """The pushes that came with a response and hold credit."""
        return [push for push in self.unreleased.values() if exchange in push.owners] if self.unreleased else []

    def cancel(self, push: PushedExchange) -> None:
        """Call a push off on the wire."""
        self._owner.fulfilling.pop(push.push_id, None)
        if not self._owner.core.is_closed:
            self._owner.core.cancel_push(push.push_id)
            self._owner.schedule_flush()

    def release(self, push: PushedExchange) -> None:
        """Give the credit of a push back."""
        self.unreleased.pop(push.push_id, None)
        if not self._owner.core.is_closed:
            self._owner.core.release_push(push.push_id)
            self._owner.progressed()
            self._owner.schedule_flush()

    async def listen(self) -> AsyncIterator[ReceivedPush]:
        """Every promise from now on, after those that hold credit now; ends with the connection."""
        queue: asyncio.Queue[ReceivedPush | None] = asyncio.Queue()
        for push in self.unreleased.values():
            push.claimed = True
            queue.put_nowait(ReceivedPush.of(push))
        self._listeners.append(queue)
        if self._is_over:
            queue.put_nowait(None)
        try:
            while (push_or_end := await queue.get()) is not None:
                yield push_or_end
        finally:
            self._listeners.remove(queue)


async def _ask_later(answer: Awaitable[bool | None], push: ReceivedPush) -> None:
    try:
        if await answer is False:
            push.cancel()
    except Exception:
        _on_push_failed(push)


def _on_push_failed(push: ReceivedPush) -> None:
    logger.exception("%r: on_push failed, so the push is called off", push)
    push.cancel()


ENDINGS = {
    h3.CancelledBy.LOCAL: "we called the push off",
    h3.CancelledBy.PEER: "the server called the push off",
    h3.CancelledBy.GOAWAY: "the connection is going away",
    h3.CancelledBy.REFUSED: "such a push is not accepted",
    h3.CancelledBy.FAILED: "the server could not complete the pushed response",
    h3.CancelledBy.MALFORMED: "the pushed response was malformed",
    h3.CancelledBy.TIMEOUT: "the pushed response did not begin in time",
}
"""In words."""
