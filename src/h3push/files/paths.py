"""From a request's `:path` to a file below a root, and nowhere else. Pure but for the file system it looks at.

Not found is the one answer to everything that is not for the public: names that begin with a dot, links that lead out of the
root, sockets and pipes, files that may not be read. Whether such a thing exists is nobody's business.

Here the whole path is looked at each time; `files.known` remembers for a moment what was seen.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

INDEX = "index.html"
"""What is served for a directory."""

Version = tuple[int, int, int, int, int]
"""Device and inode, times of the last change to the inode and to the content, size: the same as before means the same file, and
unchanged."""


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A regular file that may be served."""

    path: Path
    """Absolute, links resolved."""
    name: str
    """The name that was asked for: its extension decides the content type."""
    size: int
    """Bytes."""
    mtime_ns: int
    """Time of the last change, nanoseconds since 1970."""
    version: Version
    """Which file it was, in which state."""

    @property
    def stamp(self) -> tuple[int, int]:
        """Changes when the file does."""
        return self.mtime_ns, self.size


@dataclass(frozen=True, slots=True)
class MovedTo:
    """A directory was asked for without its final slash: relative references in its page would lead elsewhere."""

    location: str
    """Path and query to ask for instead."""


def find_file(root: Path, target: str) -> FoundFile | MovedTo | None:
    """What `target` (a `:path`, percent-encoded, with or without query) names below `root`; `None`: nothing to serve.

    `root` must be absolute with its links resolved. Percent-encoding that is broken is taken literally, as browsers send `%`
    in names.
    """
    place = place_of(target)
    seen = None if place is None else _look(root, f"{root}{place}")
    if place is None or seen is None:
        return None
    real, status = seen
    path, mark, query = target.partition("?")
    if stat.S_ISDIR(status.st_mode) and not path.endswith("/"):
        return MovedTo(_encoded(path) + "/" + mark + query)
    return _servable(real, status, place.rpartition("/")[2])


def find_beside(root: Path, path: str, name: str) -> FoundFile | None:
    """A file at `path` that stands for one called `name`, under the same rules; `None`: nothing to serve."""
    if not os.access(path, os.R_OK):  # the common answer, and the cheapest way to it
        return None
    seen = _look(root, path)
    return None if seen is None else _servable(*seen, name)


def place_of(target: str) -> str | None:
    """Where below the root to look for what `target` names, with a slash in front; `None`: nowhere."""
    path = target.partition("?")[0]
    if "%" in path or not path.isascii():
        if "%2f" in path.lower():
            return None  # an encoded slash is part of a name, and no file has such a name
        path = os.fsdecode(unquote_to_bytes(path))
    if not path.startswith("/") or "/." in path or "//" in path or "\0" in path:
        return None  # a dot at the front hides a file; a name is never empty
    return path + INDEX if path.endswith("/") else path


def version_of(status: os.stat_result) -> Version:
    """The version that a look at a file has seen."""
    return status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size


def _look(root: Path, path: str) -> tuple[str, os.stat_result] | None:
    """Where `path` leads, links resolved, and what is there; `None`: nothing, or not below `root`."""
    try:
        real = os.path.realpath(path, strict=True)
        return (real, os.stat(real)) if _is_below(root, real) else None  # noqa: PTH116 - Path is three times as dear
    except OSError:
        return None  # absent, too long, not permitted, or links in a circle


def _is_below(root: Path, real: str) -> bool:
    own = str(root)
    return real == own or real.startswith(own if own.endswith("/") else f"{own}/")


def _servable(real: str, status: os.stat_result, name: str) -> FoundFile | None:
    if not stat.S_ISREG(status.st_mode) or not os.access(real, os.R_OK):
        return None
    return FoundFile(Path(real), name, status.st_size, status.st_mtime_ns, version_of(status))


def _encoded(path: str) -> str:
    """A path for Location: nothing in it may end a header line or begin another host."""
    return quote(path, safe="/%:@!$&'()*+,;=~-._")
