"""The same application answers WebSockets over TCP, with the same state, bounds and log."""

import asyncio
import ssl
from typing import Any

import pytest

import h3push

websockets = pytest.importorskip("websockets.asyncio.client")
pytest.importorskip("uvicorn")


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says who it is, then echoes."""
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["name"] = "one"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    assert scope["type"] == "websocket"
    await receive()
    if scope["path"] == "/denied":
        await send({"type": "websocket.close"})
        return
    await send({"type": "websocket.accept", "subprotocol": "b"})
    await send({"type": "websocket.send", "text": f"{scope['state']['name']} {scope['root_path']} {scope['scheme']}"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.mark.parametrize("tcp", ["uvicorn", "hypercorn"])
def test_an_application_answers_websockets_over_tcp(served: Any, tcp: str) -> None:
    """Echo, subprotocol, state, mount point; one too large is refused with 1009; denial is 403 (issue 12, point 2)."""
    pytest.importorskip(tcp)

    async def scenario(world: Any) -> None:
        context = ssl.create_default_context(cafile=world.cafile)
        url = f"wss://localhost:{world.port}"
        async with websockets.connect(f"{url}/chat", ssl=context, subprotocols=["a", "b"]) as socket:
            assert socket.subprotocol == "b"
            assert await socket.recv() == "one /mounted wss"
            for data in ("text", b"bytes"):
                await socket.send(data)
                assert await socket.recv() == data
            await socket.send(bytes(1024 * 1024 + 1))
            with pytest.raises(Exception, match="1009"):
                await socket.recv()
        with pytest.raises(Exception, match="403"):
            await websockets.connect(f"{url}/denied", ssl=context)
        assert world.server.counters.requests_over_tcp == 2
        async with asyncio.timeout(5):
            while len(world.rows()) < 2:  # noqa: ASYNC110 - written when the application has returned
                await asyncio.sleep(0.01)
        rows = {row["path"]: (row["method"], row["protocol"], row["status"]) for row in world.rows()}
        assert rows == {"/chat": ("GET", "HTTP/1.1", 101), "/denied": ("GET", "HTTP/1.1", 403)}

    served(app, scenario, tcp=tcp, root_path="/mounted", settings=h3push.ServerSettings(graceful_timeout=0.5))
