"""The application that `soak.py` serves: pages with pushes, an endless download, content that is sent back, WebSockets."""

from typing import Any

PUSHED = 6
"""Resources that a page is pushed with."""
SIZE = 20_000
"""Bytes of each."""
PIECE = bytes(64 * 1024)
"""Pieces of the download, which nobody waits for the end of."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """One request, one WebSocket, or the lifespan."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "websocket":
        await _echo_messages(receive, send)
    elif scope["path"].startswith("/page"):
        await _answer_page(scope, send)
    elif scope["path"] == "/download":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body"})
    else:
        await _respond(send, await _content(receive) or bytes(SIZE))


async def _live(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def _echo_messages(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


async def _answer_page(scope: Any, send: Any) -> None:
    if "http.response.push" in scope["extensions"]:
        for number in range(PUSHED):
            await send({"type": "http.response.push", "path": f"{scope['path']}/{number}.css", "headers": []})
    await _respond(send, b"<!doctype html><title>page</title>" + bytes(SIZE))


async def _content(receive: Any) -> bytes:
    pieces = []
    while (message := await receive())["type"] == "http.request":
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(pieces)


async def _respond(send: Any, content: bytes) -> None:
    headers = [(b"content-type", b"text/html"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
