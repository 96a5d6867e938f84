"""What the README shows runs as it stands."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from h3push.testing.identity import make_identity

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SERVER, CLIENT = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TELL_WHEN_READY = "    print('ready', flush=True); await server.wait_closed()"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory with the server's certificate, and the port of a running server."""
    identity = make_identity(["127.0.0.1", "localhost"], seed=0)
    (tmp_path / "cert.pem").write_bytes(identity.certificate)
    (tmp_path / "key.pem").write_bytes(identity.key)
    (tmp_path / "ca.pem").write_bytes(identity.authority)
    port = str(free_port())
    script = SERVER.replace("4433", port).replace("    await server.wait_closed()", TELL_WHEN_READY)
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield tmp_path, port
        server.kill()


def test_the_client_takes_what_the_server_pushes(place: tuple[Path, str]) -> None:
    """The two examples talk to each other: a page, and the style sheet that goes with it."""
    directory, port = place
    script = CLIENT.replace("4433", port)
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=directory, capture_output=True, text=True, timeout=30, check=False
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["200 42", "/style.css 20"]


def test_the_examples_are_as_short_as_the_readme_says() -> None:
    """A server that pushes in 12 lines, a client that receives in 8."""
    assert len([line for line in SERVER.splitlines() if line.strip()]) <= 12
    assert len([line for line in CLIENT.splitlines() if line.strip()]) <= 8
