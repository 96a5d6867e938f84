"""h3push, running an ASGI application: `h3push_asgi.py [websocket_echo] PORT CERTIFICATE KEY`."""

import asyncio
import importlib
import sys

from h3push_settings import SETTINGS

from h3push.asgi.serve import serve_asgi


async def main() -> None:
    *name, port, certificate, key = sys.argv[1:]
    app = importlib.import_module(name[0] if name else "application").app
    async with serve_asgi(
        app, "127.0.0.1", int(port), certfile=certificate, keyfile=key, settings=SETTINGS, lifespan=False
    ) as server:
        print("ready", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
