"""A proxy over every version in front of an upstream, all on sockets of this machine."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from h3push.proxy.reverse import ReverseProxy
from h3push.proxy.settings import ProxySettings, UpstreamSettings
from h3push.proxy.upstream import parse_upstream
from h3push.proxy.upstreams import Upstreams
from h3push.server.certificates import DevelopmentCertificates, development_certificates
from tcp.conftest import world

Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCertificates:
    return development_certificates(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def raw_upstream(handle: Raw, path: str | None = None) -> AsyncIterator[str]:
    """An upstream that says what it likes, byte by byte; its address as people type it."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    if path is not None:
        server = await asyncio.start_unix_server(guarded, path)
        address = f"unix:{path}"
    else:
        server = await asyncio.start_server(guarded, "127.0.0.1", 0)
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield address
    finally:
        server.close()


@asynccontextmanager
async def application_upstream(app: Any) -> AsyncIterator[str]:
    """An upstream that is uvicorn with an application."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    listening = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=server.server_state, app_state={}),
        "127.0.0.1",
        0,
    )
    try:
        yield f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()  # type: ignore[attr-defined]


@pytest.fixture
def proxied(certificates: DevelopmentCertificates) -> Callable[..., Any]:
    """`proxied(scenario, raw=... or app=...)`: run a scenario against a proxy of one upstream."""

    def proxied(
        scenario: Callable[[Any], Awaitable[Any]],
        *,
        raw: Raw | None = None,
        app: Any = None,
        path: str | None = None,
        http2: bool = False,
        more: tuple[str, ...] = (),
        prefix: str = "",
        settings: ProxySettings | None = None,
        **upstream_settings: Any,
    ) -> Any:
        async def main() -> Any:
            upstream = application_upstream(app) if raw is None else raw_upstream(raw, path)
            async with upstream as address:
                addresses = [*more, address + prefix]
                upstreams = Upstreams(
                    [parse_upstream(one, http2=http2) for one in addresses], UpstreamSettings(**upstream_settings)
                )
                proxy = ReverseProxy(upstreams, settings)
                options = {"planners": proxy.planners}
                async with world(proxy, certificates, "uvicorn", None, None, options, {}) as one:
                    return await scenario(SimpleNamespace(**vars(one), proxy=proxy, upstream=address))

        return asyncio.run(main())

    return proxied
