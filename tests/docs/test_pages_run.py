"""Every page of tutorial and how-to does what it says: its files are saved, its commands run, its output compared."""

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from h3push.testing import make_identity

from .pages import DOCS, ROOT, Block, blocks, words

PAGES = [
    *sorted([*DOCS.glob("tutorial/*.md"), *DOCS.glob("howto/*.md")]),
    DOCS / "explanation" / "when-push-pays.md",
]
EARLIER = dict.fromkeys(
    ("client.md", "fetch.md", "httpx.md", "push-cache.md", "read-the-log.md", "judge.md", "lab.md"), "tutorial/site.md"
)
"""Pages that go on with the files of another."""
PORTS = ("4433", "4434")
RUN = frozenset({"h3push", "python", "pytest"})
"""Programs that are run here; the reader's machine has the others."""
SERVES = ("h3push serve", "h3push proxy")
"""Commands that go on until somebody ends them."""
READY = 20.0
"""Seconds in which a server must listen, or its output come: far more than it takes."""


def blurred(text: str) -> str:
    """Text without what differs from run to run: numbers, and how wide columns are."""
    return re.sub(r"[ \t]+", " ", re.sub(r"\d+", "0", text))


def free_port() -> str:
    """A port that the kernel gives to nobody by itself, so that it stays free until the server is there."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return str(port)


def listens(port: str) -> bool:
    """Whether a UDP socket of this machine has the port."""
    table = Path("/proc/net/udp").read_text(encoding="ascii")
    return f":{int(port):04X} " in table


class Reader:
    """Does what a page says, in a directory and a home of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.ports = {port: free_port() for port in PORTS}
        self.ran: list[str] = []
        self.servers: list[subprocess.Popen[bytes]] = []
        environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        # The first folder is the one of this interpreter: `python`, `pytest` and `h3push` are those that test.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**environment, "HOME": str(place), "PATH": path, "COLUMNS": "160", "PYTHONUNBUFFERED": "1"}
        identity = make_identity(["localhost", "127.0.0.1"])
        for name, content in {"cert": identity.certificate, "key": identity.key, "ca": identity.authority}.items():
            (place / f"{name}.pem").write_bytes(content)

    def with_our_ports(self, text: str) -> str:
        # In one pass: the port that stands for one of them may have the digits of another.
        return re.sub("|".join(self.ports), lambda found: self.ports[found[0]], text)

    def save(self, block: Block) -> None:
        """Save a block as the file that its title names."""
        path = self.place / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.with_our_ports(block.text), encoding="utf-8")

    def follow(self, block: Block) -> None:
        """Save, type or compare, whatever the block is for."""
        if block.title and not block.title.startswith("/"):
            self.save(block)
        elif block.language == "text":
            self.compare(block.text)
        elif block.language == "sh":
            for line in block.commands():
                if line.startswith("# Ctrl-C"):
                    self.leave()
                elif words(line)[0] in RUN:
                    self.type(line)

    def type(self, line: str) -> None:
        """Run a command; one that serves goes on in the background, as in a terminal of its own."""
        if line.startswith(SERVES) and "--port" not in line:  # the default port may be taken on this machine
            line = re.sub(r"^h3push \w+", rf"\g<0> --port {PORTS[0]}", line)
        line = self.with_our_ports(line)
        self.ran.append(line)
        serves = line.startswith(SERVES) or "server.py" in line
        with (self.place / "output.txt").open("ab") as output:
            started = subprocess.Popen(
                ["bash", "-c", f"exec {line}" if serves else line],
                cwd=self.place,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        if serves:
            self.servers.append(started)
            self.wait_until_it_listens(line, started)
        else:
            assert started.wait(timeout=60) == 0, f"{line}\n{self.output()}"

    def wait_until_it_listens(self, line: str, started: "subprocess.Popen[bytes]") -> None:
        programs = [self.place / word for word in line.split() if word.endswith(".py")]
        said = line + "".join(program.read_text(encoding="utf-8") for program in programs)
        port = next(ours for ours in self.ports.values() if ours in said)
        deadline = time.monotonic() + READY
        while not listens(port):
            assert started.poll() is None, f"{line}\n{self.output()}"
            assert time.monotonic() < deadline, f"{line} does not listen on {port}\n{self.output()}"
            time.sleep(0.02)

    def output(self) -> str:
        return (self.place / "output.txt").read_text(encoding="utf-8")

    def compare(self, shown: str) -> None:
        """Each line that the page shows was printed, by this command or an earlier one."""
        missing = lines = [blurred(self.with_our_ports(line)).strip() for line in shown.splitlines() if line.strip()]
        deadline = time.monotonic() + READY
        while missing and time.monotonic() < deadline:
            printed = blurred(self.output())
            missing = [line for line in lines if line not in printed]
            if missing:
                time.sleep(0.05)
        assert not missing, f"not printed: {missing}\n{self.output()}"

    def leave(self) -> None:
        """Press Ctrl-C where a server runs."""
        for server in self.servers:
            server.send_signal(signal.SIGINT)
        for server in self.servers:
            server.wait(timeout=30)
        self.servers.clear()


def read(page: Path, place: Path) -> Reader:
    """Do what a page says; the reader, who knows what ran."""
    reader = Reader(place)
    try:
        if page.name in EARLIER:
            for block in blocks(DOCS / EARLIER[page.name]):
                if block.title:
                    reader.save(block)
        for block in blocks(page):
            reader.follow(block)
    finally:
        reader.leave()
    return reader


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    """A reader who saves the files and types the commands sees what the page shows."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    reader = read(page, tmp_path)
    ran = "\n".join(reader.ran)
    for block in blocks(page):
        if block.language == "python":
            assert block.title, f"a Python block without a file name is not run:\n{block.text}"
            name = Path(block.title).stem
            used = ran + "\n".join(one.text for one in blocks(page) if one.title != block.title)
            assert re.search(rf"\b{name}(\.py|:|\b)", used), f"{block.title} is never run"
