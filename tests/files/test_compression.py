"""Files that are compressed while they are served, where no compressed one lies beside them."""

import asyncio
import gzip
import os
import random
import zlib

import brotli
import pytest
import zstandard

from h3push.files.app import DirectoryApp
from h3push.files.compression import CompressedFiles, CompressionSettings, choose_coding, compressors
from h3push.files.directory import Directory
from h3push.files.handler import DirectoryHandler
from h3push.testing import in_world

STYLE = b"p { color: green }\n" * 200
LARGE = b"word and again a word\n" * 10_000
NOISE = random.Random(1).randbytes(3_000)
UNDO = {"br": brotli.decompress, "zstd": zstandard.ZstdDecompressor().decompress, "gzip": gzip.decompress}


@pytest.fixture
def root(tmp_path):
    files = {"a.css": STYLE, "large.txt": LARGE, "noise.txt": NOISE, "tiny.css": b"p {}", "picture.png": STYLE}
    for name, content in {**files, "twin.css": STYLE, "twin.css.gz": b"twin"}.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    return tmp_path.resolve()


class Later:
    """What was to run beside the loop, until a test has it run."""

    def __init__(self):
        self.waiting = []

    def run(self):
        while self.waiting:
            self.waiting.pop()()


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def directory(root, later):
    return Directory(root, compressed=CompressedFiles(start=later.waiting.append))


def ask(directory, path, accept=None, method="GET", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return directory.decide(method, path, fields if accept is None else {"accept-encoding": accept, **fields})


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip"])
def test_text_is_compressed_as_the_request_takes_it(directory, coding):
    """It is the same text, smaller, with a length of its own; another request may get another form of it."""
    given = ask(directory, "/a.css", coding)
    assert UNDO[coding](given.content) == STYLE
    assert given.headers["content-encoding"] == coding
    assert given.headers["content-length"] == str(len(given.content))
    assert given.headers["content-type"] == "text/css"
    assert given.headers["vary"] == "accept-encoding"
    assert ask(directory, "/a.css", coding, "HEAD").fields == given.fields


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("*", "br"),
        ("identity, br;q=0.5", None),
        ("deflate", None),
        ("", None),
    ],
)
def test_the_coding_with_the_highest_weight_is_taken(accept, coding):
    """As among compressed files that lie there (RFC 9110 section 12.5.3)."""
    assert choose_coding(accept, ("br", "zstd", "gzip")) == coding


@pytest.mark.parametrize("accept", [None, "", "deflate"])
def test_who_takes_no_coding_gets_the_original(directory, accept):
    """And caches are told that others get something else."""
    given = ask(directory, "/a.css", accept)
    assert (given.content, given.headers["vary"]) == (STYLE, "accept-encoding")
    assert "content-encoding" not in given.headers


@pytest.mark.parametrize("path", ["/tiny.css", "/picture.png", "/noise.txt"])
def test_what_would_not_gain_is_not_compressed(directory, path, root):
    """A file of one packet, one that is compressed by its nature, and one that does not become smaller."""
    given = ask(directory, path, "br")
    assert "content-encoding" not in given.headers
    assert given.content == (root / path[1:]).read_bytes()


def test_a_compressed_file_that_lies_there_is_taken(directory):
    """A build tool did it better; who does not take its coding gets the original."""
    assert ask(directory, "/twin.css", "br, gzip").content == b"twin"
    assert ask(directory, "/twin.css", "br").content == STYLE


def test_each_form_has_its_own_entity_tag(directory):
    """304 only for the form that the client has; never is one form taken for the other."""
    original, compressed = (ask(directory, "/a.css", accept).headers["etag"] for accept in ("", "br"))
    assert original != compressed
    known = ask(directory, "/a.css", "br", if_none_match=compressed)
    assert (known.status, known.headers["etag"], known.headers["vary"]) == (304, compressed, "accept-encoding")
    assert ask(directory, "/a.css", "br", if_none_match=original).status == 200
    assert ask(directory, "/a.css", "gzip", if_none_match=compressed).status == 200
    assert ask(directory, "/a.css", "br", if_match=original).content == STYLE


def test_a_part_is_one_of_the_original(directory):
    """The compressed form has no ranges, and does not say that it had."""
    assert "accept-ranges" not in ask(directory, "/a.css", "br").headers
    part = ask(directory, "/a.css", "br", range="bytes=2-7")
    assert (part.status, part.content, part.headers["vary"]) == (206, STYLE[2:8], "accept-encoding")
    assert "content-encoding" not in part.headers


def test_a_large_file_delays_nobody(directory, later):
    """It goes out as it is while a thread compresses it, once; later requests get the compressed form."""
    for _ in range(2):
        first = ask(directory, "/large.txt", "gzip")
        assert "content-encoding" not in first.headers
        assert first.headers["vary"] == "accept-encoding"
    assert len(later.waiting) == 1
    later.run()
    given = ask(directory, "/large.txt", "gzip")
    assert gzip.decompress(given.content) == LARGE
    assert not later.waiting


def test_a_file_that_changes_meanwhile_is_compressed_anew(directory, later, root):
    """What was read is of another version than what was asked for: it is not kept, and never served for it."""
    ask(directory, "/large.txt", "gzip")
    (root / "large.txt").write_bytes(LARGE + b"more")
    later.run()
    assert "content-encoding" not in ask(directory, "/large.txt", "gzip").headers
    later.run()
    assert gzip.decompress(ask(directory, "/large.txt", "gzip").content) == LARGE + b"more"


def test_no_more_is_kept_than_the_bound_says(root):
    """What was used longest ago goes first."""
    compressed = CompressedFiles(CompressionSettings(cache=len(compressors()["gzip"](STYLE)) + 10))
    directory = Directory(root, compressed=compressed)
    (root / "b.css").write_bytes(STYLE.replace(b"green", b"black"))
    for path in ("/a.css", "/b.css"):
        assert "content-encoding" in ask(directory, path, "gzip").headers
        assert len(compressed) == 1


def test_no_more_files_wait_than_the_bound_says(root, later):
    """Whoever asks for the next one gets it as it is, and nothing is queued for it."""
    bounded = CompressedFiles(CompressionSettings(waiting=1), later.waiting.append)
    directory = Directory(root, compressed=bounded)
    for coding in ("br", "gzip"):
        ask(directory, "/large.txt", coding)
    assert len(later.waiting) == 1


def test_a_thread_of_its_own_compresses_where_none_is_given(root):
    """As the server does it; the executor is asked to finish, so nothing is waited for by the clock."""
    compressed = CompressedFiles()
    directory = Directory(root, compressed=compressed)
    ask(directory, "/large.txt", "gzip")
    compressed._start.__self__.shutdown(wait=True)
    assert gzip.decompress(ask(directory, "/large.txt", "gzip").content) == LARGE


def test_the_same_file_has_the_same_bytes():
    """No time stands in gzip's header: one entity tag names one sequence of bytes."""
    assert compressors()["gzip"](STYLE) == compressors()["gzip"](STYLE)
    assert zlib.decompress(compressors()["gzip"](STYLE), 31) == STYLE


def test_without_libraries_there_is_gzip(monkeypatch):
    """Zlib is Python's own."""
    monkeypatch.setattr("h3push.files.compression.find_spec", lambda _name: None)
    assert list(compressors()) == ["gzip"]


def test_pushes_are_compressed_too(root, directory):
    """A promised request repeats the page's Accept-Encoding, and is answered like any other."""
    (root / "index.html").write_bytes(b"<!doctype html><link rel=stylesheet href=a.css>" + b"<p>text " * 200)

    async def scenario(world):
        response = await world.client.request("GET", "/", headers=[("accept-encoding", "gzip")])
        page = await response.read()
        pushes = [await push.response() async for push in response.pushes()]
        return response, page, [(push.headers["content-encoding"], await push.read()) for push in pushes]

    response, page, pushed = in_world(DirectoryHandler(directory), scenario, max_pushes=5)
    assert response.headers["content-encoding"] == "gzip"
    assert gzip.decompress(page).startswith(b"<!doctype html>")
    assert [(coding, gzip.decompress(content)) for coding, content in pushed] == [("gzip", STYLE)]


def test_large_compressed_content_goes_out_whole(root, directory, later):
    """More than is sent in one piece: it waits for the client as any content does."""
    text = random.Random(2).randbytes(200_000).hex().encode()
    (root / "digits.txt").write_bytes(text)
    ask(directory, "/digits.txt", "gzip")
    later.run()

    async def scenario(world):
        response = await world.client.request("GET", "/digits.txt", headers=[("accept-encoding", "gzip")])
        return response.headers["content-encoding"], await response.read()

    coding, content = in_world(DirectoryHandler(directory), scenario)
    assert (coding, gzip.decompress(content)) == ("gzip", text)
    assert len(content) > 200_000


def test_the_application_compresses_too(directory):
    """As a directory is served over TCP, or by any ASGI server."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/a.css", "headers": [(b"accept-encoding", b"gzip")]}
    asyncio.run(DirectoryApp(directory)(scope, None, send))
    assert (b"content-encoding", b"gzip") in sent[0]["headers"]
    assert gzip.decompress(b"".join(message["body"] for message in sent[1:])) == STYLE
