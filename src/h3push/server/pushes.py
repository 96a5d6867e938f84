"""The pushes of one connection of a server: promises, their order, their ends.

Theory of operation. Where a push stands, and what became of it, is said by the core's book alone. `promise` has the core write
the promise and queues the promised request; its handler runs when the present wake-up is over, so that what was asked for goes
first. A pushed request has no stream until its response begins, and is answered like any other from there. It stays in `live`
until the client has acknowledged all of it, or either side has called it off.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from h3push.errors import ErrorCode, H3PushError, PushNotAllowed, StreamFailed
from h3push.h3.events import PushCancelled
from h3push.h3.push.rules import NO_CREDIT, PushRefusal, error_of
from h3push.h3.push.server_book import ServerPush
from h3push.http.fields import RequestHead
from h3push.http.headers import HeadersLike, declared_length, encode_headers
from h3push.http.priority import Priority
from h3push.http.semantics import PUSHABLE_METHODS
from h3push.http.url import plain_authority, resolve_push_path
from h3push.runtime.credit import CreditQueue
from h3push.server.access_log import ConnectionLog
from h3push.server.budget import PushBudget
from h3push.server.channel import Channel
from h3push.server.push import Push, PushState
from h3push.server.request import Request

MISTAKES = frozenset({PushRefusal.METHOD, PushRefusal.CONTENT, PushRefusal.SCHEME, PushRefusal.AUTHORITY})
"""Refusals that are our caller's mistake: nothing that the client does could change them."""

logger = logging.getLogger("h3push.server")


class ServerPushes:
    """The pushes that were promised on one connection and are not over.

    Args:
        connection: the connection.
        loop: runs promised requests behind what was asked for.
        run: answers a promised request.
        on_end: called when a push is over.
        log: takes the rows of pushed responses.
    """

    def __init__(
        self,
        connection: Channel,
        loop: asyncio.AbstractEventLoop,
        run: Callable[[Request], None],
        on_end: Callable[[], None],
        log: ConnectionLog | None,
    ) -> None:
        self.live: dict[int, Request] = {}
        """Promised requests whose push is neither fulfilled nor cancelled, by push ID."""
        self._log = log
        self._credit = CreditQueue()
        self._connection = connection
        self._core = connection.core
        self._loop = loop
        self._run = run
        self._on_end = on_end
        self._queued: list[Request] = []

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
        deferred: bool = False,
    ) -> Push:
        """Promise a request on the stream of the request that was really sent, and queue the promised one.

        With `deferred` it is queued when `Push.start` is called: the client has time to call it off before it costs anything.
        """
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
        promised = self._promise(initiator.budget, head)
        if isinstance(promised, PushRefusal):
            return Push(path, None, promised)
        push = Push(path, promised, None, priority, self.cancel)
        request = push.request = Request(self._connection, self, None, head)
        request.become_pushed(push, initiator)
        self.live[promised.push_id] = request
        if deferred:
            push.run = partial(self._queue, request)
        else:
            self._queue(request)
        self._connection.schedule_flush()
        return push

    def _queue(self, request: Request) -> None:
        """Answer a promised request behind what was asked for."""
        if not self._queued:
            self._loop.call_soon(self._run_queued)
        self._queued.append(request)

    def _promise(self, budget: PushBudget, head: RequestHead) -> ServerPush | PushRefusal:
        """Have the core write a promise; its record, or why nothing was promised."""
        if budget.is_spent:
            self._core.push_counters.refused[PushRefusal.LIMIT] += 1
            return PushRefusal.LIMIT
        promised = self._core.try_push_promise(budget.stream_id, head)
        if not isinstance(promised, PushRefusal):
            budget.promises += 1
        elif promised in MISTAKES:
            raise error_of(promised, head)
        return promised

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
        """The promised request of a push that is not over."""
        return None if push.push_id is None else self.live.get(push.push_id)

    def _run_queued(self) -> None:
        queued, self._queued = self._queued, []
        for request in queued:
            if request.fulfils is not None and request.fulfils.state is PushState.PROMISED:
                if self._log is not None:
                    self._log.begin(request)
                self._run(request)

    async def wait_for_credit(self) -> None:
        """Wait until there may be more push credit."""
        await self._credit.wait()

    # ends

    def fulfilled(self, push_id: int) -> None:
        """The client has all of a push."""
        request = self.live.pop(push_id, None)
        if request is not None and request.fulfils is not None:
            request.fulfils.end()

    def cancel(self, push: Push, code: int) -> None:
        """Call a push off, on the wire and in its handler."""
        assert push.push_id is not None
        self._core.cancel_push(push.push_id, code)
        self._over(push.push_id, StreamFailed("the push was called off", code))
        self._connection.schedule_flush()

    def cancelled(self, event: PushCancelled) -> None:
        """The client called a push off, or it came to nothing otherwise."""
        code = ErrorCode.H3_REQUEST_CANCELLED if event.error_code is None else event.error_code
        self._over(event.push_id, StreamFailed("the client does not want the push", code))

    def _over(self, push_id: int, error: H3PushError) -> None:
        request = self.live.pop(push_id, None)
        if request is None:
            return
        request.disconnect(error)
        if request.fulfils is not None:
            request.fulfils.end()
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
