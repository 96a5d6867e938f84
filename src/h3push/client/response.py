"""The views that a client's application holds: responses, requested and pushed, and the promises of the server.

A push takes one unit of the credit that `max_pushes` gives, from its promise until it is *released*: its content has been read to
the end, it was cancelled or failed, or nobody has it any more, because the response that it came with was closed or dropped. So
what the server may push is bounded by what the application has not dealt with, and back-pressure reaches all the way to the
promise.
"""

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from weakref import ref

from h3push.client.exchange import Exchange, PushedExchange, SentRequest
from h3push.client.progress import ReceivedState, Timing
from h3push.h3.events import CancelledBy
from h3push.http.fields import ResponseHead
from h3push.http.headers import Headers
from h3push.runtime.inbox import UnreadBudget


class ClientResponse:
    """A response, to a request of ours or pushed.

    `async with response:` closes it at the end: what is unread is cancelled, and so are its pushes. One that is dropped before it
    is read or closed is cancelled with a `ResourceWarning`.
    """

    def __init__(self, exchange: Exchange, push: "ReceivedPush | None" = None) -> None:
        self._exchange = exchange
        self.push = push
        """The promise that it answers; `None` when it answers a request of ours."""
        head = exchange.head
        assert head is not None
        self.status = head.status
        """The status code."""
        self.headers = Headers.wrap(head.fields)
        """The header fields."""
        self.http_version = "3"
        """The HTTP version."""
        self.content = exchange.content
        """The content on its way; use `read` or `stream`."""

    @property
    def request(self) -> SentRequest:
        """The request that it answers."""
        return self._exchange.request

    @property
    def informational(self) -> list[tuple[int, Headers]]:
        """Interim responses that came before it, such as 103 Early Hints: (status, headers)."""
        return list(self._exchange.informational)

    @property
    def trailers(self) -> Headers | None:
        """The trailer section, once the content has been read; `None` when there was none.

        Where promises are allowed (`max_pushes`), content with a Content-Length counts as read when that much has arrived;
        trailers behind it are waited for only if a Trailer field announces them (RFC 9110 section 6.6.2).
        """
        return self.content.trailers

    @property
    def timing(self) -> Timing:
        """When it was asked for, began, and ended."""
        return self._exchange.timing

    @property
    def push_id(self) -> int | None:
        """The push ID of a pushed response."""
        return None if self.push is None else self.push.push_id

    @property
    def stream_id(self) -> int | None:
        """The QUIC stream that it came on."""
        return self._exchange.stream_id

    async def read(self, limit: int | None = None) -> bytes:
        """All of the content; the same again when it is called again.

        Raises:
            ContentTooLarge: more than `limit` bytes.
            RuntimeError: a part was taken by `stream`, so that all of it is not here any more.
            StreamFailed: the server ended it early (`PushCancelled` for a push).
            ConnectionClosed: the connection was lost.
            ReadTimeout: nothing came for `read_timeout`.
        """
        content = await self.content.read(limit)
        self._exchange.read_to_end()
        return content

    def stream(self) -> AsyncIterator[bytes]:
        """The content, piece by piece as it arrives; goes on where an earlier `stream` stopped.

        After `read` it gives what was read, in one piece. Raises what `read` raises; `RuntimeError` when an earlier `stream` gave
        all of it.
        """
        return self.content.stream(self._is_read)  # a method of ours: whoever reads it keeps this response

    def _is_read(self) -> None:
        self._exchange.read_to_end()

    async def pushes(self) -> AsyncIterator["ReceivedPush"]:
        """The promises that came with this response, in order, as they come; ends with the response.

        They belong to this response: closing it cancels those that are not read to the end, unless `keep` was called.

        A promise is on the same stream as the content, so with much content unread the promises behind it wait too: read
        at the same time, in another task.
        """
        while (push := await self._exchange.next_promise()) is not None:
            yield ReceivedPush.of(push)

    @property
    def promised(self) -> list[SentRequest]:
        """The promised requests that came with it so far, and that `pushes` has not given out."""
        return [push.request for push in self._exchange.promises or ()]

    async def close(self) -> None:
        """Cancel what has not arrived, and the pushes that came with it (see `pushes`). Harmless when all is read."""
        self._exchange.close()

    def leave(self) -> None:
        """Be done with it. Unlike `close`, one that was read to its end goes on bringing promises, where `on_push` takes them."""
        self._exchange.abandon()

    async def __aenter__(self) -> "ClientResponse":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        exchange = self._exchange
        if exchange.over and not exchange.pushes_held and not exchange.sending:
            return
        if self.push is not None or exchange.closed:
            return
        if exchange.is_unfinished and not self.content.timed_out:  # who got that error knows
            sentence = f"{self!r} was dropped before it was read: it is cancelled"
            warnings.warn(sentence, ResourceWarning, stacklevel=2, source=self)
        exchange.owner.run_later(exchange.abandon)

    def __repr__(self) -> str:
        return f"<ClientResponse {self.status} {self.request.url}>"


class ResponseStream:
    """The response to one request in an `async with`, which closes it at the end; made by `ClientConnection.stream`."""

    def __init__(self, ask: Callable[[], Awaitable[ClientResponse]]) -> None:
        self._ask = ask
        self._response: ClientResponse | None = None

    async def __aenter__(self) -> ClientResponse:
        self._response = await self._ask()
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response is not None:
            await self._response.close()


class ReceivedPush:
    """A promise of the server, and the response that goes with it.

    A push that nobody has any more is called off: neither this object, nor the response that it came with.
    """

    def __init__(self, exchange: PushedExchange) -> None:
        self._exchange = exchange
        exchange.view = ref(self)

    @classmethod
    def of(cls, exchange: PushedExchange) -> "ReceivedPush":
        """The view of a push that the application has, or a new one."""
        view = None if exchange.view is None else exchange.view()
        return view if isinstance(view, cls) else cls(exchange)

    @property
    def push_id(self) -> int:
        """The push ID."""
        return self._exchange.push_id

    @property
    def request(self) -> SentRequest:
        """The promised request: what the response answers."""
        return self._exchange.request

    @property
    def initiator(self) -> SentRequest:
        """The request whose response carried the promise."""
        return self._exchange.initiator

    @property
    def state(self) -> ReceivedState:
        """How far it has come."""
        return self._exchange.state

    @property
    def cancelled_by(self) -> CancelledBy | None:
        """The side that ended it early, and how; `None` when neither did."""
        return self._exchange.cancelled_by

    @property
    def head(self) -> ResponseHead | None:
        """The header section of its response, once it is there."""
        return self._exchange.head

    @property
    def received(self) -> int:
        """Bytes of its content that have arrived."""
        return self._exchange.received

    @property
    def timing(self) -> Timing:
        """When it was promised, began, and ended."""
        return self._exchange.timing

    @property
    def promised_at(self) -> float:
        """When the promise came (loop time, seconds)."""
        return self._exchange.timing.started

    @property
    def done_at(self) -> float | None:
        """When its response was complete or it ended early (loop time, seconds)."""
        return self._exchange.timing.ended

    async def response(self) -> ClientResponse:
        """Its response, once the header section is there. `PushCancelled` when it will not come."""
        exchange = self._exchange
        await exchange.wait_answer()
        if exchange.content.complete:
            exchange.release()
        return ClientResponse(exchange, self)

    def cancel(self) -> None:
        """It is not wanted: CANCEL_PUSH, or STOP_SENDING once its stream is there. Harmless when it is over."""
        self._exchange.cancel()

    def release(self) -> None:
        """The application is done with it: the server may push another one in its place. Done by reading it to the end."""
        self._exchange.release()

    def keep(self) -> None:
        """Let it outlive the response that it came with, for as long as you hold it."""
        self._exchange.claimed = True

    def resolved(self, *, claimed: bool) -> None:
        """Say that it answered a request, or will not: for whoever watches the connection (qlog)."""
        self._exchange.owner.push_resolved(self._exchange, claimed=claimed)

    def hold(self, budget: UnreadBudget, on_end: Callable[[PushedExchange], None]) -> PushedExchange:
        """Keep it unread for whoever will want it: its content counts in `budget`, and `on_end` hears of its end, once."""
        self.keep()
        exchange = self._exchange
        exchange.budget, exchange.on_end = budget, on_end
        return exchange

    def __del__(self) -> None:
        exchange = self._exchange
        if not exchange.released:
            exchange.owner.run_later(exchange.forsake)

    def __repr__(self) -> str:
        return f"<ReceivedPush {self.push_id} {self.request.path} {self.state.name}>"
