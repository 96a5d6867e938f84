"""The ASGI application that h3push and Hypercorn run: nothing but the answer."""

from contents import BODIES

HEADERS = [(b"content-type", b"text/plain")]


async def app(scope, receive, send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])  # no lifespan
    path = scope["path"]
    if path == "/upload":
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"%d" % size
    else:
        body = BODIES[path]
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, length]})
    await send({"type": "http.response.body", "body": body})
