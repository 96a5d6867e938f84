"""A directory of wheels, and what each of them needs: read from the wheels' own metadata."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version


@dataclass(frozen=True)
class Wheel:
    """One wheel."""

    path: Path
    """The file."""
    project: str
    """Normalized name (PEP 503)."""
    version: Version
    """Its version."""
    is_pure: bool
    """True when it runs on every platform."""

    @cached_property
    def metadata(self) -> bytes:
        """The METADATA file in it."""
        with zipfile.ZipFile(self.path) as archive:
            name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
            return archive.read(name)

    @cached_property
    def sha256(self) -> str:
        """Digest of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def requirements(self) -> list[Requirement]:
        """The requirements that it names, with their markers."""
        return Metadata.from_email(self.metadata, validate=False).requires_dist or []

    @cached_property
    def requires_python(self) -> str | None:
        """The versions of Python that it runs on."""
        found = Metadata.from_email(self.metadata, validate=False).requires_python
        return None if found is None else str(found)


class Wheels:
    """The wheels of a directory, by project, the newest last."""

    def __init__(self, directory: Path) -> None:
        self.by_project: dict[str, list[Wheel]] = {}
        """Every wheel."""
        self.by_name: dict[str, Wheel] = {}
        """The same by file name."""
        for path in sorted(directory.glob("*.whl")):
            name, version, _, tags = parse_wheel_filename(path.name)
            wheel = Wheel(path, name, version, any(tag.platform == "any" for tag in tags))
            self.by_project.setdefault(name, []).append(wheel)
            self.by_name[path.name] = wheel
        for wheels in self.by_project.values():
            wheels.sort(key=lambda one: one.version)

    def closure(self, project: str, environment: Mapping[str, str]) -> Iterator[Wheel]:
        """Every wheel that an installation of `project` needs, in the order in which a resolver finds them.

        Args:
            project: normalized name.
            environment: values of markers that differ from this machine's (PEP 508).
        """
        waiting: list[tuple[str, Requirement | None]] = [(project, None)]
        seen: set[str] = set()
        while waiting:
            name, asked = waiting.pop(0)
            wheel = self._best(name, asked)
            if name in seen or wheel is None:
                continue
            seen.add(name)
            yield wheel
            extras = {"", *(asked.extras if asked is not None else ())}
            for one in wheel.requirements:
                markers = one.marker
                if markers is None or any(markers.evaluate({**environment, "extra": extra}) for extra in extras):
                    waiting.append((canonicalize_name(one.name), one))

    def _best(self, project: str, asked: Requirement | None) -> Wheel | None:
        """The newest wheel that fits; one for a single platform only when there is no choice."""
        fitting = [
            one for one in self.by_project.get(project, ()) if asked is None or asked.specifier.contains(one.version)
        ]
        if not fitting:
            return None
        newest = [one for one in fitting if one.version == fitting[-1].version]
        pure = [one for one in newest if one.is_pure]
        return pure[-1] if pure else newest[0] if len(newest) == 1 else None
