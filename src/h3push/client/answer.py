"""The answer to a request, wherever it came from: the server, a push, or a push that was stored."""

from collections.abc import AsyncIterator
from enum import Enum
from types import TracebackType

from h3push.client.exchange import SentRequest
from h3push.client.response import ClientResponse
from h3push.http.fields import Field
from h3push.http.headers import Headers


class Source(Enum):
    """Where an answer came from."""

    SERVER = "server"
    """A request of ours."""
    PUSH = "push"
    """A push that waited, or was under way."""
    STORE = "store"
    """A push that had answered a request before, and is fresh."""


class Answer:
    """A response. `async with answer:` closes it at the end.

    Args:
        status: the status code.
        fields: the header fields.
        source: where it came from.
        response: below it; `None` for one from the store.
        content: instead of the content of `response`.
    """

    __slots__ = ("_content", "_promised", "fields", "response", "source", "status")

    def __init__(
        self,
        status: int,
        fields: list[Field],
        source: Source,
        response: ClientResponse | None,
        content: AsyncIterator[bytes] | None = None,
    ) -> None:
        self.status = status
        self.fields = fields
        self.source = source
        self.response = response
        self._content = content
        self._promised: list[SentRequest] = []

    @classmethod
    def of(cls, response: ClientResponse, source: Source, content: AsyncIterator[bytes] | None = None) -> "Answer":
        """The answer that a response is."""
        return cls(response.status, list(response.headers.raw), source, response, content)

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return Headers.wrap(self.fields)

    @property
    def trailers(self) -> Headers | None:
        """The trailer section, once the content has been read; `None` when there was none, and from the store."""
        return None if self.response is None else self.response.trailers

    @property
    def stream_id(self) -> int | None:
        """The QUIC stream that it came on; `None` when it came from the store."""
        return None if self.response is None else self.response.stream_id

    def stream(self) -> AsyncIterator[bytes]:
        """The content, piece by piece. Raises what `ClientResponse.stream` raises: never short."""
        if self._content is not None:
            return self._content
        assert self.response is not None
        return self.response.stream()

    async def read(self) -> bytes:
        """All of the content."""
        if self._content is None:
            assert self.response is not None
            return await self.response.read()
        return b"".join([piece async for piece in self._content])

    async def pushes(self) -> AsyncIterator[SentRequest]:
        """The requests that the server promises with this response, in order, as they come; ends with the response or `close`.

        To see them, not to take them: a request of the same takes the push.
        """
        if self.response is not None and self.source is Source.SERVER:
            async for push in self.response.pushes():
                yield push.request
        for promised in self._promised:
            yield promised

    async def close(self) -> None:
        """Cancel what has not arrived. One that was read to its end may go on bringing promises."""
        if self.response is None:
            return
        if self.source is Source.SERVER:
            self._promised = self._promised or self.response.promised
        if self.response.content.finished:
            self.response.leave()
        else:
            await self.response.close()

    async def __aenter__(self) -> "Answer":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
