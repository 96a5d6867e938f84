"""From a request's `:path` to a file below a root, and nowhere else.

Not found is the one answer to everything that is not for the public: names that begin with a dot (but `/.well-known/`, RFC
8615), links that lead out of the root unless they are to be followed, sockets and pipes, files that may not be read. Whether such
a thing exists is nobody's business, except that of whoever runs the server: a link that is refused is named in the log.

Here the whole path is looked at each time; `files.known` remembers for a moment what was seen.
"""

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from h3push.runtime.notices import Notices

logger = logging.getLogger("h3push.server")

INDEX = "index.html"
"""The file that is served for a directory."""

WELL_KNOWN = "/.well-known"
"""The one place below the root whose name begins with a dot and that is for the public (RFC 8615)."""

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
    """The file's identity and state when it was found."""

    @property
    def stamp(self) -> tuple[int, int]:
        """Changes when the file does."""
        return self.mtime_ns, self.size


@dataclass(frozen=True, slots=True)
class MovedTo:
    """A directory was asked for without its final slash: relative references in its page would lead elsewhere."""

    location: str
    """Path and query to ask for instead."""


class Root:
    """A directory to serve from.

    Arguments:
        path: absolute, links resolved.
        follow_symlinks: serve what links out of the root lead to.
    """

    def __init__(self, path: Path, *, follow_symlinks: bool = False) -> None:
        self.path = path
        """Absolute, links resolved."""
        self.follows_symlinks = follow_symlinks
        """True when links may lead out of it."""
        self.prefix = str(path).rstrip("/")
        """The beginning of the path of each of its files, but for those that links lead to."""
        self._notices = Notices(logger)

    def find(self, target: str) -> FoundFile | MovedTo | None:
        """Find what `target` (a `:path`, percent-encoded, with or without query) names; `None`: nothing to serve.

        Percent-encoding that is broken is taken literally, as browsers send `%` in names.
        """
        place = place_of(target)
        seen = None if place is None else self._look(self.prefix + place)
        if place is None or seen is None:
            return None
        real, status = seen
        path, mark, query = target.partition("?")
        if stat.S_ISDIR(status.st_mode) and not path.endswith("/"):
            return MovedTo(_encoded(path) + "/" + mark + query)
        return _servable(real, status, place.rpartition("/")[2])

    def find_beside(self, path: str, name: str) -> FoundFile | None:
        """A file at `path` that stands for one called `name`, under the same rules; `None`: nothing to serve."""
        if not os.access(path, os.R_OK):  # the common answer, and the cheapest way to it
            return None
        seen = self._look(path)
        return None if seen is None else _servable(*seen, name)

    def _look(self, path: str) -> tuple[str, os.stat_result] | None:
        """Follow `path`: the real path and its status; `None` when nothing is there, or not below the root."""
        try:
            real = os.path.realpath(path, strict=True)
            if self.follows_symlinks or self._holds(real):
                return real, os.stat(real)  # noqa: PTH116 - Path is three times as dear
        except OSError:
            return None  # absent, too long, not permitted, or links in a circle
        self._notices.warn(
            "%s leads out of %s, so it is not served (--follow-symlinks)", self._way_out(path), self.path
        )
        return None

    def _holds(self, real: str) -> bool:
        return real == str(self.path) or real.startswith(f"{self.prefix}/")

    def _way_out(self, path: str) -> str:
        """The link on `path` that leads out: the first part of it that is elsewhere."""
        names = path.removeprefix(self.prefix).split("/")
        starts = (self.prefix + "/".join(names[: count + 1]) for count in range(1, len(names)))
        return next((start for start in starts if not self._holds(os.path.realpath(start))), path)


def place_of(target: str) -> str | None:
    """The path below the root that `target` names, with a slash in front; `None` when there is none."""
    path = target.partition("?")[0]
    if "%" in path or not path.isascii():
        if "%2f" in path.lower():
            return None  # an encoded slash is part of a name, and no file has such a name
        path = os.fsdecode(unquote_to_bytes(path))
    if not path.startswith("/") or "//" in path or "\0" in path or ("/." in path and _is_hidden(path)):
        return None  # a name is never empty
    return path + INDEX if path.endswith("/") else path


def _is_hidden(path: str) -> bool:
    """True for a path with a name that begins with a dot."""
    return "/." in (path.removeprefix(WELL_KNOWN) if f"{path}/".startswith(f"{WELL_KNOWN}/") else path)


def version_of(status: os.stat_result) -> Version:
    """The version that a look at a file has seen."""
    return status.st_dev, status.st_ino, status.st_ctime_ns, status.st_mtime_ns, status.st_size


def _servable(real: str, status: os.stat_result, name: str) -> FoundFile | None:
    if not stat.S_ISREG(status.st_mode) or not os.access(real, os.R_OK):
        return None
    return FoundFile(Path(real), name, status.st_size, status.st_mtime_ns, version_of(status))


def _encoded(path: str) -> str:
    """A path for Location: nothing in it may end a header line or begin another host."""
    return quote(path, safe="/%:@!$&'()*+,;=~-._")
