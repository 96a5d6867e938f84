"""Uploads that take their time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import h3push
from h3push.http.content import FileContent
from h3push.testing import World, in_world
from h3push.testing.link import LinkSettings

SIZE = 3_000_000
SLOW = LinkSettings(delay=0.05, rate=1_000_000)
"""24 seconds for an upload of that size."""


def pieces() -> Iterator[bytes]:
    for _ in range(SIZE // 100_000):
        yield b"x" * 100_000


async def count(request: h3push.Request) -> h3push.Response:
    """Answers with the size of the content."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
    return h3push.Response(content=b"%d" % size)


@pytest.mark.parametrize("kind", ["file", "bytes", "iterator"])
def test_an_upload_may_take_longer_than_the_response_timeout(kind: str, tmp_path: Path) -> None:
    """`response_timeout` begins with the last byte that the server took: every byte counts, of files too."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * SIZE)

    async def scenario(world: World) -> None:
        content = {"file": FileContent(path), "bytes": b"x" * SIZE, "iterator": pieces()}[kind]
        response = await world.client.post("/", content=content)  # type: ignore[arg-type]
        assert await response.read() == b"%d" % SIZE
        assert world.now > 20

    settings = h3push.ClientSettings(response_timeout=4, send_window=100_000)
    in_world(count, scenario, link=SLOW, client_settings=settings)


@pytest.mark.parametrize("kind", ["file", "bytes"])
def test_an_upload_that_the_server_does_not_take_times_out(kind: str, tmp_path: Path) -> None:
    """Without progress the time-out holds, within a quarter of it more."""
    path = tmp_path / "large"
    path.write_bytes(b"x" * SIZE)

    async def scenario(world: World) -> None:
        content = FileContent(path) if kind == "file" else b"x" * SIZE
        began = world.now
        with pytest.raises(h3push.Timeout, match="response_timeout"):
            await world.client.post("/", content=content)
        assert 4 <= world.now - began < 6

    async def handler(_: h3push.Request) -> h3push.Response:
        await asyncio.sleep(3600)
        return h3push.Response()

    in_world(handler, scenario, client_settings=h3push.ClientSettings(response_timeout=4))
