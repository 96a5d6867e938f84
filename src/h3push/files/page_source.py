"""The pages of a directory, as those who plan for them read them."""

import os

from h3push.files.directory import Directory
from h3push.files.media_types import HTML, media_type
from h3push.files.paths import INDEX, version_of
from h3push.plans.cache import Stamp


class DirectoryPages:
    """The pages of a directory, to be planned for (a `PageSource`)."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def is_page(self, path: str) -> bool:
        """True for a file of HTML, by its name; `/about` may mean about.html."""
        name = path.rpartition("/")[2] or INDEX
        if "." in name:
            return media_type(name) == HTML
        found = self._directory.find(path)
        return found is not None and media_type(found.name) == HTML

    def is_there(self, path: str) -> bool:
        """True when there is such a file."""
        return self._directory.find(path) is not None

    def stamp(self, path: str) -> Stamp | None:
        """The present state of a file."""
        found = self._directory.find(path)
        return None if found is None else Stamp(found.version, found.size)

    def read(self, path: str, limit: int, known: Stamp | None = None) -> tuple[Stamp, bytes | None] | None:
        """A file's state, and its first bytes. `None` when it cannot be read, too: then nothing is pushed."""
        found = self._directory.find_afresh(path)
        if found is None:
            return None
        try:
            with open(found.path, "rb", buffering=0) as opened:  # noqa: PTH123 - three times as cheap as by Path
                status = os.fstat(opened.fileno())
                stamp = Stamp(version_of(status), status.st_size)
                return stamp, None if stamp == known else opened.read(min(limit, stamp.size))
        except OSError:
            return None
