"""What a client's application holds: responses, requested and pushed, and the promises of the server.

A push takes one unit of the credit that `max_pushes` gives, from its promise until it is *released*: its content has been read to
the end, it was cancelled or failed, or the response that it came with was closed. So what the server may push is bounded by
what the application has not dealt with, and back-pressure reaches all the way to the promise.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING

from h3push.errors import ErrorCode, PushCancelled
from h3push.h3.events import CancelledBy
from h3push.http.fields import RequestHead, ResponseHead
from h3push.http.headers import Headers
from h3push.runtime.inbox import Incoming

if TYPE_CHECKING:
    from h3push.client.exchange import ClientExchange


class SentRequest:
    """A request: one of ours, or a promised one."""

    __slots__ = ("head",)

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        """As it is on the wire."""

    def __repr__(self) -> str:
        return f"<SentRequest {self.method} {self.url}>"

    @property
    def method(self) -> str:
        """The method."""
        return self.head.method.decode("latin-1")

    @property
    def authority(self) -> str:
        """Host, and port where it is not 443."""
        return (self.head.authority or b"").decode("latin-1")

    @property
    def path(self) -> str:
        """Path with query, percent-encoded."""
        return (self.head.path or b"").decode("latin-1")

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{(self.head.scheme or b'').decode('latin-1')}://{self.authority}{self.path}"

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return Headers.wrap(self.head.fields)


@dataclass(slots=True)
class Timing:
    """When things happened, in seconds of the loop's clock."""

    started: float
    """The request went out, or the promise came in."""
    first_byte: float | None = None
    """The final response's header section arrived."""
    ended: float | None = None
    """The response was complete, or failed."""


class ReceivedState(Enum):
    """How far a push has come, seen from the client."""

    PROMISED = "promised"
    """Its response has not begun."""
    OPEN = "open"
    """Its response is arriving."""
    FULFILLED = "fulfilled"
    """Its response has arrived whole."""
    CANCELLED = "cancelled"
    """It was called off, by either side."""
    FAILED = "failed"
    """Its response was malformed, did not come in time, or the connection was lost."""


class ClientResponse:
    """A response, to a request of ours or pushed.

    `async with response:` closes it at the end: what is unread is cancelled, and so are its pushes.
    """

    def __init__(self, exchange: "ClientExchange", head: ResponseHead, content: Incoming) -> None:
        self.status = head.status
        """The status code."""
        self.headers = Headers.wrap(head.fields)
        """The header fields."""
        self.http_version = "3"
        """The HTTP version."""
        self.content = content
        """The content on its way; use `read` or `stream`."""
        self._exchange = exchange
        self._read: bytes | None = None

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
        """The trailer section, once the content has been read; `None` when there was none."""
        return self.content.trailers

    @property
    def timing(self) -> Timing:
        """When it was asked for, began, and ended."""
        return self._exchange.timing

    @property
    def push_id(self) -> int | None:
        """The push ID of a pushed response."""
        return None if self._exchange.push is None else self._exchange.push.push_id

    @property
    def stream_id(self) -> int | None:
        """The QUIC stream that it came on."""
        return self._exchange.stream_id

    async def read(self, limit: int | None = None) -> bytes:
        """All of the content; the same again when it is called again.

        Raises:
            ContentTooLarge: more than `limit` bytes.
            StreamFailed: the server ended it early (`PushCancelled` for a push).
            ConnectionClosed: the connection was lost.
            Timeout: nothing came for `read_timeout`.
        """
        if self._read is None:
            self._read = await self.content.read(limit)
            self._exchange.read_to_end()
        return self._read

    async def stream(self) -> AsyncIterator[bytes]:
        """The content, piece by piece as it arrives. Raises what `read` raises."""
        while chunk := await self.content.next_chunk():
            yield chunk
        self._exchange.read_to_end()

    async def pushes(self) -> AsyncIterator["ReceivedPush"]:
        """The promises that came with this response, in order, as they come; ends with the response.

        They belong to this response: closing it cancels those that are not read to the end, unless `keep` was called.

        A promise is on the same stream as the content, so with much content unread the promises behind it wait too: read
        at the same time, in another task.
        """
        while (push := await self._exchange.next_promise()) is not None:
            yield push

    async def close(self) -> None:
        """Cancel what has not arrived, and the pushes that came with it (see `pushes`). Harmless when all is read."""
        self._exchange.close()

    async def __aenter__(self) -> "ClientResponse":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<ClientResponse {self.status} {self.request.url}>"


class ReceivedPush:
    """A promise of the server, and the response that goes with it."""

    def __init__(self, exchange: "ClientExchange", push_id: int, initiator: SentRequest) -> None:
        self.push_id = push_id
        """The push ID."""
        self.initiator = initiator
        """The request whose response carried the promise."""
        self.state = ReceivedState.PROMISED
        """How far it has come."""
        self.cancelled_by: CancelledBy | None = None
        """Who ended it early, and how."""
        self.owners: set[ClientExchange] = set()
        """The responses that it came with and that are not closed."""
        self.claimed = False
        """True when it was taken for good (`keep`, `Client.pushes`): closing the response it came with leaves it alone."""
        self._exchange = exchange
        self._released = False

    @property
    def request(self) -> SentRequest:
        """The promised request: what the response answers."""
        return self._exchange.request

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
        response = await self._exchange.wait_answer()
        if response.content.complete:
            self.release()
        return response

    def cancel(self) -> None:
        """It is not wanted: CANCEL_PUSH, or STOP_SENDING once its stream is there. Harmless when it is over."""
        if self.state in {ReceivedState.PROMISED, ReceivedState.OPEN}:
            self._exchange.connection.pushes.cancel(self)
            self.ended(
                ReceivedState.CANCELLED, CancelledBy.LOCAL, "we called the push off", ErrorCode.H3_REQUEST_CANCELLED
            )
        self.release()

    def release(self) -> None:
        """The application is done with it: the server may push another one in its place. Done by reading it to the end."""
        if not self._released:
            self._released = True
            self._exchange.connection.pushes.release(self)

    def keep(self) -> None:
        """Let it outlive the response that it came with. Read it to the end or cancel it, or its credit never goes back."""
        self.claimed = True

    def abandon(self) -> None:
        """The responses that it came with are closed."""
        if not self.claimed:
            self.cancel()

    def ended(self, state: ReceivedState, by: CancelledBy, sentence: str, code: int) -> None:
        """It ended early (called by the connection)."""
        self.state = state
        self.cancelled_by = by
        exchange = self._exchange
        exchange.fail(
            PushCancelled(f"push {self.push_id} of {self.request.path}: {sentence}", code), exchange.connection.now()
        )

    def __repr__(self) -> str:
        return f"<ReceivedPush {self.push_id} {self.request.path} {self.state.name}>"
