"""A client's side of one connection: events of the core to the responses and pushes they belong to."""

import logging
from collections.abc import Callable
from typing import Any

from h3push.client.exchange import Exchange, PushedExchange
from h3push.client.exchanges import Exchanges
from h3push.client.liveness import Liveness
from h3push.client.push_watch import PushWatch
from h3push.client.pushes import ClientPushes
from h3push.errors import (
    ConnectionClosed,
    ErrorCode,
    ReadTimeout,
    RequestNotProcessed,
    StreamFailed,
)
from h3push.h3 import events as h3
from h3push.h3.client import H3ClientConnection
from h3push.runtime.endpoint import Endpoint
from h3push.runtime.settings import ClientSettings
from h3push.runtime.signal import Signal

logger = logging.getLogger("h3push.client")


class ClientSession(Exchanges):
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
        super().__init__(endpoint, handle, make_core, settings)
        self.address = address
        """The server's address and port."""
        self.looked_up_at: float | None = None
        """When the address was known, in seconds of the loop's clock."""
        self.is_authoritative = is_authoritative
        self.failure: HandshakeFailed | None = None
        """Why the handshake failed."""
        self.explain = explain
        """Makes of it what callers get."""
        self.ended = Signal()
        """Set when it is over."""
        self.going_away = False
        """True when the server takes no further requests (GOAWAY)."""
        self.close_when_idle = False
        """True: close when the last request and push are done."""
        self.doubt: Signal | None = None
        """Set while it is in doubt whether the server is still there: requests wait for the answer."""
        self.pushes = ClientPushes(self)
        """The pushes of this connection."""
        self._liveness: Liveness | None = None
        self._watch = PushWatch(settings.push_timeout)

    # the endpoint's calls

    def connected(self, early_data: bool, now: float) -> None:
        """The handshake is done. Streams that were opened in early data are void if the server refused it."""
        if self.is_early and not early_data:
            self.core = self.make_core()
            self.core.start(now)
            self.send_again()
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
            action = _ACTIONS.get(type(event))
            if action is not None:
                action(self, event)
        self.progressed()

    def data_without_event(self, stream_id: int) -> None:
        """Nothing to do: the server's header sections have `response_timeout`."""

    def reset_received(self, stream_id: int) -> None:
        """Nothing to do: the core tells it."""

    def unsent(self, stream_id: int, size: int) -> None:
        """Nothing to do: an upload that was cut off fails as a whole."""

    def stop_received(self, stream_id: int) -> None:
        """Nothing to do: the core tells it."""

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        due, look = self.core.next_timeout(), self.next_look
        return look if due is None or (look is not None and look < due) else due

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self.receive(self.core.handle_timeout(now))
        if self.next_look is None or self.next_look > now:
            return
        self.next_look = None
        if self.next_answer is not None and self.next_answer <= now:
            self.fail_unanswered(now)
        if self._watch.next_look is not None and self._watch.next_look <= now:
            self._look_at_pushes(now)
        if self._liveness is not None and self._liveness.next_look <= now:
            self._look_for_life(self._liveness, now)
        self.look_by(self.next_answer)
        self.look_by(self._watch.next_look)
        self.look_by(None if self._liveness is None else self._liveness.next_look)

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

    def schedule_flush(self) -> None:
        """Something was written: see that it is sent at the end of this turn."""
        self.endpoint.mark(self)

    def too_late(self, over: ConnectionClosed) -> Exception:
        """The error of a request that comes when the connection is over."""
        if self.failure is not None:
            return self.explain(self.failure)
        return RequestNotProcessed(f"the connection is over: {over.reason}", over.error_code)

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
        return [one for one in (*self.exchanges.values(), *self.fulfilling.values()) if one.head is not None]

    def pushes_of(self, exchange: Exchange) -> list[PushedExchange]:
        """The pushes that came with a response and hold credit."""
        return self.pushes.of(exchange)

    def cancel_push(self, push: PushedExchange) -> None:
        """Call a push off on the wire."""
        self.pushes.cancel(push)

    def release_push(self, push: PushedExchange) -> None:
        """Give the credit of a push back."""
        self.pushes.release(push)

    # pushes

    def _malformed(self, event: h3.MessageFailed) -> None:
        if event.push_id is None:
            self.fail(event.stream_id, StreamFailed(event.error.reason, event.error.error_code))
            return
        self.pushes.over(event.push_id, h3.CancelledBy.MALFORMED, event.error.reason, event.error.error_code)

    def _settings_came(self, _event: h3.SettingsReceived) -> None:
        self.server_settings.set()

    def _promise(self, event: h3.PushPromiseReceived) -> None:
        self.pushes.promise(event, self.exchanges.get(event.stream_id))

    def _push_refused(self, event: h3.PushRefused) -> None:
        self.pushes.refused(event)

    def _push_cancelled(self, event: h3.PushCancelled) -> None:
        self.pushes.cancelled(event)

    def _look_at_pushes(self, now: float) -> None:
        """Give up the pushes that do not move, and the responses that are kept open for promises that do not come."""
        if not self.wanted:
            self._watch.stop()
            return
        if not self._asked_has_arrived():
            self._watch.start(now)
            return
        seconds = self.settings.push_timeout
        sentence = f"nothing came of it for {seconds:g} s (push_timeout)"
        for exchange in self._watch.look(now, self._left()):
            if isinstance(exchange, PushedExchange):
                self.core.cancel_push(exchange.push_id)
                self.pushes.over(exchange.push_id, h3.CancelledBy.TIMEOUT, sentence, ErrorCode.H3_REQUEST_CANCELLED)
            else:
                self.cancel(exchange, ReadTimeout(f"the response was kept open for promises and {sentence}"))
        self.schedule_flush()

    def _left(self) -> list[Exchange]:
        """The pushes under way; and the responses that are kept open, unless credit that pushes hold is what they wait for."""
        kept = [] if self.pushes.unreleased else [one for one in self.exchanges.values() if not one.is_tunnel]
        return [*self.fulfilling.values(), *kept]

    def _asked_has_arrived(self) -> bool:
        asked = [one for one in self.exchanges.values() if not one.is_tunnel]  # which may stay open for ever
        return not any(exchange.sending or not exchange.has_arrived for exchange in asked)

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
        self.look_by(self._liveness.next_look)
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
        exchanges, self.exchanges = self.exchanges, {}
        for exchange in exchanges.values():
            lost: Exception = ConnectionClosed(error.reason, error.error_code)
            exchange.fail(lost if self.failure is None else self.explain(self.failure), self.now())
            exchange.stop_sending()
        self.pushes.lost(error)
        self.credit.release()
        self.server_settings.set()
        self._doubt_is_over()
        self.ended.set()

    def progressed(self) -> None:
        """Something ended or began: see whether the connection is still needed, and what is left to be watched."""
        if self.exchanges or self.fulfilling:
            if not self.is_kept_alive:
                self.keep_alive(True)
                if self.may_be_promised and self._watch.next_look is None:
                    self.look_by(self._watch.start(self.now()))
        else:
            if self.is_kept_alive:
                self.keep_alive(False)
            if self.close_when_idle and not self.core.is_closed:
                self.close()

    @property
    def wanted(self) -> bool:
        """True while a request or push that somebody wants is under way, or content that has arrived waits in the transport."""
        return bool(self.exchanges or self.fulfilling)

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

    @staticmethod
    def actions() -> dict[type, Callable[[Any, Any], None]]:
        """By type of event, what deals with it; as a table in the body of the class, it would not compile."""
        return {
            **Exchanges.actions(),
            h3.SettingsReceived: ClientSession._settings_came,
            h3.MessageFailed: ClientSession._malformed,
            h3.PushPromiseReceived: ClientSession._promise,
            h3.PushCancelled: ClientSession._push_cancelled,
            h3.PushRefused: ClientSession._push_refused,
            h3.GoawayReceived: ClientSession._goaway,
            h3.ConnectionTerminated: ClientSession._terminated,
        }


_ACTIONS = ClientSession.actions()


class HandshakeFailed(Exception):
    """The connection was over before its handshake was done; `connect` makes a sentence of it."""

    def __init__(self, kind: str, error_code: int | None, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.error_code = error_code
        self.reason = reason
