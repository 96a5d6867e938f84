"""A thousand requests while the upstream's connections break, it restarts, and the cache is full: every whole body is right."""

import asyncio
import hashlib
import random
from collections import Counter
from typing import Any

import h3push
from h3push.errors import H3PushError
from h3push.proxy.settings import ProxySettings

REQUESTS, AT_ONCE, PATHS = 1_000, 20, 60


def body_of(path: str) -> bytes:
    """The content of a path: made of its name, from nothing to 200 kB."""
    number = int(path.removeprefix("/"))
    return hashlib.sha256(path.encode()).digest() * (number * number * 2)


class Unreliable:
    """An upstream that breaks off one answer in eight, at any point, and closes what it likes."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.broken = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                answer = self.answer(head.split(b" ")[1].decode())
                cut = self.random.randrange(len(answer)) if self.random.random() < 0.125 else None
                writer.write(answer[:cut])
                await writer.drain()
                if cut is not None or self.random.random() < 0.1:
                    self.broken += cut is not None
                    return
        finally:
            self.writers.discard(writer)

    def answer(self, path: str) -> bytes:
        body = body_of(path)
        fields = b"Cache-Control: max-age=60\r\n" if int(path[1:]) % 2 else b""
        if int(path[1:]) % 3:
            return b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body
        chunk = b"%x\r\n" % len(body) + body + b"\r\n" if body else b""
        return b"HTTP/1.1 200 OK\r\n" + fields + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"

    def restart(self) -> None:
        """Break everything that is open."""
        for writer in list(self.writers):
            writer.transport.abort()


def test_no_body_is_wrong_or_short(proxied: Any) -> None:
    """200 and the end of the stream mean: all of it, byte for byte. Whatever else happened is an error that the client sees."""
    upstream = Unreliable()

    async def scenario(one: Any) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        chance = random.Random(2)
        paths = [f"/{chance.randrange(PATHS)}" for _ in range(REQUESTS)]

        async def work(client: h3push.ClientConnection) -> None:
            while paths:
                path = paths.pop()
                if len(paths) % 200 == 0:
                    upstream.restart()
                outcomes[await outcome(client, path)] += 1

        async with h3push.connect(f"https://localhost:{one.port}/", cafile=one.cafile) as client:
            await asyncio.gather(*(work(client) for _ in range(AT_ONCE)))
        outcomes["from the cache"] = one.proxy.cache.answered
        return outcomes

    outcomes = proxied(scenario, raw=upstream, settings=ProxySettings(cached_bytes=300_000))
    assert upstream.broken > 50
    assert outcomes["wrong"] == 0
    assert outcomes["right"] > REQUESTS * 0.7
    assert outcomes["right"] + outcomes["failed"] + outcomes["502"] == REQUESTS
    assert outcomes["from the cache"] > 50


async def outcome(client: h3push.ClientConnection, path: str) -> str:
    """Ask for a path; "right", "wrong", the status of an answer that says so itself, or "failed"."""
    try:
        response = await client.get(path)
        content = await response.read()
    except H3PushError:
        return "failed"
    if response.status != 200:
        return str(response.status)
    same = hashlib.sha256(content).digest() == hashlib.sha256(body_of(path)).digest()
    return "right" if same else "wrong"
