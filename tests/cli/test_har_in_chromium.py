"""`--har`: Chromium's network panel reads the archive, by the importer that it has itself."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from h3push.server.response import Response

pytest.importorskip("websockets")
sys.path.insert(0, str(Path(__file__).parent.parent.parent / "bench"))

import devtools

PANEL = "devtools://devtools/bundled/devtools_app.html"
IMPORT = """import('./models/har/har.js').then(har => {
    const root = new har.HARFormat.HARRoot(%s);
    return har.Importer.Importer.requestsFromHARLog(root.log).map(request => ({
        url: request.url(), status: request.statusCode, protocol: request.protocol, type: request.mimeType,
        size: request.resourceSize, method: request.requestMethod, address: request.remoteAddress(),
        duration: request.duration, finished: request.finished,
    }));
})"""
"""Reads an archive as the panel does when a file is dropped on it: a member that is missing or of the wrong kind is an error."""


async def opened(archive: str, profile: Path) -> list[dict[str, object]]:
    """The rows that the network panel makes of an archive."""
    async with devtools.Chromium(profile) as browser:
        page = await browser.open()
        await page.call("Page.navigate", url=PANEL)
        async with asyncio.timeout(30):
            while await page.evaluate("document.readyState") != "complete":  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        return await page.evaluate(IMPORT % archive)


@pytest.fixture(scope="session")
def pushing(start):
    async def handler(request):
        if request.path == "/":
            await request.push("/claimed.css")
            await request.push("/unclaimed.css")
            await request.push("/cancelled.css")
            return Response(200, {"content-type": "text/html"}, "<link rel=stylesheet href=claimed.css>")
        if request.path == "/moved":
            return Response(302, {"location": "/absent", "set-cookie": "a=1; Path=/"})
        return Response(
            404 if request.path == "/absent" else 200, {"content-type": "text/css"}, f"/* {request.path} */"
        )

    return start(handler)


def test_chromium_opens_the_archive(run, pushing, tmp_path):
    """Every row is there with its status, size, version and time, and pushes are among them."""
    if devtools.command() is None:
        pytest.skip("no Chromium found")
    path, url = tmp_path / "all.har", pushing.url
    flags = ("-k", "-s", "-L", "--cancel", "cancelled.css", "--har", path, "-b", "b=2")
    assert run("get", *flags, url, url + "claimed.css", url + "moved").code == 0
    rows = asyncio.run(opened(path.read_text(), tmp_path / "profile"))
    entries = json.loads(path.read_text())["log"]["entries"]
    told = [
        (row["url"].rpartition("/")[2], row["status"], entry["_was_pushed"])
        for row, entry in zip(rows, entries, strict=True)
    ]
    assert told == [
        ("", 200, 0),
        ("claimed.css", 200, 1),
        ("unclaimed.css", 200, 1),
        ("cancelled.css", 0, 1),
        ("moved", 302, 0),
        ("absent", 404, 0),
    ]
    for row in rows:
        assert (row["protocol"], row["method"], row["finished"]) == ("h3", "GET", True)
        assert row["duration"] >= 0
        assert row["address"] in {f"127.0.0.1:{pushing.port}", f"[::1]:{pushing.port}"}
    assert [row["size"] for row in rows] == [38, 18, 20, 0, 0, 13]
    assert [row["type"] for row in rows[:2]] == ["text/html", "text/css"]
