"""A response that breaks off at the origin breaks off for the program too, over every version it may speak."""

import asyncio
import logging

import httpx2
import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .sockets import client_context, relay_to


@pytest.mark.parametrize("length", ["with a length", "without"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_short_content_is_an_error(
    version: str, length: str, certificates: DevelopmentCertificates, caplog: pytest.LogCaptureFixture
) -> None:
    """No program takes it for whole, with Content-Length or without; the next request is answered."""
    caplog.set_level(logging.CRITICAL)

    async def origin(request: h3push.Request) -> h3push.Response:
        async def pieces():
            yield b"x" * 5000
            await asyncio.sleep(0.1)
            if request.path == "/broken":
                raise RuntimeError("the disk is gone")
            yield b"x" * 5000

        return h3push.Response(200, {"content-length": "10000"} if length == "with a length" else {}, pieces())

    async def check() -> None:
        async with relay_to(origin, certificates, tls=True) as relay:
            base = f"https://localhost:{relay.places[0].port}"
            verify = client_context(certificates)
            async with httpx2.AsyncClient(base_url=base, verify=verify, http2=version == "HTTP/2") as client:
                with pytest.raises(httpx2.TransportError):
                    await client.get("/broken")
                whole = await client.get("/whole")
                assert (whole.http_version, len(whole.content)) == (version, 10_000)

    asyncio.run(check())
