"""One request and everything that is pushed with it, redirects followed: the machinery of `h3push get`."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from h3push import _quic
from h3push.cli.options.addresses import Address, look_up
from h3push.cli.options.request import Request
from h3push.cli.pushes import PushRecord, PushTaker
from h3push.client.connect import connect
from h3push.client.connection import ClientConnection
from h3push.client.response import ClientResponse, ReceivedPush
from h3push.errors import ConnectFailed
from h3push.http.url import target_of
from h3push.runtime.settings import ClientSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """A request, and the connection that it goes out on."""

    request: Request
    """The first request."""
    tls: _quic.ClientTls
    """Whom to trust, and who we are."""
    addresses: Sequence[Address] = ()
    """Where to connect, in this order, instead of to what the URL's host stands for."""
    max_pushes: int | None = None
    """Pushes that may be under way at once; `None` takes none."""
    cancel: Sequence[str] = ()
    """Globs: a push whose path or URL matches one is cancelled when it is promised."""
    connect_timeout: float = 10.0
    """Seconds until there must be a connection."""
    push_timeout: float = 10.0
    """Once the response is complete, pushes on which nothing comes for so many seconds are called off."""


@dataclass(slots=True)
class Exchange:
    """One request and its response; times in seconds since the start of the fetch."""

    request: Request
    """The request."""
    started: float
    """When the request went out."""
    response: ClientResponse | None = None
    """The response, once its header section is there."""
    first_byte: float | None = None
    """When the header section was there."""
    body_bytes: int = 0
    """Its content so far, in bytes, as they were on the wire."""
    done: float | None = None
    """When it was complete."""


@dataclass(slots=True)
class Fetched:
    """The outcome, as far as it goes; times in seconds since the start, which is before the name is looked up."""

    url: str
    """The URL that was asked for first."""
    started_at: float = 0.0
    """The start, in seconds since the epoch."""
    exchanges: list[Exchange] = field(default_factory=list)
    """The request, and one more for each redirect that was followed."""
    looked_up: float | None = None
    """When the host's address was known."""
    connected: float | None = None
    """When there was a connection."""
    remote: Address | None = None
    """The server's address."""
    time_total: float = 0.0
    """When the last push was over, or the fetch failed."""
    pushes: list[PushRecord] = field(default_factory=list)
    """In the order of the promises."""
    unrecorded: Counter[str] = field(default_factory=Counter)
    """States of the pushes beyond those, which were too many to remember."""

    @property
    def last(self) -> Exchange | None:
        """The exchange that the others led to."""
        return self.exchanges[-1] if self.exchanges else None

    def push_counts(self) -> Counter[str]:
        """How many pushes ended in each state."""
        return +(Counter(push.state for push in self.pushes) + self.unrecorded)

    @property
    def response(self) -> ClientResponse | None:
        """The response that the others led to."""
        return self.last.response if self.last is not None else None


class Sink:
    """Takes what comes; the base throws it away."""

    def connected(self, client: ClientConnection, seconds: float) -> None:
        """Note that there is a connection, after so many seconds."""

    def sends(self, request: Request) -> Request:
        """Give the request as it is to be sent: the last chance for cookies."""
        return request

    def begin(self, response: ClientResponse) -> None:
        """Take the header section. Raise to fetch no further."""

    def write(self, data: bytes) -> None:
        """Take a piece of content."""

    def end(self) -> None:
        """Note that the content is complete."""


Follow = Callable[[Request, ClientResponse], Request | None]
"""Gives the request that a response leads to; `None` when it is the one that was wanted."""


async def fetch(options: FetchOptions, sink: Sink, fetched: Fetched, follow: Follow) -> None:
    """Send the request, give the response to `sink`, wait for every push; `fetched` tells how far it has come.

    Raises: H3PushError: no connection, or the response failed; the message is a sentence.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    taker = PushTaker(options.cancel, start)
    fetched.pushes, fetched.unrecorded = taker.records, taker.unrecorded
    try:
        async with _connected(options, taker.take) as client:
            fetched.connected = loop.time() - start
            if client.session.looked_up_at is not None:
                fetched.looked_up = client.session.looked_up_at - start
            fetched.remote = client.session.address[:2]
            sink.connected(client, fetched.connected)
            try:
                response = await _exchange_all(client, options.request, sink, fetched, follow, start)
                if options.max_pushes is not None:
                    async for _ in response.pushes():  # a server may hold the stream open, for further promises
                        pass
                    await taker.finish()
            finally:
                connection = client.session
                taker.note_refusals(connection.pushes.refusals, connection.core.push_counters.refused.total())
    finally:
        taker.stop()
        fetched.time_total = loop.time() - start


async def _exchange_all(
    client: ClientConnection, request: Request | None, sink: Sink, fetched: Fetched, follow: Follow, start: float
) -> ClientResponse:
    """Send the request, and those that its response leads to; the last response, read to its end."""
    now = asyncio.get_running_loop().time
    while request is not None:
        sent = sink.sends(request)
        exchange = Exchange(sent, now() - start)
        fetched.exchanges.append(exchange)
        target = target_of(sent.url)
        response = await client.request(
            sent.method, target, headers=sent.fields, content=sent.content, authority=sent.authority
        )
        exchange.response, exchange.first_byte = response, _or_now(response.timing.first_byte) - start
        sink.begin(response)
        request = follow(request, response)
        async for data in response.stream():
            exchange.body_bytes += len(data)
            if request is None:
                sink.write(data)
        exchange.done = _or_now(response.timing.ended) - start
    sink.end()
    return response


def _or_now(instant: float | None) -> float:
    """When something arrived; now, where that is not noted: a server may hold the stream of whole content open."""
    return asyncio.get_running_loop().time() if instant is None else instant


@asynccontextmanager
async def _connected(options: FetchOptions, on_push: Callable[[ReceivedPush], None]) -> AsyncIterator[ClientConnection]:
    """A connection to the first address that gives one."""
    last = len(options.addresses) - 1
    for number, address in enumerate(options.addresses or [None]):
        client = connect(
            options.request.url,
            tls=options.tls,
            max_pushes=options.max_pushes,
            settings=ClientSettings(connect_timeout=options.connect_timeout, push_timeout=options.push_timeout),
            address=None if address is None else await look_up(address),
            on_push=on_push,
        )
        try:
            await client.open()
        except ConnectFailed:
            if number >= last:
                raise
            continue
        break
    try:
        yield client
    finally:
        await client.close()
