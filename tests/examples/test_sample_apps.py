"""The sample applications over real UDP: pushed to our client and to aioquic's, hinted to who takes no pushes."""

import asyncio
import importlib.util
import sys
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aioquic.asyncio import QuicConnectionProtocol
from aioquic.asyncio import connect as aioquic_connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived, PushPromiseReceived
from aioquic.quic.configuration import QuicConfiguration

import h3push
from h3push.testing.identity import make_identity

EXAMPLES = Path(__file__).parents[2] / "examples"
IDENTITY = make_identity(["localhost"], seed=0)
SAMPLES = ["starlette_app", "fastapi_app", "django_app", "quart_app"]
PUSHED = {
    "/style.css?v=1": b"body { color: teal }",
    "/app.js": b"console.log('pushed')",
}


def load(name: str) -> Any:
    """The `app` of an example, its module loaded once, as frameworks expect."""
    if name not in sys.modules:
        pytest.importorskip(name.partition("_")[0])
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name].app


def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
    async def limited() -> Any:
        async with asyncio.timeout(30):
            return await scenario()

    return asyncio.run(limited())


def server_of(app: Any) -> h3push.ASGIServer:
    return h3push.serve_asgi(app, port=0, tls=h3push.ServerTls([(IDENTITY.certificate, IDENTITY.key)]))


@asynccontextmanager
async def our_client(port: int, max_pushes: int | None) -> Any:
    tls = h3push.ClientTls(trust=IDENTITY.authority)
    async with h3push.connect(f"https://localhost:{port}/", tls=tls, max_pushes=max_pushes) as client:
        yield client


@pytest.mark.parametrize("name", SAMPLES)
def test_pushed_to_our_client(name: str) -> None:
    """Both resources are promised with the page and come whole, long before the page itself."""

    async def scenario() -> None:
        async with server_of(load(name)) as server, our_client(server.address[1], 10) as client:
            response = await client.get("/")
            pushed = {}
            async for push in response.pushes():
                got = await push.response()
                pushed[push.request.path] = await got.read()
                assert got.status == 200
            assert pushed == PUSHED
            assert response.status == 200
            assert b"<link" in await response.read()
            assert server.counters.promised == server.counters.fulfilled == 2

    run(scenario)


@pytest.mark.parametrize("name", SAMPLES)
def test_hinted_to_a_client_that_takes_no_pushes(name: str) -> None:
    """The same declaration as 103 Early Hints."""

    async def scenario() -> None:
        async with server_of(load(name)) as server, our_client(server.address[1], None) as client:
            response = await client.get("/")
            links = [link for _, fields in response.informational for link in fields.get_all("link")]
            assert "</style.css?v=1>; rel=preload; as=style" in links
            assert [status for status, _ in response.informational] == [103]

    run(scenario)


def test_middleware_does_its_work_all_the_same() -> None:
    """FastAPI's own middleware ran, for the page and for the pushed responses; GZip where it was asked for."""

    async def scenario() -> None:
        async with server_of(load("fastapi_app")) as server, our_client(server.address[1], 10) as client:
            response = await client.get("/", headers={"accept-encoding": "gzip"})
            assert response.headers["x-served-by"] == "fastapi"
            assert response.headers["content-encoding"] == "gzip"
            async for push in response.pushes():
                assert (await push.response()).headers["x-served-by"] == "fastapi"
                assert push.request.headers["accept-encoding"] == "gzip"

    run(scenario)


class AioquicClient(QuicConnectionProtocol):
    """A client of aioquic that keeps what it was told."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.http = H3Connection(self._quic)
        self.promises: dict[int, str] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: set[int] = set()
        self.statuses: list[bytes] = []
        self.page = b""
        self.changed = asyncio.Event()

    def quic_event_received(self, event: Any) -> None:
        for told in self.http.handle_event(event):
            self.told(told)
        self.changed.set()

    def told(self, event: Any) -> None:
        if isinstance(event, PushPromiseReceived):
            self.promises[event.push_id] = dict(event.headers)[b":path"].decode()
            return
        if isinstance(event, HeadersReceived) and event.push_id is None:
            self.statuses.append(dict(event.headers)[b":status"])
        if isinstance(event, DataReceived):
            if event.push_id is None:
                self.page += event.data
            else:
                self.bodies[event.push_id] = self.bodies.get(event.push_id, b"") + event.data
        if event.stream_ended:
            self.ended.add(-1 if event.push_id is None else event.push_id)

    async def visit(self, authority: str, pushes: int) -> dict[str, bytes]:
        """Read the page and so many pushes; pushed content by promised path."""
        stream_id = self._quic.get_next_available_stream_id()
        head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority.encode()), (b":path", b"/")]
        self.http.send_headers(stream_id, head, end_stream=True)
        self.transmit()
        while len(self.ended) < pushes + 1:
            self.changed.clear()
            await self.changed.wait()
        return {path: self.bodies[push_id] for push_id, path in self.promises.items() if push_id in self.bodies}


async def visit_with_aioquic(app: Any, pushes: int) -> tuple[dict[str, bytes], AioquicClient, h3push.ASGIServer]:
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name="localhost")
    configuration.load_verify_locations(cadata=IDENTITY.authority)
    async with server_of(app) as server:
        port = server.address[1]
        async with aioquic_connect(
            "127.0.0.1", port, configuration=configuration, create_protocol=AioquicClient
        ) as client:
            assert isinstance(client, AioquicClient)
            return await client.visit(f"localhost:{port}", pushes), client, server


@pytest.mark.parametrize("name", SAMPLES)
def test_pushed_to_aioquic(name: str) -> None:
    """A client that knows nothing of us."""

    async def scenario() -> None:
        pushed, client, _ = await visit_with_aioquic(load(name), 2)
        assert pushed == PUSHED
        assert client.statuses == [b"200"]
        assert b"<link" in client.page

    run(scenario)


def test_an_application_for_hypercorn_runs_unchanged() -> None:
    """Where Hypercorn fails: 14 pushes to a client that allows 9, paths not ASCII or not encoded, a pushed page that pushes."""
    paths = ["/a b.css", "/\xe9.css", "/frame.html", *(f"/{n}.css" for n in range(11))]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        wanted = {"/": paths, "/frame.html": ["/frame.css"]}.get(scope["path"], [])
        for path in wanted if "http.response.push" in scope.get("extensions", {}) else ():
            await send({"type": "http.response.push", "path": path, "headers": [(b"accept", b"*/*")]})
        if scope["path"] == "/":
            await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def scenario() -> None:
        pushed, client, server = await visit_with_aioquic(app, 9)
        assert list(pushed.values()) == [path.encode() for path in paths[:9]]
        assert list(pushed) == ["/a%20b.css", "/%C3%A9.css", *paths[2:9]]
        assert client.page == b"/"
        assert server.counters.refused_for_credit == 6
        assert server.counters.promised == 9
        assert server.counters.server.failed == 0

    run(scenario)


def test_a_page_that_is_pushed_may_push() -> None:
    """Promised on the stream of the request that was sent: aioquic takes both."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        wanted = {"/": "/frame.html", "/frame.html": "/frame.css"}.get(scope.get("path", ""))
        if wanted is not None:
            await send({"type": "http.response.push", "path": wanted, "headers": []})
        if scope.get("path") == "/":
            await asyncio.sleep(0.3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})

    async def scenario() -> None:
        pushed, _, _ = await visit_with_aioquic(app, 2)
        assert pushed == {"/frame.html": b"/frame.html", "/frame.css": b"/frame.css"}

    run(scenario)
