"""A relay on real sockets of this machine, in front of an origin of `h3push.serve`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h3push
from h3push.http.url import Origin
from h3push.relay.places import RelayedOrigin
from h3push.relay.relay import Relay
from h3push.relay.settings import RelaySettings
from h3push.server.certificates import DevelopmentCertificates
from h3push.server.identities import read_identities
from h3push.tcp.side import find_backend
from h3push.tcp.tls import TcpTls


@asynccontextmanager
async def relay_to(
    handler: Callable[[Any], Any],
    made: DevelopmentCertificates,
    *,
    tls: bool = False,
    settings: RelaySettings | None = None,
    cache: Path | None = None,
    host: str = "localhost",
    serve: Callable[..., Any] = h3push.serve,
) -> AsyncIterator[Relay]:
    """A relay whose connection is open."""
    kind = find_backend("uvicorn")
    assert kind is not None
    context = None
    if tls:
        own = TcpTls(list(kind.abilities.versions))
        own.load(read_identities([(made.certfile, made.keyfile)], lambda: b""), None)
        context = own.context
    async with serve(handler, "localhost", 0, certfile=made.certfile, keyfile=made.keyfile) as origin:
        place = RelayedOrigin(Origin("localhost", origin.address[1]), host, 0)
        async with Relay(
            [place], kind, settings, context=context, cache=cache, cafile=made.cafile
        ) as relay:  # fmt: skip
            await relay.pool.connections.get(place.origin, 20)
            yield relay


async def exchange(port: int, sent: bytes, *, context: ssl.SSLContext | None = None, seconds: float = 10) -> bytes:
    """Send bytes, and read what comes until the relay closes, or nothing has come for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(sent)
    got = b""
    try:
        while True:
            async with asyncio.timeout(seconds if not got else 0.5):
                piece = await reader.read(65536)
            if not piece:
                break
            got += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return got


def client_context(made: DevelopmentCertificates, *versions: str) -> ssl.SSLContext:
    """TLS of a program; `versions` are its ALPN names."""
    context = ssl.create_default_context(cafile=str(made.cafile))
    context.check_hostname = False
    if versions:
        context.set_alpn_protocols(list(versions))
    return context
