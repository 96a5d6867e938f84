"""Pushes that wait for the request that they answer.

Theory of operation. A promise is looked at in the moment that it comes: what is fresh in the store, asked for already, held
already or refused by the application is cancelled at once. Everything else is *held*: its content arrives into memory while
nobody reads it. A request that matches (`client.claims`) takes it, and waits where it is still under way. A push is taken once.

Held pushes are bounded by count, bytes and age. The oldest goes first, except one that a request waits for. The credit of a
push goes back as soon as it is whole, because it is bounded here from then on. One push alone is held back by its stream's flow
control when too much of it is unread, as any response is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from h3push.client.claims import Key, key_of, why_not_another, why_not_promised, why_not_response
from h3push.client.exchange import PushedExchange
from h3push.client.held import Held, is_the_same
from h3push.client.progress import ReceivedState
from h3push.client.push_stats import PushStats, Unused
from h3push.client.pushes import OnPush
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.errors import H3PushError
from h3push.h3.events import CancelledBy
from h3push.http.fields import RequestHead, ResponseHead
from h3push.http.url import plain_authority
from h3push.runtime.inbox import UnreadBudget
from h3push.runtime.settings import PushCacheSettings
from h3push.runtime.signal import Signal

OnUnused = Callable[[ReceivedPush, Unused], None]
"""Called with each push that is not used, and the reason, as soon as it is known."""


class Freshness(Protocol):
    """A store of responses, as promises see it."""

    def is_fresh(self, promised: RequestHead, initiator: RequestHead) -> bool:
        """True when a request like the promised one would be answered without the server."""


class PushCache:
    """Pushes of all connections of one client.

    Args:
        settings: the bounds.
        freshness: where answers are stored, if anywhere.
        ask: the application's word on each promise; False refuses it, at once or awaited.
        shared: requests are those of several people, as in a relay.
        absorb: takes a whole push that nobody asked for in time, instead of having it thrown away.
        on_unused: is told of each push that is not used.
    """

    def __init__(
        self,
        settings: PushCacheSettings,
        freshness: Freshness | None = None,
        ask: OnPush | None = None,
        *,
        shared: bool = False,
        absorb: Callable[[Held], None] | None = None,
        on_unused: OnUnused | None = None,
    ) -> None:
        self.stats = PushStats()
        """The fate of all promises so far."""
        self._settings = settings
        self._freshness = freshness
        self._ask = ask
        self._shared = shared
        self._absorb = absorb
        self._on_unused = on_unused
        self._held: dict[PushedExchange, Held] = {}
        self._by_key: dict[Key, list[Held]] = {}
        self._requested: dict[Key, int] = {}
        self._bytes = UnreadBudget(settings.unclaimed_bytes)
        self._bytes.on_excess = self._trim_soon
        self._timer: asyncio.TimerHandle | None = None
        self._trimming: asyncio.Handle | None = None

    # promises

    def promise(self, push: ReceivedPush) -> bool | Awaitable[bool | None] | None:
        """A promise came: hold it, or say False. The `on_push` of every connection."""
        self.stats.promised += 1
        held = Held(push, push.hold(self._bytes, self._ended))
        why = self._why_not(held)
        if why is not None:
            self._count(held, why)
            return False
        if self._ask is None:
            self._hold(held)
            return None
        try:
            answer = self._ask(push)
        except Exception:
            self._count(held, Unused.REFUSED)
            raise
        if answer is False:
            self._count(held, Unused.REFUSED)
            return False
        if isinstance(answer, Awaitable):
            held.verdict = Signal()
            self._hold(held)
            return self._ask_later(answer, held)
        self._hold(held)
        return None

    async def _ask_later(self, answer: Awaitable[bool | None], held: Held) -> bool | None:
        assert held.verdict is not None
        is_wanted: bool | None = False
        try:
            is_wanted = await answer
        finally:
            if is_wanted is False and held.exchange in self._held:
                self._drop(held, Unused.REFUSED)
            held.verdict.set()
        return is_wanted

    def _why_not(self, held: Held) -> Unused | None:
        key = key_of(held.promised)
        if key in self._requested:
            return Unused.REQUESTED
        if self._freshness is not None and self._freshness.is_fresh(held.promised, held.initiator):
            return Unused.FRESH
        if any(is_the_same(held, other) for other in self._by_key.get(key, ())):
            return Unused.HELD
        return None

    def _hold(self, held: Held) -> None:
        self._held[held.exchange] = held
        self._by_key.setdefault(key_of(held.promised), []).append(held)
        self.stats.unclaimed += 1
        self._trim()
        self._set_timer()

    # requests

    async def claim(self, request: RequestHead, read_timeout: float | None) -> ClientResponse | None:
        """Take the push that answers `request`, waiting for it where it is under way; `None` when there is none.

        `read_timeout` is for its response to begin, and from each piece of its content to the next.
        """
        if not self._by_key:
            return None
        for held in list(self._by_key.get(key_of(request), ())):
            if (
                held.is_wanted
                or why_not_promised(request, held.promised, held.initiator, age=self._age(held)) is not None
            ):
                continue
            response = await self._take(held, request, read_timeout)
            if response is not None:
                return response
        return None

    def _age(self, held: Held) -> float:
        """Seconds for which the server may know better; since the promise, as that is known."""
        if held.exchange.state is not ReceivedState.FULFILLED:
            return 0.0
        waited = asyncio.get_running_loop().time() - held.push.promised_at
        return max(0.0, waited - self._settings.reload_seconds)

    async def _take(self, held: Held, request: RequestHead, read_timeout: float | None) -> ClientResponse | None:
        held.is_wanted = True
        try:
            async with asyncio.timeout(read_timeout):
                if held.verdict is not None:
                    await held.verdict.wait()
                response = await held.push.response()
        except (H3PushError, TimeoutError):
            return None
        finally:
            held.is_wanted = False
            self._set_timer()
        head = ResponseHead(response.status, list(response.headers.raw), None)
        if held.exchange not in self._held or why_not_response(request, held.promised, head) is not None:
            return None
        if self._shared and why_not_another(request, held.initiator, head) is not None:
            return None
        self._forget(held)
        self.stats.claimed += 1
        held.push.resolved(claimed=True)
        self._report(held, used=True)
        held.exchange.content.hand_over(read_timeout)
        if held.exchange.over:
            self._claimed_ended(held.exchange)
        else:
            held.exchange.on_end = self._claimed_ended
        return response

    def requested(self, key: Key) -> None:
        """A request goes to the server: a promise of the same is of no use until it is answered."""
        self._requested[key] = self._requested.get(key, 0) + 1

    def answered(self, key: Key) -> None:
        """The request that `requested` told of is answered, or failed."""
        left = self._requested.pop(key) - 1
        if left:
            self._requested[key] = left

    def give_out(self) -> list[ReceivedPush]:
        """Give up all pushes that wait, because no request will come for them; they stay counted as unclaimed."""
        given = [held for held in self._held.values() if not held.is_wanted]
        for held in given:
            self._forget(held)
            self.stats.unclaimed += 1
            exchange = held.exchange
            exchange.on_end = exchange.budget = None
            if exchange.head is not None:
                exchange.content.leave_budget()
        return [held.push for held in given]

    def close(self) -> None:
        """Let go of everything that is held: it was wasted, and stays counted as unclaimed."""
        for handle in (self._timer, self._trimming):
            if handle is not None:
                handle.cancel()
        for held in list(self._held.values()):
            self._forget(held)
            self.stats.unclaimed += 1
            self.stats.bytes_wasted += held.exchange.received
            held.push.resolved(claimed=False)
            held.exchange.on_end = None
            held.push.cancel()

    def changed(self, request: RequestHead) -> None:
        """A request that is not safe was not refused: what its origin pushed before may be out of date now.

        RFC 9111 section 4.4 invalidates the one URL, of a cache that tests freshness. A push is used without that test.
        """
        authority = plain_authority(request.authority or b"")
        for held in [one for one in self._held.values() if key_of(one.promised)[2] == authority]:
            self._drop(held, Unused.CHANGED)

    # ends

    def _ended(self, exchange: PushedExchange) -> None:
        """A push is whole, or will not be."""
        held = self._held.get(exchange)
        if held is None:
            return
        if exchange.state is ReceivedState.FULFILLED:
            exchange.release()
            return
        self._forget(held)
        by = exchange.cancelled_by
        self._count(held, Unused.WITHDRAWN if by in {CancelledBy.PEER, CancelledBy.GOAWAY} else Unused.FAILED)

    def _claimed_ended(self, exchange: PushedExchange) -> None:
        self.stats.bytes_claimed += exchange.received

    def _drop(self, held: Held, why: Unused) -> None:
        self._forget(held)
        self._count(held, why)
        self._report(held, used=False)
        held.push.cancel()

    def _report(self, held: Held, *, used: bool) -> None:
        """Have the server told, which sees no difference between a push that was used and one that was not."""
        if self._settings.report:
            held.exchange.owner.report_push(held.exchange, used=used)

    def _forget(self, held: Held) -> None:
        del self._held[held.exchange]
        key = key_of(held.promised)
        self._by_key[key].remove(held)
        if not self._by_key[key]:
            del self._by_key[key]
        self.stats.unclaimed -= 1

    def _count(self, held: Held, why: Unused) -> None:
        exchange = held.exchange
        exchange.on_end = None
        held.push.resolved(claimed=False)
        self.stats.cancelled[why] += 1
        self.stats.bytes_wasted += exchange.received
        exchange.budget = None
        if exchange.head is not None:
            exchange.content.leave_budget()
        if self._on_unused is not None:
            self._on_unused(held.push, why)

    # bounds

    def _trim_soon(self) -> None:
        """Content arrives right now: let go of something when it has."""
        if self._trimming is None:
            self._trimming = asyncio.get_running_loop().call_soon(self._trim)

    def _trim(self) -> None:
        self._trimming = None
        for held in list(self._held.values()):
            if len(self._held) <= self._settings.unclaimed and self._bytes.held <= self._bytes.limit:
                return
            if not held.is_wanted:
                self._evict(held)

    def _evict(self, held: Held) -> None:
        if self._absorb is None or held.exchange.state is not ReceivedState.FULFILLED:
            self._drop(held, Unused.EVICTED)
            return
        self._forget(held)
        self._count(held, Unused.EVICTED)
        self._report(held, used=False)
        self._absorb(held)

    def _set_timer(self) -> None:
        oldest = next((held for held in self._held.values() if not held.is_wanted), None)
        if self._timer is None and oldest is not None:
            self._timer = asyncio.get_running_loop().call_at(self._due(oldest), self._look_at_ages)

    def _due(self, held: Held) -> float:
        return held.push.promised_at + self._settings.unclaimed_seconds

    def _look_at_ages(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        for held in [one for one in self._held.values() if not one.is_wanted and self._due(one) <= now]:
            self._evict(held)
        self._set_timer()
