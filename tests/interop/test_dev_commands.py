"""The commands that `h3push serve --dev` shows at its start do what they say when they are pasted."""

import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .chromium import chromium_command, read_log

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
HEADLESS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP localhost 127.0.0.1, MAP * ~NOTFOUND",
    "--net-log-capture-mode=Everything",
]
"""What the machines of tests need: no screen, no user but root, no way to anywhere else."""


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[list[str]]:
    """The lines that are shown, while the server runs."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html><link rel=stylesheet href=a.css><p>hello")
    (tmp_path / "site" / "a.css").write_text("p { color: green }")
    arguments = ["serve", str(tmp_path / "site"), "--dev", "--dev-dir", str(tmp_path / "dev ca"), "--port", "0", "-q"]
    terminal, end = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], stderr=end)
    os.close(end)
    lines: list[str] = []
    with os.fdopen(terminal, encoding="utf-8", newline="\r\n") as screen:
        while not (lines and lines[-1].startswith("curl ")):
            lines.append(screen.readline().rstrip("\r\n"))
            assert lines[-1], lines
        yield lines
        process.terminate()
        process.wait(timeout=20)


def the(lines: list[str], program: str) -> str:
    """The line that starts a program."""
    return next(line for line in lines if re.match(rf"(mkdir .*&& )?\S*{program}", line))


def test_h3push_get_as_shown(shown: list[str]) -> None:
    """It trusts the authority, also in a folder with a space in its name, and shows the push."""
    line = the(shown, "h3push get")
    words = shlex.split(line)
    result = subprocess.run([*COMMAND, *words[1:]], capture_output=True, text=True, timeout=60, check=True)
    assert "hello" in result.stdout
    assert "1 promised" in result.stderr
    assert "/a.css" in result.stderr


@pytest.mark.timeout(150)
def test_chromium_as_shown(shown: list[str], tmp_path: Path) -> None:
    """The origin is forced to QUIC and the key is taken: the page comes over HTTP/3."""
    chromium_command()
    *command, url = shlex.split(the(shown, "chrom"))
    flags = [*HEADLESS, f"--log-net-log={tmp_path / 'log.json'}", "--dump-dom", url]
    result = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=100, check=True)
    log = read_log(tmp_path / "log.json", result.stdout)
    assert "hello" in log.dom
    assert {("/", 200), ("/a.css", 200)} <= {(one.path, status) for one in log.exchanges for status in one.statuses}


def test_every_line_is_one_for_a_shell(shown: list[str]) -> None:
    """The block can be pasted as a whole: comments and commands, nothing else; Firefox is told to trust and to use HTTP/3."""
    (heading,) = [number for number, line in enumerate(shown) if line.endswith("h3push: to see it, paste a line:")]
    block = shown[heading + 1 :]
    subprocess.run(["bash", "-n", "-c", "\n".join(block)], check=True)
    assert [line[0] == "#" for line in block] == [True, False] * (len(block) // 2)
    firefox = the(shown, "firefox")
    assert "disable_when_third_party_roots_found" in firefox
    assert "certutil -A" in firefox


def test_the_certificate_has_the_names_of_this_machine(shown: list[str], monkeypatch: Any) -> None:
    """What other devices call this machine stands in the certificate; what means something else on each does not."""
    import socket

    from cryptography import x509

    from h3push.server.machine import machine_names

    found = re.search(r"CA file (.*)/ca\.pem\)", shown[0])
    assert found is not None
    certificate = x509.load_pem_x509_certificate((Path(found[1]) / "server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    stated = {str(name.value) for name in names}
    assert set(machine_names()) <= stated
    assert socket.gethostname().lower() in stated
    assert not any(name.startswith(("fe80", "169.254")) for name in stated)
