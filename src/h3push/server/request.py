"""What a handler is given: the request, and the ways to answer it."""

import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from h3push.errors import NoStreamCredit, StreamFailed, Timeout
from h3push.http.content import BytesPart, FileContent, close_content, send_content
from h3push.http.headers import Headers, HeadersLike, encode_headers
from h3push.http.priority import Priority
from h3push.runtime.drain import Drain
from h3push.runtime.inbox import ContentTooLarge
from h3push.runtime.signal import Signal
from h3push.server.exchange import Exchange
from h3push.server.push import WAITABLE, Push
from h3push.server.response import Response

if TYPE_CHECKING:
    from h3push.http.content import Sink


class Request(Exchange):
    """A request that a client sent, or that we promised and now answer in advance.

    Answer it by returning a `Response` from the handler, or step by step with `start_response`, `send` and `send_trailers`.
    Once `disconnected` is set, what is sent is dropped without an error.
    """

    http_version = "3"
    """The HTTP version, in the words of ASGI."""

    @property
    def method(self) -> str:
        """The method, such as "GET"."""
        return self.head.method.decode("latin-1")

    @property
    def scheme(self) -> str:
        """The scheme; "https" nearly always."""
        return (self.head.scheme or b"").decode("latin-1")

    @property
    def authority(self) -> str:
        """Host and port, as the client wrote them (`:authority`, or Host)."""
        return (self.head.authority or b"").decode("latin-1")

    @property
    def path(self) -> str:
        """The path with its query, percent-encoded as it came; "" for CONNECT."""
        return (self.head.path or b"").decode("latin-1")

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return Headers.wrap(self.head.fields)

    @property
    def trailers(self) -> Headers | None:
        """The trailer section, once the content has been read."""
        return None if self.content is None else self.content.trailers

    @property
    def client(self) -> tuple[str, int]:
        """The client's address and port, after migrations the present one."""
        return self.connection.address

    @property
    def push_id(self) -> int | None:
        """The push ID, when this is a promised request; `None` when the client sent it."""
        return None if self.fulfils is None else self.fulfils.push_id

    # the request's content

    async def read(self, limit: int | None = None) -> bytes:
        """All of the content.

        Raises:
            ContentTooLarge: more than `limit` bytes; answered with 413 if the handler lets it pass.
            StreamFailed: the client abandoned it.
            Timeout: nothing came for `read_timeout`.
        """
        content = self.content
        if content is None:
            return b""
        self.ask_for_content()
        try:
            return await content.read(limit)
        except (ContentTooLarge, StreamFailed, Timeout) as error:
            self.content_failure = error
            raise

    async def stream(self) -> AsyncIterator[bytes]:
        """The content, piece by piece as it arrives. Raises what `read` raises."""
        while chunk := await self.next_chunk():
            yield chunk

    async def next_chunk(self) -> bytes:
        """The next piece of the content, as it arrived; empty at the end. Raises what `read` raises."""
        content = self.content
        if content is None:
            return b""
        self.ask_for_content()
        try:
            return await content.next_chunk()
        except (StreamFailed, Timeout) as error:
            self.content_failure = error
            raise

    # the response, step by step

    async def send_informational(self, status: int, headers: HeadersLike | None = None) -> None:
        """Send an interim response, such as 103 Early Hints (RFC 8297); any number, before the final one."""
        fields = encode_headers(headers)
        try:
            self.write_interim(status, fields)
        except NoStreamCredit:
            await self._wait_for_stream()
            self.write_interim(status, fields)

    async def start_response(
        self, status: int, headers: HeadersLike | None = None, *, end_stream: bool = False
    ) -> None:
        """Send the status and header section. A pushed response opens its push stream now, and waits if it has to."""
        fields = encode_headers(headers)
        while True:
            try:
                self.begin(status, fields, end_stream)
            except NoStreamCredit:
                await self._wait_for_stream()
            else:
                return

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send content; waits while more than `send_high_water` bytes of this response are queued.

        `Timeout` when the client takes less than 16 KiB within `drain_timeout`.
        """
        waiting = self.write(data, end_stream)
        if waiting > self.connection.settings.send_high_water and not end_stream:
            await self._wait_until_drained()

    async def send_part(self, part: BytesPart, *, end_stream: bool = False) -> None:
        """Send a part of larger bytes, which is not copied; otherwise as `send`."""
        waiting = self.write_part(part, end_stream)
        if waiting > self.connection.settings.send_high_water and not end_stream:
            await self._wait_until_drained()

    async def send_trailers(self, headers: HeadersLike) -> None:
        """Send the trailer section; it ends the response."""
        self.write_trailers(encode_headers(headers))

    async def send_file(
        self, path: str | os.PathLike[str], offset: int = 0, length: int | None = None, *, end_stream: bool = False
    ) -> None:
        """Send a part of a file as content, read by the transport as the stream takes it. `OSError` when it cannot be."""
        self.write_file(FileContent(path, offset, length), end_stream)

    async def respond(self, response: Response) -> None:
        """Send a whole response; the same as returning it from the handler."""
        if self.respond_now(response):
            return
        try:
            await self.start_response(response.status, Headers.wrap(response.fields()))
        except BaseException:
            await close_content(response.body)
            raise
        if self.response_ended or self.disconnected:  # HEAD, 204, 304: nobody wants the content
            await close_content(response.body)
            return
        if response.trailers is None:
            await send_content(self, response.body, end_stream=True)
            return
        await send_content(self, response.body, end_stream=False)
        self.write_trailers(response.trailers)

    # pushes

    @property
    def can_push(self) -> bool:
        """True when a push would be promised now: agreed with the client, credit there, this response not ended."""
        return self.connection.pushes.refusal(self) is None

    async def push(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,
        priority: Priority | None = None,
        wait: bool = False,
    ) -> Push:
        """Promise the client the response to a request that it will need, and have the handler answer that request.

        `path` may be relative to this request's, have a query, or be a whole https URL; it is percent-encoded where it has to
        be. `headers` are those of the promised request: a cache on the other side compares them (Vary), so give what the
        client would send. Lack of credit raises nothing: `push.state` is REFUSED and `push.refusal` says why. With
        `wait=True` a client that takes pushes, but not more just now, is waited for. `PushNotAllowed` for what may never be
        pushed: a method other than GET and HEAD, content, a foreign authority (RFC 9114 section 4.6).
        """
        promise = self.connection.pushes.promise
        push = promise(self, path, method, headers, authority, priority)
        while wait and push.refusal in WAITABLE:
            await self.connection.pushes.credit.wait()
            push = promise(self, path, method, headers, authority, priority)
        return push

    def push_nowait(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,
        priority: Priority | None = None,
    ) -> Push:
        """The same as `push`, for handlers that are plain functions."""
        return self.connection.pushes.promise(self, path, method, headers, authority, priority)

    # the client's interest

    @property
    def gone(self) -> bool:
        """The same as `disconnected`, in the words of `content.Sink`."""
        return self.disconnected

    async def wait_disconnected(self) -> None:
        """Wait until nobody wants the response any more; returns only then, so race it against the work."""
        if self.disconnected:
            return
        if self._gone is None:
            self._gone = Signal()
        await self._gone.wait()

    async def _wait_until_drained(self) -> None:
        if self.disconnected:
            return
        if self._drain is None:
            self._drain = Drain()
        await self._drain.wait_guarded()

    async def _wait_for_stream(self) -> None:
        if not self.disconnected:
            await self.connection.pushes.streams.wait()

    def __repr__(self) -> str:
        pushed = "" if self.fulfils is None else f" push {self.push_id}"
        return f"<Request {self.method} {self.path}{pushed}>"


def _is_a_sink(request: Request) -> "Sink":
    """Checked by mypy: a request is where content goes."""
    return request
