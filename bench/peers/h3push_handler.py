"""h3push, with a plain function as its handler: `h3push_handler.py PORT CERTIFICATE KEY`."""

import asyncio
import gc
import sys

from contents import BODIES, ONE_K, PUSHED, PUSHES

from h3push import Request, Response, serve

HEADERS = {"content-type": "text/plain"}


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
    if path == "/upload":
        return upload(request)
    return Response(404)


async def main() -> None:
    port, certificate, key = sys.argv[1:]
    async with serve(handler, "127.0.0.1", int(port), certfile=certificate, keyfile=key) as server:
        gc.collect()
        print("ready", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
