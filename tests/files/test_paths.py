"""Paths to files, and paths that name nothing."""

import logging
import mimetypes
import os

import pytest

from h3push.files.known import KnownFiles
from h3push.files.media_types import check_charset, content_type, media_types
from h3push.files.paths import FoundFile, MovedTo, Root
from h3push.runtime.notices import Notices


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
    (root / ".well-known" / ".hidden").mkdir(parents=True)
    (root / ".well-known" / "security.txt").write_text("contact")
    (root / ".well-known" / ".hidden" / "x").write_text("secret")
    (root / "sub" / ".well-known").mkdir()
    (root / "sub" / ".well-known" / "x").write_text("secret")
    (root / ".well-known-not").write_text("secret")
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
    return Root(root).find(target)


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
        ("/.well-known/security.txt", "contact"),
        ("/%2ewell-known/security.txt", "contact"),
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
     "/plain.txt%00.html", "/.well-known-not", "/.well-known/.hidden/x", "/sub/.well-known/x", "/.well-known/..",
     "/.well-known/../.hidden", "/gr%FCn.txt", "/" + "a" * 300, "/" + "a/" * 3000, "//", "https://example.org/"],
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


@pytest.mark.parametrize(("target", "link"), [("/escape.txt", "escape.txt"), ("/up/outside.txt", "up")])
def test_a_link_out_of_the_root_is_named_once(find_file, root, target, link, caplog):
    """Whoever serves a directory learns which links of it are not served, however often they are asked for."""
    for _ in range(3):
        assert find_file(root, target) is None
    named = [record.getMessage() for record in caplog.records]
    assert set(named) == {f"{root}/{link} leads out of {root}, so it is not served (--follow-symlinks)"}


def test_a_refused_link_is_named_once_for_each_root(root, caplog):
    """Not once for each request, and not once for each file behind the link."""
    served = Root(root)
    for target in ("/up/outside.txt", "/up/", "/up/outside.txt"):
        assert served.find(target) is None
    assert len(caplog.records) == 1


def test_links_out_of_the_root_are_followed_when_that_is_wanted(root, caplog):
    """`--follow-symlinks` serves what they lead to, and hides what it hid before."""
    known = KnownFiles(root, follow_symlinks=True)
    for served in (Root(root, follow_symlinks=True), known, known):
        found = served.find("/escape.txt")
        assert found.path.read_text() == "secret"
        assert served.find("/up/root/.hidden") is None
    with known.open("/escape.txt", {}) as opened:
        assert opened.read(0, 6) == b"secret"
    assert not caplog.records


def test_notices_are_bounded(caplog):
    """A site with a thousand broken links fills no disk with it."""
    notices = Notices(logging.getLogger("h3push.server"), limit=3)
    for number in range(10):
        notices.warn("%s is missing", number)
    assert [record.getMessage() for record in caplog.records] == [
        "0 is missing", "1 is missing", "2 is missing", "there are more such warnings; they are not shown"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.html", "text/html"), ("a.CSS", "text/css"), ("a.tar.gz", "application/gzip"), ("README", "application/octet-stream"),
     ("a.", "application/octet-stream"), ("a.b/c", "application/octet-stream"), ("a.mov", "video/quicktime"),
     ("a.mkv", "video/matroska"), ("a.yaml", "application/yaml"), ("a.rst", "text/x-rst"), ("a.log", "text/plain"),
     ("a.py", "text/x-python"), ("a.wasm", "application/wasm"), ("a.avif", "image/avif"), ("a.jxl", "image/jxl"),
     ("a.js", "text/javascript"), ("a.doc", "application/msword"), ("a.unheard-of", "application/octet-stream")],
)  # fmt: skip
def test_content_types(name, expected):
    """The usual types are known, and none of them names a charset that would override the file's own."""
    assert content_type(name) == expected


def test_content_types_are_the_same_on_every_machine(monkeypatch, tmp_path):
    """The tables of the system do not count."""
    table = tmp_path / "mime.types"
    table.write_text("text/x-of-this-machine unheard-of html\n")
    monkeypatch.setattr(mimetypes, "knownfiles", [str(table)])
    monkeypatch.setattr(mimetypes, "inited", False)
    media_types.cache_clear()
    try:
        assert content_type("a.unheard-of") == "application/octet-stream"
    finally:
        monkeypatch.undo()
        mimetypes.init()
        media_types.cache_clear()


def test_a_configured_charset_is_for_text_alone():
    """`--charset` says what text is in; an image has none."""
    assert content_type("a.txt", "utf-8") == "text/plain; charset=utf-8"
    assert content_type("a.png", "utf-8") == "image/png"
    with pytest.raises(ValueError, match="there is no charset 'utf-9'"):
        check_charset("utf-9")
