"""Hypercorn, the one other Python server with `http.response.push` over HTTP/3, as push server for our client."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import hypercorn.asyncio
import pytest
from hypercorn.asyncio.udp_server import UDPServer
from hypercorn.config import Config

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .harness import content, run

pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'QuicProtocol:RuntimeWarning")

Application = Callable[
    [dict[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]
]


@pytest.fixture(autouse=True)
def _its_ruins_are_cleared_away() -> Iterator[None]:
    """When an application's failure has ended it, it leaves coroutines behind: they go here, not in somebody's test."""
    yield
    gc.collect()


@asynccontextmanager
async def hypercorn_server(certificates: DevelopmentCertificates, application: Application) -> AsyncIterator[int]:
    """Hypercorn on a free UDP port, without TCP; yields the port."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    config = Config()
    config.bind = []
    config.quic_bind = [f"fd://{bound.detach()}"]
    config.certfile, config.keyfile = str(certificates.certfile), str(certificates.keyfile)
    config.loglevel = "CRITICAL"
    config.graceful_timeout = 0.1
    stop = asyncio.Event()
    opened: list[UDPServer] = []

    def open_server(*some: Any) -> UDPServer:
        opened.append(UDPServer(*some))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hypercorn.asyncio.run.UDPServer", open_server)
        serving = asyncio.create_task(hypercorn.asyncio.serve(application, config, shutdown_trigger=stop.wait))
        try:
            yield port
        finally:
            stop.set()
            with suppress(asyncio.CancelledError, ExceptionGroup):  # an application's failure may have ended it
                await serving
            for server in opened:  # it leaves its socket open
                server.transport.close()


class Pushing:
    """An ASGI application: `/` pushes `paths`; every other path is answered with content of its own."""

    def __init__(self, *paths: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self.paths = paths
        self.headers = headers or []
        self.scopes: list[dict[str, Any]] = []

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        self.scopes.append(scope)
        if scope["path"] == "/":
            for path in self.paths:
                await send({"type": "http.response.push", "path": path, "headers": self.headers})
        body = b"page" if scope["path"] == "/" else content(scope["raw_path"].decode("latin-1"), 30_000)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})


def connect(
    certificates: DevelopmentCertificates, port: int, max_pushes: int | None = 10, **keywords: Any
) -> h3push.ClientConnection:
    return h3push.connect(f"https://localhost:{port}/", cafile=certificates.cafile, max_pushes=max_pushes, **keywords)


async def read_all(response: h3push.ClientResponse) -> dict[str, bytes]:
    """Content of every push of a response, by path."""
    return {push.request.path: await (await push.response()).read() async for push in response.pushes()}


def test_all_its_pushes_every_byte_right(certificates: DevelopmentCertificates) -> None:
    async def scenario() -> None:
        names = ["/a.css", "/b.js?v=1", "/%C3%A9.png"]
        application = Pushing(*names)
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            response = await client.get("/")
            assert await response.read() == b"page"
            assert await read_all(response) == {name: content(name.partition("?")[0], 30_000) for name in names}
            assert [scope["method"] for scope in application.scopes] == ["GET"] * 4

    run(scenario)


def test_response_fields_in_the_promised_request(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: it adds the fields of its responses (Date, Server) to the request that it promises.

    They are no error in a request, only nonsense: our client takes the push. But a cache that compares whole requests would
    never find it.
    """

    async def scenario() -> None:
        application = Pushing("/a.css", headers=[(b"accept", b"text/css")])
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            response = await client.get("/")
            (push,) = [push async for push in response.pushes()]
            assert push.request.authority == f"localhost:{port}"
            assert push.request.headers["accept"] == "text/css"
            assert push.request.headers["server"] == "hypercorn-h3"
            assert "date" in push.request.headers
            assert (await push.response()).status == 200

    run(scenario)


def test_push_is_offered_to_applications_that_cannot_have_it(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: the extension is in the scope although our client allows no push; then nothing happens."""

    async def scenario() -> None:
        application = Pushing("/a.css")
        async with (
            hypercorn_server(certificates, application) as port,
            connect(certificates, port, max_pushes=None) as client,
        ):
            response = await client.get("/")
            assert await response.read() == b"page"
            assert await read_all(response) == {}
            assert [list(scope["extensions"]) for scope in application.scopes] == [
                ["http.response.trailers", "http.response.push", "http.response.early_hint"]
            ]

    run(scenario)


def test_what_exceeds_our_limit_is_not_pushed(certificates: DevelopmentCertificates) -> None:
    """Five pushes where three are allowed: the first three come, the rest is dropped without a word to the application."""

    async def scenario() -> None:
        application = Pushing(*(f"/{number}" for number in range(5)))
        async with (
            hypercorn_server(certificates, application) as port,
            connect(certificates, port, max_pushes=3) as client,
        ):
            response = await client.get("/")
            assert list(await read_all(response)) == ["/0", "/1", "/2"]

    run(scenario)


def test_the_window_moves_on(certificates: DevelopmentCertificates) -> None:
    """200 pushes on one connection, at most four at a time, as our client gives credit for what it has read.

    A fault of Hypercorn 0.18 makes this a lossy path: it queues ten datagrams and throws away what comes then. So credit may
    come after the next request, and that page has fewer pushes.
    """

    async def scenario() -> None:
        application = Pushing(*(f"/{number}" for number in range(4)))
        async with (
            hypercorn_server(certificates, application) as port,
            connect(certificates, port, max_pushes=4) as client,
        ):
            count = 0
            while count < 200:
                taken = await read_all(await client.get("/"))
                assert taken == {path: content(path, 30_000) for path in application.paths[: len(taken)]}
                count += len(taken)

    run(scenario)


def test_a_path_with_a_space_is_promised_as_it_is(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: it does not percent-encode the path, so the promise is malformed (RFC 9114 section 4.3.1).

    Our client uses nothing of it, and the connection goes on.
    """

    async def scenario() -> None:
        application = Pushing("/with space.css")
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            response = await client.get("/")
            assert await read_all(response) == {}
            other = await client.get("/other")
            await other.read()
            assert other.status == 200

    run(scenario)


def test_a_path_beyond_ascii_fails_in_the_application(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: it promises `/größe.css` unencoded, then fails to decode it, and answers the page with 500.

    The second fault: that 500 has `connection: close`, which makes it malformed in HTTP/3 (RFC 9114 section 4.2). The third
    follows now and then: our client stops that stream, Hypercorn writes to it once more, and the exception ends its whole
    HTTP/3 side, every connection with it. So nothing is asked of it afterwards.
    """

    async def scenario() -> None:
        application = Pushing("/größe.css")
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            with pytest.raises(h3push.StreamFailed, match="'connection' has no meaning"):
                await client.get("/")

    run(scenario)


def test_a_push_from_a_push_fails_in_the_application(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: the exception of the library below ends the application of the pushed request.

    Its 500, on the push stream, is malformed like every error of Hypercorn's own; only that push fails.
    """
    failures: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        try:
            await send({"type": "http.response.push", "path": "/deeper" + scope["path"], "headers": []})
        except Exception as error:
            failures.append(type(error).__name__)
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    async def scenario() -> None:
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            response = await client.get("/")
            assert await response.read() == b"page"
            (push,) = [push async for push in response.pushes()]
            with pytest.raises(h3push.PushCancelled, match="'connection' has no meaning"):
                await push.response()
            assert failures == ["InvalidStreamTypeError"]

    run(scenario)


def test_a_push_that_we_cancel_is_not_told_to_the_application(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: no `http.disconnect` for STOP_SENDING; the next `send` raises an error of the library below."""
    cancelled = asyncio.Event()
    ended: asyncio.Queue[str] = asyncio.Queue()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["path"] == "/":
            await send({"type": "http.response.push", "path": "/long", "headers": []})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/long":
            await send({"type": "http.response.body", "body": b"x" * 1_000, "more_body": True})
            await cancelled.wait()
            try:
                await send({"type": "http.response.body", "body": b"x" * 1_000, "more_body": True})
            except Exception as error:
                ended.put_nowait(type(error).__name__)
                raise
        await send({"type": "http.response.body", "body": b"page"})

    async def scenario() -> None:
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            response = await client.get("/")
            async for push in response.pushes():
                assert (await push.response()).status == 200
                push.cancel()
            await response.read()
            for _ in range(2):
                other = await client.get("/other")
                await other.read()
                assert other.status == 200
                if not cancelled.is_set():
                    cancelled.set()
                    assert await ended.get() == "FrameUnexpected"

    run(scenario)


def test_early_hints(certificates: DevelopmentCertificates) -> None:
    """Its 103 comes through, with Date and Server added."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"page"})

    async def scenario() -> None:
        async with hypercorn_server(certificates, application) as port, connect(certificates, port) as client:
            response = await client.get("/")
            ((status, headers),) = response.informational
            assert (status, headers["link"]) == (103, "</a.css>; rel=preload")
            assert await response.read() == b"page"

    run(scenario)


def test_trailers_leave_the_response_without_an_end(certificates: DevelopmentCertificates) -> None:
    """A fault of Hypercorn 0.18: after the trailers it sends empty content, which the library below refuses.

    The response never ends; our client waits as long as its `read_timeout` says, and closes it.
    """
    failures: asyncio.Queue[str] = asyncio.Queue()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"page"})
        try:
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})
        except Exception as error:
            failures.put_nowait(type(error).__name__)
            raise

    async def scenario() -> None:
        settings = h3push.ClientSettings(read_timeout=0.2)
        async with (
            hypercorn_server(certificates, application) as port,
            connect(certificates, port, settings=settings) as client,
            await client.get("/", headers={"te": "trailers"}) as response,
        ):
            assert await failures.get() == "FrameUnexpected"
            with pytest.raises(h3push.Timeout):
                await response.read()

    run(scenario)
