"""From a request's `:path` to a file below a root, and nowhere else. Pure but for the file system it looks at.

Not found is the one answer to everything that is not for the public: names that begin with a dot, links that lead out of the
root, sockets and pipes, files that may not be read. Whether such a thing exists is nobody's business.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

INDEX = "index.html"
"""What is served for a directory."""


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
    path, mark, query = target.partition("?")
    if not path.startswith("/"):
        return None
    names = [os.fsdecode(unquote_to_bytes(segment)) for segment in path[1:].split("/")]
    *parents, last = names
    if not all(map(_is_public_name, parents)) or not (last == "" or _is_public_name(last)):
        return None
    candidate = root.joinpath(*parents, last or INDEX)
    found = _inside(root, candidate)
    if found is None:
        return None
    real, status = found
    if stat.S_ISDIR(status.st_mode) and last:
        return MovedTo(_encoded(path) + "/" + mark + query)
    if not stat.S_ISREG(status.st_mode) or not os.access(real, os.R_OK):
        return None
    return FoundFile(real, candidate.name, status.st_size, status.st_mtime_ns)


def _is_public_name(name: str) -> bool:
    """An encoded slash is part of a name, and no file has such a name; a dot at the front hides a file."""
    return name != "" and not name.startswith(".") and "/" not in name and "\0" not in name


def _inside(root: Path, candidate: Path) -> tuple[Path, os.stat_result] | None:
    try:
        real = candidate.resolve(strict=True)
        return (real, real.stat()) if real.is_relative_to(root) else None
    except (OSError, RuntimeError):
        # Absent, too long, not permitted, or links in a circle (RuntimeError until Python 3.12).
        return None


def _encoded(path: str) -> str:
    """A path for Location: nothing in it may end a header line or begin another host."""
    return quote(path, safe="/%:@!$&'()*+,;=~-._")
