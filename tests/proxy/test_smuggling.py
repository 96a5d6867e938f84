"""Requests that two servers could read in two ways: none of them gets through as something else than what was answered.

Each case is sent, byte by byte as written, to the proxy's HTTP/1.1 side, by either of its parsers, with a request for /next
behind it on the same connection. The upstream notes whole requests as it reads them, by the rules of RFC 9112 and nothing else.
Whatever the proxy thinks of a case, the upstream may have seen it at most once, whole, and never a request for /smuggled.
"""

import asyncio
import ssl
from importlib.util import find_spec
from typing import Any

import pytest

from h3push.tcp import uvicorn_backend

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"

CASES = {
    "two lengths": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" + SMUGGLED,
    "two lengths in one field": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0, %d\r\n\r\n" + SMUGGLED,
    "length and chunked": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunked twice": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, then identity": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: %d\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "nearly chunked": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: xchunked\r\nContent-Length: %d\r\n\r\n"
    + SMUGGLED,
    "chunked behind a tab": b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked with a space before the colon": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding : chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "a folded field": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"X: 1\r\n Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "bare line feeds": b"POST / HTTP/1.1\n" + b"Host: a\nContent-Length: 0\n\n" + SMUGGLED.replace(b"\r\n", b"\n"),
    "a bare carriage return": b"POST / HTTP/1.1\r\n" + HOST + b"X: a\rContent-Length: %d\r\n\r\n" + SMUGGLED,
    "a line feed in a field": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "a length with a sign": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: +%d\r\n\r\n" + SMUGGLED,
    "a length that is none": b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0x0\r\n\r\n" + SMUGGLED,
    "a length beyond all numbers": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 99999999999999999999\r\n\r\n"
    + SMUGGLED,
    "a chunk beyond all numbers": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n"
    + SMUGGLED,
    "a chunk size with a space": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0 x\r\n\r\n"
    + SMUGGLED,
    "a chunk that ends elsewhere": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n"
    + SMUGGLED,
    "a chunk extension with a line feed": b"POST / HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\nab\r\n0\r\n\r\n"
    + SMUGGLED,
    "a space in the target": b"GET / HTTP/1.1\r\nX: y\r\nGET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n",
    "a body on GET": b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" + SMUGGLED,
    "an upgrade to HTTP/2": b"GET / HTTP/1.1\r\n"
    + HOST
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    "an absolute target": b"GET http://elsewhere/smuggled HTTP/1.1\r\n" + HOST + b"\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
}
"""What is sent; %d is the length of a whole request, hidden in what may be a body."""


class Recorder:
    """An upstream that reads strictly, and notes every request."""

    def __init__(self) -> None:
        self.seen: list[tuple[bytes, bytes]] = []
        self.nonsense: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].split(b"\r\n")
            fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:])]
            lengths = [value for name, value in fields if name == b"content-length"]
            codings = [value for name, value in fields if name == b"transfer-encoding"]
            hosts = [value for name, value in fields if name == b"host"]
            if b"\n" in head.replace(b"\r\n", b"") or len(lengths) + len(codings) > 1 or len(hosts) != 1:
                self.nonsense.append(head)
            body = await reader.readexactly(int(lengths[0])) if lengths else b""
            if codings:
                body = await self._chunked(reader)
            self.seen.append((lines[0], body))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def _chunked(self, reader: asyncio.StreamReader) -> bytes:
        body = b""
        while size := int((await reader.readuntil(b"\r\n"))[:-2], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
        return body


@pytest.mark.parametrize("parser", ["httptools", "zttp"])
@pytest.mark.parametrize("case", CASES)
def test_nothing_is_smuggled(proxied: Any, monkeypatch: pytest.MonkeyPatch, case: str, parser: str) -> None:
    """The upstream sees no request that the proxy has not read as one, and no framing that could be read in two ways."""
    if parser == "httptools":  # as where zttp is not installed
        monkeypatch.setattr(uvicorn_backend, "find_spec", lambda name: None if name == "zttp" else find_spec(name))
    text = CASES[case]
    if b"%d" in text:
        text = text.replace(b"%d", str(len(SMUGGLED)).encode())
    upstream = Recorder()

    async def scenario(one: Any) -> bytes:
        context = ssl.create_default_context(cafile=one.cafile)
        reader, writer = await asyncio.open_connection("localhost", one.port, ssl=context)
        writer.write(text + b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        try:
            async with asyncio.timeout(10):
                said = await reader.read()
        finally:
            writer.close()
        return said

    said = proxied(scenario, raw=upstream)
    lines = [line for line, _ in upstream.seen]
    answers = said.count(b"HTTP/1.1 200 OK")
    assert not upstream.nonsense
    # What the proxy itself took for a request behind the first is one on its connection too, and is answered as such.
    hidden = [line for line in lines if b"/smuggled" in line]
    assert not hidden or answers == len(upstream.seen), (said, upstream.seen)
    assert len(lines) == len(upstream.seen) <= 3
    assert answers == len(upstream.seen)
