"""Headless Chromium, made to use HTTP/3 with a server on this machine, and its network log read.

    log = await browse("https://localhost:4433/", certificates.certfile, tmp_path)
    log.exchanges          # every request that went out over HTTP/3, with its response

Chromium takes development certificates only by the hash of their key, tries HTTP/3 first only where it is told to
(`--origin-to-force-quic-on`), and would call home: no other name than localhost is resolved here.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Names under which distributions install it."""

MISSING = "no Chromium found: on Debian and Ubuntu, `apt-get install -y --no-install-recommends chromium` installs it"


def chromium_command() -> str:
    """Where Chromium is; skips the test, with the way to install it, when there is none."""
    for name in COMMANDS:
        if (path := shutil.which(name)) is not None:
            return path
    pytest.skip(MISSING)


@dataclass
class Exchange:
    """One request over HTTP/3, and what came back on its stream."""

    stream_id: int
    request: dict[str, str]
    statuses: list[int] = field(default_factory=list)
    """Status of every header section, interim ones first."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """The header sections themselves."""
    body_bytes: int = 0

    @property
    def path(self) -> str:
        return self.request[":path"]

    @property
    def status(self) -> int:
        return self.statuses[-1]


@dataclass
class NetLog:
    """What a run of Chromium did on the network."""

    dom: str
    """The page as it was after its load event."""
    events: list[tuple[str, dict[str, Any]]]
    """Every event with its parameters."""
    exchanges: list[Exchange]
    """Every request that went over HTTP/3."""

    def of(self, name: str) -> list[dict[str, Any]]:
        """Parameters of the events of one name."""
        return [parameters for kind, parameters in self.events if kind == name]

    def requested(self, host: str) -> set[str]:
        """Paths that were asked of a host, whatever the protocol and whatever came of it."""
        urls = (urlsplit(one["url"]) for one in self.of("URL_REQUEST_START_JOB") if "url" in one)
        return {url.path for url in urls if url.hostname == host}


async def browse(
    url: str, certfile: Path, directory: Path, *flags: str, seconds: float = 60, home: Path | None = None
) -> NetLog:
    """Load a page of `https://localhost:PORT/` over HTTP/3 to its load event. `directory` is for the profile and the log.

    `home` has the user's own authorities, as `trust` makes it.
    """
    command = chromium_command()
    log = directory / "net-log.json"
    process = await asyncio.create_subprocess_exec(
        command,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={directory / 'profile'}",
        f"--origin-to-force-quic-on={urlsplit(url).netloc}",
        f"--ignore-certificate-errors-spki-list={key_hash(certfile)}",
        "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND",
        f"--log-net-log={log}",
        "--net-log-capture-mode=Everything",
        *flags,
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=None if home is None else {**os.environ, "HOME": str(home)},
    )
    try:
        async with asyncio.timeout(seconds):
            out, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")[-2_000:]
    return read_log(log, out.decode())


async def trust(cafile: Path, home: Path) -> None:
    """Give a user's home an authority that Chromium trusts there, as a person does."""
    if shutil.which("certutil") is None:
        pytest.skip("no certutil: Debian has it as libnss3-tools")
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    for arguments in (["-N", "--empty-password"], ["-A", "-n", "h3push", "-t", "C,,", "-i", str(cafile)]):
        process = await asyncio.create_subprocess_exec("certutil", *arguments, "-d", f"sql:{database}")
        assert await process.wait() == 0


def key_hash(certfile: Path) -> str:
    """The hash by which Chromium takes a certificate: SHA-256 of its public key (SubjectPublicKeyInfo), in base64."""
    key = x509.load_pem_x509_certificates(certfile.read_bytes())[0].public_key()
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(encoded).digest()).decode()


def read_log(path: Path, dom: str = "") -> NetLog:
    """A network log that Chromium has written."""
    log = json.loads(path.read_text())
    names = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    events: list[tuple[str, dict[str, Any]]] = []
    exchanges: dict[tuple[int, int], Exchange] = {}
    for event in log["events"]:
        name, parameters = names[event["type"]], event.get("params") or {}
        events.append((name, parameters))
        key = (event["source"]["id"], parameters.get("stream_id", -1))
        if name == "HTTP3_HEADERS_SENT":
            exchanges[key] = Exchange(key[1], _fields(parameters["headers"]))
        elif name == "HTTP3_HEADERS_DECODED" and key in exchanges:
            section = _fields(parameters["headers"])
            exchanges[key].headers.append(section)
            if ":status" in section:
                exchanges[key].statuses.append(int(section[":status"]))
        elif name == "HTTP3_DATA_FRAME_RECEIVED" and key in exchanges:
            exchanges[key].body_bytes += parameters["payload_length"]
    return NetLog(dom, events, list(exchanges.values()))


def _fields(lines: list[str]) -> dict[str, str]:
    """Header lines `name: value`; a pseudo-header's name begins with a colon."""
    fields = {}
    for line in lines:
        colon = line.index(":", 1)
        fields[line[:colon]] = line[colon + 1 :].strip()
    return fields
