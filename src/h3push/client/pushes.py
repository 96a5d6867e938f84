"""The pushes of one connection of a client: from promises to whoever takes them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from typing import TYPE_CHECKING

from h3push.client.exchange import ClientExchange
from h3push.client.response import ReceivedPush, ReceivedState, SentRequest
from h3push.errors import ConnectionClosed, ErrorCode
from h3push.h3 import events as h3

if TYPE_CHECKING:
    from h3push.client.connection import ClientConnection

logger = logging.getLogger("h3push.client")


class ClientPushes:
    """What the server promised on one connection."""

    def __init__(self, connection: "ClientConnection") -> None:
        self.unreleased: dict[int, ReceivedPush] = {}
        """Pushes that hold credit, by push ID, in the order of their promises."""
        self.fulfilling: dict[int, ClientExchange] = {}
        """Those whose response is still to come, or coming."""
        self.listeners: list[asyncio.Queue[ReceivedPush | None]] = []
        """Who is told of every promise (`put_nowait`), and by `None` of the end of the connection."""
        self.on_push: Callable[[ReceivedPush], None] | None = None
        """Called in the moment of each new promise, before anything else that came with it is looked at."""
        self._connection = connection

    # what the server does

    def promise(self, event: h3.PushPromiseReceived, parent: ClientExchange | None) -> None:
        """A promise came, with the response `parent`; the same push may be promised with several."""
        push = self.unreleased.get(event.push_id)
        if push is None and not event.repeated:
            push = self._begin(event, parent)
        if push is None:
            return
        if parent is not None:
            parent.promise(push)
        else:
            push.abandon()

    def _begin(self, event: h3.PushPromiseReceived, parent: ClientExchange | None) -> ReceivedPush:
        connection = self._connection
        exchange = ClientExchange(connection, SentRequest(event.request), None, connection.now())
        exchange.sending = False
        initiator = exchange.request if parent is None else parent.request
        push = exchange.push = ReceivedPush(exchange, event.push_id, initiator)
        self.unreleased[event.push_id] = push
        self.fulfilling[event.push_id] = exchange
        for listener in self.listeners:
            push.claimed = True
            listener.put_nowait(push)
        if self.on_push is not None:
            self._ask(self.on_push, push)
        return push

    def _ask(self, on_push: Callable[[ReceivedPush], None], push: ReceivedPush) -> None:
        try:
            on_push(push)
        except Exception:
            logger.exception("%r: on_push failed, so the push is called off", push)
            push.cancel()

    def cancelled(self, event: h3.PushCancelled) -> None:
        """A push ended before it was complete."""
        code = ErrorCode.H3_REQUEST_CANCELLED if event.error_code is None else event.error_code
        self.over(event.push_id, event.by, ENDINGS[event.by], code)

    def over(self, push_id: int, by: h3.CancelledBy, sentence: str, code: int) -> None:
        """A push ended early; its credit goes back."""
        exchange = self.fulfilling.pop(push_id, None)
        if exchange is not None and exchange.push is not None:
            exchange.push.ended(
                ReceivedState.CANCELLED if by in CALLED_OFF else ReceivedState.FAILED, by, sentence, code
            )
            exchange.push.release()

    def lost(self, error: ConnectionClosed) -> None:
        """The connection is over, and every push with it."""
        fulfilling, self.fulfilling = self.fulfilling, {}
        sentence = f"the connection was lost: {error.reason}"
        for exchange in fulfilling.values():
            if exchange.push is not None:
                code = ErrorCode.H3_REQUEST_CANCELLED
                exchange.push.ended(ReceivedState.FAILED, h3.CancelledBy.PEER, sentence, code)
        for listener in self.listeners:
            listener.put_nowait(None)

    # what the application does

    def __len__(self) -> int:
        return len(self.unreleased)

    def values(self) -> Collection[ReceivedPush]:
        """Pushes that hold credit, in the order of their promises."""
        return self.unreleased.values()

    def cancel(self, push: ReceivedPush) -> None:
        """Call a push off on the wire."""
        self.fulfilling.pop(push.push_id, None)
        if not self._connection.core.is_closed:
            self._connection.core.cancel_push(push.push_id)
            self._connection.kick()

    def disown(self, exchange: ClientExchange) -> None:
        """A response is closed: its pushes are called off, but for those that others have."""
        for push in [push for push in self.unreleased.values() if exchange in push.owners]:
            push.owners.discard(exchange)
            if not push.owners:
                push.abandon()

    def release(self, push: ReceivedPush) -> None:
        """Give the credit of a push back."""
        self.unreleased.pop(push.push_id, None)
        if not self._connection.core.is_closed:
            self._connection.core.release_push(push.push_id)
            self._connection.progressed()
            self._connection.kick()

    async def listen(self) -> AsyncIterator[ReceivedPush]:
        """Every promise from now on, after those that hold credit now; ends with the connection."""
        queue: asyncio.Queue[ReceivedPush | None] = asyncio.Queue()
        for push in self.unreleased.values():
            push.claimed = True
            queue.put_nowait(push)
        self.listeners.append(queue)
        if self._connection.over is not None:
            queue.put_nowait(None)
        try:
            while (push_or_end := await queue.get()) is not None:
                yield push_or_end
        finally:
            self.listeners.remove(queue)


CALLED_OFF = frozenset({h3.CancelledBy.LOCAL, h3.CancelledBy.PEER, h3.CancelledBy.GOAWAY, h3.CancelledBy.REFUSED})
"""Endings that somebody wanted; the others are failures."""

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
