"""A program of somebody else, from PyPI: `unearth`, the finder of packages of PDM, over HTTP/3 by `mounts=` alone."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile

import pytest

import h3push
from h3push.server.certificates import development_certificates

from .test_httpx_sockets import served

PROGRAM = """
import sys
from h3push.httpx import Transport
from unearth import PackageFinder
from unearth.fetchers import PyPIClient

index, cafile, directory = sys.argv[1:]
transport = Transport(verify=cafile, fallback=False)
with PyPIClient(mounts={index: transport}) as session:
    finder = PackageFinder(session=session, index_urls=[index + "/simple/"])
    best = finder.find_best_match("thing>=1").best
    print(best.version)
    print(finder.download(best.link, directory).name)
    print(transport.push_stats.claimed)
"""
"""What its documentation shows, and one line more: the mount. It runs apart, because it changes a class of httpx2."""


def wheel(version):
    """A wheel of two megabytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("thing.py", bytes(range(256)) * 8000)
        archive.writestr(
            f"thing-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n"
        )
    return file.getvalue()


class Index:
    """The simple repository API with one project (PEP 691); pushes the newest file with the list of files, or does not."""

    def __init__(self, pushes):
        self.log = []
        self.pushes = pushes
        self.files = {f"thing-{version}-py3-none-any.whl": wheel(version) for version in ("1.0", "2.0")}

    async def __call__(self, request):
        if request.push_id is None:
            self.log.append((request.method, request.path))
        name = request.path.rpartition("/")[2]
        if name:
            return h3push.Response(200, {"content-type": "application/octet-stream"}, self.files[name])
        if self.pushes:
            await request.push("/files/thing-2.0-py3-none-any.whl")
        files = [
            {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": hashlib.sha256(content).hexdigest()}}
            for name, content in self.files.items()
        ]
        project = {"meta": {"api-version": "1.0"}, "name": "thing", "files": files}
        return h3push.Response(
            200, {"content-type": "application/vnd.pypi.simple.v1+json"}, json.dumps(project).encode()
        )


@pytest.mark.parametrize("pushes", [False, True])
def test_a_finder_of_packages_runs_over_http3_by_mounts_alone(tmp_path, pushes):
    """It finds, downloads and checks the hash; where the index pushes the file, the download takes no request."""
    certificates = development_certificates(tmp_path / "certificates", ["localhost"])
    index = Index(pushes)
    with served(certificates, index) as port:
        command = [sys.executable, "-c", PROGRAM, f"https://localhost:{port}", str(certificates.cafile), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout.split() == ["2.0", "thing-2.0-py3-none-any.whl", str(int(pushes))]
    assert (tmp_path / "thing-2.0-py3-none-any.whl").read_bytes() == index.files["thing-2.0-py3-none-any.whl"]
    asked = [] if pushes else [("GET", "/files/thing-2.0-py3-none-any.whl")]
    assert index.log == [("GET", "/simple/thing/"), *asked]
