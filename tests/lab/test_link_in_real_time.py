"""The emulated link in real time: `h3push lab link`."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from h3push.lab.passage import Passage, Sample
from h3push.lab.stream_passage import FIRST_WINDOW, HEADERS, SEGMENT, StreamPassage
from h3push.testing.link import Link, LinkSettings
from h3push.testing.virtual import run_virtual

LONG = LinkSettings(delay=0.15, rate=10_000_000, queue=125_000, loss=0.01)


async def packets_through(settings: LinkSettings, sizes: list[int]) -> tuple[list[tuple[int, float]], Passage]:
    """Send packets a millisecond apart; (number, time of arrival) of each, and the passage."""
    loop = asyncio.get_running_loop()
    passage = Passage(settings, seed=7)
    arrived: list[tuple[int, float]] = []
    for number, size in enumerate(sizes):
        passage.send(size, lambda number=number: arrived.append((number, loop.time())))
        await asyncio.sleep(0.001)
    await asyncio.sleep(60)
    return arrived, passage


def test_the_rules_are_those_of_the_virtual_network() -> None:
    """Each packet arrives when `testing.link` says, and what it drops or loses never arrives."""
    sizes = [1200, 3000, 60, 40_000] * 50

    async def check() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        model = Link(LONG, seed=7)
        meant = []
        for number, size in enumerate(sizes):
            meant += [(number, at) for at in model.send(round((began + number / 1000) * 1e9), size)]
        arrived, passage = await packets_through(LONG, sizes)
        assert [number for number, _ in arrived] == [number for number, _ in meant]
        assert [at for _, at in arrived] == pytest.approx([at / 1e9 for _, at in meant], abs=1e-4)
        passed = passage.passed
        assert passed.dropped > 0
        assert passed.lost > 0
        assert passed.packets - passed.dropped - passed.lost == len(arrived)

    run_virtual(check)


def test_the_report_tells_the_delay_that_was() -> None:
    """Without rate every packet takes the delay, and none is late in virtual time."""

    async def check() -> None:
        _, passage = await packets_through(LinkSettings(delay=0.15), [100] * 20)
        passed = passage.passed
        assert passed.delay.count == 20
        assert passed.delay.percentiles(0, 0.5, 1) == pytest.approx([0.15] * 3, abs=1e-6)
        assert passed.late.largest == pytest.approx(0, abs=1e-6)

    run_virtual(check)


def test_percentiles() -> None:
    """Percentiles are those of all values, and zeros without any."""
    sample = Sample()
    assert sample.percentiles(0.5) == [0.0]
    for value in range(101):
        sample.add(float(value))
    assert sample.percentiles(0, 0.5, 0.99, 1) == [0, 50, 99, 100]


class Pipe:
    """What a stream's two ends do: the sender has all content at once, the receiver notes when it came."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.came: list[tuple[float, int]] = []
        self.got = b""
        self.ended = False

    async def read(self, size: int) -> bytes:
        piece, self.content = self.content[:size], self.content[size:]
        return piece

    async def write(self, piece: bytes) -> None:
        self.ended = not piece
        self.got += piece
        self.came.append((asyncio.get_running_loop().time(), len(self.got)))


def test_a_stream_starts_slowly() -> None:
    """Ten segments come in the first round trip, twice as many in each that follows (RFC 6928, RFC 5681)."""

    async def check() -> None:
        pipe = Pipe(bytes(100 * SEGMENT))
        began = asyncio.get_running_loop().time()
        await StreamPassage(Passage(LinkSettings(delay=0.15)), 0.3, pipe.read, pipe.write).run()
        by_round = [max(size for at, size in pipe.came if at - began < 0.2 + 0.3 * number) for number in range(4)]
        assert by_round == [FIRST_WINDOW, 3 * FIRST_WINDOW, 7 * FIRST_WINDOW, 100 * SEGMENT]

    run_virtual(check)


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.3])
def test_a_stream_loses_nothing(loss: float) -> None:
    """Whatever the link loses and drops, the bytes that come out are those that went in, in order, to the end."""

    async def check() -> None:
        content = os.urandom(300_000)
        pipe = Pipe(content)
        settings = LinkSettings(delay=0.05, rate=5_000_000, queue=20_000, loss=loss)
        passage = Passage(settings)
        await asyncio.wait_for(StreamPassage(passage, 0.1, pipe.read, pipe.write).run(), 600)
        assert pipe.got == content
        assert pipe.ended
        assert passage.passed.octets >= len(content) + HEADERS * len(content) // SEGMENT

    run_virtual(check)


def test_a_slow_reader_slows_the_sender() -> None:
    """What the receiver does not take is not acknowledged, so the window bounds what waits for it."""

    async def check() -> None:
        pipe = Pipe(bytes(400 * SEGMENT))

        async def never(piece: bytes) -> None:
            await asyncio.sleep(3600)

        stream = StreamPassage(Passage(LinkSettings(delay=0.01)), 0.02, pipe.read, never)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stream.run(), 60)
        assert len(pipe.content) >= 400 * SEGMENT - 2 * FIRST_WINDOW

    run_virtual(check)


def start_link(to: int, *flags: str) -> tuple["subprocess.Popen[str]", int]:
    """The command, and the port where it listens."""
    code = "from h3push.cli import main; main()"
    command = [sys.executable, "-c", code, "lab", "link", "--listen", "0", "--to", str(to), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"127\.0\.0\.1:(\d+) leads to", line)
    assert found, line
    return process, int(found[1])


def finish(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    return out


def test_datagrams_and_streams_pass_between_real_sockets() -> None:
    """Both kinds reach the server behind the link and come back no sooner than a round trip; Ctrl-C tells how many did."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(listener.getsockname())
            process, port = start_link(server.getsockname()[1], "--rtt", "60", "--rate", "50/10", "--queue", "64kB")
            try:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.settimeout(20)
                    client.connect(("127.0.0.1", port))
                    client.send(b"ping")
                    question, back = server.recvfrom(100)
                    server.sendto(question + b" pong", back)
                    assert client.recv(100) == b"ping pong"
                with socket.create_connection(("127.0.0.1", port), 20) as stream:
                    there, _ = listener.accept()
                    with there:
                        stream.sendall(b"x" * 10_000)
                        stream.shutdown(socket.SHUT_WR)
                        got = b"".join(iter(lambda: there.recv(65536), b""))
                        there.sendall(got[::-1] + b"!")
                    assert b"".join(iter(lambda: stream.recv(65536), b"")) == b"x" * 10_000 + b"!"
            finally:
                out = finish(process)
    lines = {line[:12].strip(): line[12:].split() for line in out.splitlines()}
    assert int(lines["to server"][0]) == 1 + 7  # a datagram, and seven segments
    for way in ("to server", "from server"):
        assert float(lines[way][4]) >= 30.0, "half a round trip"


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--listen", "nowhere:x", "--to", "1"], "neither HOST:PORT nor a port"),
        (["--listen", "0", "--to", "1", "--rate", "fast"], "no number between 0.01 and 10000 Mbit/s"),
        (["--listen", "0", "--to", "1", "--queue", "much"], "neither a time such as 100ms nor a size such as 64kB"),
        (["--listen", "192.0.2.1:4500", "--to", "1"], "no address of this machine: choose one with --listen"),
        (["--listen", "0", "--to", "nowhere.invalid:1"], "no address found for nowhere.invalid"),
    ],
)
def test_flags_that_make_no_sense_get_a_sentence(flags: list[str], sentence: str) -> None:
    """Bad input gets one clear sentence and a non-zero exit, no traceback."""
    code = "from h3push.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "lab", "link", *flags], capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert sentence in " ".join(re.sub(r"[│╭╰─╮╯]", " ", done.stderr).split())
    assert "Traceback" not in done.stderr
