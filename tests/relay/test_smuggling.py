"""Request smuggling: whatever the server in front takes one request for, the origin sees as that one, or not at all.

Each attack hides a request for `/hidden` in what two parsers may take for content, or for the next request.
"""

import asyncio
import re

import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates

from .sockets import client_context, exchange, relay_to

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(*fields: bytes, content: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST /open HTTP/1.1", b"Host: localhost", *fields, b"", b""]) + content


REFUSED = {
    "two lengths": post(b"Content-Length: 0", b"Content-Length: %d" % len(HIDDEN), content=HIDDEN),
    "two lengths in one field": post(b"Content-Length: 0, %d" % len(HIDDEN), content=HIDDEN),
    "a signed length": post(b"Content-Length: +%d" % len(HIDDEN), content=HIDDEN),
    "a hexadecimal length": post(b"Content-Length: 0x2a", content=HIDDEN),
    "a negative length": post(b"Content-Length: -1", content=HIDDEN),
    "a length beyond all integers": post(b"Content-Length: 18446744073709551617", content=HIDDEN),
    "length and chunks": post(b"Content-Length: 4", b"Transfer-Encoding: chunked", content=b"0\r\n\r\n" + HIDDEN),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", content=b"0\r\n\r\n" + HIDDEN),
    "chunked, then something else": post(b"Transfer-Encoding: chunked, identity", content=b"0\r\n\r\n" + HIDDEN),
    "chunked with a letter before": post(b"Transfer-Encoding: xchunked", content=b"0\r\n\r\n" + HIDDEN),
    "chunked behind a vertical tab": post(b"Transfer-Encoding: \x0bchunked", content=b"0\r\n\r\n" + HIDDEN),
    "a blank before the colon": post(b"Transfer-Encoding : chunked", content=b"0\r\n\r\n" + HIDDEN),
    "a folded line": post(b"Content-Length: 0", b"X: a\r\n Content-Length: %d" % len(HIDDEN), content=HIDDEN),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked", content=b"0\r\n\r\n" + HIDDEN),
    "a bare LF": post(b"X: a\nContent-Length: %d" % len(HIDDEN), content=HIDDEN),
    "a bare CR": post(b"X: a\rContent-Length: %d" % len(HIDDEN), content=HIDDEN),
    "a NUL": post(b"X: a\0b", b"Content-Length: 0", content=HIDDEN),
    "a chunk size beyond all integers": post(
        b"Transfer-Encoding: chunked", content=b"10000000000000000\r\nx\r\n0\r\n\r\n" + HIDDEN
    ),
    "a negative chunk size": post(b"Transfer-Encoding: chunked", content=b"-1\r\nx\r\n0\r\n\r\n" + HIDDEN),
    "a chunk size with a prefix": post(b"Transfer-Encoding: chunked", content=b"0x0\r\n\r\n" + HIDDEN),
    "a chunk that is longer than it says": post(
        b"Transfer-Encoding: chunked", content=b"1\r\nxGET\r\n0\r\n\r\n" + HIDDEN
    ),
    "a chunk that ends with a bare LF": post(b"Transfer-Encoding: chunked", content=b"1\nx\n0\n\n" + HIDDEN),
    "a length in the trailers": post(
        b"Transfer-Encoding: chunked", content=b"1\r\nx\r\n0\r\nContent-Length: 99\r\n\r\n" + HIDDEN
    ),
    "no host": b"GET /open HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /open HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "a blank in the target": b"GET /open /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED)
def test_nothing_hidden_passes(sent: bytes, tls: bool, certificates: DevelopmentCertificates) -> None:
    """The relay refuses, or answers the one request that it sees; `/hidden` is never asked for."""
    asked: list[tuple[str, bytes]] = []

    async def origin(request: h3push.Request) -> h3push.Response:
        asked.append((request.path, await request.read()))
        return h3push.Response(200, {}, b"open")

    async def check() -> bytes:
        async with relay_to(origin, certificates, tls=tls) as relay:
            return await exchange(relay.places[0].port, sent, context=client_context(certificates) if tls else None)

    got = asyncio.run(check())
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d)", got)]
    assert [path for path, _ in asked] in ([], ["/open"]), f"the origin was asked for {asked}"
    assert len(statuses) <= 1 or statuses[1] >= 400, got
    if statuses and statuses[0] < 400:
        assert b"hidden" not in asked[0][1]


PASSED = {
    "chunks": (post(b"Transfer-Encoding: chunked", content=b"3\r\nabc\r\n3;x=y\r\ndef\r\n0\r\n\r\n"), b"abcdef"),
    "a length": (post(b"Content-Length: 6", content=b"abcdef"), b"abcdef"),
    "leading zeros": (post(b"Content-Length: 006", content=b"abcdef"), b"abcdef"),
    "trailers": (
        post(b"Transfer-Encoding: chunked", b"Trailer: x", content=b"6\r\nabcdef\r\n0\r\nX: y\r\n\r\n"),
        b"abcdef",
    ),
}  # fmt: skip


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("sent", "content"), PASSED.values(), ids=PASSED)
def test_well_formed_content_arrives_as_it_is(
    sent: bytes, content: bytes, tls: bool, certificates: DevelopmentCertificates
) -> None:
    """Framing is undone here and made anew: the origin gets the content, no coding and no trailers' tricks."""
    asked: list[tuple[str, bytes, dict[str, str]]] = []

    async def origin(request: h3push.Request) -> h3push.Response:
        asked.append((request.path, await request.read(), dict(request.headers)))
        return h3push.Response(200, {}, b"open")

    async def check() -> bytes:
        async with relay_to(origin, certificates, tls=tls) as relay:
            return await exchange(
                relay.places[0].port, sent + HIDDEN, context=client_context(certificates) if tls else None
            )

    got = asyncio.run(check())
    assert [one[:2] for one in asked] == [("/open", content), ("/hidden", b"")], "the second request is one of its own"
    assert "transfer-encoding" not in asked[0][2]
    assert got.count(b"HTTP/1.1 200") == 2
