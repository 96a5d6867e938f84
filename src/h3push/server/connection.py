"""A server's side of one connection: events of the core in, handlers called.

Theory of operation. A request with a plain handler is answered inside the call that told of it: no task, no timer, no future.
Only what has to wait gets a task. `running` counts handlers, not streams: a stream that the client resets is gone at once, its
handler may not be, and what is bounded is the work (CVE-2023-44487).

Requests and pushes take the same path from `run` on; what is special about pushes is in `pushing`.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from h3push.errors import (
    ConnectFailed,
    ConnectionClosed,
    ErrorCode,
    H3PushError,
    LocalProtocolError,
    StreamFailed,
    Timeout,
)
from h3push.h3 import events as h3
from h3push.h3.server import H3ServerConnection
from h3push.http.content import PIECE_BYTES, BytesPart, FileContent
from h3push.http.fields import Field, Fields, RequestHead
from h3push.http.headers import Headers
from h3push.http.url import plain_authority
from h3push.quic.driver import bytes_waiting, send_file, send_part
from h3push.runtime.descriptors import is_out_of_descriptors
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.inbox import ContentTooLarge, Incoming
from h3push.runtime.settings import ServerSettings
from h3push.server.drain_guard import LOOKS, DrainGuard
from h3push.server.exchange import Exchange
from h3push.server.pushes import ServerPushes
from h3push.server.request import Request
from h3push.server.response import Response, has_field

if TYPE_CHECKING:
    from h3push.server.server import Server

Handler = Callable[[Request], Response | Awaitable[Response | None] | None]
"""What a server calls for every request and every push. `None`: the handler has sent the response itself."""

KEEP_ALIVE = 5.0
"""Seconds between two PINGs while a response is pending, at most: QUIC does not tell the client's idle time-out, and none that is
known is shorter."""

_UNREAD = RequestHead(method=b"-", scheme=None, authority=None, path=b"-", fields=[], content_length=None)
"""Stands for a request whose header section was too large to be read."""

MAX_UNWANTED = 1_000
"""Requests that were stopped before they came and that are remembered; beyond, their handlers run for nothing."""

logger = logging.getLogger("h3push.server")


class ServerConnection:
    """One client."""

    def __init__(
        self, server: "Server", endpoint: Endpoint, handle: int, address: tuple[str, int], core: H3ServerConnection
    ):
        self.server = server
        self.settings = server.settings
        self.counters = server.counters
        self.core = core
        self.handle = handle
        """The transport's number for this connection."""
        self.address = address
        """The client's address and port."""
        self.exchanges: dict[int, Request] = {}
        """Requests and pushes under way that something may still happen to, by stream."""
        self.pushes = ServerPushes(self, endpoint.loop)
        """The pushes of this connection."""
        self.date: Callable[[], Field | None] = server.date if self.settings.send_date else _no_date
        """Gives the Date field to add to responses, if any."""
        self.piece = min(PIECE_BYTES, self.settings.send_high_water)
        """Content up to this size goes out at once, in bytes."""
        self.running = 0
        """Handlers of requests that run now, those of pushes apart."""
        self.guard: DrainGuard[Exchange] = DrainGuard(self.waiting, self.settings.drain_timeout)
        """Responses that were begun and not yet acknowledged, and the time-out for clients that do not take them."""
        self.next_look: float | None = None
        """When what is pending is looked at next, in loop time; `None` while nothing is."""
        log = server.access_log
        self.log = None if log is None else log.connection(self.waiting, self.settings.send_high_water)
        """Takes the rows of this connection's responses."""
        self._endpoint = endpoint
        self._handler = server.handler
        self._authorities = server.authorities
        self._unwanted: set[int] = set()
        self._connected = False
        self._first_request_by: float | None = None
        self._heads: dict[int, float] = {}
        self._look_interval = _look_interval(self.settings)
        self._kept_alive = False

    # the endpoint's calls

    def receive(self, events: list[h3.Event]) -> None:
        """Deal with what happened."""
        if len(events) > 1:
            events = _without_malformed(events)
        actions = self._actions
        for event in events:
            action = actions.get(type(event))
            if action is not None:
                action(self, event)

    def quiet(self, stream_id: int) -> None:
        """Data of a stream arrived and told nothing: perhaps the beginning of a header section, which has a time-out."""
        if not stream_id & 3 and stream_id not in self.exchanges and stream_id not in self._heads:
            self._heads[stream_id] = self._endpoint.loop.time() + self.settings.request_timeout
            self.kick()

    def acknowledged(self, stream_id: int) -> None:
        """The client has all of a response."""
        self.guard.acknowledged(stream_id)
        if stream_id & 2:
            happened = self.core.receive_acknowledged(stream_id, self._endpoint.loop.time())
            if happened:
                self.receive(happened)
        if self.server.is_shutting_down:
            self.server.progressed()

    def stopped(self, stream_id: int) -> None:
        """The client takes no more of a stream, so it will not acknowledge all of it either.

        STOP_SENDING may overtake the request that it is about: then the request is not worth a handler.
        """
        if self.log is not None:
            self.log.stopped(stream_id)
        if self.guard.responses.pop(stream_id, None) is not None:
            self.server.progressed()
        elif not stream_id & 3 and stream_id not in self.exchanges and len(self._unwanted) < MAX_UNWANTED:
            self._unwanted.add(stream_id)

    def abandoned(self, stream_id: int) -> None:
        """The client reset a stream: a header section that was not complete will not be."""
        self._heads.pop(stream_id, None)

    def connected(self) -> None:
        """The handshake is done."""
        self.counters.connections += 1
        self._connected = True
        self._first_request_by = self._endpoint.loop.time() + self.settings.first_request_timeout

    def file_failed(self, stream_id: int, reason: str) -> None:
        """A file was not sent to its end: what was sent of it is no whole response."""
        exchange = self.guard.responses.get(stream_id)
        if exchange is not None:
            logger.error("%r: a file was not sent to its end: %s", exchange, reason)
            exchange.file_failed(reason)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        deadline = self.core.next_timeout()
        if self._heads:
            first = next(iter(self._heads.values()))  # the time-out is a constant: the oldest is due first
            deadline = first if deadline is None else min(first, deadline)
        if self._first_request_by is not None:
            deadline = self._first_request_by if deadline is None else min(self._first_request_by, deadline)
        look = self.next_look
        return look if deadline is None or (look is not None and look < deadline) else deadline

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self.receive(self.core.handle_timeout(now))
        for stream_id in [stream_id for stream_id, deadline in self._heads.items() if deadline <= now]:
            del self._heads[stream_id]
            self.counters.timed_out += 1
            self.core.stop_stream(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self.core.reset_stream(stream_id, ErrorCode.H3_REQUEST_REJECTED)
        if self.next_look is not None and self.next_look <= now:
            self._look(now)
        if self._first_request_by is not None and self._first_request_by <= now:
            self._first_request_by = None
            self.close("no request came (first_request_timeout)")

    def look_soon(self) -> None:
        """Something is pending: look after a while what became of it, unless that is planned already."""
        if self.next_look is None:
            self.next_look = self._endpoint.loop.time() + self._look_interval

    def _look(self, now: float) -> None:
        """Give up the responses that their client does not take; keep the connection alive as long as something is pending."""
        for exchange in self.guard.look(now):
            logger.info("%r: the client does not take the response (drain_timeout): it is reset", exchange)
            exchange.stall()
        pending = bool(self.guard.responses or self.exchanges or self.pushes.live)
        self._keep_alive(pending)
        self.next_look = now + self._look_interval if pending else None

    def _keep_alive(self, wanted: bool) -> None:
        """Send PINGs, or no more: a client that waits for us and says nothing must not be lost (RFC 9114 section 5.1)."""
        if wanted is not self._kept_alive and not self.core.is_closed:
            self._kept_alive = wanted
            interval = min(self.settings.idle_timeout / 3, KEEP_ALIVE) if wanted else None
            self._endpoint.driver.set_keep_alive(self.handle, interval)

    def closed(self, _kind: str, error_code: int | None, reason: str) -> None:
        """The connection is over; `receive` has been told."""
        if not self._connected:
            self.counters.handshakes_failed += 1
            logger.info("%s: the handshake failed: %s", self.address, reason or "no answer")
            self.server.refusals.handshake_failed(self.address, error_code, self._endpoint.loop.time())
        self.server.forget(self)

    # what exchanges ask for

    def kick(self) -> None:
        """Something was written: see that it is sent at the end of this turn."""
        self._endpoint.touch(self)

    def pause(self, stream_id: int) -> None:
        """Take no more content of this stream."""
        self.core.pause(stream_id)

    def resume(self, stream_id: int) -> None:
        """Go on taking content."""
        self.core.resume(stream_id)
        self.kick()

    def dated(self, fields: Fields) -> Fields:
        """The same fields, with Date where it is missing and the server sends one."""
        date = self.date()
        return fields if date is None or has_field(fields, b"date") else [*fields, date]

    def send_head(self, stream_id: int, status: int, fields: Fields, end: bool) -> int:
        """Send a final header section, with Date where it is missing."""
        queued = self.core.send_response(stream_id, status, self.dated(fields), end)
        self.kick()
        return queued

    def send_file(self, stream_id: int, file: FileContent, size: int, end: bool) -> None:
        """Send a part of a file as one DATA frame."""
        send_file(self.core, self._endpoint.driver, self.handle, stream_id, file, size, end)
        self.kick()

    def send_part(self, stream_id: int, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes as one DATA frame; how many bytes wait."""
        queued = send_part(self.core, self._endpoint.driver, self.handle, stream_id, part, end)
        self.kick()
        return queued

    def reset_response(self, stream_id: int, code: ErrorCode) -> None:
        """Reset a response that is not acknowledged, though its end may have been sent."""
        self.core.reset_stream(stream_id, code)
        self._endpoint.driver.reset(self.handle, stream_id, code)
        self.kick()

    def waiting(self, stream_id: int) -> int:
        """How many bytes of a stream wait for the client to take them."""
        return bytes_waiting(self._endpoint.driver, self.handle, stream_id)

    # requests

    def _request(self, event: h3.RequestReceived) -> None:
        stream_id = event.stream_id
        self._first_request_by = None
        if self._heads:
            self._heads.pop(stream_id, None)
        if self._unwanted and stream_id in self._unwanted:
            self._unwanted.discard(stream_id)
            self.core.reject_request(stream_id)
            return
        if self._authorities is not None and not self._answers_for(event.request.authority):
            self._refuse(Request(self, stream_id, event.request), 421)
            return
        if self.running >= self.settings.max_concurrent_requests:
            self.counters.rejected += 1
            self.core.reject_request(stream_id)
            return
        self.counters.requests += 1
        request = Request(self, stream_id, event.request)
        if self.log is not None:
            self.log.begin(request)
        if not event.end_stream:
            request.content = self._incoming(stream_id)
            self.exchanges[stream_id] = request
        self.run(request)

    def _answers_for(self, authority: bytes | None) -> bool:
        authorities = self._authorities
        assert authorities is not None
        return authority is not None and (authority in authorities or plain_authority(authority) in authorities)

    def _incoming(self, stream_id: int) -> Incoming:
        settings = self.settings
        return Incoming(
            self,
            stream_id,
            high_water=settings.receive_high_water,
            timeout=settings.read_timeout,
            budget=self.server.unread,
        )

    def run(self, request: Request) -> None:
        """Call the handler; answer at once where that is possible."""
        try:
            result = self._handler(request)
            if isinstance(result, Response):
                if request.respond_now(result):
                    self._over(request)
                    return
                result = request.respond(result)
            elif result is None:
                self._complete(request)
                self._over(request)
                return
            elif not isinstance(result, Awaitable):
                raise TypeError(f"a handler returns a Response, None or an awaitable of these, not {result!r}")
        except Exception as error:
            self._handler_failed(request, error)
            self._over(request)
            return
        if request.fulfils is None:
            self.running += 1
        if request.stream_id is not None:
            self.exchanges[request.stream_id] = request
        task = request.task = self.server.spawn(self._run_task(request, result))
        if not task.done():
            task.add_done_callback(partial(self._settle, request, result))
            if not self._kept_alive:
                self._keep_alive(True)
                self.look_soon()
                self._endpoint.touch(self)

    def _settle(self, request: Request, result: Awaitable[Response | None], _task: object) -> None:
        """A handler's task ended. One that was cancelled before its first step has run nothing, not even its clean-up."""
        if request.task_began:
            return
        if isinstance(result, Coroutine):
            result.close()
        request.abort(ErrorCode.H3_REQUEST_CANCELLED)
        self._finished(request)

    async def _run_task(self, request: Request, result: Awaitable[Response | None]) -> None:
        request.task_began = True
        try:
            response = await result
            if response is not None:
                await request.respond(response)
            self._complete(request)
        except Exception as error:
            self._handler_failed(request, error)
        finally:
            request.abort(ErrorCode.H3_REQUEST_CANCELLED)
            self._finished(request)

    def _complete(self, request: Request) -> None:
        """A handler returned without a `Response`: it has sent one itself, or it should have."""
        if request.disconnected or request.response_ended:
            return
        if request.status is None:
            raise LocalProtocolError("the handler returned None and has sent no response: return a Response")
        request.write(b"", True)

    def _handler_failed(self, request: Request, error: Exception) -> None:
        if request.disconnected or (isinstance(error, ConnectionClosed) and self.core.is_closed):
            logger.debug("%r: %s, after the client had gone", request, error)
            return
        self.counters.failed += 1
        status = _status_of(error, own=error is request.content_failure)
        request.failed = status >= 500
        if isinstance(error, LocalProtocolError):
            logger.error("%r: %s", request, error)
        elif status == 500:
            logger.error("%r: the handler failed", request, exc_info=error)
        else:
            logger.info("%r: %s", request, error)
        if request.fulfils is None and request.status is None:
            try:
                request.respond_now(Response(status))
            except H3PushError as too_late:  # the failure of a handler never leaves its stream
                logger.debug("%r: no %d either: %s", request, status, too_late)
            else:
                return
        request.abort(ErrorCode.H3_INTERNAL_ERROR)

    def _finished(self, request: Request) -> None:
        """A handler's task is done."""
        if request.fulfils is None:
            self.running -= 1
        self._over(request)

    def _over(self, request: Request) -> None:
        """The handler is done and the response sent, reset or given up."""
        stream_id = request.stream_id
        if stream_id is not None:
            self.exchanges.pop(stream_id, None)
            content = request.content
            if content is not None:
                content.discard()
                if not content.ended:
                    # RFC 9114 section 4.1: the rest of the request is not needed, and that is no error.
                    self.core.stop_stream(stream_id, ErrorCode.H3_NO_ERROR)
                    self.kick()
        if self.server.is_shutting_down:
            self.server.progressed()

    def _too_large(self, event: h3.RequestTooLarge) -> None:
        self._heads.pop(event.stream_id, None)
        self._refuse(Request(self, event.stream_id, _UNREAD), 414 if event.path else 431)

    def _refuse(self, request: Request, status: int) -> None:
        """Answer without calling the handler."""
        self.counters.rejected += 1
        if self.log is not None:
            self.log.begin(request)
        try:
            request.begin(status, [(b"content-length", b"0")], True)
        except H3PushError as too_large:  # even that is over the client's limit
            logger.debug("%r: no %d either: %s", request, status, too_large)
            request.abort(ErrorCode.H3_INTERNAL_ERROR)

    # content of requests, and the client's interest

    def _data(self, event: h3.DataReceived) -> None:
        request = self.exchanges.get(event.stream_id)
        if request is not None and request.content is not None:
            request.content.feed(event.data, event.end_stream)

    def _trailers(self, event: h3.TrailersReceived) -> None:
        request = self.exchanges.get(event.stream_id)
        if request is not None and request.content is not None:
            request.content.finish(Headers.wrap(event.trailers))

    def _reset(self, event: h3.StreamReset) -> None:
        self._heads.pop(event.stream_id, None)
        request = self.exchanges.get(event.stream_id)
        if request is not None and request.content is not None:
            request.content.fail(StreamFailed("the client abandoned its request", event.error_code))

    def _stopped(self, event: h3.StopSendingReceived) -> None:
        request = self.exchanges.pop(event.stream_id, None)
        if request is not None:
            request.disconnect(StreamFailed("the client does not want the response any more", event.error_code))

    def _malformed(self, event: h3.MessageFailed) -> None:
        self._heads.pop(event.stream_id, None)
        request = self.exchanges.pop(event.stream_id, None)
        if request is not None:
            request.disconnect(StreamFailed(f"the request is malformed: {event.error.reason}", event.error.error_code))

    def _drained(self, event: h3.StreamDrained) -> None:
        request = self.exchanges.get(event.stream_id)
        if request is not None:
            request.drained()
        if self.log is not None:
            self.log.drained(event.stream_id)

    def _terminated(self, event: h3.ConnectionTerminated) -> None:
        error = ConnectionClosed(event.reason or "the connection is closed", event.error_code)
        if self.log is not None:
            self.log.terminated(event)
        exchanges, self.exchanges = self.exchanges, {}
        self._heads.clear()
        self.guard.responses.clear()
        for request in exchanges.values():
            request.disconnect(error)
        self.pushes.terminate(h3.CancelledBy.PEER if event.by_peer else h3.CancelledBy.LOCAL, error)

    # pushes

    def _push_cancelled(self, event: h3.PushCancelled) -> None:
        self.pushes.cancelled(event)

    def _more_credit(self, _event: h3.MaxPushIdReceived | h3.StreamCreditReceived) -> None:
        self.pushes.more_credit()

    def _goaway(self, _event: h3.GoawayReceived) -> None:
        self.pushes.client_goes_away()

    @property
    def local_address(self) -> tuple[str, int]:
        """The address and port that the server listens on and the client came to."""
        return self._endpoint.local_address

    @property
    def info(self) -> dict[str, object]:
        """Facts of the handshake: `alpn`, `server_name`, `cipher_suite`, `peer_certificates`, `resumed`, ..."""
        return self._endpoint.driver.info(self.handle)

    # shutting down

    @property
    def idle(self) -> bool:
        """True when no request and no push is under way."""
        return not (self.running or self.exchanges or self.pushes.live)

    @property
    def responses_under_way(self) -> int:
        """Responses that are awaited or not acknowledged."""
        return len(self.guard.responses.keys() | self.exchanges.keys())

    @property
    def all_acknowledged(self) -> bool:
        """True when the client has all that was sent to it."""
        return not self.guard.responses and not self.core.pushes_under_way

    def go_away(self) -> None:
        """Say that no further request will be answered (RFC 9114 section 5.2)."""
        if not self.core.is_closed:
            self.core.send_goaway()
            self.kick()

    def close(self, reason: str = "") -> None:
        """Close with H3_NO_ERROR; what is under way is lost."""
        if not self.core.is_closed:
            self.core.close(ErrorCode.H3_NO_ERROR, reason)
            self.kick()

    _actions: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        h3.RequestReceived: _request,
        h3.RequestTooLarge: _too_large,
        h3.DataReceived: _data,
        h3.TrailersReceived: _trailers,
        h3.StreamReset: _reset,
        h3.StopSendingReceived: _stopped,
        h3.MessageFailed: _malformed,
        h3.StreamDrained: _drained,
        h3.MaxPushIdReceived: _more_credit,
        h3.StreamCreditReceived: _more_credit,
        h3.PushCancelled: _push_cancelled,
        h3.GoawayReceived: _goaway,
        h3.ConnectionTerminated: _terminated,
    }


def _look_interval(settings: ServerSettings) -> float:
    """Seconds between two looks at what is pending."""
    limits = [limit for limit in (settings.drain_timeout, settings.idle_timeout) if limit]
    return min(limits, default=60.0) / LOOKS


def _without_malformed(events: list[h3.Event]) -> list[h3.Event]:
    """The same events without requests that turned out to be malformed in the same delivery: nobody is called for them."""
    failed = {event.stream_id for event in events if isinstance(event, h3.MessageFailed)}
    if not failed:
        return events
    return [event for event in events if not isinstance(event, h3.RequestReceived) or event.stream_id not in failed]


def _no_date() -> None:
    """For servers that send no Date."""


def _status_of(error: Exception, *, own: bool) -> int:
    """The status that tells a client of a failure, while no response has begun.

    `own`: the request's content could not be read, which is the client's doing. The same errors from elsewhere are those of a
    server behind the handler.
    """
    if isinstance(error, ContentTooLarge):
        return 413 if own else 502
    if isinstance(error, Timeout):
        return 408 if own else 504
    if isinstance(error, StreamFailed | ConnectionClosed | ConnectFailed):
        return 400 if own else 502
    if is_out_of_descriptors(error):
        return 503
    return 500
