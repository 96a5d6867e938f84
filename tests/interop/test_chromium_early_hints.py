"""Chromium, which takes no pushes: the sample applications reach it over HTTP/3 as 103 Early Hints.

What is judged is Chromium's own network log: the 103 it decoded, and when it asked for the hinted style sheet.
"""

import asyncio
import base64
import hashlib
import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import h3push
from h3push.server.certificates import DevelopmentCertificates

EXAMPLES = Path(__file__).parents[2] / "examples"
THINKING = 300
"""Milliseconds that every sample application takes for its page."""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH; Debian and Ubuntu: apt-get install chromium"
)


def load(name: str) -> Any:
    """The `app` of an example, its module loaded once, as frameworks expect."""
    if name not in sys.modules:
        pytest.importorskip(name.partition("_")[0])
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name].app


@dataclass(frozen=True)
class Seen:
    """A header section in the network log."""

    at: int
    """Milliseconds."""
    sent: bool
    stream_id: int | None
    headers: list[str]

    def has(self, line: str) -> bool:
        return line in self.headers


def read_net_log(path: Path) -> list[Seen]:
    """Every HTTP/3 header section, in order."""
    text = path.read_text().rstrip()
    log = json.loads(text if text.endswith("}") else text.rstrip(",\n") + "]}")
    names = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    return [
        Seen(
            int(event["time"]),
            names[event["type"]] == "HTTP3_HEADERS_SENT",
            event["params"].get("stream_id"),
            event["params"]["headers"],
        )
        for event in log["events"]
        if names[event["type"]] in {"HTTP3_HEADERS_SENT", "HTTP3_HEADERS_DECODED"}
    ]


def key_hash(certfile: Path) -> str:
    """What `--ignore-certificate-errors-spki-list` wants: SHA-256 of the public key."""
    certificate = x509.load_pem_x509_certificate(certfile.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


async def load_page(port: int, certfile: Path, directory: Path) -> bytes:
    """Have Chromium load the page over HTTP/3, and nothing else; what it made of it."""
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={directory / 'profile'}",
        f"--log-net-log={directory / 'net.json'}",
        "--net-log-capture-mode=IncludeSensitive",
        "--host-resolver-rules=MAP localhost 127.0.0.1",
        f"--origin-to-force-quic-on=localhost:{port}",
        f"--ignore-certificate-errors-spki-list={key_hash(certfile)}",
        "--timeout=10000",
        "--dump-dom",
        f"https://localhost:{port}/",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(45):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return output


ATTEMPTS = 3
"""On a busy machine Chromium may need longer to act on a hint than the application thinks: that says nothing of us."""


@dataclass(frozen=True)
class Visit:
    """What one page load's log says."""

    hint: Seen
    """The 103."""
    asked: Seen
    """The request for the style sheet."""
    document: Seen
    """The page's response."""


async def visit(name: str, certificates: DevelopmentCertificates, directory: Path) -> Visit:
    """Load a sample application's page once, in a profile of its own."""
    app = load(name)
    async with h3push.serve_asgi(app, port=0, certfile=certificates.certfile, keyfile=certificates.keyfile) as server:
        page = await load_page(server.address[1], certificates.certfile, directory)
    assert b"/style.css" in page
    seen = read_net_log(directory / "net.json")
    hint = next(one for one in seen if one.has(":status: 103"))
    return Visit(
        hint,
        next(one for one in seen if one.sent and one.has(":path: /style.css?v=1")),
        next(one for one in seen if one.stream_id == hint.stream_id and one.has(":status: 200")),
    )


@pytest.mark.timeout(150)
@pytest.mark.parametrize("name", ["starlette_app", "fastapi_app", "django_app", "quart_app"])
def test_the_hinted_style_sheet_is_requested_before_the_page_is_there(
    name: str, certificates: DevelopmentCertificates, tmp_path: Path
) -> None:
    """The 103 comes while the application thinks, and Chromium asks for the style sheet at once."""
    for attempt in range(ATTEMPTS):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        seen = asyncio.run(visit(name, certificates, directory))
        assert seen.hint.has("link: </style.css?v=1>; rel=preload; as=style")
        assert seen.document.at - seen.hint.at >= THINKING * 0.8
        if seen.asked.at < seen.document.at:
            break
    assert seen.hint.at <= seen.asked.at < seen.document.at
