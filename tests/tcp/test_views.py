"""Rows of the access log over TCP have what learning counts, as those over HTTP/3 do."""

import asyncio
import gc
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


DOCUMENT, STYLE = {"Sec-Fetch-Dest": "document"}, {"Sec-Fetch-Dest": "style"}


async def ask(world: Any, path: str, fields: dict[str, str]) -> asyncio.StreamWriter:
    """One request as a browser makes it, on a connection of its own, which stays open."""
    context = ssl.create_default_context(cafile=world.cafile)
    reader, writer = await asyncio.open_connection("localhost", world.port, ssl=context)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": f"localhost:{world.port}", **fields}.items())
    writer.write(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
    return writer


async def written(world: Any, count: int) -> Any:
    """The rows, once there are so many: they are written when the application has returned."""
    async with asyncio.timeout(5):
        while len(world.rows()) < count:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return world.rows()


def views_of(rows: Any) -> list[tuple[Any, ...]]:
    """Page and position of each row, and the number of the connection among those that were seen."""
    names = list(dict.fromkeys(row["connection"] for row in rows))
    return [(names.index(row["connection"]), row["view"], row["page"], row["position"]) for row in rows]


def test_a_browser_takes_a_page_over_several_connections(served: Any) -> None:
    """Of HTTP/1.1: they share their page views. Another browser's, and a program's, are its own."""

    async def scenario(world: Any) -> None:
        referrer = {"Referer": f"https://localhost:{world.port}/"}
        one, other = {"User-Agent": "one"}, {"User-Agent": "other"}
        opened = [
            await ask(world, "/", DOCUMENT | one),
            await ask(world, "/a.css", STYLE | one | referrer),
            await ask(world, "/", DOCUMENT | other),
            await ask(world, "/", DOCUMENT | one),
            await ask(world, "/b.css", STYLE | one | referrer),
            await ask(world, "/api", one),
        ]
        assert views_of(await written(world, 6)) == [
            (0, 1, "/", 0),
            (0, 1, "/", 1),
            (1, 1, "/", 0),
            (0, 2, "/", 0),
            (0, 2, "/", 1),
            (2, 1, "/api", 0),
        ]
        for writer in opened:
            writer.close()

    served(app, scenario)


def test_a_browser_that_comes_back_begins_anew(served: Any) -> None:
    """Nothing is remembered of it when its last connection has ended."""

    async def scenario(world: Any) -> None:
        for _ in range(2):
            writer = await ask(world, "/", DOCUMENT)
            writer.close()
            await writer.wait_closed()
            async with asyncio.timeout(10):
                while world.side.connections():  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            gc.collect()
        assert views_of(await written(world, 2)) == [(0, 1, "/", 0), (1, 1, "/", 0)]
        assert [row["warm"] for row in world.rows()] == [False, False]

    served(app, scenario)


def test_workers_do_not_know_of_each_other_s_connections(served: Any) -> None:
    """A browser's rows over HTTP/1.1 claim no page then: a style sheet alone on its connection would be one. A program's do."""

    async def scenario(world: Any) -> None:
        world.side._tls.visits.is_split = True
        opened = [await ask(world, "/a.css", STYLE), await ask(world, "/api", {})]
        assert [(row["path"], row["page"], row["position"]) for row in await written(world, 2)] == [
            ("/a.css", None, None),
            ("/api", "/api", 0),
        ]
        for writer in opened:
            writer.close()

    served(app, scenario)
