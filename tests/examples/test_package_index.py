"""The package index: what it says of wheels, what it pushes, and real pip behind a relay."""

import asyncio
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.http.url import Origin
from h3push.relay.places import RelayedOrigin
from h3push.relay.relay import Relay
from h3push.server.certificates import DevelopmentCertificates, development_certificates
from h3push.tcp.side import find_backend

pytest.importorskip("starlette")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

from package_index.app import make_app
from package_index.wheels import Wheels

PIP = 'pip/26.3 {"implementation":{"name":"CPython","version":"3.11.7"}}'
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


def write_wheel(directory: Path, name: str, version: str, *requires: str, tag: str = "py3-none-any") -> None:
    """A wheel with one module."""
    folder = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}.py": f"version = {version!r}\n" + "# filling\n" * 1000,
        f"{folder}/METADATA": metadata,
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{folder}/RECORD"])
    with zipfile.ZipFile(directory / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, content in {**files, f"{folder}/RECORD": record}.items():
            archive.writestr(path, content)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with fifteen dependencies, four deep, and some wheels that it does not need."""
    directory = tmp_path_factory.mktemp("wheels")
    write_wheel(directory, "root", "1.0", *(f"dep{number}" for number in range(5)), 'oldonly; python_version < "3"')
    for number in range(15):
        more = [f"dep{other}>=1" for other in (3 * number + 5, 3 * number + 6, 3 * number + 7) if other < 15]
        write_wheel(directory, f"dep{number}", "1.0", *more, 'extraonly; extra == "more"')
        write_wheel(directory, f"dep{number}", "0.9", "unneeded")
    for name in ("unneeded", "oldonly", "extraonly"):
        write_wheel(directory, name, "1.0")
    return directory


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCertificates:
    return development_certificates(tmp_path_factory.mktemp("certificates"))


def test_the_closure_is_what_an_installation_needs(wheels: Path) -> None:
    """Transitively, the newest that fits, each once; markers and extras count."""
    found = [wheel.path.name for wheel in Wheels(wheels).closure("root", {"python_version": "3.11"})]
    assert found[0] == "root-1.0-py3-none-any.whl"
    assert sorted(found[1:]) == sorted(f"dep{number}-1.0-py3-none-any.whl" for number in range(15))
    old = [wheel.project for wheel in Wheels(wheels).closure("root", {"python_version": "2.7"})]
    assert "oldonly" in old


def test_a_page_says_what_pip_asks_for(wheels: Path, certificates: DevelopmentCertificates) -> None:
    """JSON and HTML (PEP 691, 503), digests, metadata beside each wheel (PEP 658), names normalized."""

    async def scenario(client: h3push.ClientConnection) -> None:
        page = await client.get("/simple/Root/", headers={"accept": ACCEPT})
        told = json.loads(await page.read())
        digest = hashlib.sha256((wheels / "root-1.0-py3-none-any.whl").read_bytes()).hexdigest()
        (entry,) = told["files"]
        assert entry["hashes"]["sha256"] == digest
        html = (await (await client.get("/simple/root/", headers={"accept": "text/html"})).read()).decode()
        assert f'href="/files/root-1.0-py3-none-any.whl#sha256={digest}"' in html
        metadata = await (await client.get(entry["url"] + ".metadata")).read()
        assert b"Name: root" in metadata
        assert (await client.get("/simple/nothing/")).status == 404

    connected(wheels, certificates, scenario)


def test_the_closure_is_pushed(wheels: Path, certificates: DevelopmentCertificates) -> None:
    """With the first page: pages of all dependencies, then metadata, then wheels; nothing else, and nothing twice."""

    async def scenario(client: h3push.ClientConnection) -> None:
        page = await client.get("/simple/root/", headers={"accept": ACCEPT, "user-agent": PIP})
        await page.read()
        paths = []
        async for push in page.pushes():
            paths.append(push.request.path)
            assert (await push.response()).status == 200
        pages = [path for path in paths if path.startswith("/simple/")]
        assert sorted(pages) == sorted(f"/simple/dep{number}/" for number in range(15))
        assert len(paths) == len(set(paths)) == 15 + 2 * 16
        assert paths.index("/files/root-1.0-py3-none-any.whl.metadata") < paths.index(
            "/files/root-1.0-py3-none-any.whl"
        )

    connected(wheels, certificates, scenario)


def test_pip_installs_through_a_relay(wheels: Path, certificates: DevelopmentCertificates, tmp_path: Path) -> None:
    """Real pip, which knows nothing of pushes: the origin is asked for one page, and the files are those of the index."""

    async def scenario(server: Any) -> None:
        place = RelayedOrigin(Origin("localhost", server.address[1]), "127.0.0.1", 0)
        kind = find_backend("uvicorn")
        assert kind is not None
        async with Relay([place], kind, cafile=certificates.cafile) as relay:
            (url,) = relay.urls()
            await pip_install("root", f"{url}/simple/", tmp_path)
            stats = relay.pool.push_stats
        assert stats.claimed >= 15 + 15 + 16, stats
        assert server.counters.server.requests - server.counters.promised <= 3

    serving(wheels, certificates, scenario)
    for number in range(15):
        assert f"dep{number}.py" in {path.name for path in tmp_path.iterdir()}


async def pip_install(project: str, index: str, target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--isolated", "--no-cache-dir", "--disable-pip-version-check"]
    process = await asyncio.create_subprocess_exec(
        *command, "--index-url", index, "--target", str(target), project,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


def serving(wheels: Path, certificates: DevelopmentCertificates, scenario: Any) -> Any:
    async def main() -> Any:
        files = {"certfile": certificates.certfile, "keyfile": certificates.keyfile}
        async with asyncio.timeout(120), h3push.serve_asgi(make_app(wheels), port=0, **files) as server:
            return await scenario(server)

    return asyncio.run(main())


def connected(wheels: Path, certificates: DevelopmentCertificates, scenario: Any) -> Any:
    async def with_client(server: Any) -> Any:
        url = f"https://localhost:{server.address[1]}/"
        async with h3push.connect(url, cafile=certificates.cafile, max_pushes=200) as client:
            return await scenario(client)

    return serving(wheels, certificates, with_client)
