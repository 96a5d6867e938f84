"""Files that lie compressed beside their originals."""

import os

import pytest

from h3push.files.directory import Directory
from h3push.files.precompressed import parse_weights


@pytest.fixture
def root(tmp_path):
    for name, content in (("a.css", b"original"), ("a.css.br", b"br"), ("a.css.gz", b"gzip"), ("a.css.zst", b"zstd")):
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, ns=(10**18, 10**18))
    return tmp_path.resolve()


def ask(root, accept=None, path="/a.css", **headers):
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Directory(root).decide("GET", path, fields if accept is None else {"accept-encoding": accept, **fields})


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, zstd", "zstd"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("br;q=0, *", "zstd"),
        ("*;q=0", None),
        ("identity, br;q=0.5", None),
        ("identity;q=0.5, br", "br"),
        ("br;q=nonsense", None),
        ("br;q=nan", None),
        ("deflate", None),
        ("", None),
        (None, None),
    ],
)
def test_the_coding_with_the_highest_weight_is_taken(root, accept, coding):
    """RFC 9110 section 12.5.3; among equals the one that is smaller as a rule."""
    given = ask(root, accept)
    assert given.headers.get("content-encoding") == coding
    assert given.headers["content-type"] == "text/css"
    assert given.headers["vary"] == "accept-encoding"
    assert (
        given.content
        == (root / f"a.css{ {'br': '.br', 'zstd': '.zst', 'gzip': '.gz', None: ''}[coding] }").read_bytes()
    )


def test_each_coding_has_its_own_entity_tag(root):
    """A strong entity tag names one sequence of bytes: 304 only for the same coding."""
    tags = {ask(root, accept).headers["etag"] for accept in ("br", "zstd", "gzip", "")}
    assert len(tags) == 4
    brotli = ask(root, "br").headers["etag"]
    unchanged = ask(root, "br", if_none_match=brotli)
    assert (unchanged.status, unchanged.headers["vary"]) == (304, "accept-encoding")
    assert ask(root, "gzip", if_none_match=brotli).status == 200


def test_ranges_are_of_the_coding(root):
    """A range is of the representation that is selected."""
    given = ask(root, "br", range="bytes=1-1")
    assert (given.status, given.headers["content-range"]) == (206, "bytes 1-1/2")


def test_an_older_compressed_file_is_not_used(root):
    """It is what the original was before."""
    os.utime(root / "a.css", ns=(2 * 10**18, 2 * 10**18))
    assert "content-encoding" not in ask(root, "br").headers


def test_links_out_of_the_root_and_directories_are_not_used(root, tmp_path_factory):
    """The same rules as for originals."""
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_bytes(b"secret")
    for suffix in ("br", "gz", "zst"):
        (root / f"a.css.{suffix}").unlink()
    (root / "a.css.br").symlink_to(outside)
    (root / "a.css.gz").mkdir()
    given = ask(root, "br, gzip")
    assert "content-encoding" not in given.headers
    assert "vary" not in given.headers


def test_a_compressed_file_by_its_own_name_is_itself(root):
    """Nobody said that it should be decompressed."""
    given = ask(root, "gzip", path="/a.css.gz")
    assert "content-encoding" not in given.headers
    assert given.headers["content-type"] == "application/gzip"


def test_weights():
    """Nonsense counts as nothing."""
    assert parse_weights("br;q=0.8, gzip , ;q=1, x;y=1, *;q=7") == {"br": 0.8, "gzip": 1.0, "x": 1.0, "*": 0.0}
