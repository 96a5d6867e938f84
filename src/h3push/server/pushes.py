"""The pushes of one connection of a server: promises, their order, their ends.

Theory of operation. `promise` has the core write the promise and queues the promised request; its handler runs when the present
wake-up is over, so that what was asked for goes first. A pushed request has no stream until its response begins.

A push made by a pushed request is promised on the stream of the request at the root of the chain, the only one that can carry a
promise; when that response has ended, the push is refused. The bounds count at the root too, so that a chain of pushes cannot
grow past what one request may cause.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from h3push.errors import (
    ErrorCode,
    H3PushError,
    NoPushCredit,
    NoStreamCredit,
    PushNotAllowed,
    StreamFailed,
    StreamStateError,
)
from h3push.h3 import events as h3
from h3push.h3.push.rules import PUSHABLE_METHODS, PushRefusal
from h3push.http.fields import Fields, RequestHead
from h3push.http.headers import HeadersLike, declared_length, encode_headers
from h3push.http.priority import Priority
from h3push.http.url import plain_authority
from h3push.server.exchange import Exchange
from h3push.server.push import CreditQueue, Push, PushState, resolve_push_path
from h3push.server.request import Request

if TYPE_CHECKING:
    from h3push.server.connection import ServerConnection

logger = logging.getLogger("h3push.server")


class ServerPushes:
    """What was promised on one connection and is not over."""

    def __init__(self, connection: "ServerConnection", loop: asyncio.AbstractEventLoop) -> None:
        self.live: dict[int, Push] = {}
        """Pushes that are neither fulfilled nor cancelled, by push ID."""
        self.credit = CreditQueue()
        """Who waits to promise."""
        self.streams = CreditQueue()
        """Whose promised response waits for its push stream."""
        self._connection = connection
        self._settings = connection.settings
        self._counters = connection.counters
        self._loop = loop
        self._queued: list[Push] = []
        self._client_going_away = False

    def refusal(self, request: Exchange) -> PushRefusal | None:
        """Why a push would be refused now; `None` when one would be promised."""
        refusal = self.refusal_but_credit(request)
        if refusal is None and self._connection.core.push_allowance(1) < 1:
            return PushRefusal.NO_PUSH_CREDIT
        return refusal

    def refusal_but_credit(self, request: Exchange) -> PushRefusal | None:
        """The same without the question whether the client gives credit just now."""
        core = self._connection.core
        root = request.root
        if not core.config.enable_push:
            return PushRefusal.DISABLED
        if core.is_closed or self._client_going_away:
            return PushRefusal.GOING_AWAY
        if root.response_ended or root.disconnected:
            return PushRefusal.RESPONSE_ENDED
        if core.max_push_id is None:
            return PushRefusal.NOT_ALLOWED_BY_CLIENT
        settings = self._settings
        if root.promises >= settings.max_pushes_per_request or root.pushed_bytes >= settings.max_push_bytes:
            return PushRefusal.LIMIT
        return None

    def promise(
        self,
        initiator: Request,
        path: str,
        method: str,
        headers: HeadersLike | None,
        authority: str | None,
        priority: Priority | None,
    ) -> Push:
        """Promise a request on the stream of the request that was really sent, and queue the promised one."""
        method_bytes = method.encode("latin-1")
        if method_bytes not in PUSHABLE_METHODS:  # a mistake, with credit or without
            raise PushNotAllowed(f"{method} is not safe and cacheable: push GET or HEAD only")
        path, named = resolve_push_path(initiator.path, path)
        fields = encode_headers(headers)
        head = RequestHead(
            method=method_bytes,
            scheme=b"https",
            authority=self._authority(initiator.head, authority or named),
            path=path.encode("ascii"),
            fields=fields,
            content_length=declared_length(fields),
        )
        root = initiator.root
        refusal = self.refusal_but_credit(root)
        if refusal is None:
            refusal, push_id = self._send_promise(root, head)
        if refusal is not None:
            self._counters.pushes_refused += 1
            return Push(self._connection, path, None, refusal)
        root.promises += 1
        return self._promised(initiator, head, path, push_id, priority)

    def _authority(self, initiating: RequestHead, named: str | None) -> bytes | None:
        """What stands in a promise for `named`; `PushNotAllowed` when the client need not believe that we answer for it."""
        own = initiating.authority
        if named is None or own is None:
            return own
        wanted = named.encode("ascii")
        if plain_authority(wanted) == plain_authority(own):
            return own
        if wanted in self._connection.core.config.push_authorities:
            return wanted
        raise PushNotAllowed(
            f"https://{named} is not the origin that the request was for, https://{own.decode('latin-1')}: push what is yours, or"
            " name it in H3Config.push_authorities"
        )

    def _send_promise(self, root: Exchange, head: RequestHead) -> tuple[PushRefusal | None, int]:
        assert root.stream_id is not None
        try:
            return None, self._connection.core.send_push_promise(root.stream_id, head)
        except NoStreamCredit:
            return PushRefusal.NO_STREAM_CREDIT, -1
        except NoPushCredit:
            return PushRefusal.NO_PUSH_CREDIT, -1
        except StreamStateError:
            return PushRefusal.RESPONSE_ENDED, -1

    def _promised(
        self, initiator: Request, head: RequestHead, path: str, push_id: int, priority: Priority | None
    ) -> Push:
        push = Push(self._connection, path, push_id, None)
        request = push.request = Request(self._connection, None, head)
        request.fulfils = push
        request.initiator = initiator
        push.priority = priority
        self._counters.pushes += 1
        self.live[push_id] = push
        if not self._queued:
            self._loop.call_soon(self._run_queued)
        self._queued.append(push)
        self._connection.kick()
        return push

    def _run_queued(self) -> None:
        queued, self._queued = self._queued, []
        for push in queued:
            if push.state is PushState.PROMISED and push.request is not None:
                if self._connection.log is not None:
                    self._connection.log.begin(push.request)
                self._connection.run(push.request)

    def open(self, exchange: Exchange) -> int:
        """The response of a promised request begins: open its push stream. `NoStreamCredit` when it has to wait."""
        push = exchange.fulfils
        assert push is not None
        assert push.push_id is not None
        stream_id = exchange.stream_id = self._connection.core.open_push_stream(push.push_id, push.priority)
        push.state = PushState.OPEN
        if push.request is not None:
            self._connection.exchanges[stream_id] = push.request
        return stream_id

    def send_whole(self, exchange: Exchange, status: int, fields: Fields, content: bytes) -> None:
        """Open a push stream and send all of the promised response. `NoStreamCredit` when it has to wait."""
        push = exchange.fulfils
        assert push is not None
        assert push.push_id is not None
        exchange.stream_id = self._connection.core.send_whole_push(push.push_id, status, fields, content, push.priority)

    def count(self, exchange: Exchange, size: int) -> None:
        """Pushed content went out; the push that passes the bound is called off."""
        root = exchange.root
        root.pushed_bytes += size
        if root.pushed_bytes > self._settings.max_push_bytes and exchange.fulfils is not None:
            logger.warning("%r: cancelled, max_push_bytes (%d) is used up", exchange, self._settings.max_push_bytes)
            self.cancel(exchange.fulfils)

    def fulfilled(self, push: Push) -> None:
        """All of the pushed response was handed to QUIC."""
        if push.push_id is not None and self.live.pop(push.push_id, None) is not None:
            self._counters.pushes_fulfilled += 1
            push.end(PushState.FULFILLED)

    def cancel(self, push: Push, code: ErrorCode = ErrorCode.H3_REQUEST_CANCELLED) -> None:
        """Call a push off, on the wire and in its handler."""
        if push.push_id is None:
            return
        if self.live.pop(push.push_id, None) is None:
            self._connection.core.cancel_push(push.push_id, code)  # perhaps sent, and not acknowledged
            self._let_go(push.push_id)
            self._connection.kick()
            return
        self._connection.core.cancel_push(push.push_id, code)
        self._ended(push, h3.CancelledBy.LOCAL, StreamFailed("the push was called off", code))
        self._connection.kick()

    def cancelled(self, event: h3.PushCancelled) -> None:
        """The client called a push off, or it came to nothing otherwise."""
        push = self.live.pop(event.push_id, None)
        if push is None:
            request = self._let_go(event.push_id)
            if request is not None and request.row is not None:
                request.row.unwanted(StreamFailed("the client does not want the push", ErrorCode.H3_REQUEST_CANCELLED))
        else:
            code = ErrorCode.H3_REQUEST_CANCELLED if event.error_code is None else event.error_code
            self._ended(push, event.by, StreamFailed("the client does not want the push", code))

    def _let_go(self, push_id: int) -> Exchange | None:
        """A push that was sent whole is not on its way any more; its exchange, if it was."""
        guarded = self._connection.guard.responses
        for stream_id, request in guarded.items():
            if request.fulfils is not None and request.fulfils.push_id == push_id:
                del guarded[stream_id]
                return request
        return None

    def _ended(self, push: Push, by: h3.CancelledBy, error: H3PushError) -> None:
        self._counters.pushes_cancelled += 1
        push.end(PushState.CANCELLED, by)
        if push.request is not None:
            if push.request.stream_id is not None:
                self._connection.exchanges.pop(push.request.stream_id, None)
            push.request.disconnect(error)
        self._connection.server.progressed()

    # what the client says

    def more_credit(self) -> None:
        """The client raised MAX_PUSH_ID, or allows further push streams."""
        self.streams.release()
        self.credit.release(max(1, self._connection.core.push_allowance()))

    def client_goes_away(self) -> None:
        """GOAWAY: no promise may follow (RFC 9114 section 5.2)."""
        self._client_going_away = True
        self.credit.release()

    def terminate(self, by: h3.CancelledBy, error: H3PushError) -> None:
        """The connection is over, and every push with it."""
        live, self.live = self.live, {}
        self._queued.clear()
        for push in live.values():
            self._ended(push, by, error)
        self.streams.release()
        self.credit.release()
