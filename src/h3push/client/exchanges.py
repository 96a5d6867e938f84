"""The requests of one connection and their responses: events of the core to the exchanges that they belong to."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from h3push.client.channel import Channel
from h3push.client.exchange import Exchange, PushedExchange, SentRequest
from h3push.client.limits import Limits
from h3push.errors import (
    ConnectionClosed,
    ErrorCode,
    H3PushError,
    ReadTimeout,
    RequestNotProcessed,
    StreamFailed,
    Timeout,
)
from h3push.h3 import events as h3
from h3push.h3.client import H3ClientConnection
from h3push.http.fields import RequestHead
from h3push.http.headers import Headers
from h3push.http.priority import Priority
from h3push.http.push_report import PendingReport
from h3push.runtime.credit import CreditQueue
from h3push.runtime.drain import LEAST_PROGRESS, LOOKS
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.settings import ClientSettings

REPEATABLE = frozenset({b"GET", b"HEAD"})
"""Methods of requests that go out in early data, which may be replayed: safe ones, and without content (RFC 8470 section 4)."""


class Exchanges(Channel):
    """The requests of one connection, and the responses to them. Arguments as of `Channel`."""

    def __init__(
        self, endpoint: Endpoint, handle: int, make_core: Callable[[], H3ClientConnection], settings: ClientSettings
    ) -> None:
        super().__init__(endpoint, handle, make_core, settings)
        self.exchanges: dict[int, Exchange] = {}
        """Requests of which something is still to be sent or to come, by stream."""
        self.fulfilling: dict[int, PushedExchange] = {}
        """Pushes whose response is still to come, or coming, by push ID."""
        self.credit = CreditQueue()
        """Requests that wait for a stream."""
        self.is_early = False
        """True while requests that may be repeated go out in early data."""
        self.unreported: PendingReport | None = None
        """The report on pushes that goes with the next request."""
        self.next_answer: float | None = None
        """When the response to some request is due."""
        self.next_look: float | None = None
        """When the first of all time-outs of this connection is due, those of its core apart."""

    @abstractmethod
    def progressed(self) -> None:
        """Something ended or began: see whether the connection is still needed."""

    @abstractmethod
    def ask_for_life(self) -> None:
        """Something timed out: find out whether the server is still there."""

    @property
    @abstractmethod
    def is_listened_to(self) -> bool:
        """True when somebody takes promises whatever response they come with."""

    @abstractmethod
    def silence(self, stream_id: int) -> str:
        """A time-out has passed: say why, where that is known."""

    @abstractmethod
    def pushes_of(self, exchange: Exchange) -> list[PushedExchange]:
        """The pushes that came with a response and hold credit."""

    @abstractmethod
    def cancel_push(self, push: PushedExchange) -> None:
        """Call a push off on the wire."""

    @abstractmethod
    def release_push(self, push: PushedExchange) -> None:
        """Give the credit of a push back."""

    @abstractmethod
    def too_late(self, over: ConnectionClosed) -> Exception:
        """The error of a request that comes when the connection is over."""

    # requests

    def may_be_sent(self, head: RequestHead, end_stream: bool) -> bool:
        """True when a request need not wait for the handshake: that is done, or the request may go out in early data."""
        return self.handshake.is_set or (self.is_early and end_stream and head.method in REPEATABLE)

    def open(self, head: RequestHead, limits: Limits, *, end_stream: bool, priority: Priority | None) -> Exchange:
        """Send a request's header section. Raises what `send_request` of the core raises."""
        if self.over is not None:
            raise self.too_late(self.over)
        if self.unreported is not None:
            head, self.unreported = self.unreported.onto(head), None
        stream_id = self.core.send_request(head, end_stream=end_stream, priority=priority)
        exchange = self.exchanges[stream_id] = Exchange(self, SentRequest(head), stream_id, self.now(), limits)
        exchange.sending = not end_stream
        if self.is_early:
            exchange.early, exchange.priority = True, priority
        if not self.is_kept_alive:
            self.progressed()
        if limits.response is not None:
            deadline = exchange.active_at + (limits.response if end_stream else limits.response / LOOKS)
            if self.next_answer is None or deadline < self.next_answer:
                self.next_answer = deadline
                self.look_by(deadline)
        self.schedule_flush()
        return exchange

    def push_resolved(self, push: PushedExchange, *, claimed: bool) -> None:
        """The application used a push, or will not."""
        self.core.push_resolved(push.push_id, claimed=claimed)

    def report_push(self, push: PushedExchange, *, used: bool) -> None:
        """Tell the server with the next request whether a push was used."""
        if self.unreported is None:
            self.unreported = PendingReport()
        self.unreported.note(push.push_id, used=used)

    def look_by(self, deadline: float | None) -> None:
        """Look at the time-outs then, or before."""
        if deadline is not None and (self.next_look is None or deadline < self.next_look):
            self.next_look = deadline

    def send_again(self) -> None:
        """The server refused early data: it has not seen the requests that went out in it."""
        exchanges, self.exchanges = self.exchanges, {}
        for exchange in exchanges.values():
            head = exchange.request.head
            exchange.stream_id = self.core.send_request(head, end_stream=True, priority=exchange.priority)
            exchange.early = False
            self.exchanges[exchange.stream_id] = exchange
        self.schedule_flush()

    def fail_unanswered(self, now: float) -> None:
        """Fail the requests whose `response_timeout` has passed, and see when the next one's does.

        One deadline for all requests of the connection: it is set by the first, and when it has come all are looked at. So a
        request that is answered in time costs nothing for it.
        """
        self.next_answer = None
        for exchange in [one for one in self.exchanges.values() if one.head is None]:
            seconds = exchange.limits.response
            if seconds is None:
                continue
            deadline = self._answer_is_due(exchange, now, seconds)
            if deadline <= now:
                assert exchange.stream_id is not None
                reason = self.silence(exchange.stream_id)
                sentence = f"no response came within {seconds:g} s (response_timeout)"
                self.cancel(exchange, ReadTimeout(f"{sentence}; {reason}" if reason else sentence))
                continue
            if exchange.content_sent and not exchange.content_acknowledged:  # to see when it took something
                deadline = min(deadline, now + seconds / LOOKS)
            if self.next_answer is None or deadline < self.next_answer:
                self.next_answer = deadline

    def _answer_is_due(self, exchange: Exchange, now: float, seconds: float) -> float:
        """When the response has to be there: `response_timeout` after the last byte of the request that the server took.

        QUIC takes a send window ahead of a slow link. What is on its way has the time that the least rate of `Drain` gives it.
        """
        if exchange.content_sent and not exchange.content_acknowledged and exchange.stream_id is not None:
            waiting = self.waiting(exchange.stream_id)
            taken = exchange.content_sent - waiting
            if taken != exchange.content_taken:
                exchange.content_taken, exchange.active_at = taken, now
            if not waiting:
                seconds *= max(1, min(taken, self.settings.send_window) / LEAST_PROGRESS)
        return exchange.active_at + seconds

    def cancel(self, exchange: Exchange, error: Exception | None = None) -> None:
        """The response is not wanted any more, nor the rest of the request; whoever waits for it gets `error`."""
        if exchange.stream_id is not None and self.exchanges.pop(exchange.stream_id, None) is not None:
            self.core.cancel_request(exchange.stream_id)
            sentence = "the response was closed before it was complete"
            exchange.fail(error or StreamFailed(sentence, ErrorCode.H3_REQUEST_CANCELLED), self.now())
            exchange.stop_sending()
            if isinstance(error, Timeout):
                self.ask_for_life()
            self.progressed()
            self.schedule_flush()

    # responses

    def _find(self, stream_id: int, push_id: int | None) -> Exchange | None:
        return self.exchanges.get(stream_id) if push_id is None else self.fulfilling.get(push_id)

    def _interim(self, event: h3.InformationalResponseReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is not None:
            exchange.interim(event.response)

    def _response(self, event: h3.ResponseReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is None:
            return
        exchange.answer(event.stream_id, event.response, self.now())
        if event.end_stream:
            self._content(exchange, event, b"")

    def _data(self, event: h3.DataReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is not None:
            self._content(exchange, event, event.data)

    def _content(self, exchange: Exchange, event: h3.DataReceived | h3.ResponseReceived, data: bytes) -> None:
        exchange.content.feed(data, event.end_stream)
        if event.end_stream:
            self._complete(exchange, event.stream_id, event.push_id)

    def _trailers(self, event: h3.TrailersReceived) -> None:
        exchange = self._find(event.stream_id, event.push_id)
        if exchange is not None and exchange.head is not None:
            exchange.content.finish(Headers.wrap(event.trailers))
            self._complete(exchange, event.stream_id, event.push_id)

    def _complete(self, exchange: Exchange, stream_id: int, push_id: int | None) -> None:
        exchange.end(self.now())
        if push_id is not None:
            del self.fulfilling[push_id]
        elif not exchange.sending:
            del self.exchanges[stream_id]

    def _reset(self, event: h3.StreamReset) -> None:
        if event.error_code == ErrorCode.H3_REQUEST_REJECTED:
            sentence = "the server rejected the request without looking at it (H3_REQUEST_REJECTED)"
            self.fail(event.stream_id, RequestNotProcessed(sentence, event.error_code))
        else:
            self.fail(event.stream_id, StreamFailed("the server reset the response", event.error_code))

    def _stopped(self, event: h3.StopSendingReceived) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.stop_sending()
            self.upload_ended(exchange)

    def _unprocessed(self, event: h3.RequestUnprocessed) -> None:
        self.fail(event.stream_id, RequestNotProcessed("the server is going away and did not look at the request"))

    def fail(self, stream_id: int, error: H3PushError) -> None:
        exchange = self.exchanges.pop(stream_id, None)
        if exchange is not None:
            exchange.fail(error, self.now())
            exchange.stop_sending()

    def _drained(self, event: h3.StreamDrained) -> None:
        exchange = self.exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.drained()

    def _stream_credit(self, event: h3.StreamCreditReceived) -> None:
        if not event.unidirectional:
            self.credit.release()

    def upload_ended(self, exchange: Exchange) -> None:
        """The request's content is sent, or no longer wanted."""
        exchange.sending = False
        if exchange.over and exchange.stream_id is not None:
            self.exchanges.pop(exchange.stream_id, None)
            self.progressed()

    # the transport's word on it

    def acknowledged(self, stream_id: int) -> None:
        """The server has all of a request; `response_timeout` begins now."""
        exchange = self.exchanges.get(stream_id)
        if exchange is not None and exchange.content_sent:
            exchange.content_acknowledged, exchange.active_at = True, self.now()

    def file_failed(self, stream_id: int, reason: str) -> None:
        """A file was not uploaded to its end."""
        self.fail(stream_id, StreamFailed(f"the file was not sent to its end: {reason}", ErrorCode.H3_INTERNAL_ERROR))

    @staticmethod
    def actions() -> dict[type, Callable[[Any, Any], None]]:
        """By type of event, what deals with it; as a table in the body of the class, it would not compile."""
        return {
            h3.InformationalResponseReceived: Exchanges._interim,
            h3.ResponseReceived: Exchanges._response,
            h3.DataReceived: Exchanges._data,
            h3.TrailersReceived: Exchanges._trailers,
            h3.StreamReset: Exchanges._reset,
            h3.StopSendingReceived: Exchanges._stopped,
            h3.RequestUnprocessed: Exchanges._unprocessed,
            h3.StreamDrained: Exchanges._drained,
            h3.StreamCreditReceived: Exchanges._stream_credit,
        }
