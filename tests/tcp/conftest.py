"""A server of an application or a directory over every version, on sockets of this machine."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

import h3push
from h3push.server.access_log import AccessLog
from h3push.server.certificates import DevelopmentCertificates, development_certificates
from h3push.server.identities import read_identities
from h3push.tcp.assembly import serve_tcp_too
from h3push.tcp.side import find_backend

from .clients import Answer, fetch


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCertificates:
    return development_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def served(certificates: DevelopmentCertificates) -> Callable[..., Any]:
    """`served(app, scenario)`: run a scenario against a server of the application (or of a server made already)."""

    def served(
        app: Any,
        scenario: Callable[[Any], Awaitable[Any]],
        *,
        tcp: str = "uvicorn",
        redirect_port: int | None = None,
        alt_svc: str | None = None,
        tls: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        async def main() -> Any:
            async with world(app, certificates, tcp, redirect_port, alt_svc, options, tls or {}) as one:
                return await scenario(one)

        return asyncio.run(main())

    return served


@asynccontextmanager
async def world(
    app: Any,
    certificates: Any,
    tcp: str,
    redirect_port: Any,
    alt_svc: Any,
    options: dict[str, Any],
    tls: dict[str, Any],
) -> AsyncIterator[Any]:
    log = io.StringIO()
    serve = options.pop("serve", h3push.serve_asgi)
    service = serve(
        app,
        "localhost",
        0,
        certfile=certificates.certfile,
        keyfile=certificates.keyfile,
        access_log=AccessLog(log, "json"),
        **options,
    )
    kind = find_backend(tcp)  # type: ignore[arg-type]
    assert kind is not None
    side = serve_tcp_too(
        service,
        kind,
        read_identities([(certificates.certfile, certificates.keyfile)]),
        redirect_port=redirect_port,
        alt_svc=alt_svc,
        **tls,
    )
    async with service:
        port = service.address[1]

        async def get(version: str, path: str = "/", **more: Any) -> Answer:
            return await fetch(version, port, certificates.cafile, path, **more)

        def rows() -> list[dict[str, Any]]:
            return [json.loads(line) for line in log.getvalue().splitlines()]

        server = getattr(service, "server", service)
        yield SimpleNamespace(
            get=get, rows=rows, port=port, server=server, service=service, side=side, cafile=certificates.cafile
        )
