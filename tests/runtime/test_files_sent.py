"""Files that the transport sends: few descriptors, any name, and nothing short that passes for whole."""

import os
from pathlib import Path

import pytest

import h3push
from h3push import StreamFailed

from .harness import World, in_world

LARGE = 4 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(LARGE))
    return path


def truncate(path: Path) -> None:
    os.truncate(path, LARGE // 2)


CHANGES = {
    "cut": truncate,
    "written anew": lambda path: path.write_bytes(bytes(LARGE)),
    "removed, and its descriptor is needed": lambda path: path.unlink(),
}


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more line")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_downloads_that_nobody_reads_hold_few_descriptors(tmp_path: Path) -> None:
    """200 stalled downloads of different files, and 64 descriptors; each still gets its own file (issue 9, point 4)."""
    for number in range(200):
        with (tmp_path / str(number)).open("wb") as file:
            file.write(b"%03d" % number)
            file.truncate(LARGE)
    settings = h3push.ServerSettings(max_concurrent_requests=200)

    async def scenario(world: World) -> None:
        before = descriptors()
        responses = [await world.client.get(f"/{number}") for number in range(200)]
        assert descriptors() - before <= 64
        for number in (0, 100, 199):
            stream = responses[number].stream()
            assert (await anext(stream))[:3] == b"%03d" % number
        for response in responses:
            await response.close()

    def handler(request: h3push.Request) -> h3push.Response:
        return h3push.Response(content=h3push.FileContent(tmp_path / request.path[1:]))

    in_world(
        handler,
        scenario,
        server_settings=settings,
        client_settings=h3push.ClientSettings(receive_high_water=1024, stream_receive_window=65536),
    )


def test_a_file_whose_name_is_not_utf_8_is_sent(tmp_path: Path) -> None:
    """Names are bytes, down to the system call (issue 9, point 8)."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    path.write_bytes(b"x" * 100_000)

    async def scenario(world: World) -> None:
        assert len(await (await world.client.get("/")).read()) == 100_000

    in_world(lambda _: h3push.Response(content=h3push.FileContent(path)), scenario)


def test_what_fails_behind_the_frame_header_resets_the_stream(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that was announced content does not wait for it in vain (issue 9, point 8)."""

    async def scenario(world: World) -> None:
        def write_file(*_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(world.server_driver, "write_file", write_file)
        with pytest.raises(StreamFailed):
            await (await world.client.get("/")).read()

    in_world(lambda _: h3push.Response(content=h3push.FileContent(large)), scenario)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_changed_while_it_is_sent_ends_as_failed(large: Path, tmp_path: Path, change: str) -> None:
    """For the client, the handler's counters and the log alike (issue 9, points 4 and 26)."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        CHANGES[change](large)
        await (await world.client.get("/other")).read()  # the only descriptor goes to another file
        with pytest.raises(StreamFailed) as raised:
            await response.read()
        assert raised.value.error_code == h3push.ErrorCode.H3_INTERNAL_ERROR
        assert world.server.counters.failed == 1

    other = tmp_path / "other"
    other.write_bytes(bytes(100_000))

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/other":
            return h3push.Response(content=h3push.FileContent(other))
        return h3push.Response(content=h3push.FileContent(large))

    in_world(handler, scenario, server_settings=h3push.ServerSettings(max_open_files=1))


def test_a_pushed_file_that_is_cut_fails_its_push(large: Path) -> None:
    """The push is cancelled, by the server, and the page is not harmed. It was queued to its end (issue 9, point 26)."""
    queued = []

    def handler(request: h3push.Request) -> h3push.Response:
        if request.path == "/":
            queued.append(request.push_nowait("/large"))
            return h3push.Response(content="page")
        return h3push.Response(content=h3push.FileContent(large))

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        (push,) = [push async for push in response.pushes()]
        pushed = await push.response()
        assert queued[0].state is h3push.PushState.SENT
        truncate(large)
        with pytest.raises(h3push.H3PushError):
            await pushed.read()
        assert await response.read() == b"page"
        assert world.server.counters.failed == 1
        assert (push.state, queued[0].state) == (h3push.ReceivedState.FAILED, h3push.PushState.CANCELLED)

    in_world(handler, scenario, max_pushes=1)


def test_a_file_that_grows_is_sent_as_it_was_announced(large: Path) -> None:
    """Logs grow while they are fetched."""

    async def scenario(world: World) -> None:
        response = await world.client.get("/")
        append(large)
        assert len(await response.read()) == LARGE

    in_world(lambda _: h3push.Response(content=h3push.FileContent(large)), scenario)


def test_an_upload_of_a_file_that_is_cut_fails(large: Path) -> None:
    """A client's upload ends as failed too."""

    async def handler(request: h3push.Request) -> h3push.Response:
        async for _ in request.stream():
            truncate(large)
        return h3push.Response()

    async def scenario(world: World) -> None:
        with pytest.raises(StreamFailed, match="not sent to its end"):
            await world.client.post("/", content=h3push.FileContent(large))

    in_world(handler, scenario)
