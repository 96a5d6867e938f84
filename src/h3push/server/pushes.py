"""The pushes of one connection of a server: promises, their order, their ends.

Theory of operation. Where a push stands, and what became of it, is said by the core's book alone. `promise` has the core promise
and queues the push, which is answered when the present wake-up is over, so that what was asked for goes first. The promise goes
out with what is written to its stream next, at the end of the wake-up at the latest. If its
response is at hand, it is sent there and then. Else a request is made of it, which has no stream until its response begins, and
is answered like any other from there. A push stays in `live` until the client has acknowledged all of it, or either side has
called it off.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from h3push.errors import ErrorCode, H3PushError, PushNotAllowed, StreamFailed
from h3push.h3.events import PushCancelled
from h3push.h3.known import KnownPromise, known_promise
from h3push.h3.push.rules import NO_CREDIT, PushRefusal, error_of
from h3push.h3.push.server_book import ServerPush
from h3push.http.fields import Field, RequestHead
from h3push.http.headers import HeadersLike, declared_length, encode_headers
from h3push.http.priority import Priority
from h3push.http.semantics import PUSHABLE_METHODS
from h3push.http.url import plain_authority, resolve_push_path
from h3push.runtime.credit import CreditQueue
from h3push.server.access_log import ConnectionLog
from h3push.server.budget import PushBudget
from h3push.server.channel import Channel
from h3push.server.promised import PromisedPush
from h3push.server.push import Push, PushState
from h3push.server.request import PushMaker, Request
from h3push.server.response import Response

MISTAKES: Final = frozenset({PushRefusal.METHOD, PushRefusal.CONTENT, PushRefusal.SCHEME, PushRefusal.AUTHORITY})
"""Refusals that are our caller's mistake: nothing that the client does could change them."""

_LIMIT: Final = PushRefusal.LIMIT
_PROMISED: Final = PushState.PROMISED
_plain: Final[dict[tuple[bytes | None, str], KnownPromise]] = {}
"""Promised requests with nothing but a path, of all connections, by the authority and the path that was given."""
MAX_PLAIN = 1024
"""So many are kept, none with a query, which may hold a secret; when there are more, all are forgotten."""
MAX_PATH = 1024
"""Longest path that is kept, in characters."""

logger = logging.getLogger("h3push.server")


class ServerPushes(PushMaker):
    """The pushes that were promised on one connection and are not over.

    Args:
        connection: the connection.
        loop: runs promised requests behind what was asked for.
        run: answers a promised request, with the response that was given for it, or by its handler.
        at_hand: the response to a promised request that its handler knows without being called; `None`: it knows none so.
        on_end: called when a push is over.
        log: takes the rows of pushed responses.
    """

    def __init__(
        self,
        connection: Channel,
        loop: asyncio.AbstractEventLoop,
        run: Callable[[Request, Response | None], None],
        at_hand: Callable[[PromisedPush], Response | None] | None,
        on_end: Callable[[], None],
        log: ConnectionLog | None,
    ) -> None:
        self.live: dict[int, PromisedPush] = {}
        """Pushes that are neither fulfilled nor cancelled, by push ID."""
        self._log = log
        self._credit = CreditQueue()
        self._connection = connection
        self._core = connection.core
        self._loop = loop
        self._run = run
        self._at_hand = at_hand
        self._on_end = on_end
        self._queued: list[PromisedPush] = []
        self._goes_on = False

    # promises

    def refusal(self, budget: PushBudget) -> PushRefusal | None:
        """Why a push would be refused now; `None` when one would be promised."""
        refusal = self._core.why_not_push(budget.stream_id)
        return PushRefusal.LIMIT if (refusal is None or refusal in NO_CREDIT) and budget.is_spent else refusal

    def promise(
        self,
        initiator: Request,
        path: str,
        *,
        method: str = "GET",
        headers: HeadersLike | None = None,
        authority: str | None = None,
        priority: Priority | None = None,
        response: Response | None = None,
        deferred: bool = False,
    ) -> Push:
        """Promise a request on the stream of the request that was really sent, and queue the push.

        With `deferred` it is queued when `Push.start` is called: the client has time to call it off before it costs anything.
        """
        if headers is None and authority is None and method == "GET":
            known = _plain.get((initiator.head.authority, path))
            if known is not None:
                return self._promise(initiator, path, known, priority, response, deferred)
        method_bytes = method.encode("latin-1")
        if method_bytes not in PUSHABLE_METHODS:  # a mistake, with credit or without
            raise PushNotAllowed(f"{method} is not safe and cacheable: push GET or HEAD only")
        resolved, named = resolve_push_path(initiator.path, path)
        fields = () if headers is None else tuple(encode_headers(headers))
        own = initiator.head
        wanted = own.authority if authority is None and named is None else self._authority(own, authority or named)
        length = declared_length(fields) if fields else None
        head = RequestHead(method_bytes, b"https", wanted, resolved.encode("ascii"), fields, length)
        promise = known_promise(head)
        if resolved is path and not fields and authority is None and method == "GET":
            _remember(promise, path)
        return self._promise(initiator, resolved, promise, priority, response, deferred)

    def promise_head(
        self,
        initiator: Request,
        path: str,
        head: RequestHead,
        priority: Priority | None,
        response: Response | None = None,
        *,
        deferred: bool = False,
    ) -> Push:
        """The same for a request that is as it goes out, for the initiator's own authority."""
        return self._promise(initiator, path, known_promise(head), priority, response, deferred)

    def _promise(
        self,
        initiator: Request,
        path: str,
        promise: KnownPromise,
        priority: Priority | None,
        response: Response | None,
        deferred: bool,
    ) -> Push:
        budget = initiator.budget
        record: ServerPush | PushRefusal
        if budget.promises >= budget.max_promises or budget.pushed_bytes >= budget.max_bytes:
            record = _LIMIT
            self._core.push_counters.refused[record] += 1
        else:
            record = self._core.try_push_promise(budget.stream_id, promise, held=True)
        if isinstance(record, PushRefusal):
            if record in MISTAKES:
                raise error_of(record, promise.request)
            return Push(path, record)
        budget.promises += 1
        push = self.live[record.push_id] = PromisedPush(record, self, initiator, budget, path, priority, response)
        if deferred:
            push.is_deferred = True
        else:
            self._queued.append(push)
        self._go_on_soon()
        return push

    def queue(self, push: PromisedPush) -> None:
        """Have a push answered behind what was asked for."""
        self._queued.append(push)
        self._go_on_soon()

    def _go_on_soon(self) -> None:
        """Write promises that nothing takes along, and answer pushes, when the present wake-up is over."""
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._answer_queued)
            self._connection.schedule_flush()

    def _authority(self, initiating: RequestHead, named: str | None) -> bytes | None:
        """The authority that a promise shows for `named`; `PushNotAllowed` when the client need not believe that it is ours."""
        own = initiating.authority
        if named is None or own is None:
            return own
        wanted = named.encode("ascii")
        if plain_authority(wanted) == plain_authority(own):
            return own
        if wanted in self._core.config.push_authorities:
            return wanted
        raise PushNotAllowed(
            f"https://{named} is not the origin that the request was for, https://{own.decode('latin-1')}: push what is yours, or"
            " name it in H3Config.push_authorities"
        )

    def of(self, push: Push) -> Request | None:
        """The request that was made of a push that is not over."""
        live = None if push.push_id is None else self.live.get(push.push_id)
        return None if live is None else live.made

    def request_of(self, push: PromisedPush) -> Request:
        """The promised request of a push, for its handler."""
        request = push.made
        if request is None:
            request = push.made = Request(self._connection, self, None, push.head)
            request.become_pushed(push, push.initiator)
        return request

    # answers

    def _answer_queued(self) -> None:
        self._goes_on = False
        self._core.write_promises()
        queued, self._queued = self._queued, []
        log, at_hand, date = self._log, self._at_hand, self._connection.date()
        for push in queued:
            if push.record.state is not _PROMISED:
                continue
            row = None if log is None else log.begin(push)
            response = push.response
            if response is None and at_hand is not None:
                response = at_hand(push)
            if response is None or not self._sent(push, response, date):
                request = self.request_of(push)
                if row is not None:
                    push.row = None
                    row.move_to(request)
                self._run(request, push.response)

    def _sent(self, push: PromisedPush, response: Response, date: Field | None) -> bool:
        """Send a response that is at hand. False, and nothing done, when it takes more than one write or something is wrong."""
        channel, body, status, budget = self._connection, response.body, response.status, push.budget
        if type(body) is not bytes or response.trailers is not None:
            return False
        size = len(body)
        if size > channel.piece or budget.pushed_bytes + size > budget.max_bytes:
            return False
        try:
            stream_id = self._core.send_push_at_hand(
                push.record, status, response.section(date, size), body, push.priority
            )
        except H3PushError:  # no stream now, or a mistake that is told to whoever answers the request
            return False
        if stream_id is None:
            return False
        push.status, push.bytes_sent = status, size
        budget.pushed_bytes += size
        channel.guard.responses[stream_id] = push
        if channel.next_look is None:
            channel.look_soon()
        row = push.row
        if row is not None:
            row.began()
            row.ended()
        return True

    async def wait_for_credit(self) -> None:
        """Wait until there may be more push credit."""
        await self._credit.wait()

    # ends

    def fulfilled(self, push_id: int) -> None:
        """The client has all of a push."""
        push = self.live.pop(push_id, None)
        if push is not None:
            _end(push)

    def cancel(self, push: PromisedPush, code: int) -> None:
        """Call a push off, on the wire and in its handler."""
        self._core.cancel_push(push.push_id, code)
        self._over(push.push_id, StreamFailed("the push was called off", code))
        self._connection.schedule_flush()

    def cancelled(self, event: PushCancelled) -> None:
        """The client called a push off, or it came to nothing otherwise."""
        code = ErrorCode.H3_REQUEST_CANCELLED if event.error_code is None else event.error_code
        self._over(event.push_id, StreamFailed("the client does not want the push", code))

    def _over(self, push_id: int, error: H3PushError) -> None:
        push = self.live.pop(push_id, None)
        if push is None:
            return
        if push.stream_id is not None:
            self._connection.guard.responses.pop(push.stream_id, None)
        push.disconnect(error)
        _end(push)
        self._on_end()

    # what the client says

    def more_credit(self) -> None:
        """The client raised MAX_PUSH_ID, or allows further push streams."""
        self._connection.streams.release()
        self._credit.release(max(1, self._core.push_allowance()))

    def client_goes_away(self) -> None:
        """GOAWAY: no promise may follow (RFC 9114 section 5.2)."""
        self._credit.release()

    def terminate(self, error: H3PushError) -> None:
        """The connection is over, and every push with it."""
        self._queued.clear()
        for push_id in list(self.live):
            self._over(push_id, error)
        self._connection.streams.release()
        self._credit.release()


def _end(push: PromisedPush) -> None:
    """Let go of the request that was made of a push: they show each other, and only the garbage collector would free them."""
    push.made = None
    push.end()


def _remember(promise: KnownPromise, path: str) -> None:
    if "?" in path or len(path) > MAX_PATH:
        return
    if len(_plain) >= MAX_PLAIN:
        _plain.clear()
    _plain[promise.request.authority, path] = promise
