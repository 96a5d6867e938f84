"""Headless Firefox finds a page over TCP, and by itself comes back over HTTP/3 (Alt-Svc); its own record says so."""

import asyncio
import contextlib
import json
import re
import shutil
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.server.certificates import DevelopmentCertificates
from h3push.server.identities import read_identities
from h3push.tcp.assembly import serve_tcp_too
from h3push.tcp.side import find_backend

from .harness import run

websockets = pytest.importorskip("websockets.asyncio.client")
pytest.importorskip("uvicorn")

COMMANDS = ("firefox-esr", "firefox")
PREFERENCES = {
    "network.http.http3.disable_when_third_party_roots_found": False,  # our root is one
    "remote.active-protocols": 1,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
RECORD = """JSON.stringify([...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .map(one => [new URL(one.name).pathname, one.nextHopProtocol]))"""


class Session:
    """WebDriver BiDi, as far as it is needed: commands and their results."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._numbers = count(1)

    async def call(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(await self._socket.recv())).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]


def make_profile(profile: Path) -> None:
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))


@contextlib.asynccontextmanager
async def firefox(profile: Path, cafile: Path) -> AsyncIterator[Session]:
    """A Firefox with a profile of its own, which trusts our root."""
    command = next(filter(None, map(shutil.which, COMMANDS)), None)
    if command is None or shutil.which("certutil") is None:
        pytest.skip("no Firefox, or no certutil: Debian has them as firefox-esr and libnss3-tools")
    make_profile(profile)
    database = f"sql:{profile}"
    for arguments in (["-N", "--empty-password"], ["-A", "-n", "h3push", "-t", "C,,", "-i", str(cafile)]):
        process = await asyncio.create_subprocess_exec("certutil", *arguments, "-d", database)
        assert await process.wait() == 0
    process = await asyncio.create_subprocess_exec(
        command,
        "--headless",
        "--no-remote",
        "--profile",
        str(profile),
        "--remote-debugging-port",
        "0",
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert process.stderr is not None
    try:
        while (found := re.search(rb"BiDi listening on (ws://\S+)", line := await process.stderr.readline())) is None:
            assert line, "Firefox ended"
        async with websockets.connect(f"{found[1].decode()}/session", max_size=None) as socket:
            session = Session(socket)
            await session.call("session.new", capabilities={})
            yield session
    finally:
        process.kill()
        await process.communicate()


async def load(session: Session, url: str) -> dict[str, str]:
    """Load a page; by path, the protocol that Firefox says it used."""
    context = (await session.call("browsingContext.getTree"))["contexts"][0]["context"]
    await session.call("browsingContext.navigate", context=context, url=url, wait="complete")
    result = await session.call("script.evaluate", expression=RECORD, target={"context": context}, awaitPromise=False)
    return dict(json.loads(result["result"]["value"]))


@pytest.mark.timeout(150)
def test_firefox_comes_back_over_http3(certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """The first page over TCP, a later one over h3, without anything but Alt-Svc to tell it (issue 12)."""
    site = tmp_path / "site"
    site.mkdir()
    for number in range(6):
        (site / f"{number}.html").write_text(f"<!doctype html><link rel=stylesheet href=/{number}.css><p>{number}")
        (site / f"{number}.css").write_text(f"p {{ margin: {number}px }}")

    async def scenario() -> list[dict[str, str]]:
        server = h3push.serve(
            DirectoryHandler(Directory(site)),
            "localhost",
            0,
            certfile=certificates.certfile,
            keyfile=certificates.keyfile,
        )
        kind = find_backend("uvicorn")
        assert kind is not None
        serve_tcp_too(server, kind, read_identities([(certificates.certfile, certificates.keyfile)]))
        async with server, firefox(tmp_path / "profile", certificates.cafile) as session:
            url = f"https://localhost:{server.address[1]}"
            return [await load(session, f"{url}/{number}.html") for number in range(6)]

    seen = run(scenario, seconds=120)
    assert seen[0]["/0.html"] in {"h2", "http/1.1"}
    assert {"/5.html", "/5.css"} <= seen[-1].keys()
    assert set(seen[-1].values()) == {"h3"}, seen
