"""Connections over TCP that ask for nothing, or are too many."""

import asyncio
import ssl
from typing import Any

import pytest

import h3push

pytest.importorskip("uvicorn")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def connect(world: Any, version: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=world.cafile)
    context.set_alpn_protocols([version])
    return await asyncio.open_connection("localhost", world.port, ssl=context)


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """True when the server closes the connection within five seconds."""
    try:
        async with asyncio.timeout(5):
            while await reader.read(1000):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("version", ["h2", "http/1.1"])
@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: localh"])
def test_a_connection_that_asks_for_nothing_ends(served: Any, version: str, said: bytes) -> None:
    """`first_request_timeout`, for silence and for a request that never becomes one (slowloris)."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, version)
        writer.write(said)
        assert await is_closed(reader)
        writer.close()

    served(app, scenario, settings=h3push.ServerSettings(first_request_timeout=0.3))


def test_a_connection_that_asked_stays(served: Any) -> None:
    """The time-out is for the first request only."""

    async def scenario(world: Any) -> None:
        reader, writer = await connect(world, "http/1.1")
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"
            await asyncio.sleep(0.5)
        writer.close()

    served(app, scenario, settings=h3push.ServerSettings(first_request_timeout=0.3))


def test_connections_beyond_the_bound_are_closed(served: Any) -> None:
    """`max_connections`; those that are there go on."""

    async def scenario(world: Any) -> None:
        held = [await connect(world, "http/1.1") for _ in range(2)]
        await asyncio.sleep(0.1)
        reader, writer = await connect(world, "http/1.1")
        assert await is_closed(reader)
        writer.close()
        for reader, writer in held:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).endswith(b"ok")
            writer.close()

    served(app, scenario, settings=h3push.ServerSettings(max_connections=2))
