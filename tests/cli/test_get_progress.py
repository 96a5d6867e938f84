"""The progress bar of `h3push get`, and Ctrl-C while something arrives."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from h3push.cli.output.progress import SHOWN_AFTER
from h3push.server.response import Response

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()", "get", "-k"]


@pytest.fixture(scope="session")
def slow(start):
    """/long takes half a second longer than a bar needs to appear, /endless never ends."""

    async def handler(request):
        if request.path == "/short":
            return Response(200, {}, b"x" * 1_000)
        await request.start_response(200, {} if request.path == "/endless" else {"content-length": "20000"})
        sent = 0
        while request.path == "/endless" or sent < 20:
            await request.send(b"x" * 1_000)
            sent += 1
            await asyncio.sleep((SHOWN_AFTER + 0.5) / 20)
        return None

    return start(handler)


def on_a_terminal(*arguments):
    """Run `h3push get` with stderr on a terminal of 100 columns; what it printed there."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=theirs, env=environment) as process:
        os.close(theirs)
        printed = b""
        while True:
            try:
                data = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            if not data:
                break
            printed += data
    os.close(ours)
    return process.returncode, printed.decode()


def test_a_long_transfer_has_a_bar_on_a_terminal(slow, tmp_path):
    """The bar names the file, counts its bytes and ends with the transfer; each file of -Z has one of its own."""
    files = [argument for name in ("one", "two") for argument in ("-o", tmp_path / name)]
    code, printed = on_a_terminal("-Z", *files, slow.url + "long", slow.url + "long?2")
    assert code == 0
    assert (tmp_path / "one").stat().st_size == (tmp_path / "two").stat().st_size == 20_000
    for word in ("one", "two", "20.0/20.0 kB"):
        assert word in printed


def test_short_transfers_and_silent_ones_have_none(slow, tmp_path):
    """A bar that would only flicker is not shown; nor is one with -s."""
    assert on_a_terminal("-o", tmp_path / "short", slow.url + "short") == (0, "")
    assert on_a_terminal("-s", "-o", tmp_path / "long", slow.url + "long") == (0, "")


def test_without_a_terminal_there_is_no_bar(slow, tmp_path):
    """A log gets no bars."""
    result = subprocess.run(
        [*COMMAND, "-o", tmp_path / "file", slow.url + "long"], capture_output=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, b"")


@pytest.mark.parametrize("flags", [[], ["-Z"], ["--assets"]])
def test_ctrl_c_ends_it_at_once(slow, tmp_path, flags):
    """Exit code 130, no traceback, and what had come is in the file."""
    path = tmp_path / "file"
    command = [*COMMAND, *flags, "-o", path, slow.url + "endless", slow.url + "endless?2", "-o", "/dev/null"]
    # A shell without job control has its background jobs ignore SIGINT, these tests perhaps among them.
    obey = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    with subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, preexec_fn=obey) as process:
        deadline = time.monotonic() + 30
        while not (path.exists() and path.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=30)
    assert (process.returncode, printed) == (130, b"")
    assert path.stat().st_size > 0
