"""A client's side of one connection: events of the core to the responses and pushes they belong to."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from h3push.client.exchange import ClientExchange
from h3push.client.pushes import ClientPushes
from h3push.client.response import ReceivedPush, ReceivedState, SentRequest
from h3push.errors import ConnectionClosed, ErrorCode, H3PushError, RequestNotProcessed, StreamFailed, Timeout
from h3push.h3 import events as h3
from h3push.h3.client import H3ClientConnection
from h3push.http.fields import RequestHead
from h3push.http.headers import Headers
from h3push.runtime.credit import CreditQueue
from h3push.runtime.settings import ClientSettings
from h3push.runtime.signal import Signal

if TYPE_CHECKING:
    from h3push.runtime.endpoint import Endpoint

logger = logging.getLogger("h3push.client")


class ClientConnection:
    """One connection to a server."""

    def __init__(
        self,
        endpoint: "Endpoint",
        handle: int,
        address: tuple[str, int],
        core: H3ClientConnection,
        settings: ClientSettings,
    ) -> None:
        self.endpoint = endpoint
        self.handle = handle
        """The transport's number for this connection."""
        self.address = address
        """The server's address and port."""
        self.core = core
        self.settings = settings
        self.credit = CreditQueue()
        """Requests that wait for a stream."""
        self.ready: asyncio.Future[None] = endpoint.loop.create_future()
        """Done when the handshake is; fails with `HandshakeFailed`."""
        self.over: ConnectionClosed | None = None
        """Why the connection is over; `None` while it is not."""
        self.ended = Signal()
        """Set when it is over."""
        self.going_away = False
        """True when the server takes no further requests (GOAWAY)."""
        self.close_when_idle = False
        """True: close when the last request and push are done."""
        self.pushes = ClientPushes(self)
        """What the server promised."""
        self._exchanges: dict[int, ClientExchange] = {}
        self._kept_alive = False
        self._next_look: float | None = None
        self.is_authoritative: Callable[[bytes], bool] = lambda _: False
        """May the server speak for an authority? Its certificate says so (RFC 9114 section 3.3)."""

    # the endpoint's calls

    def connected(self) -> None:
        """The handshake is done."""
        if not self.ready.done():
            self.ready.set_result(None)

    def receive(self, events: list[h3.Event]) -> None:
        """Deal with what happened."""
        for event in events:
            action = self._actions.get(type(event))
            if action is not None:
                action(self, event)
        self.progressed()

    def quiet(self, stream_id: int) -> None:
        """Nothing to do: the server's header sections have `response_timeout`."""

    def acknowledged(self, stream_id: int) -> None:
        """Nothing to do."""

    def abandoned(self, stream_id: int) -> None:
        """Nothing to do: the core tells it."""

    def unsent(self, stream_id: int, size: int) -> None:
        """Nothing to do: an upload that was cut off fails as a whole."""

    def stopped(self, stream_id: int) -> None:
        """Nothing to do: the core tells it."""

    def file_failed(self, stream_id: int, reason: str) -> None:
        """A file was not uploaded to its end."""
        self._fail(stream_id, StreamFailed(f"the file was not sent to its end: {reason}", ErrorCode.H3_INTERNAL_ERROR))

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        deadline = self.core.next_timeout()
        if self._next_look is None:
            return deadline
        return self._next_look if deadline is None else min(deadline, self._next_look)

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self.receive(self.core.handle_timeout(now))
        if self._next_look is not None and self._next_look <= now:
            self._fail_unanswered(now)

    def closed(self, kind: str, error_code: int | None, reason: str) -> None:
        """The connection is over; before the handshake was done, it did not come about."""
        if not self.ready.done():
            self.ready.set_exception(HandshakeFailed(kind, error_code, reason))
            self.ready.exception()  # seen: whoever waits still gets it, and nobody may wait any more
        if self.over is None:
            self._lost(ConnectionClosed(reason or "the connection is closed", error_code))

    # what requests and pushes ask for

    @property
    def listeners(self) -> "list[asyncio.Queue[ReceivedPush | None]]":
        """Who is told of every promise."""
        return self.pushes.listeners

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self.endpoint.loop.time()

    def kick(self) -> None:
        """Something was written: see that it is sent at the end of this turn."""
        self.endpoint.touch(self)

    def pause(self, stream_id: int) -> None:
        """Take no more content of this stream."""
        self.core.pause(stream_id)

    def resume(self, stream_id: int) -> None:
        """Go on taking content."""
        self.core.resume(stream_id)
        self.kick()

    def open(self, head: RequestHead, *, end_stream: bool, priority: Any) -> ClientExchange:
        """Send a request's header section. Raises what `send_request` of the core raises."""
        if self.over is not None:
            raise RequestNotProcessed(f"the connection is over: {self.over.reason}", self.over.error_code)
        stream_id = self.core.send_request(head, end_stream=end_stream, priority=priority)
        exchange = self._exchanges[stream_id] = ClientExchange(self, SentRequest(head), stream_id, self.now())
        exchange.sending = not end_stream
        self._keep_alive()
        if self._next_look is None:
            self._next_look = exchange.active_at + self.settings.response_timeout
        self.kick()
        return exchange

    def _fail_unanswered(self, now: float) -> None:
        """Fail the requests whose `response_timeout` has passed, and see when the next one's does.

        One deadline for all requests of the connection: it is set by the first, and when it has come all are looked at. So a
        request that is answered in time costs nothing for it.
        """
        seconds = self.settings.response_timeout
        self._next_look = None
        for exchange in [one for one in self._exchanges.values() if one.response is None]:
            deadline = exchange.active_at + seconds
            if deadline <= now:
                self.cancel(exchange, Timeout(f"no response came within {seconds:g} s (response_timeout)"))
            elif self._next_look is None or deadline < self._next_look:
                self._next_look = deadline

    def cancel(self, exchange: ClientExchange, error: Exception | None = None) -> None:
        """The response is not wanted any more; whoever waits for it gets `error`."""
        if exchange.stream_id is not None and self._exchanges.pop(exchange.stream_id, None) is not None:
            self.core.cancel_request(exchange.stream_id)
            sentence = "the response was closed before it was complete"
            exchange.fail(error or StreamFailed(sentence, ErrorCode.H3_REQUEST_CANCELLED), self.now())
            self.progressed()
            self.kick()

    # responses

    def _find(self, stream_id: int, push_id: int | None) -> ClientExchange | None:
        return self._exchanges.get(stream_id) if push_id is None else self.pushes.fulfilling.get(push_id)

    def _interim(self, event: h3.InformationalResponseReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is not None:
            exchange.interim(event.response)

    def _response(self, event: h3.ResponseReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is None:
            return
        exchange.answer(event.stream_id, event.response, self.now())
        if exchange.push is not None:
            exchange.push.state = ReceivedState.OPEN
        if event.end_stream:
            self._content(exchange, event, b"")

    def _data(self, event: h3.DataReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is not None:
            self._content(exchange, event, event.data)

    def _content(self, exchange: ClientExchange, event: h3.DataReceived | h3.ResponseReceived, data: bytes) -> None:
        assert exchange.response is not None
        exchange.response.content.feed(data, event.end_stream)
        if event.end_stream:
            self._complete(exchange, event.stream_id, event.push_id)

    def _trailers(self, event: h3.TrailersReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is not None and exchange.response is not None:
            exchange.response.content.finish(Headers.wrap(event.trailers))
            self._complete(exchange, event.stream_id, event.push_id)

    def _complete(self, exchange: ClientExchange, stream_id: int, push_id: int | None) -> None:
        exchange.end(self.now())
        if push_id is None:
            if not exchange.sending:
                del self._exchanges[stream_id]
            return
        del self.pushes.fulfilling[push_id]
        if exchange.push is not None:
            exchange.push.state = ReceivedState.FULFILLED

    def upload_ended(self, exchange: ClientExchange) -> None:
        """The request's content is sent, or no longer wanted."""
        exchange.sending = False
        if exchange.over and exchange.stream_id is not None:
            self._exchanges.pop(exchange.stream_id, None)
            self.progressed()

    def _reset(self, event: h3.StreamReset) -> None:
        if event.error_code == ErrorCode.H3_REQUEST_REJECTED:
            sentence = "the server rejected the request without looking at it (H3_REQUEST_REJECTED)"
            self._fail(event.stream_id, RequestNotProcessed(sentence, event.error_code))
        else:
            self._fail(event.stream_id, StreamFailed("the server reset the response", event.error_code))

    def _stopped(self, event: h3.StopSendingReceived) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.stop_sending()

    def _malformed(self, event: h3.MessageFailed) -> None:
        if event.push_id is None:
            self._fail(event.stream_id, StreamFailed(event.error.reason, event.error.error_code))
            return
        self.pushes.over(event.push_id, h3.CancelledBy.MALFORMED, event.error.reason, event.error.error_code)

    def _unprocessed(self, event: h3.RequestUnprocessed) -> None:
        self._fail(event.stream_id, RequestNotProcessed("the server is going away and did not look at the request"))

    def _fail(self, stream_id: int, error: H3PushError) -> None:
        exchange = self._exchanges.pop(stream_id, None)
        if exchange is not None:
            exchange.fail(error, self.now())

    def _drained(self, event: h3.StreamDrained) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.drained()

    def _stream_credit(self, event: h3.StreamCreditReceived) -> None:
        if not event.unidirectional:
            self.credit.release()

    # pushes

    def _promise(self, event: h3.PushPromiseReceived) -> None:
        self.pushes.promise(event, self._exchanges.get(event.stream_id))

    def _push_cancelled(self, event: h3.PushCancelled) -> None:
        self.pushes.cancelled(event)

    # the connection

    def _goaway(self, _event: h3.GoawayReceived) -> None:
        self.going_away = True
        self.close_when_idle = True
        self.credit.release()

    def _terminated(self, event: h3.ConnectionTerminated) -> None:
        self._lost(ConnectionClosed(event.reason or "the connection is closed", event.error_code))

    def _lost(self, error: ConnectionClosed) -> None:
        self.over = error
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            exchange.fail(ConnectionClosed(error.reason, error.error_code), self.now())
        self.pushes.lost(error)
        self.credit.release()
        self.ended.set()

    def progressed(self) -> None:
        """Something ended or began: see whether the connection is still needed."""
        self._keep_alive()
        if self.close_when_idle and not self.wanted and not self.core.is_closed:
            self.close()

    @property
    def wanted(self) -> bool:
        """True while a request or push that somebody wants is under way, or content that has arrived waits in the transport."""
        return bool(self._exchanges or self.pushes.fulfilling)

    def _keep_alive(self) -> None:
        """RFC 9114 section 5.1: a client keeps the connection open while it waits for something."""
        wanted = self.wanted
        if wanted is not self._kept_alive and self.over is None:
            self._kept_alive = wanted
            interval = self.settings.idle_timeout / 3 if wanted else None
            self.endpoint.driver.set_keep_alive(self.handle, interval)

    def close(self) -> None:
        """Close with H3_NO_ERROR; GOAWAY goes first (RFC 9114 section 5.2)."""
        if not self.core.is_closed:
            if self.ready.done():
                self.core.send_goaway()
                self.endpoint.flush()
            self.core.close(ErrorCode.H3_NO_ERROR)
            self.receive(self.core.receive_closed(ErrorCode.H3_NO_ERROR, "we closed the connection", by_peer=False))
            self.kick()

    _actions: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        h3.InformationalResponseReceived: _interim,
        h3.ResponseReceived: _response,
        h3.DataReceived: _data,
        h3.TrailersReceived: _trailers,
        h3.StreamReset: _reset,
        h3.StopSendingReceived: _stopped,
        h3.MessageFailed: _malformed,
        h3.RequestUnprocessed: _unprocessed,
        h3.StreamDrained: _drained,
        h3.StreamCreditReceived: _stream_credit,
        h3.PushPromiseReceived: _promise,
        h3.PushCancelled: _push_cancelled,
        h3.GoawayReceived: _goaway,
        h3.ConnectionTerminated: _terminated,
    }


class HandshakeFailed(Exception):
    """The connection was over before its handshake was done; `connecting` makes a sentence of it."""

    def __init__(self, kind: str, error_code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.error_code = error_code
        self.reason = reason
