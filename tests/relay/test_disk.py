"""The cache on disk: it survives a restart, is bounded, and never gives a short body."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from h3push.client.stored import ResponseStore
from h3push.http.fields import RequestHead, ResponseHead
from h3push.relay.disk import FILE, CacheInUse, DiskStorage
from h3push.runtime.settings import PushCacheSettings

from .support import date


def head(path: str, *fields: tuple[bytes, bytes]) -> RequestHead:
    return RequestHead(b"GET", b"https", b"origin.example", path.encode(), list(fields), None)


def fresh() -> ResponseHead:
    return ResponseHead(
        200, [(b"date", date().encode()), (b"cache-control", b"max-age=600"), (b"x-two", b"a"), (b"x-two", b"b")], None
    )


async def pieces(content: bytes, size: int = 1000):
    for at in range(0, len(content), size):
        yield content[at : at + size]


class Cache:
    """A store on disk, as the relay makes it."""

    def __init__(self, directory: Path, most: int = 100, most_bytes: int = 1_000_000) -> None:
        self.disk = DiskStorage(directory, most, most_bytes)
        self.store = ResponseStore(PushCacheSettings(stored=most, stored_bytes=most_bytes), self.disk, shared=True)

    async def __aenter__(self) -> "Cache":
        for key, entry in await self.disk.open():
            self.store.adopt(key, entry)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def keep(self, path: str, content: bytes) -> None:
        async for _ in await self.store.store(head(path), fresh(), pieces(content)):
            pass

    async def get(self, path: str) -> bytes | None:
        found = await self.store.get(head(path))
        return None if found is None else b"".join([piece async for piece in found.content])


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """Content, fields and the index of what is fresh are there again."""

    async def check() -> None:
        async with Cache(tmp_path) as cache:
            await cache.keep("/a?x=1", b"a" * 5000)
            await cache.keep("/empty", b"")
        async with Cache(tmp_path) as cache:
            assert await cache.get("/a?x=1") == b"a" * 5000
            assert await cache.get("/empty") == b""
            assert cache.store.is_fresh(head("/a?x=1"), head("/page"))
            assert not cache.store.is_fresh(head("/b"), head("/page"))
            found = await cache.store.get(head("/a?x=1"))
            assert found is not None
            assert [value for name, value in found.fields if name == b"x-two"] == [b"a", b"b"]
            assert (len(cache.store), cache.store.octets) == (2, 5000)

    asyncio.run(check())


def test_nothing_is_kept_of_a_body_that_was_not_read_to_its_end(tmp_path: Path) -> None:
    """A reader that stops, or content that breaks, leaves no entry."""

    async def broken():
        yield b"x"
        raise RuntimeError("broken")

    async def check() -> None:
        async with Cache(tmp_path) as cache:
            content = await cache.store.store(head("/a"), fresh(), pieces(b"a" * 5000))
            assert await anext(content) == b"a" * 1000  # type: ignore[arg-type]
            with pytest.raises(RuntimeError):
                async for _ in await cache.store.store(head("/b"), fresh(), broken()):
                    pass
            assert len(cache.store) == 0
        async with Cache(tmp_path) as cache:
            assert len(cache.store) == 0

    asyncio.run(check())


def test_it_is_bounded_by_number_and_bytes(tmp_path: Path) -> None:
    """What was used longest ago goes first, from the file too; one that is too large alone is not kept."""

    async def check() -> None:
        async with Cache(tmp_path, most=5, most_bytes=40_000) as cache:
            for number in range(5):
                await cache.keep(f"/{number}", b"x" * 1000)
            assert await cache.get("/0") is not None
            await cache.keep("/5", b"x" * 1000)
            assert await cache.get("/1") is None
            assert await cache.get("/0") is not None
            await cache.keep("/large", b"x" * 6000)
            assert await cache.get("/large") is None
        async with Cache(tmp_path, most=100, most_bytes=40_000) as cache:
            assert len(cache.store) == 5
            for number in range(10, 20):
                await cache.keep(f"/{number}", b"x" * 4900)
            assert cache.disk.octets <= 40_000
            assert not cache.store.is_fresh(head("/0"), head("/page"))
        with sqlite3.connect(tmp_path / FILE) as file:
            (octets,) = file.execute("SELECT sum(length(content)) FROM entries").fetchone()
        assert octets == cache.disk.octets

    asyncio.run(check())


def test_a_file_that_is_no_cache_is_begun_anew(tmp_path: Path) -> None:
    """A cache is no reason not to start."""

    async def check() -> None:
        (tmp_path / FILE).write_bytes(os.urandom(5000))
        async with Cache(tmp_path) as cache:
            await cache.keep("/a", b"a")
            assert await cache.get("/a") == b"a"

    asyncio.run(check())


def pages_of(path: Path, content: bytes) -> list[int]:
    """Where a piece of some content lies in the file."""
    data = (path / FILE).read_bytes()
    return [at for at in range(len(data)) if data.startswith(content, at)]


@pytest.mark.parametrize(("written", "instead"), [(b"a" * 500, b"b"), (b"max-age=600", b"n"), (b"/a?x=1", b"0")])
def test_a_damaged_entry_answers_nobody(tmp_path: Path, written: bytes, instead: bytes) -> None:
    """A byte that the disk has changed, in content or in a head, is noticed: SQLite looks at its own tables only."""

    async def check() -> None:
        async with Cache(tmp_path) as cache:
            await cache.keep("/a?x=1", b"a" * 5000)
        file = tmp_path / FILE
        data = bytearray(file.read_bytes())
        for at in pages_of(tmp_path, written):
            data[at + 2 : at + 3] = instead
        assert bytes(data) != file.read_bytes()
        file.write_bytes(data)
        async with Cache(tmp_path) as cache:
            assert await cache.get("/a?x=1") is None
            assert len(cache.store) == 0
            assert not cache.store.is_fresh(head("/a?x=1"), head("/page"))
            await cache.keep("/a?x=1", b"c" * 5000)
            assert await cache.get("/a?x=1") == b"c" * 5000

    asyncio.run(check())


@pytest.mark.parametrize("page", range(6))
def test_a_damaged_page_is_no_reason_not_to_start(tmp_path: Path, page: int) -> None:
    """Whichever page of the file is garbage: the relay starts, gives no wrong content, and keeps what comes."""

    async def check() -> None:
        async with Cache(tmp_path) as cache:
            for number in range(40):
                await cache.keep(f"/{number}", b"%d " % number * 500)
        file = tmp_path / FILE
        data = bytearray(file.read_bytes())
        data[page * 4096 + 8 : page * 4096 + 4000] = b"\x05\xa5" * 1996
        file.write_bytes(data)
        async with Cache(tmp_path) as cache:
            for number in range(40):
                assert await cache.get(f"/{number}") in {None, b"%d " % number * 500}

    asyncio.run(check())


def test_two_relays_do_not_share_a_directory(tmp_path: Path) -> None:
    """The second one is told so."""

    async def check() -> None:
        async with Cache(tmp_path):
            other = DiskStorage(tmp_path, 100, 100_000)
            with pytest.raises(CacheInUse, match="another relay uses"):
                await other.open()
            await other.close()

    asyncio.run(check())


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Responses may be personal: the file is its owner's alone."""

    async def check() -> None:
        async with Cache(tmp_path / "cache"):
            assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
            assert (tmp_path / "cache" / FILE).stat().st_mode & 0o077 == 0

    asyncio.run(check())


KILLED = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.relay.test_disk import Cache

async def main():
    async with Cache(Path(sys.argv[1]), most=10_000, most_bytes=500_000_000) as cache:
        number = 0
        while True:
            await cache.keep(f"/{number}", b"%d " % number * 20_000)
            print(number, flush=True)
            number += 1

asyncio.run(main())
"""


@pytest.mark.parametrize("written", [1, 7, 20])
def test_a_crash_at_any_moment_leaves_no_short_body(tmp_path: Path, written: int) -> None:
    """A process that is killed while it writes leaves whole entries, and all that it had said were there."""
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path, root], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(written):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    async def check() -> None:
        async with Cache(tmp_path, most=10_000, most_bytes=500_000_000) as cache:
            found = len(cache.store)
            assert found >= written
            for number in range(found):
                assert await cache.get(f"/{number}") == b"%d " % number * 20_000

    asyncio.run(check())
