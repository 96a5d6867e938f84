"""A client's side of one connection: events of the core to the responses and pushes they belong to."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from h3push.client.exchange import Exchange, Limits, PushedExchange, SentRequest
from h3push.client.liveness import Liveness
from h3push.client.push_watch import PushWatch
from h3push.client.pushes import ClientPushes
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
from h3push.http.content import BytesPart, FileContent
from h3push.http.fields import RequestHead
from h3push.http.headers import Headers
from h3push.http.priority import Priority
from h3push.quic.driver import bytes_waiting, send_file, send_part
from h3push.runtime.credit import CreditQueue
from h3push.runtime.drain import LOOKS, Drain
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.settings import ClientSettings
from h3push.runtime.signal import Signal

logger = logging.getLogger("h3push.client")

REPEATABLE = frozenset({b"GET", b"HEAD"})
"""Methods of requests that go out in early data, which may be replayed: safe ones, and without content (RFC 8470 section 4)."""


class ClientConnection:
    """One connection to a server.

    Args:
        endpoint: where it is one of the connections.
        handle: the transport's number for it.
        address: the server's address and port.
        make_core: makes its protocol core; called again when the server refuses early data, which voids all streams.
        settings: time-outs and bounds.
        is_authoritative: may the server speak for an authority? Its certificate says so (RFC 9114 section 3.3).
        explain: makes of a failed handshake what callers get.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        handle: int,
        address: tuple[str, int],
        make_core: Callable[[], H3ClientConnection],
        settings: ClientSettings,
        is_authoritative: Callable[[bytes], bool],
        explain: "Callable[[HandshakeFailed], Exception]",
    ) -> None:
        self.endpoint = endpoint
        self.handle = handle
        """The transport's number for this connection."""
        self.address = address
        """The server's address and port."""
        self.looked_up_at: float | None = None
        """When the address was known, in seconds of the loop's clock."""
        self.core = make_core()
        """The protocol core."""
        self.may_be_promised = bool(self.core.config.max_concurrent_pushes)
        """True when the server may push, so that a response may be kept open for promises."""
        self.settings = settings
        self.limits = Limits(
            settings.request_timeout, settings.response_timeout, settings.read_timeout, settings.drain_timeout
        )
        """The time-outs of a request that has none of its own."""
        self.is_authoritative = is_authoritative
        self.credit = CreditQueue()
        """Requests that wait for a stream."""
        self.handshake = Signal()
        """Set when the handshake is done, or has failed."""
        self.is_early = False
        """True while requests that may be repeated go out in early data."""
        self.failure: HandshakeFailed | None = None
        """Why the handshake failed."""
        self.explain = explain
        """Makes of it what callers get."""
        self.over: ConnectionClosed | None = None
        """Why the connection is over; `None` while it is not."""
        self.ended = Signal()
        """Set when it is over."""
        self.going_away = False
        """True when the server takes no further requests (GOAWAY)."""
        self.close_when_idle = False
        """True: close when the last request and push are done."""
        self.doubt: Signal | None = None
        """Set while it is in doubt whether the server is still there: requests wait for the answer."""
        self.pushes = ClientPushes(self)
        """What the server promised."""
        self._make_core = make_core
        self._exchanges: dict[int, Exchange] = {}
        self._kept_alive = False
        self._next_look: float | None = None
        self._liveness: Liveness | None = None
        self._watch = PushWatch(settings.push_timeout)

    # the endpoint's calls

    def connected(self, early_data: bool, now: float) -> None:
        """The handshake is done. Streams that were opened in early data are void if the server refused it."""
        if self.is_early and not early_data:
            self.core = self._make_core()
            self.core.start(now)
            self._send_again()
        else:
            self.core.start(now)
        self.is_early = False
        self.handshake.set()

    def begin_early(self) -> None:
        """Send what may be repeated without waiting for the handshake, if the session allows it.

        It does when QUIC lets us open streams now (RFC 9001 section 4.6.1).
        """
        self.core.start(self.now())
        self.is_early = self.core.has_started

    def receive(self, events: list[h3.Event]) -> None:
        """Deal with what happened."""
        for event in events:
            action = self._actions.get(type(event))
            if action is not None:
                action(self, event)
        self.progressed()

    def data_without_event(self, stream_id: int) -> None:
        """Nothing to do: the server's header sections have `response_timeout`."""

    def acknowledged(self, stream_id: int) -> None:
        """The server has all of a request; `response_timeout` begins now."""
        exchange = self._exchanges.get(stream_id)
        if exchange is not None and exchange.content_sent:
            exchange.content_acknowledged, exchange.active_at = True, self.now()

    def reset_received(self, stream_id: int) -> None:
        """Nothing to do: the core tells it."""

    def unsent(self, stream_id: int, size: int) -> None:
        """Nothing to do: an upload that was cut off fails as a whole."""

    def stop_received(self, stream_id: int) -> None:
        """Nothing to do: the core tells it."""

    def file_failed(self, stream_id: int, reason: str) -> None:
        """A file was not uploaded to its end."""
        self._fail(stream_id, StreamFailed(f"the file was not sent to its end: {reason}", ErrorCode.H3_INTERNAL_ERROR))

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        due = self.core.next_timeout()
        look = self._next_look
        if look is not None and (due is None or look < due):
            due = look
        look = self._watch.next_look
        if look is not None and (due is None or look < due):
            due = look
        if self._liveness is not None and (due is None or self._liveness.next_look < due):
            due = self._liveness.next_look
        return due

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self.receive(self.core.handle_timeout(now))
        if self._next_look is not None and self._next_look <= now:
            self._fail_unanswered(now)
        if self._watch.next_look is not None and self._watch.next_look <= now:
            self._look_at_pushes(now)
        if self._liveness is not None and self._liveness.next_look <= now:
            self._look_for_life(self._liveness, now)

    def closed(self, kind: str, error_code: int | None, reason: str) -> None:
        """The connection is over; before the handshake was done, it did not come about."""
        if not self.handshake.is_set:
            self.failure = HandshakeFailed(kind, error_code, reason)
            self.handshake.set()
        if self.over is None:
            self._lost(ConnectionClosed(reason or "the connection is closed", error_code))

    # what requests and pushes ask for

    @property
    def takes_early_data(self) -> bool:
        """Nothing to do: a server sends none."""
        return False

    @property
    def is_usable(self) -> bool:
        """True while new requests can be sent."""
        return self.over is None and not self.going_away and self.doubt is None

    @property
    def is_listened_to(self) -> bool:
        """True when somebody takes promises whatever response they come with."""
        return self.pushes.is_listened_to

    def now(self) -> float:
        """The loop's clock, in seconds."""
        return self.endpoint.loop.time()

    def run_later(self, action: Callable[[], None]) -> None:
        """Call `action` in a later turn of the loop; from any thread, as the garbage collector runs in any."""
        loop = self.endpoint.loop
        if not loop.is_closed():
            loop.call_soon_threadsafe(action)

    def schedule_flush(self) -> None:
        """Something was written: see that it is sent at the end of this turn."""
        self.endpoint.mark(self)

    def pause(self, stream_id: int) -> None:
        """Take no more content of this stream."""
        self.core.pause(stream_id)

    def resume(self, stream_id: int) -> None:
        """Go on taking content."""
        self.core.resume(stream_id)
        self.schedule_flush()

    def silence(self, stream_id: int) -> str:
        """A time-out has passed: ask whether the server is there, and say what may hold the stream back."""
        self.ask_for_life()
        unread = [one for one in self._responses() if one.stream_id != stream_id and one.content.paused]
        if not unread:
            return ""
        return (
            f"the content of {len(unread)} other responses waits to be read, {unread[0].request.path} first, and may hold back "
            "this one by the flow control that they share: read or close them"
        )

    def _responses(self) -> list[Exchange]:
        return [one for one in (*self._exchanges.values(), *self.pushes.fulfilling.values()) if one.head is not None]

    def pushes_of(self, exchange: Exchange) -> list[PushedExchange]:
        """The pushes that came with a response and hold credit."""
        return self.pushes.of(exchange)

    def cancel_push(self, push: PushedExchange) -> None:
        """Call a push off on the wire."""
        self.pushes.cancel(push)

    def release_push(self, push: PushedExchange) -> None:
        """Give the credit of a push back."""
        self.pushes.release(push)

    # requests

    def may_be_sent(self, head: RequestHead, end_stream: bool) -> bool:
        """True when a request need not wait for the handshake: that is done, or the request may go out in early data."""
        return self.handshake.is_set or (self.is_early and end_stream and head.method in REPEATABLE)

    def open(self, head: RequestHead, limits: Limits, *, end_stream: bool, priority: Priority | None) -> Exchange:
        """Send a request's header section. Raises what `send_request` of the core raises."""
        if self.over is not None:
            if self.failure is not None:
                raise self.explain(self.failure)
            raise RequestNotProcessed(f"the connection is over: {self.over.reason}", self.over.error_code)
        stream_id = self.core.send_request(head, end_stream=end_stream, priority=priority)
        exchange = self._exchanges[stream_id] = Exchange(self, SentRequest(head), stream_id, self.now(), limits)
        exchange.sending = not end_stream
        if self.is_early:
            exchange.early, exchange.priority = True, priority
        if not self._kept_alive:
            self._keep_alive(True)
        if limits.response is not None:
            deadline = exchange.active_at + (limits.response if end_stream else limits.response / LOOKS)
            if self._next_look is None or deadline < self._next_look:
                self._next_look = deadline
        self.schedule_flush()
        return exchange

    def _send_again(self) -> None:
        """The server refused early data: it has not seen the requests that went out in it."""
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            head = exchange.request.head
            exchange.stream_id = self.core.send_request(head, end_stream=True, priority=exchange.priority)
            exchange.early = False
            self._exchanges[exchange.stream_id] = exchange
        self.schedule_flush()

    def _fail_unanswered(self, now: float) -> None:
        """Fail the requests whose `response_timeout` has passed, and see when the next one's does.

        One deadline for all requests of the connection: it is set by the first, and when it has come all are looked at. So a
        request that is answered in time costs nothing for it.
        """
        self._next_look = None
        for exchange in [one for one in self._exchanges.values() if one.head is None]:
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
            if self._next_look is None or deadline < self._next_look:
                self._next_look = deadline

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
                seconds *= max(1, min(taken, self.settings.send_window) / Drain.LEAST_PROGRESS)
        return exchange.active_at + seconds

    def cancel(self, exchange: Exchange, error: Exception | None = None) -> None:
        """The response is not wanted any more, nor the rest of the request; whoever waits for it gets `error`."""
        if exchange.stream_id is not None and self._exchanges.pop(exchange.stream_id, None) is not None:
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
            del self.pushes.fulfilling[push_id]
        elif not exchange.sending:
            del self._exchanges[stream_id]

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
            self.upload_ended(exchange)

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
            exchange.stop_sending()

    def _drained(self, event: h3.StreamDrained) -> None:
        exchange = self._exchanges.get(event.stream_id)
        if exchange is not None:
            exchange.drained()

    def _stream_credit(self, event: h3.StreamCreditReceived) -> None:
        if not event.unidirectional:
            self.credit.release()

    # uploads

    def send_data(self, stream_id: int, data: bytes, end: bool) -> int:
        """Send content; how many bytes wait."""
        waiting = self.core.send_data(stream_id, data, end)
        self.schedule_flush()
        return waiting

    def send_part(self, stream_id: int, part: BytesPart, end: bool) -> int:
        """Send a part of larger bytes as one DATA frame; how many bytes wait."""
        waiting = send_part(self.core, self.endpoint.driver, self.handle, stream_id, part, end)
        self.schedule_flush()
        return waiting

    def send_file(self, stream_id: int, file: FileContent, size: int, end: bool) -> None:
        """Send a part of a file as one DATA frame."""
        send_file(self.core, self.endpoint.driver, self.handle, stream_id, file, size, end)
        self.schedule_flush()

    def waiting(self, stream_id: int) -> int:
        """How many bytes of a stream wait for the server to take them."""
        return bytes_waiting(self.endpoint.driver, self.handle, stream_id)

    def upload_ended(self, exchange: Exchange) -> None:
        """The request's content is sent, or no longer wanted."""
        exchange.sending = False
        if exchange.over and exchange.stream_id is not None:
            self._exchanges.pop(exchange.stream_id, None)
            self.progressed()

    # pushes

    def _promise(self, event: h3.PushPromiseReceived) -> None:
        self.pushes.promise(event, self._exchanges.get(event.stream_id))

    def _push_refused(self, event: h3.PushRefused) -> None:
        self.pushes.refused(event)

    def _push_cancelled(self, event: h3.PushCancelled) -> None:
        self.pushes.cancelled(event)

    def _look_at_pushes(self, now: float) -> None:
        """Give up the pushes that do not move, and the responses that are kept open for promises that do not come."""
        if not self._asked_has_arrived():
            self._watch.stop()
            return
        seconds = self.settings.push_timeout
        sentence = f"nothing came of it for {seconds:g} s (push_timeout)"
        for exchange in self._watch.look(now, [*self.pushes.fulfilling.values(), *self._exchanges.values()]):
            if isinstance(exchange, PushedExchange):
                self.core.cancel_push(exchange.push_id)
                self.pushes.over(exchange.push_id, h3.CancelledBy.TIMEOUT, sentence, ErrorCode.H3_REQUEST_CANCELLED)
            else:
                self.cancel(exchange, ReadTimeout(f"the response was kept open for promises and {sentence}"))
        self.schedule_flush()

    def _asked_has_arrived(self) -> bool:
        return not any(exchange.sending or not exchange.has_arrived for exchange in self._exchanges.values())

    # the connection

    def ask_for_life(self) -> None:
        """Something timed out: find out whether the server is still there, and send no further request before."""
        if self.doubt is not None or self.over is not None or not self.handshake.is_set:
            return
        driver, handle = self.endpoint.driver, self.handle
        driver.ping(handle)
        self.doubt = Signal()
        rtt = float(driver.stats(handle).get("rtt", 0))
        self._liveness = Liveness(lambda: driver.stats(handle).get("received_bytes", 0), rtt, self.now())
        self.schedule_flush()

    def _look_for_life(self, liveness: Liveness, now: float) -> None:
        alive = liveness.look(now)
        if alive is None:
            return
        if not alive:
            self._end(ErrorCode.H3_NO_ERROR, "the server has not answered since a request timed out", None)
        self._doubt_is_over()

    def _doubt_is_over(self) -> None:
        doubt, self.doubt, self._liveness = self.doubt, None, None
        if doubt is not None:
            doubt.set()

    def _goaway(self, _event: h3.GoawayReceived) -> None:
        self.going_away = True
        self.close_when_idle = True
        self.credit.release()

    def _terminated(self, event: h3.ConnectionTerminated) -> None:
        if self.handshake.is_set:  # else `closed` comes next and knows why there is no connection
            self._lost(ConnectionClosed(event.reason or "the connection is closed", event.error_code))

    def _lost(self, error: ConnectionClosed) -> None:
        if self.over is not None:
            return
        self.over = error
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            lost: Exception = ConnectionClosed(error.reason, error.error_code)
            exchange.fail(lost if self.failure is None else self.explain(self.failure), self.now())
            exchange.stop_sending()
        self.pushes.lost(error)
        self.credit.release()
        self._doubt_is_over()
        self.ended.set()

    def progressed(self) -> None:
        """Something ended or began: see whether the connection is still needed, and what is left to be watched."""
        wanted = bool(self._exchanges or self.pushes.fulfilling)
        if wanted is not self._kept_alive:
            self._keep_alive(wanted)
        if wanted:
            if self.may_be_promised and self._watch.next_look is None and self._asked_has_arrived():
                self._watch.start(self.now(), [*self.pushes.fulfilling.values(), *self._exchanges.values()])
        elif self.close_when_idle and not self.core.is_closed:
            self.close()

    @property
    def wanted(self) -> bool:
        """True while a request or push that somebody wants is under way, or content that has arrived waits in the transport."""
        return bool(self._exchanges or self.pushes.fulfilling)

    def _keep_alive(self, wanted: bool) -> None:
        """RFC 9114 section 5.1: a client keeps the connection open while it waits for something."""
        if self.over is None:
            self._kept_alive = wanted
            idle = self.settings.idle_timeout
            interval = None if not wanted or idle is None else idle / 3
            self.endpoint.driver.set_keep_alive(self.handle, interval)

    def close(self) -> None:
        """Close with H3_NO_ERROR; GOAWAY goes first (RFC 9114 section 5.2)."""
        if not self.core.is_closed:
            if self.handshake.is_set and self.failure is None:
                self.core.send_goaway()
                self.endpoint.flush()
            self._end(ErrorCode.H3_NO_ERROR, "we closed the connection", ErrorCode.H3_NO_ERROR)

    def shut(self) -> None:
        """Close the connection and its socket."""
        self.close()
        self.endpoint.close()

    def _end(self, code: ErrorCode, reason: str, told: int | None) -> None:
        """Close the connection; everything that waits on it gets `reason` and the code `told`."""
        self._lost(ConnectionClosed(reason, told))
        self.core.close(code)
        self.receive(self.core.receive_closed(code, reason, by_peer=False))
        self.schedule_flush()

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
        h3.PushRefused: _push_refused,
        h3.GoawayReceived: _goaway,
        h3.ConnectionTerminated: _terminated,
    }


class HandshakeFailed(Exception):
    """The connection was over before its handshake was done; `connect` makes a sentence of it."""

    def __init__(self, kind: str, error_code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.error_code = error_code
        self.reason = reason
