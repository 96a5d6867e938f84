"""The build backend: setuptools, with what mypyc needs when the compiled form is asked for.

mypyc checks types before it compiles, so it needs our dependencies too, and those of the extras whose types compiled modules
come upon; a plain build needs neither them nor mypy.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def get_requires_for_build_wheel(_config_settings: dict[str, Any] | None = None) -> list[str]:
    """Distributions that a wheel is built with, besides those of `[build-system]`."""
    if os.environ.get("H3PUSH_COMPILED", "") != "1":
        return []
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    checked = [*project["project"]["dependencies"], *extras["client"], *extras["tcp"]]
    return [*project["dependency-groups"]["compile"], *checked]


def get_requires_for_build_editable(_config_settings: dict[str, Any] | None = None) -> list[str]:
    """The same for an editable install, which is always interpreted."""
    return []
