"""The files of one root, opened for request after request.

Theory of operation. To see that a path stays below the root, each directory on it has to be asked whether it is a link. That is
the dearest part of serving a small file, so what was seen is remembered for `LOOK_AGAIN_AFTER` and trusted as long as the path
leads to the very same file: each request opens it anew by the path that was asked for, and compares device, inode, times and size
with what was seen; behind links, the file must still be at the place that they led to, too. A difference of any kind, and the
whole path is looked at again, in the same request.

So size and validators are always those of the file that is open, and so is small content, which is read from it. Large content is
read later, from that place, by the transport; what is replaced in between is cut off or another version, as with every server
that reads while it sends. What can be out of date, for a second at most:

* which compressed files lie beside it: one was added, or one that the request does not take was changed or removed;
* that the same, unchanged file is reached without leaving the root: a directory was moved out of it, and a link to where it is
  now was put in its stead.

A path that leads to any other file, a file that was replaced, renamed, removed or written to, and one whose rights were changed,
are noticed by the next request.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from h3push.files.paths import FoundFile, MovedTo, Root, place_of, version_of
from h3push.files.precompressed import Variant, choose_variant, find_variants
from h3push.runtime.descriptors import is_out_of_descriptors

LOOK_AGAIN_AFTER = 1.0
"""Seconds for which a look at a path is trusted: short for whoever changes a site, long beside the 20 us that a look takes."""

MAX_KNOWN_FILES = 4_096
"""Looks that are remembered, at about 1 kB each. The oldest goes first, and costs one more look."""

MAX_TARGET = 1_024
"""Characters of a target whose path is remembered, of as many as there may be looks; each is of a file that was there."""

_LOOKS = 3
"""At a file that changes between the look and the opening, as a log does; then it counts as absent."""

_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK
"""A pipe that was put in a file's place must not keep us waiting."""


class OpenedFile:
    """A file that is open: what it was found to be is what `read` gives. To be closed, best by `with`."""

    __slots__ = ("_descriptor", "coding", "file", "varies")

    def __init__(self, descriptor: int, file: FoundFile, coding: str, varies: bool) -> None:
        self.file = file
        """The open file: the original, or the same in a content coding."""
        self.coding = coding
        """Its content coding; "" for the original."""
        self.varies = varies
        """True when the file exists in several codings, so that what is served depends on Accept-Encoding."""
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        """A part of the file. `OSError` when it cannot be read, or not all of it is there any more."""
        content = os.pread(self._descriptor, length, offset)
        while len(content) < length:
            more = os.pread(self._descriptor, length - len(content), offset + len(content))
            if not more:
                raise OSError(f"{self.file.path} was made shorter while it was read")
            content += more
        return content

    def __enter__(self) -> "OpenedFile":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class _Known:
    """The result of a look."""

    file: FoundFile
    variants: list[Variant]
    until: float
    """When the look has to be repeated, by the clock."""


class KnownFiles:
    """The files below a root.

    Arguments:
        root: absolute, links resolved.
        clock: tells the time in seconds.
        follow_symlinks: serve what links out of the root lead to.
    """

    def __init__(
        self, root: Path, clock: Callable[[], float] = time.monotonic, *, follow_symlinks: bool = False
    ) -> None:
        self.root = Root(root, follow_symlinks=follow_symlinks)
        """The root."""
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._paths: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, target: str) -> FoundFile | MovedTo | None:
        """Find what `target` names now, as `Root.find` does."""
        path = self._path(target)
        if path is None:
            return None
        known = self._recent(path)
        if known is not None and _is_unchanged(path, known.file) and _is_still_there(path, known.file):
            return known.file
        looked = self._look(path, target)
        return looked.file if isinstance(looked, _Known) else looked

    def open(self, target: str, headers: Mapping[str, str]) -> OpenedFile | MovedTo | None:
        """Open what `target` names now, in the coding that the request's Accept-Encoding prefers.

        Raises: OSError: no descriptor is left (EMFILE, ENFILE); every other failure counts as absent.
        """
        path = self._path(target)
        if path is None:
            return None
        known = self._recent(path)
        opened = None if known is None else _open(path, known, headers)
        looks = 0
        while opened is None and looks < _LOOKS:
            looked = self._look(path, target)
            if not isinstance(looked, _Known):
                return looked
            opened = _open(path, looked, headers)
            looks += 1
        return opened

    def _path(self, target: str) -> str | None:
        path = self._paths.get(target)
        if path is None:
            place = place_of(target)
            if place is not None:
                path = self.root.prefix + place
        return path

    def _recent(self, path: str) -> _Known | None:
        known = self._known.get(path)
        return known if known is not None and self._clock() < known.until else None

    def _look(self, path: str, target: str) -> _Known | MovedTo | None:
        self._known.pop(path, None)
        found = self.root.find(target)
        if not isinstance(found, FoundFile):
            return found
        known = _Known(found, find_variants(found, self.root), self._clock() + LOOK_AGAIN_AFTER)
        self._known[path] = known
        if len(target) <= MAX_TARGET:
            if len(self._paths) >= MAX_KNOWN_FILES:
                self._paths.clear()
            self._paths[target] = path
        if len(self._known) > MAX_KNOWN_FILES:
            del self._known[next(iter(self._known))]
        return known


def _open(path: str, known: _Known, headers: Mapping[str, str]) -> OpenedFile | None:
    """Open the file or one of its variants; `None` when it is not what was seen any more."""
    if not _is_still_there(path, known.file):
        return None
    variant = choose_variant(known.variants, headers)
    if variant is None:
        return _open_unchanged(path, known.file, "", bool(known.variants))
    if not _is_unchanged(path, known.file):  # the variant may be of an older original
        return None
    return _open_unchanged(str(variant.file.path), variant.file, variant.coding, True)


def _open_unchanged(path: str, file: FoundFile, coding: str, varies: bool) -> OpenedFile | None:
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except OSError as error:
        if is_out_of_descriptors(error):
            raise
        return None
    if version_of(os.fstat(descriptor)) == file.version:
        return OpenedFile(descriptor, file, coding, varies)
    os.close(descriptor)
    return None


def _is_still_there(path: str, file: FoundFile) -> bool:
    """True when the file is where the look has found it: large content is read from there, not from where the links lead now."""
    place = str(file.path)
    return place == path or _is_unchanged(place, file)


def _is_unchanged(path: str, file: FoundFile) -> bool:
    try:
        return version_of(os.stat(path)) == file.version  # noqa: PTH116 - Path is three times as dear
    except OSError:
        return False
