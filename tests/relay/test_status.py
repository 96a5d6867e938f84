"""The status of a relay: text for a terminal, HTML for a browser, JSON for a program, and nothing for other machines."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.relay.status import preferred
from h3push.relay.status_text import as_text
from h3push.server.certificates import DevelopmentCertificates

from .sockets import exchange, relay_to

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import devtools

SITE = Path(h3push.__file__).parent / "site"


def ask(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]).encode()


def content_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def told_by(relay_port: int) -> Any:
    return exchange(relay_port, ask("/.h3push/status.json"))


def test_each_reader_gets_its_own_form(certificates: DevelopmentCertificates) -> None:
    """A terminal gets lines, a browser a page that loads nothing, a program JSON; all from one list of facts."""

    async def check() -> None:
        async with relay_to(DirectoryHandler(Directory(SITE)), certificates) as relay:
            port = relay.places[0].port
            await exchange(port, ask("/", "Accept: text/html"))
            await exchange(port, ask("/styles/guide.css"))
            text = await exchange(port, ask("/.h3push/", "Accept: */*"))
            assert b"content-type: text/plain" in text
            assert b"round trips saved  1" in text
            assert b"/styles/guide.css" in text
            page = await exchange(port, ask("/.h3push/", "Accept: text/html,application/xhtml+xml,*/*;q=0.8"))
            assert b"content-security-policy: default-src 'none'" in page
            assert b"<!doctype html>" in page
            facts = json.loads(content_of(await exchange(port, ask("/.h3push/", "Accept: application/json"))))
            assert facts["round_trips_saved"] == facts["requests"]["push"] == 1
            assert facts["origins"][0]["connected"]
            assert [row["path"] for row in facts["loads"][0]["rows"]] == ["/", "/styles/guide.css"]
            assert facts == json.loads(content_of(await told_by(port)))
            assert b"404" in (await exchange(port, ask("/.h3push/other")))[:20]
            assert b"405" in (await exchange(port, ask("/.h3push/").replace(b"GET", b"POST")))[:20]

    asyncio.run(check())


def test_it_is_told_to_this_machine_alone(certificates: DevelopmentCertificates) -> None:
    """A relay that other machines reach has no status page at all: the path is the origin's."""

    async def origin(request: h3push.Request) -> h3push.Response:
        return h3push.Response(200, {}, f"the origin's {request.path}".encode())

    async def check() -> bytes:
        async with relay_to(origin, certificates, host="0.0.0.0") as relay:
            return await exchange(relay.places[0].port, ask("/.h3push/"))

    assert content_of(asyncio.run(check())) == b"the origin's /.h3push/"


def test_an_origin_that_is_not_there_is_said(certificates: DevelopmentCertificates) -> None:
    """The status says why there is no connection."""
    facts = {
        "origins": [{"here": "http://localhost:1", "origin": "https://a.example", "connected": False, "error": "nobody there"}],
        "requests": {"push": 0, "store": 0, "server": 0, "relay": 0, "under_way": 0, "websockets": 0},
        "pushes": {"promised": 0, "claimed": 0, "waiting": 0, "cancelled": {"fresh": 2}, "bytes_claimed": 0, "bytes_wasted": 0},
        "round_trips_saved": 0, "cache": {"responses": 0, "bytes": 0, "most_bytes": 1}, "loads": [],
    }  # fmt: skip
    text = as_text(facts)
    assert "not connected: nobody there" in text
    assert "not used: 2 fresh" in text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", b"text/plain"), ("", b"text/plain"), ("text/html,*/*", b"text/html"), ("application/json", b"application/json"),
        ("text/plain, text/html", b"text/html"),
    ],
)  # fmt: skip
def test_content_negotiation(accept: str, kind: bytes) -> None:
    """The first form that Accept names and that is not what everybody gets."""
    assert preferred(accept).startswith(kind)


def test_a_browser_sees_it_change(certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """The page shows what happens while it is open, complains of nothing, and fits on a phone."""
    if devtools.command() is None:
        pytest.skip("no Chromium found")

    async def check() -> None:
        async with relay_to(DirectoryHandler(Directory(SITE)), certificates) as relay:
            port = relay.places[0].port
            flags = "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND"
            async with devtools.Chromium(tmp_path / "profile", flags) as browser:
                status, visit = await browser.open(), await browser.open()
                await status.resize(390, 844)
                await status.load(f"http://localhost:{port}/.h3push/")
                await visit.load(f"http://localhost:{port}/")
                rows = "document.querySelectorAll('.row').length"
                async with asyncio.timeout(20):
                    while await status.evaluate(rows) < 10:  # noqa: ASYNC110 - the browser is another process
                        await asyncio.sleep(0.1)
                saved = "document.querySelector('.figure b').textContent"
                async with asyncio.timeout(20):  # the last push may be told of after the last row
                    while int(await status.evaluate(saved)) != relay.pool.push_stats.round_trips_saved:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                assert relay.pool.push_stats.round_trips_saved > 0
                assert await status.evaluate("document.documentElement.scrollWidth") <= 390
                await status.picture(tmp_path / "phone.png")
                assert (tmp_path / "phone.png").stat().st_size > 10_000
                assert status.complaints == []
                assert visit.complaints == []

    asyncio.run(check())


def test_only_so_many_may_watch(certificates: DevelopmentCertificates) -> None:
    """Streams of events are bounded; one more is refused, and one that was left is free again."""

    async def check() -> None:
        settings = h3push.relay.settings.RelaySettings(watchers=1)
        async with relay_to(DirectoryHandler(Directory(SITE)), certificates, settings=settings) as relay:
            port = relay.places[0].port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ask("/.h3push/events"))
            await reader.readuntil(b"data: ")
            assert b" 503 " in (await exchange(port, ask("/.h3push/events")))[:20]
            writer.transport.abort()
            async with asyncio.timeout(10):
                while b" 503 " in (await exchange(port, ask("/.h3push/events")))[:20]:  # noqa: ASYNC110 - the kernel tells it
                    await asyncio.sleep(0.1)

    asyncio.run(check())
