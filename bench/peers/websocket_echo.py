"""The ASGI application that answers WebSockets with what they said; h3push and Hypercorn run it."""


async def app(scope, receive, send) -> None:
    """Echo."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": message["bytes"]})
