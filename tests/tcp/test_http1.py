"""HTTP/1.1 on the wire, by either parser."""

import asyncio
import ssl
from importlib.util import find_spec
from typing import Any

import pytest

from h3push.tcp import uvicorn_backend

pytest.importorskip("uvicorn")

UPGRADE = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"


@pytest.fixture(params=["httptools", "zttp"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The parser that the server has: httptools where zttp is not installed."""
    pytest.importorskip(request.param)
    if request.param == "httptools":
        monkeypatch.setattr(uvicorn_backend, "find_spec", lambda name: None if name == "zttp" else find_spec(name))
    return str(request.param)


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_nothing_is_read_after_an_upgrade_that_nobody_takes(
    served: Any, parser: str, content: bool, together: bool
) -> None:
    """The response says that the connection ends, and it does: what follows may be in the other protocol."""
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    first = b"POST /first HTTP/1.1\r\nHost: a\r\n" + UPGRADE
    first += b"Content-Length: 3\r\n\r\nabc" if content else b"\r\n"
    second = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"

    async def scenario(world: Any) -> bytes:
        context = ssl.create_default_context(cafile=world.cafile)
        reader, writer = await asyncio.open_connection("localhost", world.port, ssl=context)
        writer.write(first + second if together else first)
        said = await reader.readuntil(b"ok")
        if not together:
            writer.write(second)
        try:
            async with asyncio.timeout(10):
                said += await reader.read()
        except ConnectionError:
            pass  # a reset ends it as well
        writer.close()
        return bytes(said)

    said = served(app, scenario)
    assert said.count(b"HTTP/1.1") == 1
    assert b"\r\nconnection: close\r\n" in said.lower()
    assert asked == ["/first"]
