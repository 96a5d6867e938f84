"""The memory of looks at files, and how soon a change is seen."""

import os
from pathlib import Path

import pytest

from h3push.files.known import LOOK_AGAIN_AFTER, MAX_KNOWN_FILES, KnownFiles
from h3push.files.paths import FoundFile, Root


class Clock:
    """Stands still."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for path in (root / "a.css", root / "sub" / "b.txt", tmp_path / "outside" / "b.txt"):
        path.write_text(path.parent.name)
    (root / "link.txt").symlink_to("sub/b.txt")
    return root.resolve()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def files(root, clock):
    """With everything looked at already."""
    files = KnownFiles(root, clock)
    for target in ("/a.css", "/sub/b.txt", "/link.txt"):
        assert read(files, target) is not None
    return files


def read(files, target, accept=None):
    """Content and coding of what is opened; `find` must agree about what is there."""
    opened = files.open(target, {} if accept is None else {"accept-encoding": accept})
    found = files.find(target)
    assert isinstance(found, FoundFile) == (opened is not None)
    if opened is None:
        return None
    with opened:
        return opened.read(0, opened.file.size), opened.coding, opened.varies


def of(content, coding="", varies=False):
    return content, coding, varies


@pytest.fixture
def looks(monkeypatch):
    """Targets whose whole path was looked at."""
    seen = []
    find = Root.find

    def counting(root, target):
        seen.append(target)
        return find(root, target)

    monkeypatch.setattr(Root, "find", counting)
    return seen


def test_a_path_is_looked_at_once_in_a_while(files, clock, looks):
    for _ in range(3):
        read(files, "/a.css")
    assert looks == []
    clock.now = LOOK_AGAIN_AFTER
    read(files, "/a.css")
    assert looks == ["/a.css"]


def test_a_file_that_was_written_to(files, root):
    (root / "a.css").write_text("changed")
    assert read(files, "/a.css") == of(b"changed")


def test_a_file_that_was_written_to_and_given_its_old_time(files, root):
    status = (root / "a.css").stat()
    (root / "a.css").write_text("tOOr")
    os.utime(root / "a.css", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read(files, "/a.css") == of(b"tOOr")


def test_a_file_that_was_replaced(files, root):
    (root / "new").write_text("new")
    (root / "new").rename(root / "a.css")
    assert read(files, "/a.css") == of(b"new")


def test_a_file_that_was_removed_and_came_back(files, root):
    (root / "a.css").unlink()
    assert read(files, "/a.css") is None
    (root / "a.css").write_text("back")
    assert read(files, "/a.css") == of(b"back")


def test_a_file_that_became_a_link_out_of_the_root(files, root):
    (root / "sub" / "b.txt").unlink()
    (root / "sub" / "b.txt").symlink_to(root.parent / "outside" / "b.txt")
    assert read(files, "/sub/b.txt") is None
    assert read(files, "/link.txt") is None


def test_a_link_that_leads_elsewhere_now(files, root):
    (root / "link.txt").unlink()
    (root / "link.txt").symlink_to("a.css")
    assert read(files, "/link.txt") == of(b"root")
    (root / "link.txt").unlink()
    (root / "link.txt").symlink_to(root.parent / "outside" / "b.txt")
    assert read(files, "/link.txt") is None


def test_a_directory_that_was_renamed(files, root):
    (root / "sub").rename(root / "other")
    assert read(files, "/sub/b.txt") is None
    assert read(files, "/link.txt") is None


def test_a_directory_that_became_a_link_out_of_the_root(files, root):
    (root / "sub").rename(root / "other")
    (root / "sub").symlink_to(root.parent / "outside")
    assert read(files, "/sub/b.txt") is None


def test_an_unchanged_file_that_left_the_root_with_its_directory_for_a_link(files, root, clock):
    """The one thing that is seen late: the same bytes, which could be had a second ago."""
    (root / "sub").rename(root.parent / "gone")
    (root / "sub").symlink_to(root.parent / "gone")
    clock.now = LOOK_AGAIN_AFTER
    assert read(files, "/sub/b.txt") is None
    (root.parent / "gone" / "b.txt").write_text("changed")
    assert read(files, "/sub/b.txt") is None


def test_what_is_changed_after_it_left_is_not_served_at_all(files, root):
    (root / "sub").rename(root.parent / "gone")
    (root / "sub").symlink_to(root.parent / "gone")
    (root.parent / "gone" / "b.txt").write_text("changed")
    assert read(files, "/sub/b.txt") is None


def test_a_file_that_is_reached_by_another_way_now_is_found_where_it_is(root, clock):
    """A deployment: the link that leads to the release is replaced, the file is the same. Large content is read by its path."""
    (root / "v1").mkdir()
    (root / "v1" / "large.bin").write_text("large")
    (root / "current").symlink_to("v1")
    files = KnownFiles(root, clock)
    assert read(files, "/current/large.bin") == of(b"large")
    (root / "v1").rename(root / "v2")
    (root / "current").unlink()
    (root / "current").symlink_to("v2")
    for outside in (False, True):
        if outside:
            (root.parent / "outside" / "large.bin").write_text("secret")
            (root / "v1").symlink_to(root.parent / "outside")
        opened = files.open("/current/large.bin", {})
        assert opened is not None
        with opened:
            assert opened.file.path == root / "v2" / "large.bin"
        found = files.find("/current/large.bin")
        assert isinstance(found, FoundFile)
        assert found.path.read_text() == "large"


def test_a_file_that_became_a_directory_or_a_pipe(files, root):
    (root / "a.css").unlink()
    os.mkfifo(root / "a.css")
    assert read(files, "/a.css") is None
    (root / "sub" / "b.txt").unlink()
    (root / "sub" / "b.txt").mkdir()
    assert files.find("/sub/b.txt").location == files.open("/sub/b.txt", {}).location == "/sub/b.txt/"


def test_rights_that_changed_are_looked_at(files, root, looks):
    (root / "a.css").chmod(0o644 if (root / "a.css").stat().st_mode & 0o777 != 0o644 else 0o600)
    read(files, "/a.css")
    assert looks == ["/a.css"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_any_more(files, root):
    (root / "a.css").chmod(0)
    assert read(files, "/a.css") is None


def test_a_compressed_file_that_was_added_is_seen_within_a_second(files, root, clock):
    (root / "a.css.br").write_bytes(b"br")
    clock.now = LOOK_AGAIN_AFTER
    assert read(files, "/a.css", "br") == of(b"br", "br", True)
    assert read(files, "/a.css") == of(b"root", "", True)


@pytest.fixture
def compressed(files, root, clock):
    for suffix in ("br", "gz"):
        (root / f"a.css.{suffix}").write_text(suffix)
    clock.now = LOOK_AGAIN_AFTER
    assert read(files, "/a.css", "br") == of(b"br", "br", True)
    return files


def test_a_compressed_file_that_was_changed_or_removed(compressed, root):
    (root / "a.css.br").write_text("again")
    assert read(compressed, "/a.css", "br, gzip") == of(b"again", "br", True)
    (root / "a.css.br").unlink()
    assert read(compressed, "/a.css", "br, gzip") == of(b"gz", "gzip", True)
    (root / "a.css.gz").unlink()
    assert read(compressed, "/a.css", "br, gzip") == of(b"root")


def test_a_compressed_file_that_became_a_link_out_of_the_root(compressed, root):
    (root / "a.css.br").unlink()
    (root / "a.css.br").symlink_to(root.parent / "outside" / "b.txt")
    assert read(compressed, "/a.css", "br") == of(b"root", "", True)


def test_a_compressed_file_is_not_used_when_its_original_changed(compressed, root):
    (root / "a.css").write_text("newer")
    os.utime(root / "a.css", ns=(4 * 10**18, 4 * 10**18))
    assert read(compressed, "/a.css", "br, gzip") == of(b"newer")


def test_a_file_that_grows_while_it_is_looked_at_is_opened_all_the_same(root, monkeypatch):
    """A log."""
    find = Root.find
    growths = [b"1", b"2"]

    def and_write(*asked):
        found = find(*asked)
        with (root / "a.css").open("ab") as log:
            log.write(growths.pop(0) if growths else b"")
        return found

    monkeypatch.setattr(Root, "find", and_write)
    opened = KnownFiles(root).open("/a.css", {})
    assert opened is not None
    with opened:
        assert opened.read(0, opened.file.size) == b"root12"


def test_a_file_that_is_another_at_every_look_counts_as_absent(root, monkeypatch):
    find = Root.find

    def and_replace(*asked):
        found = find(*asked)
        (root / "new").write_text("")
        (root / "new").rename(root / "a.css")
        return found

    monkeypatch.setattr(Root, "find", and_replace)
    assert KnownFiles(root).open("/a.css", {}) is None


def test_a_file_that_gets_shorter_is_not_read_as_if_it_were_whole(files, root):
    with files.open("/a.css", {}) as opened:
        os.truncate(root / "a.css", 2)
        with pytest.raises(OSError, match="shorter"):
            opened.read(0, opened.file.size)


def test_only_so_many_files_are_remembered(root, monkeypatch):
    monkeypatch.setattr("h3push.files.known.MAX_KNOWN_FILES", 10)
    files = KnownFiles(root)
    for number in range(20):
        (root / str(number)).touch()
        assert files.find(f"/{number}") is not None
    assert len(files) == 10
    assert MAX_KNOWN_FILES > 1_000


def test_no_descriptor_stays_open(files, root):
    before = list(Path("/dev/fd").iterdir())
    (root / "a.css").write_text("changed")
    for target in ("/a.css", "/sub/b.txt", "/absent", "/sub"):
        opened = files.open(target, {})
        if hasattr(opened, "read"):
            with opened:
                pass
    assert len(list(Path("/dev/fd").iterdir())) == len(before)
