"""Hypercorn, running an ASGI application over HTTP/3: `hypercorn_asgi.py [websocket_echo] PORT CERTIFICATE KEY`."""

import asyncio
import importlib
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config


async def main() -> None:
    *name, port, certificate, key = sys.argv[1:]
    app = importlib.import_module(name[0] if name else "application").app
    config = Config()
    config.bind = []
    config.insecure_bind = []
    config.quic_bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = certificate, key
    config.accesslog = config.errorlog = None
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=stop.wait))
    print("ready", flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main())
