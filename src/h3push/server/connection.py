"""A server's side of one connection: events of the core in, requests to the handler.

Theory of operation. The endpoint tells what arrived (`receive` and its kin) and asks when to come back (`next_timeout`). A
request becomes a `Request` and goes to the handler (`runner`); what its handler sends goes out through the `Channel` that this
class is. A push takes the same way once it is promised (`pushes`). `requests` holds those to which something may still happen
from the client's side: content, a reset, STOP_SENDING.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from h3push.errors import ConnectionClosed, ErrorCode, H3PushError, StreamFailed, WriteTimeout
from h3push.h3 import events as h3
from h3push.h3.server import H3ServerConnection
from h3push.http.fields import RequestHead
from h3push.http.headers import Headers, expects_continue
from h3push.runtime.endpoint import Endpoint
from h3push.server.channel import Channel
from h3push.server.content import RequestContent
from h3push.server.drain_guard import OpenResponse
from h3push.server.early import EarlyRequests
from h3push.server.heads import UNREAD, OpenHeads, without_malformed
from h3push.server.owner import ConnectionOwner
from h3push.server.promised import PromisedPush
from h3push.server.pushes import ServerPushes
from h3push.server.request import Request
from h3push.server.runner import HandlerRunner
from h3push.server.writer import ResponseWriter

logger = logging.getLogger("h3push.server")


class ServerConnection(Channel):
    """One client."""

    def __init__(
        self,
        server: ConnectionOwner,
        endpoint: Endpoint,
        handle: int,
        address: tuple[str, int],
        core: H3ServerConnection,
    ):
        settings, counters, date = server.settings, server.counters, server.date
        super().__init__(endpoint, handle, address, core, settings=settings, counters=counters, date=date)
        self.server, self.identities, self.unread = server, server.identities, server.unread
        self.requests: dict[int, Request] = {}
        """Requests of the client under way that something may still happen to, by stream."""
        self.runner = HandlerRunner(
            server.handler, server.spawn, server.tasks, server.counters, self._wait_for, self._finish
        )
        """Calls the handler."""
        log, mark = server.access_log, settings.send_high_water
        stats = partial(endpoint.driver.stats, handle)
        self.log = None if log is None else log.connection(self.waiting, mark, endpoint.loop.time, stats)
        """Takes the rows of this connection's responses."""
        at_hand = getattr(server.handler, "at_hand", None)
        self.pushes = ServerPushes(self, endpoint.loop, self.runner.run, at_hand, server.note_end, self.log)
        """The pushes of this connection."""
        self._authorities, self._connected = server.authorities, False
        self._heads = OpenHeads(self.settings.request_timeout)
        self.takes_early_data = self.settings.early_data
        """True: requests that may be replayed go to the handler before the handshake is done."""
        self._early = EarlyRequests(core) if self.takes_early_data else None

    # the endpoint's calls

    def receive(self, events: list[h3.Event]) -> None:
        """Deal with what happened."""
        if self._early is not None:
            events = self._early.hold_back(events)
        if len(events) > 1:
            events = without_malformed(events)
        actions = _ACTIONS
        for event in events:
            action = actions.get(type(event))
            if action is not None:
                action(self, event)

    def data_without_event(self, stream_id: int) -> None:
        """Data of a stream arrived and told nothing: perhaps the beginning of a header section, which has a time-out."""
        is_new = not stream_id & 3 and stream_id not in self.requests
        if is_new and self._heads.begin(stream_id, self._endpoint.loop.time()):
            self.schedule_flush()

    def acknowledged(self, stream_id: int) -> None:
        """The client has all of a response."""
        guard = self.guard
        response = guard.responses.pop(stream_id, None)
        # Asked for by class: through the protocol, each attribute is looked up by its name when this is compiled.
        if isinstance(response, PromisedPush):
            guard.acknowledged_bytes += response.bytes_sent
        elif isinstance(response, ResponseWriter):
            guard.acknowledged_bytes += response.bytes_sent
            if response.on_acknowledged is not None:
                response.on_acknowledged()
        if stream_id & 2:
            push_id = self.core.push_acknowledged(stream_id)
            if push_id is not None:
                self.pushes.fulfilled(push_id)
        if self.server.is_shutting_down:
            self.server.note_end()

    def unsent(self, stream_id: int, size: int) -> None:
        """Bytes of a response that waited will never be sent."""
        if self.log is not None:
            self.log.unsent(stream_id, size)

    def stop_received(self, stream_id: int) -> None:
        """The client takes no more of a stream, so it will not acknowledge all of it either.

        STOP_SENDING may overtake the request that it is about: then the request is not worth a handler.
        """
        if self.log is not None:
            self.log.stopped(stream_id)
        if self.guard.responses.pop(stream_id, None) is not None:
            self.server.note_end()
        elif not stream_id & 3 and stream_id not in self.requests:
            self._heads.refuse(stream_id)

    def reset_received(self, stream_id: int) -> None:
        """The client reset a stream: a header section that was not complete will not be."""
        self._heads.end(stream_id)

    def connected(self, early_data: bool, now: float) -> None:
        """The handshake is done: what came in early data and had to wait for that is no replay."""
        self.core.start(now)
        self.counters.connections += 1
        self._connected = True
        if self.settings.first_request_timeout is not None:
            self._heads.expect_first(self._endpoint.loop.time() + self.settings.first_request_timeout)
        if self._early is not None:
            early, self._early = self._early, None
            self.receive(early.release())

    def file_failed(self, stream_id: int, reason: str) -> None:
        """A file was not sent to its end: what was sent of it is no whole response."""
        response = self.guard.responses.get(stream_id)
        if response is not None:
            logger.error("%r: a file was not sent to its end: %s", response, reason)
            self.counters.failed += 1
            response.failed = True
            error = StreamFailed(f"the file was not sent to its end: {reason}", ErrorCode.H3_INTERNAL_ERROR)
            self._break_off(response, error, ErrorCode.H3_INTERNAL_ERROR)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due."""
        deadline, look = self.core.next_timeout(), self.next_look
        if self._heads.awaited:
            first = self._heads.deadline
            deadline = first if deadline is None or (first is not None and first < deadline) else deadline
        return look if deadline is None or (look is not None and look < deadline) else deadline

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""
        self.receive(self.core.handle_timeout(now))
        for stream_id in self._heads.take_due(now):
            self.counters.timed_out += 1
            self.core.stop_stream(stream_id, ErrorCode.H3_REQUEST_REJECTED)
            self.core.reset_stream(stream_id, ErrorCode.H3_REQUEST_REJECTED)
        if self.next_look is not None and self.next_look <= now:
            for response in self.look(now, pending=bool(self.requests or self.pushes.live)):
                self._give_up(response)
        if self._heads.take_missing(now):
            self.close("no request came (first_request_timeout)")

    def closed(self, _kind: str, error_code: int | None, reason: str) -> None:
        """The connection is over; `receive` has been told."""
        if not self._connected:
            self.counters.handshakes_failed += 1
            logger.info("%s: the handshake failed: %s", self.address, reason or "no answer")
            self.server.refusals.handshake_failed(self.address, error_code, self._endpoint.loop.time())
        self.server.forget(self)

    def schedule_flush(self) -> None:
        """See that what was written is sent at the end of this turn."""
        self._endpoint.mark(self)

    # requests

    def _request(self, event: h3.RequestReceived) -> None:
        stream_id = event.stream_id
        if self._heads.awaited and self._heads.take(stream_id):
            self.core.reject_request(stream_id)
            return
        if self._authorities is not None and event.request.authority not in self._authorities:
            self._refuse(stream_id, event.request, 421)
            return
        if self.runner.running >= self.settings.max_concurrent_requests:
            self.counters.rejected += 1
            self.core.reject_request(stream_id)
            return
        self.counters.requests += 1
        request = Request(self, self.pushes, stream_id, event.request)
        if self._early is not None:
            request.early = True
        if not event.end_stream:
            ask = request.writer.send_continue if expects_continue(event.request.fields) else None
            content = request.content = RequestContent(self, stream_id, ask, self.server.unread)
            request.writer.on_end = content.end_with_response
            self.requests[stream_id] = request
        if self.log is not None:
            self.log.begin(request)
        self.runner.run(request)

    def _too_large(self, event: h3.RequestTooLarge) -> None:
        self._heads.end(event.stream_id)
        self._refuse(event.stream_id, UNREAD, 414 if event.path else 431)

    def _refuse(self, stream_id: int, head: RequestHead, status: int) -> None:
        """Answer without calling the handler."""
        self.counters.rejected += 1
        request = Request(self, self.pushes, stream_id, head)
        if self.log is not None:
            self.log.begin(request)
        try:
            request.writer.begin(status, [(b"content-length", b"0")], True)
        except H3PushError as too_large:  # even that is over the client's limit
            logger.debug("%r: no %d either: %s", request, status, too_large)
            request.writer.reset(ErrorCode.H3_INTERNAL_ERROR)

    def _wait_for(self, request: Request) -> None:
        """A handler has to wait: its client may reset the request meanwhile, and must not lose the connection."""
        stream_id = request.writer.stream_id
        if stream_id is not None and request.fulfils is None:
            self.requests[stream_id] = request
        self.keep_alive(True)
        if self.next_look is None:
            self.look_soon()

    def _finish(self, request: Request) -> None:
        """A handler is done, and its response sent, reset or given up."""
        stream_id = request.writer.stream_id
        if stream_id is not None:
            self.requests.pop(stream_id, None)
            content = request.content
            if content is not None:
                content.discard()
                if not content.ended:
                    # RFC 9114 section 4.1: the rest of the request is not needed, and that is no error.
                    self.core.stop_stream(stream_id, ErrorCode.H3_NO_ERROR)
                    self.schedule_flush()
        if self.server.is_shutting_down:
            self.server.note_end()

    def _give_up(self, response: OpenResponse) -> None:
        """Reset a response that its client does not take."""
        logger.info("%r: the client does not take the response (drain_timeout): it is reset", response)
        self.counters.stalled += 1
        self.counters.failed += not response.ended
        error = WriteTimeout(
            f"the client did not take what was sent within {self.settings.drain_timeout:g} s (drain_timeout)"
        )
        self._break_off(response, error, ErrorCode.H3_REQUEST_CANCELLED)

    def _break_off(self, response: OpenResponse, error: H3PushError, code: ErrorCode) -> None:
        """Reset a response, though its end may have been sent, and tell whoever still sends it."""
        stream_id, push = response.stream_id, response.push
        assert stream_id is not None
        told = response.give_up(error)
        request = self.requests.pop(stream_id, None) if push is None else self.pushes.of(push)
        if request is None:
            response.disconnect(error)
        else:
            request.disconnect(error, told=told)
        if push is None:
            self.reset(stream_id, code)
        else:
            push.cancel(code)

    # content of requests, the client's interest, pushes

    def _data(self, event: h3.DataReceived) -> None:
        request = self.requests.get(event.stream_id)
        if request is not None and request.content is not None:
            request.content.feed(event.data, event.end_stream)

    def _trailers(self, event: h3.TrailersReceived) -> None:
        request = self.requests.get(event.stream_id)
        if request is not None and request.content is not None:
            request.content.finish(Headers.wrap(event.trailers))

    def _reset(self, event: h3.StreamReset) -> None:
        self._heads.end(event.stream_id)
        request = self.requests.get(event.stream_id)
        if request is not None and request.content is not None:
            request.content.fail(StreamFailed("the client abandoned its request", event.error_code))

    def _stopped(self, event: h3.StopSendingReceived) -> None:
        request = self.requests.pop(event.stream_id, None)
        if request is not None:
            request.disconnect(StreamFailed("the client does not want the response any more", event.error_code))

    def _malformed(self, event: h3.MessageFailed) -> None:
        self._heads.end(event.stream_id)
        request = self.requests.pop(event.stream_id, None)
        if request is not None:
            request.disconnect(StreamFailed(f"the request is malformed: {event.error.reason}", event.error.error_code))

    def _drained(self, event: h3.StreamDrained) -> None:
        response = self.guard.responses.get(event.stream_id)
        if response is not None:
            response.drained()
        if self.log is not None:
            self.log.drained(event.stream_id)

    def _terminated(self, event: h3.ConnectionTerminated) -> None:
        error = ConnectionClosed(event.reason or "the connection is closed", event.error_code)
        if self.log is not None:
            self.log.terminated(event)
        requests, self.requests = self.requests, {}
        self._heads.clear()
        self.guard.responses.clear()
        for request in requests.values():
            request.disconnect(error)
        self.pushes.terminate(error)

    def _push_cancelled(self, event: h3.PushCancelled) -> None:
        self.pushes.cancelled(event)

    def _more_credit(self, _event: h3.MaxPushIdReceived | h3.StreamCreditReceived) -> None:
        self.pushes.more_credit()

    def _goaway(self, _event: h3.GoawayReceived) -> None:
        self.pushes.client_goes_away()

    @property
    def idle(self) -> bool:
        """True when no request and no push is under way."""
        return not (self.runner.running or self.requests or self.pushes.live)

    @property
    def responses_under_way(self) -> int:
        """Responses that are awaited or not acknowledged."""
        return len(self.guard.responses.keys() | self.requests.keys())

    @property
    def all_acknowledged(self) -> bool:
        """True when the client has all that was sent to it."""
        return not self.guard.responses and not self.core.pushes_under_way

    @staticmethod
    def actions() -> dict[type, Callable[[Any, Any], None]]:
        """By type of event, what deals with it; as a table in the body of the class, it would not compile."""
        return {
            h3.RequestReceived: ServerConnection._request,
            h3.RequestTooLarge: ServerConnection._too_large,
            h3.DataReceived: ServerConnection._data,
            h3.TrailersReceived: ServerConnection._trailers,
            h3.StreamReset: ServerConnection._reset,
            h3.StopSendingReceived: ServerConnection._stopped,
            h3.MessageFailed: ServerConnection._malformed,
            h3.StreamDrained: ServerConnection._drained,
            h3.MaxPushIdReceived: ServerConnection._more_credit,
            h3.StreamCreditReceived: ServerConnection._more_credit,
            h3.PushCancelled: ServerConnection._push_cancelled,
            h3.GoawayReceived: ServerConnection._goaway,
            h3.ConnectionTerminated: ServerConnection._terminated,
        }


_ACTIONS = ServerConnection.actions()
