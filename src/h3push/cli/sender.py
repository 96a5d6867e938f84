"""Sends the requests of `h3push get`: one pool for all URLs, whose pushes answer the requests that match."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from h3push import _quic
from h3push.cli.options.addresses import Detour
from h3push.cli.options.request import Request
from h3push.cli.ordinary import Ordinary
from h3push.cli.outcome import Exchange, Fetched, PushRecord, Reply
from h3push.cli.pushes import Expectation, PushTaker
from h3push.client.alternatives import ANOTHER_WAY
from h3push.client.answer import Answer
from h3push.client.connect import connect
from h3push.client.connection import ClientConnection
from h3push.client.connections import Shared
from h3push.client.handshake import Address
from h3push.client.pool import Pool
from h3push.client.pushes import OnPush
from h3push.client.response import ClientResponse
from h3push.client.session import ClientSession
from h3push.errors import ConnectFailed
from h3push.http.fields import RequestHead
from h3push.http.url import Origin, origin_of, target_of
from h3push.runtime.settings import ClientSettings, PushCacheSettings

HTTP_VERSION = "3"
"""The version of the pool's connections, as curl writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderOptions:
    """Settings of all connections of a command."""

    tls: _quic.ClientTls
    """The authorities that are trusted, and the certificate that the client shows."""
    detour: Detour
    """Where to connect instead of to what a URL's host stands for."""
    max_pushes: int | None = None
    """Pushes that may be under way at once; `None` takes none."""
    connect_timeout: float = 10.0
    """Seconds that opening a connection may take."""
    fallback: ssl.SSLContext | None = None
    """TLS over TCP, where HTTP/2 and HTTP/1.1 may be used; `None`: nothing but HTTP/3."""
    qlog: Path | None = None
    """Directory for a file about each connection."""
    push_timeout: float = 10.0
    """Seconds without progress after which a push is called off, once every response is complete."""


class Journal(Protocol):
    """Told what happens before a response."""

    def connected(self, remote: Address, http_version: str, seconds: float) -> None:
        """A connection was opened, and took so many seconds."""

    def falls_back(self, why: str) -> None:
        """HTTP/3 does not answer: another version is tried."""

    def sending(self, request: Request, http_version: str) -> None:
        """The request goes out."""

    def claims(self, request: Request) -> None:
        """A push answers the request."""


class Arrival(Protocol):
    """A response whose content arrives."""

    @property
    def reply(self) -> Reply:
        """All of it but the content."""

    @property
    def push(self) -> PushRecord | None:
        """The push that it is."""

    @property
    def began(self) -> float | None:
        """When its header section came, in seconds of the loop's clock; `None` when that is not noted."""

    @property
    def ended(self) -> float | None:
        """When it was complete; `None` when that is not noted."""

    def stream(self) -> AsyncGenerator[bytes, None]:
        """The content, piece by piece."""


class PoolArrival:
    """An answer of the pool."""

    def __init__(self, answer: Answer, taker: PushTaker) -> None:
        self.reply = Reply.of(answer)
        self._answer = answer
        self._taker = taker
        self._pushed = None if answer.response is None else answer.response.push
        self.push = None if self._pushed is None else taker.claimed(self._pushed)

    @property
    def began(self) -> float | None:
        """When its header section came."""
        return None if self._answer.response is None else self._answer.response.timing.first_byte

    @property
    def ended(self) -> float | None:
        """When it was complete."""
        return None if self._answer.response is None else self._answer.response.timing.ended

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The content, piece by piece; of a push it is hashed too, for the record."""
        if self._pushed is None:
            async for data in self._answer.stream():
                yield data
            return
        digest = hashlib.sha256()
        is_whole = False
        try:
            async for data in self._answer.stream():
                digest.update(data)
                yield data
            is_whole = True
        finally:
            self._taker.read(self._pushed, digest.hexdigest() if is_whole else None)


class Sender:
    """Sends requests, or answers them from pushes.

    Arguments:
        options: of the connections.
        taker: takes the pushes.
        start: when the command began, in seconds of the loop's clock.
    """

    def __init__(self, options: SenderOptions, taker: PushTaker, start: float) -> None:
        self.taker = taker
        """Takes the pushes."""
        self._options = options
        self._start = start
        self._settings = ClientSettings(
            connect_timeout=options.connect_timeout, push_timeout=options.push_timeout
        )  # fmt: skip
        self._sessions: dict[ClientSession, None] = {}
        self._responses: list[ClientResponse] = []
        self._pool = Pool(
            push="off" if options.max_pushes is None else "cache",
            push_cache=PushCacheSettings(concurrent=options.max_pushes or 0),
            client_settings=self._settings,
            dial=self._dial,
            resolve=options.detour.resolve,
            on_unused=taker.unused,
        )
        taker.give_out = self._pool.give_out
        self._ordinary = (
            None if options.fallback is None else Ordinary(options.fallback, options.detour, self._settings)
        )

    async def send(
        self, request: Request, fetched: Fetched, journal: Journal, expectation: Expectation | None
    ) -> Arrival:
        """Send a request; returns when the header section of its response is there, with an exchange for it in `fetched`.

        `expectation` ends before the request goes out: none comes after it.
        """
        origin = origin_of(request.url)
        assert origin is not None
        head = _head(request, origin.authority)
        begun = self.since_start(None)
        answer = await self._pool.known(head, request.content, {})
        if answer is not None:
            journal.claims(request)
            fetched.exchanges.append(Exchange(request, self.since_start(None), begun))
            return PoolArrival(answer, self.taker)
        shared = await self._shared(origin, journal)
        if shared is None:
            exchange = Exchange(request, self.since_start(None), begun)
            return await self._send_ordinary(origin, exchange, fetched, journal, expectation)
        exchange = self._exchange(request, begun, shared.connection.session)
        if exchange.connected is not None:
            journal.connected(shared.connection.session.address[:2], HTTP_VERSION, exchange.connected - begun)
        journal.sending(request, HTTP_VERSION)
        if expectation is not None:
            expectation.end()
        fetched.exchanges.append(exchange)
        answer = await self._pool.ask(origin, head, request.content, priority=request.priority)
        if answer.response is not None and self._options.max_pushes is not None:
            self._responses.append(answer.response)
        return PoolArrival(answer, self.taker)

    async def settle(self) -> None:
        """Wait until every push is over, and every response that a server holds open for further promises."""
        for response in self._responses:
            async for _ in response.pushes():
                pass
        await self.taker.finish()

    async def close(self) -> None:
        """Note which promises could not be used, and close all connections."""
        for session in self._sessions:
            self.taker.note_refusals(session.pushes.refusals, session.core.push_counters.refused.total())
        self.taker.stop()
        await self._pool.close()
        if self._ordinary is not None:
            await self._ordinary.close()

    # inside

    async def _shared(self, origin: Origin, journal: Journal) -> Shared | None:
        """The connection for an origin; `None` where HTTP/3 does not answer, and another version may."""
        connections, alternatives = self._pool.connections, self._pool.alternatives
        if self._ordinary is None or connections.ready(origin) is not None:
            return await connections.get(origin, None)
        now = asyncio.get_running_loop().time
        if not alternatives.may_be_tried(origin, now()):
            return None
        try:
            return await connections.get(origin, min(self._options.connect_timeout, self._pool.settings.head_start))
        except ConnectFailed as failure:
            if failure.kind not in ANOTHER_WAY:
                raise
            alternatives.silent(origin, now())
            journal.falls_back(str(failure))
            return None

    async def _send_ordinary(
        self, origin: Origin, exchange: Exchange, fetched: Fetched, journal: Journal, expectation: Expectation | None
    ) -> Arrival:
        """Send a request over TCP."""
        assert self._ordinary is not None
        if expectation is not None:
            expectation.end()
        began = exchange.started
        fetched.exchanges.append(exchange)
        arrival = await self._ordinary.send(origin, exchange, self.since_start)
        version = arrival.reply.http_version
        if exchange.connected is not None and exchange.remote is not None:
            journal.connected(exchange.remote, version, exchange.connected - began)
        journal.sending(exchange.request, version)
        return arrival

    def _exchange(self, request: Request, begun: float, session: ClientSession) -> Exchange:
        """An exchange on a connection; with the times of that, if it is a new one."""
        now = self.since_start(None)
        exchange = Exchange(request, now, begun, remote=session.address[:2])
        if session not in self._sessions:
            self._sessions[session] = None
            exchange.connected = now
            if session.looked_up_at is not None:
                exchange.looked_up = max(begun, session.looked_up_at - self._start)
        return exchange

    def _dial(
        self, url: str, *, max_pushes: int | None, on_push: OnPush | None, address: Address | None
    ) -> ClientConnection:
        return connect(
            url,
            tls=self._options.tls,
            max_pushes=max_pushes,
            settings=self._settings,
            address=address,
            resolve=self._options.detour.resolve,
            qlog=self._options.qlog,
            on_push=None if on_push is None else partial(self.taker.promise, on_push),
        )

    def since_start(self, instant: float | None, earliest: float = 0.0) -> float:
        """An instant of the loop's clock, in seconds since the command began; now, where it is unknown or before `earliest`.

        A push may have arrived before it was asked for; a server may hold the stream of whole content open.
        """
        seconds = 0.0 if instant is None else instant - self._start
        if instant is None or seconds < earliest:
            return asyncio.get_running_loop().time() - self._start
        return seconds


def _head(request: Request, authority: str) -> RequestHead:
    return RequestHead(
        method=request.method.encode("latin-1", "replace"),
        scheme=b"https",
        authority=(request.authority or authority).encode("ascii"),
        path=target_of(request.url).encode("ascii"),
        fields=list(request.fields),
        content_length=None,
    )
