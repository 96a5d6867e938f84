"""`h3push serve --push learned`, as processes: one run knows what another learned, and what cannot be is said in a sentence."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import h3push

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()", "serve"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text('<link rel="stylesheet" href="/a.css"><p>hello')
    (site / "a.css").write_text("p { color: red }")
    return site


async def view(port: int, trust: Path) -> None:
    async with h3push.connect(f"https://localhost:{port}/", cafile=trust, max_pushes=None) as client:
        for path in ("/", "/a.css"):
            await (await client.get(path)).read()


def serve(root: Path, *arguments: str, views: int) -> str:
    """Serve some page views, then stop; everything that was logged."""
    process = subprocess.Popen(
        [*COMMAND, str(root), "--dev", "--port", "0", "--tcp", "off", "-q", "--push", "learned", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = ""
        while "https://" not in line:
            line = process.stderr.readline()
            assert line, "it ended"
        port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
        trust = Path(re.search(r"CA file ([^)]+)\)", line)[1])  # type: ignore[index]

        async def visits() -> None:
            for _ in range(views):
                await view(port, trust)

        asyncio.run(visits())
        process.send_signal(signal.SIGTERM)
        return line + process.communicate(timeout=20)[1]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_what_one_run_learned_the_next_one_knows(root: Path, tmp_path: Path, workers: tuple[str, ...]) -> None:
    """The views of the first run stand in the reasons of the second, whichever worker answers."""
    state = str(tmp_path / "learned.sqlite")
    serve(root, "--push-state", state, *workers, views=8)
    log = serve(root, "--push-state", state, "--log-level", "debug", *workers, views=1)
    assert re.search(r"/: \w+ /a\.css: used in 8 of 8 views, so in \d\d% at least", log), log


def test_the_state_has_its_place(root: Path, tmp_path: Path) -> None:
    """Without --push-state, it lies in the state directory, one file for each site."""
    serve(root, views=1)
    assert len(list((tmp_path / "state" / "h3push").glob("learned-*.sqlite"))) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--push", "sometimes"], "--push takes auto, off, learned or learned:PLAN"),
        (["--push", "learned", "--push-waste", "much"], "--push-waste takes a percentage, such as 2%"),
        (["--push", "learned:/there/is/no/plan.json"], "cannot read the plan /there/is/no/plan.json"),
        (["--push-state", "x"], "--push-state goes with --push learned"),
        (["--push", "learned", "--push-state", "/proc/version"], "cannot keep what is learned in /proc/version"),
    ],
)
def test_what_cannot_be_is_said(arguments: list[str], says: str, root: Path) -> None:
    began = time.monotonic()
    ended = subprocess.run(
        [*COMMAND, str(root), "--dev", "--port", "0", *arguments], capture_output=True, text=True, timeout=30
    )
    assert ended.returncode != 0
    assert says in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr, time.monotonic() - began
