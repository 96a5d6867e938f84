"""A client of many servers: whole URLs, one connection for each server, and pushes that answer requests.

A request is answered by the first of these that can: a push that waits or is under way, a push that was stored and is fresh, the
server. One that the server certainly did not process is sent once more, on another connection; nothing else ever is. Content that
cannot be had twice (an iterator) is not sent again either.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Literal, Protocol, TypeVar

from h3push.client.alternatives import Alternatives
from h3push.client.answer import Answer, Source
from h3push.client.claims import key_of, made_for
from h3push.client.connect import connect
from h3push.client.connections import Connect, Connections, Shared
from h3push.client.exchange import OnInterim
from h3push.client.handshake import Resolve, look_up
from h3push.client.held import Held
from h3push.client.limits import Timeouts
from h3push.client.push_cache import Freshness, OnUnused, PushCache
from h3push.client.push_stats import PushStats
from h3push.client.pushes import OnPush
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.client.tls import Certificate, make_tls
from h3push.client.tunnel import ClientTunnel
from h3push.errors import RequestNotProcessed
from h3push.http.content import Content, FileContent
from h3push.http.fields import Fields, RequestHead, ResponseHead
from h3push.http.headers import HeadersLike, encode_headers, has_field
from h3push.http.priority import Priority
from h3push.http.semantics import SAFE_METHODS, outdates
from h3push.http.url import Origin, parse_url
from h3push.runtime.settings import ClientSettings, PoolSettings, PushCacheSettings

TakePushes = Literal["cache", "off"] | OnPush
"""The treatment of pushes. "cache": they answer later requests. "off": the server may not push at all (no MAX_PUSH_ID goes out).
A function, sync or async, is asked about each promise: False refuses it, everything else is as with "cache"."""

R = TypeVar("R", bound=ClientResponse)

_MISDIRECTED = 421
"""The server does not answer for this authority on this connection (RFC 9110 section 15.5.20)."""
_CLAIMABLE = frozenset({b"GET", b"HEAD"})


class StoredAnswer(Protocol):
    """An answer from a store."""

    @property
    def status(self) -> int: ...
    @property
    def fields(self) -> Fields: ...
    @property
    def content(self) -> AsyncIterator[bytes]: ...


class Store(Freshness, Protocol):
    """Where claimed pushes are kept while they are fresh; `client.stored` has one."""

    def get(self, request: RequestHead) -> Awaitable[StoredAnswer | None]:
        """A fresh answer."""

    def store(
        self, request: RequestHead, response: ResponseHead, content: AsyncIterator[bytes]
    ) -> Awaitable[AsyncIterator[bytes]]:
        """The content of a response, kept as it is read."""

    def forget(self, request: RequestHead) -> Awaitable[None]:
        """The answers to a URL are good no more."""

    def close(self) -> Awaitable[None]:
        """Let go of everything."""


class Pool:
    """A client of many servers.

    Args:
        push: what is done with pushes.
        store: keeps claimed pushes while they are fresh; `None`: each answers one request.
        settings: of the connections together.
        push_cache: bounds of the pushes that wait.
        client_settings: time-outs and bounds of each connection.
        cafile: as of `connect`.
        verify: as of `connect`.
        cert: as of `connect`.
        early_data: see `connect`; session tickets are shared by all connections.
        dial: makes a connection; `connect` with the arguments above when `None`.
        resolve: finds the addresses of an origin.
        shared: requests are those of several people, as in a relay: a push that one of them brought answers another only where
            `client.claims.why_not_another` says nothing against it.
        on_unused: is told of each push that is not used, and why.
    """

    def __init__(
        self,
        *,
        push: TakePushes = "cache",
        store: Store | None = None,
        settings: PoolSettings | None = None,
        push_cache: PushCacheSettings | None = None,
        client_settings: ClientSettings | None = None,
        cafile: str | os.PathLike[str] | None = None,
        verify: bool = True,
        cert: Certificate | None = None,
        early_data: bool = False,
        dial: Connect | None = None,
        resolve: Resolve = look_up,
        shared: bool = False,
        on_unused: OnUnused | None = None,
    ) -> None:
        if push not in {"cache", "off"} and not callable(push):
            raise ValueError(f'push is "cache", "off" or a function that is asked about each promise, not {push!r}')
        self.settings = settings or PoolSettings()
        """Of the connections together."""
        self.alternatives = Alternatives(self.settings.alternatives, self.settings.retry_after)
        """Where origins speak HTTP/3."""
        self._read_timeout = (client_settings or ClientSettings()).read_timeout
        bounds = push_cache or PushCacheSettings()
        self._store = store
        self._shared = shared
        ask = push if callable(push) else None
        absorb = self._absorb if shared and store is not None else None
        self._absorbing: set[asyncio.Task[None]] = set()
        self._pushes = (
            None if push == "off" else PushCache(bounds, store, ask, shared=shared, absorb=absorb, on_unused=on_unused)
        )
        self.connections = Connections(
            dial or _dial(cafile, verify, cert, early_data, client_settings),
            self.settings,
            self.alternatives,
            max_pushes=None if self._pushes is None else bounds.concurrent,
            on_push=None if self._pushes is None else self._pushes.promise,
            resolve=resolve,
        )
        """The connections, by origin."""

    @property
    def push_stats(self) -> PushStats:
        """The fate of all pushes so far."""
        return PushStats() if self._pushes is None else self._pushes.stats

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: HeadersLike | None = None,
        content: Content = None,
        priority: Priority | None = None,
        timeouts: Timeouts | None = None,
    ) -> Answer:
        """Send a request, or answer it from a push; returns when the header section of the answer is there.

        Raises what `ClientConnection.request` raises, `ConnectFailed`, and `ValueError` for what is no https URL.
        """
        parsed = parse_url(url)
        fields = encode_headers(headers)
        if parsed.authorization is not None and not has_field(fields, b"authorization"):
            fields = [*fields, (b"authorization", parsed.authorization.encode("latin-1"))]
        head = RequestHead(
            method.encode("latin-1", "replace"),
            b"https",
            parsed.origin.authority.encode("ascii"),
            parsed.target.encode("ascii"),
            fields,
            None,
        )
        return await self.answer(parsed.origin, head, content, timeouts=timeouts, priority=priority)

    async def answer(
        self,
        origin: Origin,
        head: RequestHead,
        content: Content = None,
        *,
        timeouts: Timeouts | None = None,
        priority: Priority | None = None,
    ) -> Answer:
        """`request` for one whose head is made already; its authority may be another name of the server of `origin`."""
        timeouts = timeouts or {}
        known = await self.known(head, content, timeouts)
        return known or await self.ask(origin, head, content, timeouts=timeouts, priority=priority)

    async def known(self, head: RequestHead, content: Content, timeouts: Timeouts) -> Answer | None:
        """The answer that needs no request; `None` when there is none."""
        if self._pushes is None or content is not None or head.method not in _CLAIMABLE:
            return None
        pushed = await self._pushes.claim(head, timeouts.get("read", self._read_timeout))
        if pushed is not None:
            kept = None
            if self._store is not None:
                received = ResponseHead(pushed.status, list(pushed.headers.raw), None)
                owner = head
                if self._shared and pushed.push is not None:
                    owner = made_for(head, pushed.push.initiator.head)
                kept = await self._store.store(owner, received, pushed.stream())
            return Answer.of(pushed, Source.PUSH, kept)
        return await self.stored(head)

    async def stored(self, head: RequestHead) -> Answer | None:
        """The answer to a request for all of a URL that the store has; `None` when there is none, or it is not fresh."""
        stored = None if self._store is None else await self._store.get(head)
        if stored is None:
            return None
        if self._pushes is not None:
            self._pushes.stats.reused += 1
        return Answer(stored.status, stored.fields, Source.STORE, None, stored.content)

    async def ask(
        self,
        origin: Origin,
        head: RequestHead,
        content: Content = None,
        *,
        timeouts: Timeouts | None = None,
        priority: Priority | None = None,
        on_interim: OnInterim | None = None,
    ) -> Answer:
        """The server's answer, whatever is known here. `on_interim` is called with each interim response as it comes."""
        send = partial(self._send, origin, head, content, timeouts or {}, priority, on_interim)
        if self._pushes is None:
            response = await send()
        elif head.method in SAFE_METHODS:
            key = key_of(head)
            self._pushes.requested(key)
            try:
                response = await send()
            finally:
                self._pushes.answered(key)
        else:
            is_refused = False
            try:
                response = await send()
                is_refused = 400 <= response.status < 500
            finally:
                if not is_refused:  # after a failure nobody knows how far the server came
                    self._pushes.changed(head)
        if self._store is not None and outdates(head.method, response.status):
            await self._store.forget(head)
        return Answer.of(response, Source.SERVER)

    async def tunnel(
        self, origin: Origin, head: RequestHead, priority: Priority | None = None, timeouts: Timeouts | None = None
    ) -> ClientTunnel:
        """Send an extended CONNECT. Raises what `ClientConnection.extended_connect` raises, and `ConnectFailed`."""

        async def send(shared: Shared) -> ClientTunnel:
            return await shared.connection.tunnel(head, priority, timeouts)

        return await self._on_connection(origin, send, (timeouts or {}).get("connect"), may_repeat=True)

    def give_out(self) -> list[ReceivedPush]:
        """Give up all pushes that wait, to a caller that will send no further request."""
        return [] if self._pushes is None else self._pushes.give_out()

    async def close(self) -> None:
        """Close all connections, and drop all pushes."""
        if self._pushes is not None:
            self._pushes.close()
        await asyncio.gather(*self._absorbing, return_exceptions=True)
        await self.connections.close()
        if self._store is not None:
            await self._store.close()

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _absorb(self, held: Held) -> None:
        """Store a push that nobody asked for: somebody may, while it is fresh."""
        task = asyncio.create_task(self._store_unclaimed(held))
        self._absorbing.add(task)
        task.add_done_callback(self._absorbing.discard)

    async def _store_unclaimed(self, held: Held) -> None:
        assert self._store is not None
        response = await held.push.response()
        held.exchange.content.hand_over(self._read_timeout)
        received = ResponseHead(response.status, list(response.headers.raw), None)
        async for _ in await self._store.store(made_for(held.promised, held.initiator), received, response.stream()):
            pass

    async def _send(
        self,
        origin: Origin,
        head: RequestHead,
        content: Content,
        timeouts: Timeouts,
        priority: Priority | None,
        on_interim: OnInterim | None,
    ) -> ClientResponse:
        send = partial(
            _request, head=head, content=content, timeouts=timeouts, priority=priority, on_interim=on_interim
        )
        may_repeat = content is None or isinstance(content, bytes | str | FileContent)
        return await self._on_connection(origin, send, timeouts.get("connect"), may_repeat=may_repeat)

    async def _on_connection(
        self, origin: Origin, send: Callable[[Shared], Awaitable[R]], seconds: float | None, *, may_repeat: bool
    ) -> R:
        """Send on the connection of an origin; where that one did not look at it, once more on another."""
        shared = await self.connections.get(origin, seconds)
        try:
            response = await send(shared)
        except RequestNotProcessed:
            if not may_repeat:
                raise
        else:
            if response.status != _MISDIRECTED or shared.origin == origin or not may_repeat:
                return response
            await response.close()
        self.connections.retire(origin, shared)
        return await send(await self.connections.get(origin, seconds))


async def _request(
    shared: Shared,
    head: RequestHead,
    content: Content,
    timeouts: Timeouts,
    priority: Priority | None,
    on_interim: OnInterim | None,
) -> ClientResponse:
    send = shared.connection.send
    return await send(head, content=content, priority=priority, timeouts=timeouts, on_interim=on_interim)


def _dial(
    cafile: str | os.PathLike[str] | None,
    verify: bool,
    cert: Certificate | None,
    early_data: bool,
    settings: ClientSettings | None,
) -> Connect:
    tls = make_tls(cafile, verify=verify, early_data=early_data, cert=cert)
    return partial(connect, tls=tls, early_data=early_data, settings=settings)
