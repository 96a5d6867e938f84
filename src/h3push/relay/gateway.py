"""The relay for one origin, as an ASGI application that a server of HTTP/1.1 and HTTP/2 runs.

Theory of operation. A request is answered by the first of these that can: a push that waits or is under way, the cache, the
origin. The response is handed on as it arrives, piece by piece; what may be stored is stored on the way. A promise that comes
with it is held by the push cache for the request that the program is about to make.

Requests are taken apart by the server in front and put together anew as HTTP/3, so that nothing of their framing passes. A
response that ends early ends the connection, or the stream, of the program: it sees that it is short.
"""

import asyncio
from collections.abc import AsyncIterator

from h3push.asgi.types import ASGIApplication, ClientGoneError, Receive, Scope, Send
from h3push.client.answer import Answer, Source
from h3push.client.pool import Pool
from h3push.client.revalidation import names_version, not_modified, without_conditions
from h3push.client.stored import ResponseStore
from h3push.errors import ConnectionClosed, H3PushError
from h3push.http.content import Content
from h3push.http.fields import RequestHead, ResponseHead
from h3push.http.headers import declared_length, has_field
from h3push.http.semantics import SAFE_METHODS
from h3push.proxy.forwarding import MAX_HOPS, hops
from h3push.relay.failures import Refusal, refusal_of
from h3push.relay.flights import Flight, Flights, is_worth_waiting
from h3push.relay.incoming import Incoming
from h3push.relay.loads import Loads, Row
from h3push.relay.outgoing import Outgoing
from h3push.relay.parts import of_the_whole, part_of
from h3push.relay.places import RelayedOrigin
from h3push.relay.settings import RelaySettings
from h3push.relay.websocket import WebSocketPassage, deny

STATUS_PATH = "/.h3push/"
"""Below it the relay speaks of itself."""
_MOST_HELD_BACK = 64 * 1024 * 1024
"""Content of unknown length for HTTP/1.0, which has no way to say that it is short, so that all of it is awaited."""
_LAST_WAIT = 5.0
"""Seconds in which the origin has to end a response whose content is there."""


class CutShortError(Exception):
    """The response cannot be completed: raised to the server in front, which ends the connection."""


class Gateway:
    """One origin.

    Args:
        place: the origin, and where it is here.
        pool: the client.
        store: the cache, which the pool has too.
        loads: is told of each request.
        flights: requests under way that others may wait for.
        status: answers below `STATUS_PATH`; `None`: nothing is there.
        settings: bounds and times.
    """

    def __init__(
        self,
        place: RelayedOrigin,
        pool: Pool,
        store: ResponseStore,
        loads: Loads,
        flights: Flights,
        status: ASGIApplication | None,
        settings: RelaySettings | None = None,
    ) -> None:
        self.place = place
        """The origin, and where it is here."""
        self._pool = pool
        self._store = store
        self._loads = loads
        self._flights = flights
        self._status = status
        self._settings = settings or RelaySettings()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await self._websocket(Incoming(scope, receive), receive, send)
            return
        incoming = Incoming(scope, receive)
        refusal = self._why_not(incoming)
        if refusal is not None:
            await _refuse(refusal, send)
        elif self._status is not None and incoming.path.startswith(STATUS_PATH):
            await self._status(scope, receive, send)
        else:
            await self._relay(incoming, send)

    def _why_not(self, incoming: Incoming) -> Refusal | None:
        """Refuse what may not pass at all."""
        authority = incoming.authority
        if authority is None:
            return Refusal(400, "the request names no host, or several")
        if not self.place.is_own(authority):
            here = f"{self.place.host}:{self.place.port}"
            return Refusal(
                421,
                f"this is a relay to {self.place.origin.authority}, called {here}, not {authority!r}; --name adds a name",
            )
        if incoming.method in {"CONNECT", "TRACE"}:
            return Refusal(501, f"the relay does not forward {incoming.method}")
        if hops(incoming.fields) > MAX_HOPS:
            return Refusal(
                508, "the request goes in a circle: its Via names too many intermediaries", "proxy_loop_detected"
            )
        return None

    async def _websocket(self, incoming: Incoming, receive: Receive, send: Send) -> None:
        """Pass one WebSocket."""
        loads, now = self._loads, asyncio.get_running_loop().time
        refusal = self._why_not(incoming)
        if refusal is None and loads.websockets >= self._settings.websockets:
            refusal = Refusal(503, "too many WebSockets are open")
        if refusal is not None:
            await receive()  # websocket.connect
            await deny(incoming.scope, send, refusal.status, refusal.fields, refusal.content)
            return
        row = loads.begin(self.place.origin.authority, incoming.path, incoming.fields, now())
        passage = WebSocketPassage(incoming, receive, send, self._settings)
        loads.websockets += 1
        try:
            await passage.run(self._pool, self.place.origin, lambda *told: loads.answer(row, now(), *told))
        finally:
            loads.websockets -= 1
            row.octets = passage.octets
            loads.end(row, now())

    async def _relay(self, incoming: Incoming, send: Send) -> None:
        loop = asyncio.get_running_loop()
        row = self._loads.begin(self.place.origin.authority, incoming.path, incoming.fields, loop.time())
        forwarding = asyncio.create_task(self._forward(incoming, row, send))
        watching = asyncio.create_task(incoming.wait_gone())
        try:
            await asyncio.wait({forwarding, watching}, return_when=asyncio.FIRST_COMPLETED)
            if row.is_whole:  # the program may leave at once; what is stored is not stored yet
                await asyncio.wait({forwarding}, timeout=_LAST_WAIT)
            if forwarding.done():
                forwarding.result()
        finally:
            for task in (forwarding, watching):
                task.cancel()
            await asyncio.gather(forwarding, watching, return_exceptions=True)
            self._loads.end(row, loop.time())

    async def _forward(self, incoming: Incoming, row: Row, send: Send) -> None:
        now = asyncio.get_running_loop().time
        authority = self.place.origin.authority
        head = incoming.head(authority, incoming.translation(authority).request(incoming.fields, incoming.version))
        flight: Flight | None = None
        outgoing = Outgoing(incoming.scope, send)
        try:
            content = await incoming.content()
            flight = await self._flights.begin(head, content)
            answer = await self._answer(head, content, outgoing)
            if flight is not None and not is_worth_waiting(answer):
                flight.land()
            async with answer:
                self._loads.answer(row, now(), answer.status, answer.source.value)
                await self._respond(incoming, answer, row, outgoing)
        except ClientGoneError:
            return
        except H3PushError as error:
            refusal = refusal_of(error)
            outgoing.drop()
            self._loads.answer(row, now(), refusal.status, "relay")
            await _refuse(refusal, send)
        finally:
            if flight is not None:
                flight.land()

    async def _answer(self, head: RequestHead, content: Content, outgoing: Outgoing) -> Answer:
        """The answer, wherever it comes from. Raises what `Pool.ask` raises, and `ClientGoneError`."""
        known = await self._known(head, content)
        if known is not None:
            return known
        try:
            answer = await self._pool.ask(self.place.origin, head, content, on_interim=outgoing.interim)
        except ConnectionClosed:
            if head.method not in SAFE_METHODS or content is not None:
                raise
            answer = await self._pool.ask(self.place.origin, head, None, on_interim=outgoing.interim)
        return await self._kept(head, answer)

    async def _known(self, head: RequestHead, content: Content) -> Answer | None:
        """The answer that needs no request, also to who wants a part, or asks whether a version is still good."""
        known = await self._pool.known(head, content, {})
        if known is not None or content is not None:
            return known
        whole = of_the_whole(head)
        if whole is not None:
            stored = await self._pool.stored(whole)
            return None if stored is None else await part_of(head, stored)
        plain = without_conditions(head)
        if plain is None:
            return None
        known = await self._pool.known(plain, None, {})
        if known is None or not names_version(list(head.fields), known.fields):
            return known
        await known.close()
        return not_modified(known)

    async def _kept(self, head: RequestHead, answer: Answer) -> Answer:
        """A response of the origin, which is stored as it passes when that is allowed."""
        if head.method != b"GET" or answer.status != 200:
            return answer
        received = ResponseHead(answer.status, answer.fields, None)
        content = await self._store.store(head, received, answer.stream())
        return Answer(answer.status, answer.fields, Source.SERVER, answer.response, content)

    async def _respond(self, incoming: Incoming, answer: Answer, row: Row, outgoing: Outgoing) -> None:
        fields = incoming.translation(self.place.origin.authority).response(answer.fields)
        content, length = answer.stream(), declared_length(fields)
        try:
            if incoming.version == "1.0" and not has_field(fields, b"content-length"):
                content = await _gathered(content)
            await outgoing.begin(answer.status, fields)
            async for piece in content:
                row.octets += len(piece)
                row.is_whole = row.octets == length
                await outgoing.add(piece)
        except H3PushError as error:
            raise CutShortError(f"{row.path} is cut short: {error}") from None
        finally:
            await _close(content)
        await outgoing.end(answer.trailers)


async def _gathered(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All of some content at once: whoever gets it in pieces by HTTP/1.0 cannot see that one is missing."""
    pieces, size = [], 0
    async for piece in content:
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_HELD_BACK:
            raise CutShortError("content of unknown length is too large for HTTP/1.0")
    return _one(b"".join(pieces))


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _close(content: AsyncIterator[bytes]) -> None:
    """Close an iterator that was not read to its end."""
    close = getattr(content, "aclose", None)
    if close is not None:
        await close()


async def _refuse(refusal: Refusal, send: Send) -> None:
    await send({"type": "http.response.start", "status": refusal.status, "headers": refusal.fields})
    await send({"type": "http.response.body", "body": refusal.content, "more_body": False})
