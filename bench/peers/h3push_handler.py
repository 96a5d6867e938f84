"""h3push, with a plain function as its handler: `h3push_handler.py PORT CERTIFICATE KEY`."""

import asyncio
import gc
import sys

from contents import AT_HAND, BODIES, ONE_K, PUSHED, PUSHES
from h3push_settings import SETTINGS

from h3push import Request, Response, serve

HEADERS = {"content-type": "text/plain"}
RESOURCE = Response(200, HEADERS, ONE_K)
"""Of the pushes whose response is at hand."""


async def upload(request: Request) -> Response:
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return Response(200, HEADERS, b"%d" % size)


def handler(request: Request):
    path = request.path.partition("?")[0]
    body = BODIES.get(path)
    if body is not None:
        return Response(200, HEADERS, body)
    if path in PUSHED:
        for _ in range(PUSHES):
            request.push_nowait(PUSHED[path])
        return Response(200, HEADERS, ONE_K)
    if path in AT_HAND:
        for _ in range(PUSHES):
            request.push_nowait(AT_HAND[path], response=RESOURCE)
        return Response(200, HEADERS, ONE_K)
    if path == "/upload":
        return upload(request)
    return Response(404)


async def main() -> None:
    port, certificate, key = sys.argv[1:]
    async with serve(handler, "127.0.0.1", int(port), certfile=certificate, keyfile=key, settings=SETTINGS) as server:
        gc.collect()
        print("ready", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
