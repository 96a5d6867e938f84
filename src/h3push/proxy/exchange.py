"""One request on its way to an upstream, and the answer on its way back, as ASGI's events.

Content streams both ways, piece by piece; whoever does not take it holds up the other side. A client that goes away ends its
request at the upstream. An upstream that fails before the answer began becomes a status and a sentence; one that fails later has
the stream reset, so that nothing short passes for whole.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from h3push.asgi.push import find_pusher
from h3push.asgi.types import BELIEVED, EARLY_HINT, TRAILERS, ClientGoneError, Message, Receive, Scope, Send
from h3push.errors import ErrorCode, StreamFailed
from h3push.http.fields import Field, Fields
from h3push.http.headers import declared_length, has_field
from h3push.plans.page import scan_page
from h3push.proxy.failures import UpstreamFailed, UpstreamFailure
from h3push.proxy.forwarding import MAX_HOPS, Hop, hops, is_trusted, request_fields, response_fields
from h3push.proxy.leaving import LeavingWatch
from h3push.proxy.passages import Passage, Passages
from h3push.proxy.settings import ProxySettings
from h3push.proxy.shared_cache import SharedCache
from h3push.proxy.upstream import Upstream, UpstreamRequest, UpstreamResponse
from h3push.proxy.upstreams import Upstreams

logger = logging.getLogger("h3push.proxy")

_WITHOUT_LENGTH = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"})
"""Methods whose requests say no length when they have no content (RFC 9110 section 8.6)."""
_WITHOUT_CONTENT = frozenset({204, 304})
_URLS = frozenset({b"location", b"content-location"})

EARLY_HINTS = 103


class RequestContent:
    """The content of a request, piece by piece as the client sends it.

    Args:
        first: the first piece, which is there.
        receive: the client's events.
        complete: called when all of it has come.
    """

    def __init__(self, first: bytes, receive: Receive, complete: Callable[[], None]) -> None:
        self._first: bytes | None = first
        self._receive = receive
        self._complete = complete
        self._more = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        first, self._first = self._first, None
        if first is not None:
            return first
        if not self._more:
            raise StopAsyncIteration
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError("the client has gone before its request was complete")
        self._more = bool(message.get("more_body"))
        if not self._more:
            self._complete()
        return bytes(message.get("body", b""))


class ProxiedExchange:
    """One request and its answer.

    Args:
        upstreams: who answers.
        passages: pages that pass are read by it; `None`: they are not read.
        cache: answers what it may; `None`: upstreams answer everything.
        leaving: says when it is time to watch for the client's leaving.
        settings: how requests are forwarded.
        scope: ASGI's scope of the request.
        receive: the client's events.
        send: ours.
    """

    def __init__(
        self,
        upstreams: Upstreams,
        passages: Passages | None,
        cache: SharedCache | None,
        leaving: LeavingWatch,
        settings: ProxySettings,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._upstreams = upstreams
        self._passages = passages
        self._cache = cache
        self._leaving = leaving
        self._settings = settings
        self._scope = scope
        self._receive = receive
        self._send = send
        self._authority = authority_of(scope)
        self._extensions = scope.get("extensions") or {}
        self._gone = False
        self._started = False
        self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Forward the request, and deal with its outcome."""
        task = self._task = asyncio.current_task()
        assert task is not None
        try:
            await self._forward()
        except UpstreamFailed as error:
            logger.warning("%s %s: %s", self._scope["method"], self._scope["path"], error)
            if self._started:
                raise StreamFailed(error.failure.sentence, ErrorCode.H3_INTERNAL_ERROR) from None
            await self._fail(error.failure)
        except asyncio.CancelledError:
            if not self._gone:
                raise
            task.uncancel()
            raise ClientGoneError("the client does not want this response any more") from None
        finally:
            self._leaving.remove(self)
            if self._watch is not None:
                self._watch.cancel()

    async def _forward(self) -> None:
        scope = self._scope
        raw_path: bytes = scope["raw_path"]
        if hops(scope["headers"]) >= MAX_HOPS:
            await self._fail(UpstreamFailure.LOOP)
        elif not raw_path.startswith(b"/") and raw_path != b"*":
            await self._answer_at_once(400, [], b"the target of a request is a path\n")
        else:
            first = await self._receive()
            if first["type"] == "http.disconnect":
                raise ClientGoneError("the client has gone")
            request = self._request(raw_path, first)
            if isinstance(request.content, bytes):
                self._leaving.add(self)
            cache = self._cache
            if cache is not None and (known := await cache.known(request, self._authority)) is not None:
                await self._answer(None, known)
                return
            upstream, response = await self._upstreams.send(request, self._interim)
            if cache is not None:
                response = await cache.kept(request, self._authority, response)
            try:
                await self._answer(upstream, response)
            finally:
                response.close()

    # the request

    def _request(self, raw_path: bytes, first: Message) -> UpstreamRequest:
        scope = self._scope
        method: bytes = scope["method"].encode("latin-1")
        query: bytes = scope.get("query_string", b"")
        fields = forwarded_fields(scope, self._settings, self._authority)
        piece = bytes(first.get("body", b""))
        content: bytes | AsyncIterator[bytes] = piece
        if first.get("more_body"):
            content = RequestContent(piece, self._receive, self._content_complete)
        else:
            if has_field(fields, b"content-length"):
                fields = [one for one in fields if one[0] != b"content-length"]
            if piece or method not in _WITHOUT_LENGTH:
                fields.append((b"content-length", b"%d" % len(piece)))
        target = raw_path + b"?" + query if query else raw_path
        return UpstreamRequest(method, target, host_of(self._authority, self._settings), fields, content)

    def _content_complete(self) -> None:
        self._leaving.add(self)

    def begin_to_watch(self) -> None:
        """Notice from now on when the client does not want the answer any more."""
        if not self._ended:
            self._watch = asyncio.create_task(self._wait_for_leaving())

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        assert self._task is not None
        if not self._ended:
            self._gone = True
            self._task.cancel()

    # the answer

    async def _interim(self, status: int, fields: Fields) -> None:
        """An interim response: what a 103 names goes the way of everything that goes with a page; others end here."""
        links = [value for name, value in fields if name == b"link"]
        if status == EARLY_HINTS and links and EARLY_HINT in self._extensions:
            await self._send({"type": EARLY_HINT, "links": links})

    async def _answer(self, upstream: Upstream | None, response: UpstreamResponse) -> None:
        """Hand an answer on, piece by piece."""
        scope, status = self._scope, response.status
        fields = response_fields(response.fields, response.version, via=self._settings.via)
        if upstream is not None and any(name in _URLS for name, _ in fields):
            fields = [(name, _own_url(value, upstream) if name in _URLS else value) for name, value in fields]
        is_whole = scope["method"] == "HEAD" or status in _WITHOUT_CONTENT
        length = 0 if is_whole else declared_length(fields)
        trailers = length is None and TRAILERS in self._extensions
        passage = None
        if self._passages is not None and scope["method"] == "GET":
            passage = self._passages.passage(scope["raw_path"].decode("latin-1"), scope["headers"], status, fields)
        self._started = True
        await self._send({"type": "http.response.start", "status": status, "headers": fields, "trailers": trailers})
        more = True
        while more:
            piece = await response.read()
            if passage is not None:
                self._read_along(passage, piece)
            if length is not None:
                length -= len(piece)
                if not length and piece and not response.ended:
                    await response.read()  # the end, which stands behind the last piece: it frees the connection
            more = bool(piece) and length != 0 and not response.ended
            self._ended = not more and not trailers
            await self._send({"type": "http.response.body", "body": piece, "more_body": more})
        if passage is not None:
            passage.ended()
        if trailers:
            own = [field for field in response.trailers if not field[0].startswith(b":")]
            self._ended = True
            await self._send({"type": TRAILERS, "headers": own, "more_trailers": False})

    def _read_along(self, passage: Passage, piece: bytes) -> None:
        """Look at a page that passes, and push what it names before the bytes that name it go on."""
        so_far = passage.add(piece)
        if so_far is None or self._passages is None:
            return
        pusher = find_pusher(self._scope)
        if pusher is None or not pusher.takes_pushes:
            return
        url = f"https://{authority_of(self._scope)}{passage.path}"
        plan = scan_page(url, so_far, self._passages.load_sheet, self._settings.scan)
        there = tuple(one for one in plan.resources if self._passages.is_there(one.path))
        pusher.carry_out(replace(plan, resources=there))

    async def _fail(self, failure: UpstreamFailure) -> None:
        """Answer for an upstream. Which one it is, and what it said, stands in the log alone."""
        status = f"{self._settings.via}; error={failure.error_type}".encode("latin-1")
        fields: list[Field] = [(b"proxy-status", status), (b"cache-control", b"no-store")]
        if failure.status == 503:
            fields.append((b"retry-after", b"%d" % max(1, round(self._upstreams.settings.fail_timeout))))
        await self._answer_at_once(failure.status, fields, f"{failure.status}: {failure.sentence}\n".encode())

    async def _answer_at_once(self, status: int, fields: list[Field], body: bytes) -> None:
        head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *fields]
        self._started = self._ended = True
        await self._send({"type": "http.response.start", "status": status, "headers": head})
        await self._send({"type": "http.response.body", "body": b"" if self._scope["method"] == "HEAD" else body})


def authority_of(scope: Scope) -> str:
    """The authority that was asked for; "" when none was named, which HTTP/1.0 allows."""
    for name, value in scope["headers"]:
        if name == b"host":
            authority: str = value.decode("latin-1")
            return authority
    return ""


def host_of(authority: str, settings: ProxySettings) -> bytes | None:
    """Host as the upstream gets it; `None`: its own."""
    if settings.host == "upstream":
        return None
    return (settings.host or authority).encode("latin-1") or None


def forwarded_fields(scope: Scope, settings: ProxySettings, authority: str) -> Fields:
    """The fields of a request as they go on, without Host."""
    believed = BELIEVED in scope  # over TCP, where `client` is already the one that a proxy told
    client = scope.get(BELIEVED if believed else "client") or ("unknown", 0)
    scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
    hop = Hop(str(client[0]), scheme, authority, str(scope["http_version"]))
    trusted = believed or is_trusted(hop.client, settings.trusted)
    return request_fields(scope["headers"], hop, via=settings.via, trusted=trusted)


def _own_url(value: bytes, upstream: Upstream) -> bytes:
    """A URL of an upstream's own address as a path: nobody but us can reach it there."""
    own = upstream.origin.encode("latin-1")
    if value == own or value.startswith(own + b"/"):
        value = value[len(own) :] or b"/"
    prefix = upstream.prefix.encode("latin-1")
    if prefix and value.startswith(prefix + b"/"):
        value = value[len(prefix) :]
    return value
