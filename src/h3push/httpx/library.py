"""The common ground of httpx and httpx2: their requests taken apart, our answers and errors in their words.

Neither is imported here. The library is the one that made the request, so both can be used in one program.
"""

from collections.abc import AsyncIterator
from functools import cache, lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from h3push.client.answer import Answer, Source
from h3push.client.exchange import SentRequest
from h3push.client.limits import Timeouts
from h3push.errors import (
    ConnectFailed,
    ConnectFailure,
    H3PushError,
    LocalProtocolError,
    PoolTimeout,
    ReadTimeout,
    RequestNotProcessed,
    StreamFailed,
    WriteTimeout,
)
from h3push.http.fields import CONNECTION_SPECIFIC, Field, RequestHead
from h3push.http.url import Origin
from h3push.httpx.loop_thread import LoopThread

LIBRARIES = ("httpx", "httpx2")


class Asked(NamedTuple):
    """A request of such a library, in our words."""

    origin: Origin
    head: RequestHead
    content: Any
    """Bytes; `None`; or the library's stream, where the content is not there yet."""
    timeouts: Timeouts


class Library:
    """One of the two.

    Args:
        module: `httpx` or `httpx2`.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.async_content: Any = type("AsyncContent", (AsyncContent, module.AsyncByteStream), {})
        """Class of the content of an answer."""
        self.content: Any = type("Content", (Content, module.SyncByteStream), {})
        """The same for a client that does not await."""

    def ask(self, request: Any) -> Asked:
        """Take a request apart."""
        url = request.url
        origin, authority = _origin(url.raw_host, url.port)
        fields: list[Field] = []
        for name, value in request.headers.raw:
            lower = name.lower()
            if lower == b"host":
                authority = value
            elif lower not in _HOP_BY_HOP:
                fields.append((lower, value))
        head = RequestHead(
            request.method.encode("ascii"),
            b"https",
            authority,
            request.extensions.get("target", url.raw_path),
            fields,
            None,
        )
        return Asked(origin, head, self._content_of(request), request.extensions.get("timeout", {}))

    def _content_of(self, request: Any) -> Any:
        try:
            return request.content or None
        except self.module.RequestNotRead:
            return request.stream

    def response(self, answer: Answer, content: Any, pushes: Any) -> Any:
        """An answer as the library has it."""
        extensions = {
            "http_version": b"HTTP/3",
            "stream_id": answer.stream_id,
            "pushed": answer.source is not Source.SERVER,
            "pushes": pushes,
        }
        return self.module.Response(answer.status, headers=answer.fields, stream=content, extensions=extensions)

    def failure(self, error: H3PushError) -> Exception:
        """An error of ours as the library has it."""
        kind: str
        if isinstance(error, ConnectFailed):
            kind = "ConnectTimeout" if error.kind is ConnectFailure.TIMEOUT else "ConnectError"
        else:
            kind = next((name for type_, name in _FAILURES.items() if isinstance(error, type_)), "ReadError")
        failure: Exception = getattr(self.module, kind)(str(error))
        return failure


_HOP_BY_HOP = frozenset({*CONNECTION_SPECIFIC, b"te"})


@lru_cache(256)
def _origin(host: bytes, port: int | None) -> tuple[Origin, bytes]:
    """The origin of a URL, and its authority."""
    origin = Origin(host.decode("ascii").strip("[]").lower(), port or 443)
    return origin, origin.authority.encode("ascii")


_FAILURES: dict[type[H3PushError], str] = {
    PoolTimeout: "PoolTimeout",
    ReadTimeout: "ReadTimeout",
    WriteTimeout: "WriteTimeout",
    LocalProtocolError: "LocalProtocolError",
    RequestNotProcessed: "ConnectError",  # as for a connection that did not come about, a retry is safe
    StreamFailed: "RemoteProtocolError",
}


def library_of(kind: type) -> Library:
    """The library that a class of requests is of. `TypeError` when it is of neither."""
    for ancestor in kind.__mro__:
        name = ancestor.__module__.partition(".")[0]
        if name in LIBRARIES:
            return _library(name)
    raise TypeError(f"the transport takes requests of httpx and httpx2, not {kind.__name__}")


@cache
def _library(name: str) -> Library:
    return Library(import_module(name))


class AsyncContent:
    """Content of an answer, for a client that awaits."""

    def __init__(self, answer: Answer, library: Library) -> None:
        self._answer = answer
        self._library = library

    def __aiter__(self) -> AsyncIterator[bytes]:
        return Pieces(self._answer.stream(), self._library)

    async def aclose(self) -> None:
        """The client is done with it."""
        await self._answer.close()


class Pieces(AsyncIterator[bytes]):
    """Pieces of content, with the library's errors. No generator: that would cost as much again."""

    __slots__ = ("_library", "_pieces")

    def __init__(self, pieces: AsyncIterator[bytes], library: Library) -> None:
        self._pieces = pieces
        self._library = library

    async def __anext__(self) -> bytes:
        try:
            return await self._pieces.__anext__()
        except H3PushError as error:
            raise self._library.failure(error) from error


class Content:
    """Content of an answer, for a client that does not await.

    Args:
        thread: runs what has to be awaited.
    """

    def __init__(self, answer: Answer, library: Library, thread: LoopThread) -> None:
        self._answer = answer
        self._library = library
        self._thread = thread

    def __iter__(self) -> Any:
        pieces = self._answer.stream()
        while True:
            try:
                piece = self._thread.run(_next(pieces))
            except H3PushError as error:
                raise self._library.failure(error) from error
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        """The client is done with it."""
        if self._thread.is_running:
            self._thread.run(self._answer.close())


class Promises:
    """The requests that the server promises with a response, as they come; for `async for`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __aiter__(self) -> AsyncIterator[SentRequest]:
        return self._answer.pushes()


class BlockingPromises(Promises):
    """The same for `for`."""

    def __init__(self, answer: Answer, thread: LoopThread) -> None:
        super().__init__(answer)
        self._thread = thread

    def __iter__(self) -> Any:
        promises = self._answer.pushes()
        while (promise := self._thread.run(_next(promises))) is not None:
            yield promise


async def _next(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator, None)
