"""The directory as an application, on this server and on one that offers nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from asgi.harness import World, in_world
from h3push.files.app import DirectoryApp
from h3push.files.directory import Directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<p>page")
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 2_000)
    return tmp_path


def events_of(root: Path, path: str, extensions: Any = (), headers: Any = (), method: str = "GET") -> list[Any]:
    """The events that the application sends to a server that offers `extensions`."""
    sent = []

    async def send(message: Any) -> None:
        file = message.get("file")
        sent.append({**message, "file": Path(file.name).name} if file is not None else dict(message))

    async def receive() -> Any:
        return {"type": "http.request"}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": list(headers),
        "extensions": {name: {} for name in extensions},
    }
    asyncio.run(DirectoryApp(Directory(root))(scope, receive, send))
    return sent


def test_a_small_file_is_one_body(root: Path) -> None:
    """Start and content; nothing else."""
    start, body = events_of(root, "/")
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-type"] == b"text/html"
    assert body == {"type": "http.response.body", "body": b"<p>page"}


def test_a_large_file_is_sent_by_its_path(root: Path) -> None:
    """No chunk passes through Python."""
    assert events_of(root, "/large.bin", ["http.response.pathsend"])[1:] == [
        {"type": "http.response.pathsend", "path": str(root / "large.bin")}
    ]


def test_a_part_of_a_large_file_is_sent_by_descriptor(root: Path) -> None:
    """With offset and count."""
    part = events_of(root, "/large.bin", ["http.response.zerocopysend"], [(b"range", b"bytes=100-99999")])
    assert dict(part[0]["headers"])[b"content-range"] == b"bytes 100-99999/512000"
    assert part[1] == {"type": "http.response.zerocopysend", "file": "large.bin", "offset": 100, "count": 99_900}


def test_a_server_that_offers_nothing_gets_pieces(root: Path) -> None:
    """Any ASGI server will do."""
    _, *pieces = events_of(root, "/large.bin", headers=[(b"range", b"bytes=1-200000")])
    content = b"".join(piece["body"] for piece in pieces)
    assert content == (root / "large.bin").read_bytes()[1:200_001]
    assert [piece["more_body"] for piece in pieces] == [True, True, True, False]


def test_head_has_no_content(root: Path) -> None:
    """The same fields as for GET."""
    head, get = (events_of(root, "/large.bin", method=method) for method in ("HEAD", "GET"))
    assert head[0] == get[0]
    assert head[1]["body"] == b""


def test_it_has_no_lifespan(root: Path) -> None:
    """ASGI: raise, and the server goes on without."""
    with pytest.raises(NotImplementedError):
        asyncio.run(DirectoryApp(Directory(root))({"type": "lifespan"}, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize("span", [None, (0, 0), (1_000, 400_000), (511_999, 511_999)])
def test_over_http_3_every_byte_arrives(root: Path, span: tuple[int, int] | None) -> None:
    """Whole and in part, through the transport."""
    content = (root / "large.bin").read_bytes()
    headers = {} if span is None else {"range": f"bytes={span[0]}-{span[1]}"}

    async def scenario(world: World) -> tuple[int, bytes]:
        response = await world.client.get("/large.bin", headers=headers)
        return response.status, await response.read()

    expected = (200, content) if span is None else (206, content[span[0] : span[1] + 1])
    assert in_world(DirectoryApp(Directory(root)), scenario) == expected
