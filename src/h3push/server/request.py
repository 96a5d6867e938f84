"""A request as its handler gets it, and the ways to answer it.

Sending is the business of its `ResponseWriter`, which waits for nothing; the waiting (back-pressure, stream credit) is here.
"""

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Any

from mypy_extensions import mypyc_attr

from h3push.errors import ErrorCode, H3PushError, NoStreamCredit, StreamFailed
from h3push.h3.push.rules import NO_CREDIT, PushRefusal
from h3push.http.content import BytesPart, FileContent, Sink, close_content, send_content
from h3push.http.fields import Fields, RequestHead
from h3push.http.headers import Headers, HeadersLike, encode_headers
from h3push.http.priority import Priority
from h3push.http.request import RequestView
from h3push.runtime.inbox import NoPieces
from h3push.runtime.settings import ServerSettings
from h3push.runtime.signal import Signal
from h3push.server.budget import PushBudget
from h3push.server.channel import Channel
from h3push.server.content import RequestContent
from h3push.server.drain_guard import ResponseState
from h3push.server.push import Push
from h3push.server.response import Response
from h3push.server.writer import ResponseWriter

_ENDED, _UNWANTED = ResponseState.ENDED, ResponseState.UNWANTED


class PushMaker(ABC):
    """Makes the pushes of a connection."""

    @abstractmethod
    def refusal(self, budget: PushBudget) -> PushRefusal | None:
        """Why a push would be refused now; `None` when one would be promised."""

    @abstractmethod
    def promise(
        self,
        initiator: "Request",
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,
        priority: Priority | None = None,
        response: Response | None = None,
        deferred: bool = False,
    ) -> Push:
        """Promise a request, or say in the push why not."""

    @abstractmethod
    def promise_head(
        self,
        initiator: "Request",
        path: str,
        head: RequestHead,
        priority: Priority | None,
        response: Response | None = None,
        *,
        deferred: bool = False,
    ) -> Push:
        """The same for a request that is as it goes out, for the initiator's own authority."""

    @abstractmethod
    async def wait_for_credit(self) -> None:
        """Wait until there may be more push credit."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Request(RequestView):
    """A request that a client sent, or that we promised and now answer in advance.

    Answer it by returning a `Response` from the handler, or step by step with `start_response`, `send` and `send_trailers`.
    Once `disconnected` is set, what is sent is dropped without an error.
    """

    http_version = "3"
    """The HTTP version, in the words of ASGI."""
    early: bool = False
    """True when it came in early data, before the handshake was done: it may be a replay (RFC 8470). Answer 425 to have the
    client send it again when the handshake is done."""

    # Class attributes are the defaults, so that a request that needs none of this pays for none of it.
    fulfils: Push | None = None
    """The push that this request fulfils, when it is a promised one."""
    initiator: "Request | None" = None
    """The request whose handler pushed this one."""
    content: RequestContent | None = None
    """The request's content; `None` when it has none."""
    takes_interim: bool = True
    """True when interim responses, such as 103 Early Hints, can reach the client."""
    _dropped: int = 0
    arm: str | None = None
    """The group of this page view in an experiment ("none", "hint" or "push"), for the access log; `None` outside one."""
    page_view: object | None = None
    """The page view that a controller counts it to."""
    task: "asyncio.Task[None] | None" = None
    """The handler's task, if it needed one."""
    task_began: bool = False
    """True when the task has taken its first step."""
    never_began: "Callable[[asyncio.Task[None]], None] | None" = None
    """Until then: what the task calls when it ends without one."""
    _budget: PushBudget | None = None
    _gone: Signal | None = None

    def __init__(self, connection: Channel, pusher: PushMaker, stream_id: int | None, head: RequestHead) -> None:
        self.connection = connection
        self.head = head
        self.writer = ResponseWriter(connection, stream_id, head)
        """Sends the response; takes effect at once and waits for nothing."""
        self._pusher = pusher

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

    @property
    def stream_id(self) -> int | None:
        """The request's stream, or the push stream once it is open."""
        return self.writer.stream_id

    # what planners and deliveries ask, of a request over TCP too (`tcp.request`), which has neither `connection` nor `writer`

    @property
    def settings(self) -> ServerSettings:
        """The server's bounds and time-outs."""
        return self.connection.settings

    @property
    def tied(self) -> dict[object, Any]:
        """State that others tie to the connection, each under a key of its own."""
        return self.connection.tied

    @property
    def takes_pushes(self) -> bool:
        """True when the client agreed to pushes; credit is another matter."""
        return self.connection.core.takes_pushes

    @property
    def max_push_id(self) -> int | None:
        """The client's limit of push IDs; `None` while it allows no push."""
        return self.connection.core.max_push_id

    @property
    def push_limit_moves(self) -> bool:
        """True when the client has raised its limit of pushes before, so that more credit may come."""
        return self.connection.core.push_limit_moves

    def send_interim(self, status: int, fields: Fields) -> None:
        """Send an interim response at once.

        Raises:
            NoStreamCredit: it is for a push that finds no stream.
            LocalProtocolError: it cannot be sent, or its fields cannot.
        """
        self.writer.send_interim(status, fields)

    # the response so far

    @property
    def status(self) -> int | None:
        """Status of the response; `None` before it began."""
        return self.writer.status

    @property
    def bytes_sent(self) -> int:
        """Content of the response handed to QUIC so far, in bytes."""
        return self.writer.bytes_sent

    @property
    def response_ended(self) -> bool:
        """True when nothing more of the response will be sent: its end was, or it was reset, or nobody wants it."""
        return self.writer.state >= _ENDED

    @property
    def failed(self) -> bool:
        """True when our side could not make the response whole: the handler raised, or a file was cut short."""
        return self.writer.failed

    @property
    def disconnected(self) -> bool:
        """True when nobody wants the response any more: the client cancelled it, or the connection is over."""
        return self.writer.state is _UNWANTED

    @property
    def gone(self) -> bool:
        """The same as `disconnected`, in the words of `content.Sink`."""
        return self.writer.state is _UNWANTED

    # the request's content

    async def read(self, limit: int | None = None) -> bytes:
        """All of the content.

        Raises:
            ContentTooLarge: more than `limit` bytes; answered with 413 if the handler lets it pass.
            StreamFailed: the client abandoned it.
            Timeout: nothing came for `read_timeout`.
        """
        return b"" if self.content is None else await self.content.read(limit)

    def stream(self) -> AsyncIterator[bytes]:
        """The content, piece by piece as it arrives; what was read, after `read`. Raises what `read` raises."""
        return NoPieces() if self.content is None else self.content.stream()

    # the response, step by step

    async def send_informational(self, status: int, headers: HeadersLike | None = None) -> None:
        """Send an interim response, such as 103 Early Hints (RFC 8297); any number, before the final one."""
        fields = encode_headers(headers)
        try:
            self.writer.send_interim(status, fields)
        except NoStreamCredit:
            await self._wait_for_stream()
            self.writer.send_interim(status, fields)

    async def start_response(
        self, status: int, headers: HeadersLike | None = None, *, end_stream: bool = False
    ) -> None:
        """Send the status and header section. A pushed response opens its push stream now, and waits if it has to."""
        fields = encode_headers(headers)
        while True:
            try:
                self.writer.begin(status, fields, end_stream)
            except NoStreamCredit:
                await self._wait_for_stream()
            else:
                return

    async def send(self, data: bytes, *, end_stream: bool = False) -> None:
        """Send content; waits while more than `send_high_water` bytes of this response are queued.

        Raises:
            Timeout: the client takes less than 16 KiB within `drain_timeout`.
            StreamFailed: so much was sent of a response that has no content (HEAD, 204, 304). The response is whole all the same.
        """
        writer = self.writer
        waiting = writer.write(data, end_stream)
        if end_stream:
            return
        if writer.drops_content:
            await self._drop(len(data))
        elif waiting > self.connection.settings.send_high_water:
            await writer.wait_until_drained()

    async def send_part(self, part: BytesPart, *, end_stream: bool = False) -> None:
        """Send a part of larger bytes, which is not copied; otherwise as `send`."""
        writer = self.writer
        waiting = writer.write_part(part, end_stream)
        if end_stream:
            return
        if writer.drops_content:
            await self._drop(part.length)
        elif waiting > self.connection.settings.send_high_water:
            await writer.wait_until_drained()

    async def _drop(self, size: int) -> None:
        """So much content was dropped. Others go on meanwhile, and whoever sends content that nobody takes is told to end."""
        self._dropped += size
        if self.sends_for_nobody and not self.disconnected:
            raise StreamFailed("nobody takes the content of a response that has none", ErrorCode.H3_NO_ERROR)
        await asyncio.sleep(0)

    @property
    def sends_for_nobody(self) -> bool:
        """True when more than `send_high_water` bytes were dropped: it may go on for ever."""
        return self._dropped > self.connection.settings.send_high_water

    async def send_trailers(self, headers: HeadersLike) -> None:
        """Send the trailer section; it ends the response."""
        self.writer.write_trailers(encode_headers(headers))

    async def send_file(
        self, path: str | os.PathLike[str], offset: int = 0, length: int | None = None, *, end_stream: bool = False
    ) -> None:
        """Send a part of a file as content, read by the transport as the stream takes it. `OSError` when it cannot be."""
        self.writer.write_file(FileContent(path, offset, length), end_stream)

    async def respond(self, response: Response) -> None:
        """Send a whole response; the same as returning it from the handler."""
        writer = self.writer
        if writer.respond_now(response):
            return
        try:
            await self.start_response(response.status, Headers.wrap(response.fields()))
        except BaseException:
            await close_content(response.body)
            raise
        if writer.state >= _ENDED:  # HEAD, 204, 304: nobody wants the content
            await close_content(response.body)
            return
        await send_content(self, response.body, end_stream=response.trailers is None)
        if response.trailers is not None:
            writer.write_trailers(response.trailers)

    # pushes

    @property
    def budget(self) -> PushBudget:
        """Pays for the pushes of this request; a pushed one shares the budget of the request that caused it."""
        budget = self._budget
        if budget is None:
            head, settings = self.head, self.connection.settings
            target = (head.method, head.authority or b"", head.path or b"")
            budget = PushBudget(self.writer, target, settings.max_pushes_per_request, settings.max_push_bytes)
            self._budget = budget
        return budget

    def become_pushed(self, push: Push, initiator: "Request") -> None:
        """Answer a promise: this request was promised by `push`, on behalf of `initiator`, whose budget pays for the response."""
        self.fulfils, self.initiator = push, initiator
        self._budget = self.writer.budget = initiator.budget
        self.writer.push = push

    @property
    def push_refusal(self) -> PushRefusal | None:
        """Why a push would be refused now; `None` when one would be promised."""
        return self._pusher.refusal(self.budget)

    @property
    def can_push(self) -> bool:
        """True when a push would be promised now: agreed with the client, credit there, this response not ended."""
        return self.push_refusal is None

    async def push(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,
        priority: Priority | None = None,
        response: Response | None = None,
        wait: bool = False,
    ) -> Push:
        """Promise the client the response to a request that it will need, and have the handler answer that request.

        A `response` that is at hand is sent instead of a call of the handler, which costs less; it goes out behind what was asked
        for, like every push.

        `path` may be relative to this request's, have a query, or be a whole https URL; it is percent-encoded where it has to
        be. `headers` are those of the promised request: a cache on the other side compares them (Vary), so give what the
        client would send. Lack of credit raises nothing: `push.refusal` says why nothing was promised. With `wait=True` a
        client that takes pushes, but not more just now, is waited for. `PushNotAllowed` for what may never be pushed: a method
        other than GET and HEAD, content, a foreign authority (RFC 9114 section 4.6).
        """
        while True:
            push = self.push_nowait(
                path, method=method, headers=headers, authority=authority, priority=priority, response=response
            )
            if not wait or push.refusal not in NO_CREDIT:
                return push
            await self._pusher.wait_for_credit()

    def push_nowait(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,
        priority: Priority | None = None,
        response: Response | None = None,
        deferred: bool = False,
    ) -> Push:
        """The same as `push`, for handlers that are plain functions.

        With `deferred` the promise goes out at once, and its answer when `Push.start` is called.
        """
        return self._pusher.promise(
            self,
            path,
            method=method,
            headers=headers,
            authority=authority,
            priority=priority,
            response=response,
            deferred=deferred,
        )

    def push_head(self, path: str, head: RequestHead, priority: Priority | None, *, deferred: bool = False) -> Push:
        """The same for a request that is as it goes out, for this request's own authority; `path` is its path."""
        return self._pusher.promise_head(self, path, head, priority, deferred=deferred)

    async def wait_for_push_credit(self) -> None:
        """Wait until the client may have given more push credit, or gives none any more."""
        await self._pusher.wait_for_credit()

    # the client's interest

    def disconnect(self, error: H3PushError, *, told: bool = False) -> None:
        """Nobody wants the response any more; `told`: the handler knows it already, by an error of its own."""
        if not self.writer.disconnect(error):
            return
        if self._gone is not None:
            self._gone.set()
        if self.content is not None:
            self.content.fail(error)
        if self.task is not None and not told and self.connection.settings.cancel_handlers:
            self.task.cancel()

    async def wait_disconnected(self) -> None:
        """Wait until nobody wants the response any more; returns only then, so race it against the work."""
        if self.disconnected:
            return
        if self._gone is None:
            self._gone = Signal()
        await self._gone.wait()

    async def _wait_for_stream(self) -> None:
        if not self.disconnected:
            await self.connection.streams.wait()

    def __repr__(self) -> str:
        pushed = "" if self.fulfils is None else f" push {self.push_id}"
        return f"<Request {self.method} {self.path}{pushed}>"


def _is_a_sink(request: Request) -> Sink:
    """Checked by mypy: a request is where content goes."""
    return request
