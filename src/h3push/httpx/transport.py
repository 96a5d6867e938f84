"""The transports: what httpx and httpx2 take as `transport=` and in `mounts=`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from h3push.client.connections import Connect
from h3push.client.pool import TakePushes
from h3push.client.push_stats import PushStats
from h3push.client.tls import Certificate, authorities
from h3push.errors import H3PushError
from h3push.http.url import Origin
from h3push.httpx.library import BlockingPromises, Library, Promises, library_of
from h3push.httpx.loop_thread import LoopThread
from h3push.httpx.sender import Http3Sender, Verify
from h3push.runtime.settings import ClientSettings, PoolSettings, PushCacheSettings


class TransportOptions(TypedDict, total=False):
    """The keyword arguments of both transports."""

    push: TakePushes
    """"cache" (the default): pushes answer later requests. "off": the server may not push. A function, sync or async, is asked
    about each promise, and refuses it with False."""
    verify: Verify
    """True: the authorities of the system. False: no check, for tests on your own machine. Or a PEM file, a directory of them, or
    an `SSLContext` with authorities."""
    cert: Certificate | None
    """The client's certificate, for servers that ask for one: a PEM file with chain and key, a tuple of a file for each, or these
    and the key's password. Python shows no certificate that an `SSLContext` has loaded, so it cannot come by `verify`."""
    trust_env: bool
    """True (the default): SSL_CERT_FILE and SSL_CERT_DIR say where the authorities of the system are."""
    early_data: bool
    """Send GET and HEAD without waiting for the handshake, where a session allows it; see `h3push.connect`."""
    fallback: Any
    """True (the default): the ordinary transport of the library takes what HTTP/3 cannot. False: nothing does. Or a transport."""
    settings: PoolSettings
    push_cache: PushCacheSettings
    client_settings: ClientSettings
    storage: Any
    """Where claimed pushes are stored: one of hishel's asynchronous storages; in memory by default."""
    dial: Connect
    """Makes a connection instead of `h3push.connect`, for tests."""


class _Transport:
    """The common part of both."""

    def __init__(self, options: TransportOptions) -> None:
        given: dict[str, Any] = dict(options)
        self._fallback = given.pop("fallback", True)
        self._verify: Verify = given.get("verify", True)
        self._cert: Certificate | None = given.get("cert")
        self._trust_env: bool = given.get("trust_env", True)
        self._ordinary: dict[Library, Any] = {}
        self._sender = Http3Sender(has_fallback=self._fallback is not False, **given)

    @property
    def push_stats(self) -> PushStats:
        """The fate of all pushes so far."""
        return self._sender.push_stats

    def _ordinary_of(self, library: Library, request: Any, name: str) -> Any:
        if not isinstance(self._fallback, bool):
            return self._fallback
        if not self._fallback:
            raise library.module.UnsupportedProtocol(f"HTTP/3 needs an https URL, not {request.url}")
        if library not in self._ordinary:
            context = self.context(library)
            self._ordinary[library] = getattr(library.module, name)(verify=context, trust_env=self._trust_env)
        return self._ordinary[library]

    def context(self, library: Library) -> ssl.SSLContext:
        """The TLS context of the ordinary transport, which trusts and shows the same as HTTP/3."""
        verify, cert = self._verify, self._cert
        if isinstance(verify, bool):
            context: ssl.SSLContext = library.module.create_ssl_context(verify=verify, trust_env=self._trust_env)
        elif isinstance(verify, ssl.SSLContext):
            context = verify
        else:
            context = ssl.create_default_context(cadata=authorities(verify).decode("ascii", "replace"))
        if cert is not None:
            context.load_cert_chain(*(cert if isinstance(cert, tuple) else (cert,)))
        return context


class AsyncTransport(_Transport):
    """HTTP/3 with pushes for `httpx.AsyncClient` and `httpx2.AsyncClient`. Takes `TransportOptions`.

    It belongs to one event loop, of asyncio. `response.extensions` has `http_version` (b"HTTP/3"), `stream_id`, `pushed` (True
    when a push answered) and `pushes` (an asynchronous iterator of the requests that the server promises with it).

    Raises: ImportError: hishel is not installed.
    """

    def __init__(self, **options: Unpack[TransportOptions]) -> None:
        super().__init__(options)

    async def handle_async_request(self, request: Any) -> Any:
        """Answer one request; the library calls it."""
        library = library_of(type(request))
        if request.url.scheme != "https":
            return await self._ordinary_of(library, request, "AsyncHTTPTransport").handle_async_request(request)
        asked = library.ask(request)
        try:
            answer = await self._sender.send(asked)
        except H3PushError as error:
            raise library.failure(error) from error
        if answer is not None:
            return library.response(answer, library.async_content(answer, library), Promises(answer))
        response = await self._ordinary_of(library, request, "AsyncHTTPTransport").handle_async_request(request)
        if "alt-svc" in response.headers:
            self._sender.seen(asked.origin, response.headers["alt-svc"])
        return response

    async def aclose(self) -> None:
        """Close all connections, also those of the ordinary transport."""
        await self._sender.close()
        for ordinary in self._ordinary.values():
            await ordinary.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class Transport(_Transport):
    """HTTP/3 with pushes for `httpx.Client` and `httpx2.Client`: `AsyncTransport` in a thread of its own.

    It may be used from any thread. In `response.extensions`, `pushes` is an ordinary iterator.
    """

    def __init__(self, **options: Unpack[TransportOptions]) -> None:
        super().__init__(options)
        self._thread = LoopThread()

    def handle_request(self, request: Any) -> Any:
        """Answer one request; the library calls it."""
        library = library_of(type(request))
        if request.url.scheme != "https":
            return self._ordinary_of(library, request, "HTTPTransport").handle_request(request)
        asked = library.ask(request)
        if asked.content is not None and not isinstance(asked.content, bytes):
            asked = type(asked)(asked.origin, asked.head, _pieces(asked.content), asked.timeouts)
        run = self._thread.run
        try:
            answer = run(self._sender.send(asked))
        except H3PushError as error:
            raise library.failure(error) from error
        if answer is not None:
            return library.response(
                answer, library.content(answer, library, self._thread), BlockingPromises(answer, self._thread)
            )
        response = self._ordinary_of(library, request, "HTTPTransport").handle_request(request)
        if "alt-svc" in response.headers:
            run(self._seen(asked.origin, response.headers["alt-svc"]))
        return response

    async def _seen(self, origin: Origin, alt_svc: str) -> None:
        self._sender.seen(origin, alt_svc)

    def close(self) -> None:
        """Close all connections, also those of the ordinary transport, and end the thread."""
        if self._thread.is_running:
            self._thread.run(self._sender.close())
        self._thread.close()
        for ordinary in self._ordinary.values():
            ordinary.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


async def _pieces(content: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Content of a client that does not await: each piece is fetched in a thread, as that may take a while."""
    iterator = iter(content)
    while (piece := await asyncio.to_thread(next, iterator, None)) is not None:
        yield piece
