"""A relay in virtual time: the whole stack towards the origin, and ASGI's two callables in place of a browser."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import h3push
from h3push.asgi.types import EARLY_HINT, TRAILERS
from h3push.client.pool import Pool
from h3push.client.stored import ResponseStore
from h3push.http.url import Origin
from h3push.relay.flights import Flights
from h3push.relay.gateway import Gateway
from h3push.relay.loads import Loads
from h3push.relay.places import RelayedOrigin
from h3push.relay.settings import RelaySettings
from h3push.relay.upkeep import Upkeep
from h3push.runtime.settings import PoolSettings, PushCacheSettings
from h3push.testing import LinkSettings, World, in_world

HERE = b"localhost:8080"
ORIGIN = Origin("origin.example", 443)


def date() -> str:
    return formatdate(time.time(), usegmt=True)


class Site:
    """An origin: a page that pushes its resources. Requests that were sent, and not pushed, are logged with their fields."""

    def __init__(self, resources: tuple[str, ...] = (), fields: dict[str, str] | None = None) -> None:
        self.resources = resources
        self.fields = fields or {}
        self.page_fields: dict[str, str] = {}
        self.log: list[tuple[str, str]] = []
        self.seen: list[dict[str, str]] = []
        self.answers: dict[str, Callable[[Any], Any]] = {}

    @property
    def asked(self) -> list[str]:
        return [path for _, path in self.log]

    async def __call__(self, request: Any) -> Any:
        if request.push_id is None:
            self.log.append((request.method, request.path))
            self.seen.append(dict(request.headers))
        if request.path in self.answers:
            answer = self.answers[request.path](request)
            return await answer if isinstance(answer, Awaitable) else answer
        if request.path.startswith("/page"):
            for path in self.resources:
                await request.push(path)
            fields = {"content-type": "text/html", "date": date(), "cache-control": "no-store", **self.page_fields}
            return h3push.Response(200, fields, b"page")
        content = request.path.encode() * 100
        return h3push.Response(200, {"content-type": "text/css", "date": date(), **self.fields}, content)


@dataclass
class Told:
    """A response as a browser gets it."""

    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    content: bytes = b""
    began: float = 0.0
    """Seconds from the request to the header section."""
    pieces: list[float] = field(default_factory=list)
    """Seconds from the request to each piece of content."""
    is_whole: bool = False
    hints: list[tuple[float, list[bytes]]] = field(default_factory=list)
    """Seconds from the request to each 103, and its Link values."""
    trailers: list[tuple[bytes, bytes]] | None = None

    def get(self, name: str) -> str | None:
        values = [value.decode() for one, value in self.fields if one == name.encode()]
        return ", ".join(values) if values else None


class Browser:
    """Whoever is in front of a gateway."""

    def __init__(self, gateway: Gateway, relay: "Relayed") -> None:
        self.gateway = gateway
        self.relay = relay
        self.extensions: tuple[str, ...] = ()
        """Of ASGI, as the server in front offers them."""

    async def get(self, path: str, *, method: str = "GET", content: bytes | list[bytes] = b"", **headers: str) -> Told:
        """Ask, and wait for all of it. An error of the gateway's is raised, with what had come as `told`."""
        told = Told()
        try:
            await self.ask(told, path, method, content, headers)
        except Exception as error:
            error.told = told  # type: ignore[attr-defined]
            raise
        return told

    async def ask(
        self,
        told: Told,
        path: str,
        method: str = "GET",
        content: bytes | list[bytes] = b"",
        headers: dict[str, str] | None = None,
        gone: asyncio.Event | None = None,
        version: str = "1.1",
    ) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        pieces = list(content) if isinstance(content, list) else [content]
        target, _, query = path.partition("?")
        given = {"host": HERE.decode(), "accept": "*/*", **{k.replace("_", "-"): v for k, v in (headers or {}).items()}}
        if content and "content-length" not in given:
            given["content-length"] = str(sum(map(len, pieces)))
        scope = {
            "type": "http", "http_version": version, "method": method, "scheme": "http", "path": target,
            "raw_path": target.encode(), "query_string": query.encode(), "client": ("127.0.0.1", 50000),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "extensions": {name: {} for name in self.extensions},
        }  # fmt: skip
        leaves = gone or asyncio.Event()

        async def receive() -> dict[str, Any]:
            if pieces:
                return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                told.status, told.fields, told.began = message["status"], list(message["headers"]), loop.time() - began
            elif message["type"] == EARLY_HINT:
                assert not told.status
                told.hints.append((loop.time() - began, message["links"]))
            elif message["type"] == TRAILERS:
                told.trailers = message["headers"]
            else:
                told.content += message.get("body", b"")
                if message.get("body"):
                    told.pieces.append(loop.time() - began)
                told.is_whole = not message.get("more_body")

        await self.gateway(scope, receive, send)


class Relayed:
    """A gateway to the origin of a world."""

    def __init__(self, world: World, settings: RelaySettings | None = None, store: ResponseStore | None = None) -> None:
        self.world = world
        self.settings = settings or RelaySettings()
        bounds = PushCacheSettings(
            unclaimed=self.settings.unclaimed, unclaimed_bytes=self.settings.unclaimed_bytes,
            stored=self.settings.stored, stored_bytes=self.settings.stored_bytes,
        )  # fmt: skip
        self.store = store or ResponseStore(bounds, shared=True, silent_seconds=self.settings.silent_seconds)
        self.drivers: list[Any] = []
        self.pool = Pool(
            store=self.store, push_cache=bounds, settings=PoolSettings(idle_seconds=60), dial=self._dial, shared=True
        )
        self.loads = Loads(self.settings)
        self.upkeep = Upkeep(self.pool.connections, ORIGIN, self.settings)
        self.gateway = Gateway(
            RelayedOrigin(ORIGIN, "localhost", 8080),
            self.pool,
            self.store,
            self.loads,
            Flights(self.settings.flight_seconds),
            None,
        )
        self.browser = Browser(self.gateway, self)

    def _dial(self, url: str, *, max_pushes: int | None, on_push: Any, address: Any) -> Any:
        driver = self.world.client_endpoint(max_pushes)
        self.drivers.append(driver)
        return h3push.connect(url, driver=driver, max_pushes=max_pushes, on_push=on_push)

    async def __aenter__(self) -> "Relayed":
        self.upkeep.start()
        await asyncio.sleep(2)
        assert self.upkeep.connection is not None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.upkeep.stop()
        await self.pool.close()


def relayed(
    site: Any,
    scenario: Callable[[Relayed], Awaitable[Any]],
    *,
    delay: float = 0.15,
    settings: RelaySettings | None = None,
    **options: Any,
) -> Any:
    """Run a scenario with a relay whose connection is open, over a link of twice `delay`, in virtual time."""

    async def main(world: World) -> Any:
        async with Relayed(world, settings) as relay:
            return await scenario(relay)

    return in_world(site, main, connected=False, link=LinkSettings(delay=delay), **options)
