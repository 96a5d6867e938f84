"""Answers of a directory."""

import errno
import os

import pytest

from h3push.files.directory import Directory
from h3push.http.content import FileContent


def answer(root, method, target, headers):
    return Directory(root).decide(method, target, headers)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "page.html").write_text("<p>page</p>")
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    return tmp_path.resolve()


def test_a_file_is_answered_with_its_type_length_and_validators(root):
    given = answer(root, "GET", "/page.html", {})
    assert given.status == 200
    assert given.content == b"<p>page</p>"
    assert given.headers["content-type"] == "text/html"
    assert given.headers["content-length"] == "11"
    assert given.headers["accept-ranges"] == "bytes"
    assert given.headers["etag"].startswith('"')
    assert given.headers["last-modified"].endswith("GMT")


def test_head_has_the_same_fields_and_no_content(root):
    assert answer(root, "HEAD", "/page.html", {}).headers == answer(root, "GET", "/page.html", {}).headers
    assert answer(root, "HEAD", "/page.html", {}).content == b""
    assert answer(root, "HEAD", "/absent", {}).content == b""
    assert answer(root, "HEAD", "/absent", {}).headers == answer(root, "GET", "/absent", {}).headers


def test_a_large_file_is_left_to_who_sends_it(root):
    (root / "large.bin").write_bytes(bytes(100_000))
    assert answer(root, "GET", "/large.bin", {}).content == FileContent(root / "large.bin", 0, 100_000)
    part = answer(root, "GET", "/large.bin", {"range": "bytes=3-80000"})
    assert part.content == FileContent(root / "large.bin", 3, 79_998)
    assert answer(root, "GET", "/large.bin", {"range": "bytes=3-4"}).content == b"\0\0"


def test_an_empty_file(root):
    given = answer(root, "GET", "/empty.bin", {})
    assert (given.status, given.content, given.headers["content-length"]) == (200, b"", "0")


def test_a_part(root):
    given = answer(root, "GET", "/page.html", {"range": "bytes=3-6"})
    assert given.status == 206
    assert given.headers["content-range"] == "bytes 3-6/11"
    assert given.headers["content-length"] == "4"
    assert given.content == b"page"


def test_a_part_that_is_not_there(root):
    given = answer(root, "GET", "/page.html", {"range": "bytes=11-"})
    assert given.status == 416
    assert given.headers["content-range"] == "bytes */11"


def test_not_modified_has_validators_and_nothing_else(root):
    etag = answer(root, "GET", "/page.html", {}).headers["etag"]
    given = answer(root, "GET", "/page.html", {"if-none-match": etag})
    assert given.status == 304
    assert set(given.headers) == {"etag", "last-modified"}
    assert given.content == b""


def test_a_failed_precondition(root):
    assert answer(root, "GET", "/page.html", {"if-match": '"x"'}).status == 412


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"])
def test_other_methods_are_told_which_ones_there_are(root, method):
    given = answer(root, method, "/page.html", {})
    assert (given.status, given.headers["allow"]) == (405, "GET, HEAD")


def test_a_missing_file_is_answered_in_html(root):
    given = answer(root, "GET", "/<script>", {})
    assert given.status == 404
    assert given.headers["content-type"] == "text/html; charset=utf-8"
    assert b"404 Not Found" in given.content
    assert b"script" not in given.content


def test_a_directory_moves_to_its_slash(root):
    given = answer(root, "GET", "/sub", {})
    assert (given.status, given.headers["location"]) == (301, "/sub/")


def test_a_root_that_is_no_directory(root):
    with pytest.raises(FileNotFoundError):
        Directory(root / "absent")
    with pytest.raises(NotADirectoryError):
        Directory(root / "page.html")


def test_a_charset_is_said_when_it_is_configured(root):
    """A `<meta charset>` is not overridden unless somebody wants that."""
    given = Directory(root, charset="iso-8859-1").decide("GET", "/page.html", {})
    assert given.headers["content-type"] == "text/html; charset=iso-8859-1"
    with pytest.raises(ValueError, match="charset"):
        Directory(root, charset="x\r\ny")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_a_descriptor_left_a_file_is_not_absent(root, number, monkeypatch):
    """EMFILE and ENFILE are 503, for a cache must not learn that the file is gone (issue 9, point 4)."""
    directory = Directory(root)
    for _ in range(2):  # never seen before, and known
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", raising(OSError(number, "too many")))
            given = directory.decide("GET", "/page.html", {})
        assert (given.status, given.headers["retry-after"]) == (503, "1")
        assert directory.decide("GET", "/page.html", {}).status == 200


def raising(error):
    def fail(*_):
        raise error

    return fail
