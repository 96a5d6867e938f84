"""File descriptors that run out are our state, not the file's."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import h3push
from h3push.files.directory import Directory
from h3push.runtime.descriptors import raise_descriptor_limit
from h3push.testing import World, in_world
from h3push.testing.identity import make_identity


@pytest.fixture
def low_limit() -> Iterator[int]:
    """A soft limit below the hard one; the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one(low_limit: int) -> None:
    raise_descriptor_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (low_limit, low_limit)


def test_a_server_raises_the_limit_when_it_opens(low_limit: int) -> None:
    """Whoever serves over UDP needs descriptors for files."""

    async def main() -> None:
        identity = make_identity(["localhost"])
        tls = h3push.ServerTls([(identity.certificate, identity.key)])
        async with h3push.serve(lambda _: h3push.Response(), port=0, tls=tls):
            assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == low_limit

    asyncio.run(main())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("size", [10, 200_000])
def test_a_file_that_cannot_be_opened_for_want_of_descriptors_is_answered_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, size: int
) -> None:
    """Not 404, which says that there is no such file, and which a cache may keep."""
    (tmp_path / "a.txt").write_bytes(b"x" * size)
    directory = Directory(tmp_path)
    assert directory.decide("GET", "/a.txt", {}).status == 200

    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    assert directory.decide("GET", "/a.txt", {}).status == 503
    monkeypatch.undo()
    assert directory.decide("GET", "/a.txt", {}).status == 200
    assert directory.decide("GET", "/b.txt", {}).status == 404


def test_a_handler_that_has_no_descriptor_left_is_answered_503() -> None:
    """The failure passes: the client may ask again."""

    def handler(_: h3push.Request) -> h3push.Response:
        raise OSError(errno.EMFILE, "Too many open files")

    async def scenario(world: World) -> int:
        return (await world.client.get("/")).status

    assert in_world(handler, scenario) == 503
