"""A server that is stopped in mid-push: what was promised is finished or called off, and the client is told which."""

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import h3push
from h3push.client.response import ReceivedState
from h3push.testing.link import LinkSettings
from runtime.harness import World, in_world

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]
MIB = 1024 * 1024
NAMES = [f"large{number}.js" for number in range(4)]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A page with four scripts of 6 MiB each: more than a client takes before it reads."""
    site = tmp_path / "site"
    site.mkdir()
    scripts = "".join(f'<script src="/{name}"></script>' for name in NAMES)
    (site / "index.html").write_text(f"<!doctype html><title>t</title>{scripts}")
    for name in NAMES:
        (site / name).write_bytes(Random(name).randbytes(6 * MIB))
    return site


@pytest.fixture
def process(site: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """`h3push serve` on a free port: the process, its port, and what to trust."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    process = subprocess.Popen(
        [*COMMAND, "serve", str(site), "--dev", "--port", "0", "--tcp", "off"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    found = re.search(r"https://\S+:(\d+)/", line)
    assert found, line
    yield process, int(found[1]), tmp_path / "state" / "h3push" / "ca.pem"
    process.kill()
    process.communicate()


@pytest.mark.rfc("H3-5.2-07", "H3-5.2-10")
@pytest.mark.parametrize("unwanted", [0, 2], ids=["all_wanted", "two_cancelled"])
def test_sigterm_in_mid_push(process: tuple[subprocess.Popen[bytes], int, Path], site: Path, unwanted: int) -> None:
    """Every promise ends as fulfilled or cancelled, whole or not at all; then GOAWAY and H3_NO_ERROR, and exit code 0."""
    server, port, cafile = process

    async def main() -> None:
        client = h3push.connect(f"https://127.0.0.1:{port}/", cafile=str(cafile), max_pushes=8)
        async with client:
            response = await client.get("/")
            await response.read()
            pushes = [push async for push in response.pushes()]
            assert sorted(push.request.path for push in pushes) == [f"/{name}" for name in NAMES]
            first = await pushes[0].response()
            assert first.status == 200
            assert {push.state for push in pushes} <= {ReceivedState.PROMISED, ReceivedState.OPEN}
            server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                while not client.session.going_away:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
            for push in pushes[4 - unwanted :]:
                push.cancel()
            for push in pushes[: 4 - unwanted]:
                answer = await push.response()
                content = await answer.read()
                expected = (site / push.request.path[1:]).read_bytes()
                assert hashlib.sha256(content).digest() == hashlib.sha256(expected).digest()
            states = [push.state for push in pushes]
            assert states == [ReceivedState.FULFILLED] * (4 - unwanted) + [ReceivedState.CANCELLED] * unwanted
            async with asyncio.timeout(15):
                while client.session.over is None:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
            assert client.session.over.error_code == h3push.ErrorCode.H3_NO_ERROR

    asyncio.run(main())
    _, err = server.communicate(timeout=20)
    assert (server.returncode, err) == (0, b"")


@pytest.mark.rfc("H3-5.2-07")
@pytest.mark.parametrize("grace", [0.0, 0.2, 1.0, 60.0])
def test_no_push_is_cut_in_silence(grace: float) -> None:
    """However short the grace: each promise ends as fulfilled (then it is whole), cancelled or failed, and none waits on."""
    content = Random(0).randbytes(MIB)

    async def handler(request: h3push.Request) -> h3push.Response:
        if request.push_id is not None:
            return h3push.Response(content=content)
        for number in range(5):
            await request.push(f"/{number}")
        return h3push.Response(content=b"page")

    async def read(push: h3push.ReceivedPush) -> bytes | None:
        try:
            return await (await push.response()).read()
        except h3push.H3PushError:
            return None

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        pushes = [push async for push in response.pushes()]
        readers = [asyncio.create_task(read(push)) for push in pushes]
        await asyncio.sleep(0.3)
        connection = world.client.session
        await world.server.shutdown(grace=grace)
        async with asyncio.timeout(5):
            contents = await asyncio.gather(*readers)
        states = [push.state for push in pushes]
        for state, read_content in zip(states, contents, strict=True):
            if state is ReceivedState.FULFILLED:
                assert read_content == content
            else:
                assert state in (ReceivedState.CANCELLED, ReceivedState.FAILED)
                assert read_content is None
        assert states.count(ReceivedState.FULFILLED) == 5 or grace < 60
        assert connection.over is not None
        assert connection.over.error_code == h3push.ErrorCode.H3_NO_ERROR
        assert connection.going_away or grace == 0
        assert len(connection.fulfilling) == 0

    in_world(handler, scenario, max_pushes=5, link=LinkSettings(delay=0.05, rate=20_000_000))
