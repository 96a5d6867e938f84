"""h3push, serving the files of a directory: `h3push_static.py PORT CERTIFICATE KEY DIRECTORY`."""

import asyncio
import sys
from pathlib import Path

from h3push_settings import SETTINGS

from h3push import serve
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler


async def main() -> None:
    port, certificate, key, root = sys.argv[1:]
    handler = DirectoryHandler(Directory(Path(root)))
    async with serve(handler, "127.0.0.1", int(port), certfile=certificate, keyfile=key, settings=SETTINGS) as server:
        print("ready", flush=True)
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
