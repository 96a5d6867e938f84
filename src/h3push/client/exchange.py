"""One response on its way to a client: the mechanics below `ClientResponse` and `ReceivedPush`.

The same class serves a request of ours and one that the server promised; the connection feeds it.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from h3push.client.response import ClientResponse, ReceivedPush, ReceivedState, SentRequest, Timing
from h3push.http.fields import ResponseHead
from h3push.http.headers import Headers
from h3push.runtime.drain import Drain
from h3push.runtime.inbox import Incoming
from h3push.runtime.signal import Signal

if TYPE_CHECKING:
    from h3push.client.connection import ClientConnection

__all__ = ["ClientExchange", "ClientResponse", "ReceivedPush", "ReceivedState", "SentRequest", "Timing"]


class ClientExchange:
    """One response on its way."""

    # Class attributes are the defaults, so that a request that needs none of this pays for none of it.
    push: ReceivedPush | None = None
    """The push whose response this is."""
    response: ClientResponse | None = None
    """The response, once its header section is there."""
    error: Exception | None = None
    """What ended it before its response began."""
    over: bool = False
    """True when nothing further will arrive."""
    sending: bool = True
    """False when the server wants no more of the request's content, or all of it is sent."""
    upload: asyncio.Task[None] | None = None
    """Sends the request's content, where that takes a while."""
    drain: Drain | None = None
    """Where the upload waits."""
    informational: Sequence[tuple[int, Headers]] = ()
    """Interim responses so far."""
    promises: deque[ReceivedPush] | None = None
    """Promises that came with it and were not handed out."""
    _promised: asyncio.Event | None = None

    def __init__(self, connection: "ClientConnection", request: SentRequest, stream_id: int | None, now: float) -> None:
        self.connection = connection
        self.request = request
        self.stream_id = stream_id
        """Request stream; or push stream, once it is there."""
        self.timing = Timing(now)
        self.active_at = now
        """When the server last took something of the request, in loop time."""
        self.answered = Signal()
        """Set when the response has begun, or will not."""

    # what arrived

    def interim(self, head: ResponseHead) -> None:
        """A 1xx response."""
        self.informational = [*self.informational, (head.status, Headers.wrap(head.fields))]

    def answer(self, stream_id: int, head: ResponseHead, now: float) -> None:
        """The final response's header section."""
        settings = self.connection.settings
        content = Incoming(
            self.connection, stream_id, high_water=settings.receive_high_water, timeout=settings.read_timeout
        )
        if self.push is None and self.request.method != "HEAD":  # promises come on request streams alone
            content.expected = head.content_length
        self.stream_id = stream_id
        self.timing.first_byte = now
        self.response = ClientResponse(self, head, content)
        self.answered.set()

    def promise(self, push: ReceivedPush) -> None:
        """A promise came with it."""
        if self.promises is None:
            self.promises = deque()
        self.promises.append(push)
        push.owners.add(self)
        self._tell_promises()

    def end(self, now: float) -> None:
        """The response is complete."""
        self.over = True
        self.timing.ended = now
        self._tell_promises()

    def fail(self, error: Exception, now: float) -> None:
        """The response will not come, or not further."""
        if self.over:
            return
        self.end(now)
        self.stop_sending()
        if self.response is None:
            self.error = error
            self.answered.set()
        else:
            self.response.content.fail(error)

    def stop_sending(self) -> None:
        """The server wants no more of the request's content."""
        self.sending = False
        self.drained()

    def drained(self) -> None:
        """What was queued of the request's content is (nearly) gone."""
        if self.drain is not None:
            self.drain.drained()

    def _tell_promises(self) -> None:
        if self._promised is not None:
            self._promised.set()

    # the application

    async def next_promise(self) -> ReceivedPush | None:
        """The next promise that came with it; `None` when there will be no more."""
        while not self.promises:
            if self.over:
                return None
            if self._promised is None:
                self._promised = asyncio.Event()
            self._promised.clear()
            await self._promised.wait()
        return self.promises.popleft()

    async def wait_answer(self) -> ClientResponse:
        """The response, once its header section is there."""
        await self.answered.wait()
        if self.response is None:
            assert self.error is not None
            raise self.error
        return self.response

    def read_to_end(self) -> None:
        """The application has all of it."""
        if self.push is not None:
            self.push.release()

    def close(self) -> None:
        """The application wants no more of it."""
        if self.upload is not None:
            self.upload.cancel()
        if self.push is not None:
            self.push.cancel()
        elif not self.over:
            self.connection.cancel(self)
        self.promises = None
        self.connection.pushes.disown(self)
