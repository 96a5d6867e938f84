"""Builds, installs and runs distributions of h3push as a user would, where there is no Rust."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, sys_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parent.parent.parent
BUILT = ROOT / "build"
"""Where wheels and unpacked sources go: at the same place each time, so that cargo builds nothing twice."""
FORM = os.environ.get("H3PUSH_FORM", "interpreted")
"""The form that is tested; set by `make test`."""
DIST = os.environ.get("H3PUSH_DIST")
"""Where `make test-wheel` has put the wheels and the sdist of a release."""


def run(*command: str, rust: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command outside this source tree, with its own directory alone on the PATH, or with Rust too."""
    place = os.environ["PATH"] if rust else str(Path(command[0]).parent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "H3PUSH", "CARGO"))}
    environment = kept | {"PATH": place} | variables
    return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=900, check=False)


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Run make with these words alone: what the make that runs the tests was given would choose another form or place."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, env=kept, capture_output=True, text=True, timeout=60, check=False)


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel in a file."""

    path: Path
    """The file."""

    @property
    def tags(self) -> frozenset[Tag]:
        """What its name says that it runs on."""
        return parse_wheel_filename(self.path.name)[3]

    @property
    def names(self) -> list[str]:
        """The files in it."""
        with zipfile.ZipFile(self.path) as archive:
            return archive.namelist()

    @property
    def fits(self) -> bool:
        """Whether it is for the Python that runs this."""
        return bool(self.tags & set(sys_tags()))

    def installed(self, place: Path) -> Path:
        """Install it into a new environment without Rust; returns the directory of its programs."""
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        done = run(
            str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--only-binary=:all:", str(self.path)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return place / "bin"


@functools.cache
def sdist() -> Path:
    """The source distribution of this tree; `build` makes it, as for a release."""
    directory = Path(tempfile.mkdtemp(prefix="h3push-sdist-"))
    atexit.register(shutil.rmtree, directory)
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(directory), str(ROOT)]
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    [archive] = directory.iterdir()
    return archive


def unpacked(archive: Path, directory: Path) -> Path:
    """Unpack a source distribution; returns its root."""
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory / archive.name.removesuffix(".tar.gz")


def plain_wheel() -> Wheel:
    """Build a wheel without compiled modules from the source distribution, where there is Rust."""
    source = unpacked(sdist(), BUILT / "from-sdist")
    target = os.environ.get("CARGO_TARGET_DIR", str(ROOT / "rust" / "target"))
    out = BUILT / "from-sdist" / "wheel"
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    done = run(*pip, rust=True, CARGO_TARGET_DIR=target)
    assert done.returncode == 0, done.stdout + done.stderr
    return Wheel(max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime))


def compiled_wheel() -> Wheel:
    """The wheel that `make install COMPILED=1` has built and installed."""
    [path] = (BUILT / "compiled").glob("*.whl")
    return Wheel(path)
