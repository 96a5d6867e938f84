"""Rows of the access log over TCP have what learning counts, as those over HTTP/3 do."""

import asyncio
import ssl
import sys
from typing import Any

import pytest

pytest.importorskip("uvicorn")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise NotImplementedError
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def visit(world: Any) -> None:
    """Two pages on one connection, each with a file that names its page."""
    context = ssl.create_default_context(cafile=world.cafile)
    reader, writer = await asyncio.open_connection("localhost", world.port, ssl=context)
    origin = f"localhost:{world.port}"
    for page in ("/one", "/two"):
        for path, fields in ((page, "Sec-Fetch-Dest: document"), (f"{page}.css", f"Referer: https://{origin}{page}")):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {origin}\r\n{fields}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"ok"
    writer.close()


@pytest.mark.parametrize("tcp", ["uvicorn", "hypercorn"])
def test_rows_over_tcp_tell_page_views(served: Any, tcp: str) -> None:
    """Connection, view, page, position and warmth, by connection; the round trip with pages (issue 15, point 2)."""
    pytest.importorskip(tcp)

    async def scenario(world: Any) -> None:
        for _ in range(2):
            await visit(world)
        async with asyncio.timeout(5):
            while len(world.rows()) < 8:  # noqa: ASYNC110 - written when the application has returned
                await asyncio.sleep(0.01)
        rows = world.rows()
        assert [(row["view"], row["page"], row["position"], row["warm"]) for row in rows[:4]] == [
            (1, "/one", 0, False),
            (1, "/one", 1, None),
            (2, "/two", 0, True),
            (2, "/two", 1, None),
        ]
        first, second = ({row["connection"] for row in half} for half in (rows[:4], rows[4:]))
        assert len(first) == len(second) == 1
        assert first != second
        assert [row["since_page_ms"] > 0 for row in rows] == [False, True] * 4
        if sys.platform == "linux":
            assert [0 < (row["rtt_ms"] or 0) < 5_000 for row in rows] == [True, False] * 4
            assert [(row["window"] or 0) > 1_000 for row in rows] == [True, False] * 4

    served(app, scenario, tcp=tcp)
