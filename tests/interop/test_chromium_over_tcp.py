"""Headless Chromium, told nothing but the authority that its user trusts, loads a page over HTTP/2 and keeps a WebSocket."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.server.certificates import DevelopmentCertificates
from h3push.server.identities import read_identities
from h3push.tcp.assembly import serve_tcp_too
from h3push.tcp.side import find_backend

from .chromium import NetLog, browse, chromium_command, trust
from .harness import run

pytest.importorskip("uvicorn")
pytest.importorskip("zttp")
pytest.importorskip("websockets")

PAGE = b"""<!doctype html><title>page</title><link rel=stylesheet href=/a.css><p id=said>nothing</p><img src=/when-said>
<script>
  const socket = new WebSocket("wss://" + location.host + "/chat")
  const kept = []
  socket.onopen = () => socket.send("one")
  socket.onmessage = event => {
    kept.push(event.data)
    if (kept.length < 3) socket.send("again")
    else if (kept.length == 3) {
      document.getElementById("said").textContent = kept.join(" ")
      socket.send("done")
    }
  }
</script>
"""


SAID = asyncio.Event()
"""Set when the page has said what came; its image, and so its load event, waits for that."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if message["text"] == "done":
                SAID.set()
            await send({"type": "websocket.send", "text": f"{message['text']}!"})
        return
    if scope["path"] == "/when-said":
        await asyncio.wait_for(SAID.wait(), 10)
    page = scope["path"] == "/"
    if page:
        await h3push.push(scope, "/a.css", "/hinted.css", as_="style")
    kind = b"text/html" if page else b"text/css"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": PAGE if page else b"p { color: green }"})


@pytest.mark.timeout(150)
def test_chromium_over_http2(certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """The page by h2, what the 103 names before the page's own reference, and three messages on a WebSocket (issue 12)."""
    chromium_command()

    async def scenario() -> tuple[NetLog, Any]:
        server = h3push.serve_asgi(
            app, "127.0.0.1", 0, certfile=certificates.certfile, keyfile=certificates.keyfile, lifespan=False
        )
        kind = find_backend("uvicorn")
        assert kind is not None
        serve_tcp_too(server, kind, read_identities([(certificates.certfile, certificates.keyfile)]))
        await trust(certificates.cafile, tmp_path / "home")
        async with server:
            port = server.address[1]
            log = await browse(
                f"https://localhost:{port}/",
                certificates.certfile,
                tmp_path,
                "--origin-to-force-quic-on=",  # the last one counts
                "--ignore-certificate-errors-spki-list=",
                home=tmp_path / "home",
            )
            return log, server.counters.server

    log, counters = run(scenario, seconds=90)
    assert '<p id="said">one! again! again!</p>' in log.dom
    assert log.exchanges == []
    sent = [fields["headers"] for fields in log.of("HTTP_TRANSACTION_HTTP2_SEND_REQUEST_HEADERS")]
    paths = {line.removeprefix(":path: ") for one in sent for line in one if line.startswith(":path: ")}
    assert {"/", "/a.css", "/hinted.css"} <= paths
    assert counters.requests_over_tcp == counters.requests >= 4
