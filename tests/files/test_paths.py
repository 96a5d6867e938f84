"""Which file a path names, and which paths name nothing."""

import os

import pytest

from h3push.files import paths
from h3push.files.known import KnownFiles
from h3push.files.media_types import content_type
from h3push.files.paths import FoundFile, MovedTo


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "index.html").write_text("home")
    (root / "sub" / "index.html").write_text("sub")
    for name in (
        "plain.txt",
        "with space.txt",
        "100%.txt",
        "grün.txt",
        "what?.txt",
        "a%20b.txt",
        ".hidden",
        "back\\slash",
        "a+b;c=d",
    ):
        (root / name).write_text(name)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (root / "escape.txt").symlink_to(tmp_path / "outside.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "inside.txt").symlink_to("plain.txt")
    (root / "circle").symlink_to("circle")
    os.mkfifo(root / "pipe")
    return root.resolve()


def found_afresh(root, target):
    return paths.find_file(root, target)


def found_again(root, target):
    known = KnownFiles(root)
    known.find(target)
    return known.find(target)


def opened_again(root, target):
    known = KnownFiles(root)
    known.find(target)
    opened = known.open(target, {})
    if opened is None or isinstance(opened, MovedTo):
        return opened
    with opened:
        return opened.file


@pytest.fixture(params=[found_afresh, found_again, opened_again])
def find_file(request):
    return request.param


@pytest.mark.parametrize(
    ("target", "content"),
    [
        ("/", "home"),
        ("/index.html", "home"),
        ("/?query", "home"),
        ("/sub/", "sub"),
        ("/plain.txt", "plain.txt"),
        ("/plain.txt?a=/../b", "plain.txt"),
        ("/pl%61in.txt", "plain.txt"),
        ("/with%20space.txt", "with space.txt"),
        ("/100%25.txt", "100%.txt"),
        ("/100%.txt", "100%.txt"),
        ("/gr%C3%BCn.txt", "grün.txt"),
        ("/what%3F.txt", "what?.txt"),
        ("/a%2520b.txt", "a%20b.txt"),
        ("/back%5Cslash", "back\\slash"),
        ("/a+b;c=d", "a+b;c=d"),
        ("/inside.txt", "plain.txt"),
    ],
)
def test_a_path_names_a_file(find_file, root, target, content):
    found = find_file(root, target)
    assert isinstance(found, FoundFile)
    assert found.path.read_text() == content
    assert found.size == len(content.encode())


@pytest.mark.parametrize(
    "target",
    ["", "*", "plain.txt", "/absent", "/what?.txt", "/.hidden", "/.git/config", "/%2egit/config", "/..", "/../outside.txt",
     "/%2e%2e/outside.txt", "/sub/../plain.txt", "/sub/%2e%2e%2fplain.txt", "/sub%2findex.html", "//index.html",
     "/sub//index.html", "/escape.txt", "/up/outside.txt", "/up/", "/circle", "/pipe", "/plain.txt/", "/empty/", "/plain.txt%00",
     "/plain.txt%00.html", "/gr%FCn.txt", "/" + "a" * 300, "/" + "a/" * 3000, "//", "https://example.org/"],
)  # fmt: skip
def test_a_path_names_nothing(find_file, root, target):
    assert find_file(root, target) is None


@pytest.mark.parametrize(
    ("target", "location"),
    [("/sub", "/sub/"), ("/sub?a=b", "/sub/?a=b"), ("/s%75b", "/s%75b/"), ("/empty", "/empty/")],
)
def test_a_directory_without_its_slash_has_moved(find_file, root, target, location):
    assert find_file(root, target) == MovedTo(location)


def test_a_location_stays_on_one_line_and_on_this_host(find_file, root):
    (root / "a\r\nb: c").mkdir()
    assert find_file(root, "/a%0D%0Ab: c") == MovedTo("/a%0D%0Ab:%20c/")
    assert find_file(root, "//evil.example") is None


def test_links_may_lead_to_elsewhere_inside(find_file, root):
    (root / "shortcut").symlink_to("sub")
    assert find_file(root, "/shortcut/") is not None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_not_there(find_file, root):
    (root / "plain.txt").chmod(0)
    assert find_file(root, "/plain.txt") is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.html", "text/html; charset=utf-8"), ("a.CSS", "text/css; charset=utf-8"), ("a.tar.gz", "application/gzip"),
     ("README", "application/octet-stream"), ("a.", "application/octet-stream"), ("a.b/c", "application/octet-stream")],
)  # fmt: skip
def test_content_types(name, expected):
    assert content_type(name) == expected
