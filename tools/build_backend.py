"""The build backend: setuptools, with what mypyc needs when the compiled form is asked for, and a sentence where Rust is missing.

mypyc checks types before it compiles, so it needs our dependencies too, and those of the extras whose types compiled modules
come upon; a plain build needs neither them nor mypy.
"""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
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

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "pyproject.toml"
CRATE = ROOT / "rust" / "Cargo.toml"

Settings = dict[str, Any] | None


def require_rust() -> None:
    """End with one sentence, before anything is downloaded or built, where there is no Rust or one that is too old.

    Raises:
        SystemExit: the sentence.
    """
    wanted = tomllib.loads(CRATE.read_text(encoding="utf-8"))["package"]["rust-version"]
    try:
        told = subprocess.run(
            [os.environ.get("CARGO", "cargo"), "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        told = ""
    found = re.match(r"cargo (\d+)\.(\d+)", told)
    if found is None or [int(number) for number in found.groups()] < [int(number) for number in wanted.split(".")]:
        raise SystemExit(
            f"Rust {wanted} or newer is needed to build h3push from source, and {told.strip() or 'no cargo'} was found: "
            "https://rustup.rs. A wheel of h3push needs none."
        )


def build_wheel(directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the wheel; returns its file's name."""
    require_rust()
    return str(build_meta.build_wheel(directory, config_settings, metadata_directory))


def build_editable(directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Build the native module in place; returns the name of the wheel that refers to the source."""
    require_rust()
    return str(build_meta.build_editable(directory, config_settings, metadata_directory))


def get_requires_for_build_wheel(_config_settings: Settings = None) -> list[str]:
    """Distributions that a wheel is built with, besides those of `[build-system]`."""
    require_rust()
    if os.environ.get("H3PUSH_COMPILED", "") != "1":
        return []
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    checked = [*project["project"]["dependencies"], *extras["client"], *extras["tcp"]]
    return [*project["dependency-groups"]["compile"], *checked]


def get_requires_for_build_editable(_config_settings: Settings = None) -> list[str]:
    """The same for an editable install, which is always interpreted."""
    require_rust()
    return []
