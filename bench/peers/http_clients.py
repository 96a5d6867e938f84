"""The clients that `clients.py` measures: `http_clients.py NAME SCENARIO URL CAFILE SECONDS`.

Each is used as its documentation says, over one connection where it can share one, and reads every response to its end. Printed
is a line of JSON: operations, bytes, seconds, and CPU of this process within them. What a client does once, importing and
connecting, is outside.
"""

import asyncio
import importlib
import json
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

Get = Callable[[], Awaitable[int]]
"""One GET, read to its end; gives the bytes of content."""

AT_ONCE = 50


async def h3push_connect(stack: AsyncExitStack, url: str, cafile: str, bulk: bool) -> Get:
    """`h3push.connect`: one connection."""
    import h3push

    client = await stack.enter_async_context(h3push.connect(url, cafile=cafile))
    path = urlsplit(url).path

    async def get() -> int:
        response = await client.get(path)
        if bulk:
            return sum([len(piece) async for piece in response.stream()])
        return len(await response.read())

    return get


async def h3push_transport(stack: AsyncExitStack, url: str, cafile: str, bulk: bool) -> Get:
    """httpx2 with our transport."""
    import h3push

    client = await stack.enter_async_context(h3push.AsyncClient(verify=cafile, fallback=False))
    return _httpx(client, url, bulk, "HTTP/3")


async def httpx2_http2(stack: AsyncExitStack, url: str, cafile: str, bulk: bool) -> Get:
    """httpx2 with its own transport over HTTP/2."""
    import httpx2

    verify = ssl.create_default_context(cafile=cafile)
    client = await stack.enter_async_context(httpx2.AsyncClient(verify=verify, http1=False, http2=True))
    return _httpx(client, url, bulk, "HTTP/2")


def _httpx(client: Any, url: str, bulk: bool, version: str) -> Get:
    async def get() -> int:
        if bulk:
            async with client.stream("GET", url) as response:
                return sum([len(piece) async for piece in response.aiter_bytes()])
        response = await client.get(url)
        assert response.http_version == version
        return len(response.content)

    return get


async def niquests_http3(stack: AsyncExitStack, url: str, cafile: str, bulk: bool) -> Get:
    """niquests, told beforehand that the server has HTTP/3."""
    import niquests

    parts = urlsplit(url)
    session = await stack.enter_async_context(niquests.AsyncSession(disable_http1=True, disable_http2=True))
    session.quic_cache_layer.add_domain(parts.hostname, parts.port)

    async def get() -> int:
        if bulk:
            response = await session.get(url, verify=cafile, stream=True)
            return sum([len(piece) async for piece in await response.iter_content(65_536)])
        response = await session.get(url, verify=cafile)
        assert response.http_version == 30
        return len(response.content)

    return get


async def aiohttp_http1(stack: AsyncExitStack, url: str, cafile: str, bulk: bool) -> Get:
    """Aiohttp over HTTP/1.1; as many connections as there are requests at once."""
    import aiohttp

    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=cafile))
    session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def get() -> int:
        async with session.get(url) as response:
            if bulk:
                return sum([len(piece) async for piece in response.content.iter_any()])
            return len(await response.read())

    return get


async def quic_python(library: str, stack: AsyncExitStack, url: str, cafile: str) -> Get:
    """aioquic, or its fork qh3, as in their example client: no task for a request, content counted as it comes."""
    connect = importlib.import_module(f"{library}.asyncio.client").connect
    protocol = importlib.import_module(f"{library}.asyncio.protocol").QuicConnectionProtocol
    h3 = importlib.import_module(f"{library}.h3.connection").H3Connection
    events = importlib.import_module(f"{library}.h3.events")
    parts = urlsplit(url)
    window = 16 * 1024 * 1024
    configuration = importlib.import_module(f"{library}.quic.configuration").QuicConfiguration(
        is_client=True, alpn_protocols=["h3"], max_data=window, max_stream_data=window
    )
    configuration.load_verify_locations(cafile=cafile)

    fields = {":method": "GET", ":scheme": "https", ":authority": parts.netloc, ":path": parts.path}
    head = [(name.encode(), value.encode()) for name, value in fields.items()]

    class Client(protocol):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.http = h3(self._quic)
            self.waiting: dict[int, list[Any]] = {}

        async def get(self) -> int:
            stream_id = self._quic.get_next_available_stream_id()
            while True:
                try:
                    self._quic.send_stream_data(stream_id, b"")
                    break
                except ValueError:  # qh3, when the server has not raised the limit of streams yet
                    await asyncio.sleep(0.001)
            self.http.send_headers(stream_id, head, end_stream=True)
            future = self._loop.create_future()
            self.waiting[stream_id] = [future, 0]
            self.transmit()
            received: int = await future
            return received

        def quic_event_received(self, event: Any) -> None:
            for happened in self.http.handle_event(event):
                if isinstance(happened, events.DataReceived):
                    self.waiting[happened.stream_id][1] += len(happened.data)
                if happened.stream_ended:
                    future, received = self.waiting.pop(happened.stream_id)
                    future.set_result(received)

    client = await stack.enter_async_context(
        connect(parts.hostname, parts.port, configuration=configuration, create_protocol=Client)
    )
    get: Get = client.get
    return get


async def aioquic(stack: AsyncExitStack, url: str, cafile: str, _bulk: bool) -> Get:
    return await quic_python("aioquic", stack, url, cafile)


async def qh3(stack: AsyncExitStack, url: str, cafile: str, _bulk: bool) -> Get:
    return await quic_python("qh3", stack, url, cafile)


async def measure(get: Get, at_once: int, seconds: float) -> tuple[int, int]:
    """GET again and again for so long, `at_once` at any time; (how often, bytes)."""
    end, counts = time.monotonic() + seconds, [0, 0]

    async def again() -> None:
        while time.monotonic() < end:
            size = await get()
            counts[0] += 1
            counts[1] += size

    await asyncio.gather(*(again() for _ in range(at_once)))
    return counts[0], counts[1]


async def main() -> None:
    name, scenario, url, cafile, seconds = sys.argv[1:]
    bulk = scenario == "bulk"
    at_once = AT_ONCE if scenario == "fifty" else 1
    async with AsyncExitStack() as stack:
        get = await globals()[name](stack, url, cafile, bulk)
        if not bulk:
            await measure(get, at_once, 0.3)
        began, cpu = time.monotonic(), time.process_time()
        operations, size = (1, await get()) if bulk else await measure(get, at_once, float(seconds))
        told = {"operations": operations, "bytes": size, "seconds": time.monotonic() - began}
        print(json.dumps({**told, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    asyncio.run(main())
