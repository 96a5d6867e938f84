"""A wheel and a source distribution install and run where only Python is."""

import subprocess
import sys
from pathlib import Path

import pytest

from .wheels import DIST, FORM, ROOT, Wheel, compiled_wheel, plain_wheel, run, sdist, unpacked

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def wheels() -> list[Wheel]:
    """Those of a release where `make test-wheel` has built them; the wheel of the tested form otherwise."""
    if DIST is None:
        return [compiled_wheel() if FORM == "compiled" else plain_wheel()]
    found = [Wheel(path) for path in sorted((ROOT / DIST).glob("h3push-*.whl"))]
    assert sum(wheel.fits for wheel in found) == 2, f"a compiled and a plain wheel for this Python in {DIST}"
    return [wheel for wheel in found if wheel.fits]


def is_compiled(wheel: Wheel) -> bool:
    return any("__mypyc" in name for name in wheel.names)


def test_the_demo_runs_from_a_wheel_where_no_rust_is(wheels: list[Wheel], tmp_path: Path) -> None:
    """A wheel brings all that it needs: every response of the bundled site arrives, most of them pushed."""
    for number, wheel in enumerate(wheels):
        programs = wheel.installed(tmp_path / str(number))
        told = run(str(programs / "h3push"), "--version")
        assert told.stdout.endswith("(compiled)\n" if is_compiled(wheel) else "(interpreted)\n"), told
        demo = run(str(programs / "h3push"), "demo", HOME=str(tmp_path))
        assert demo.returncode == 0, demo.stdout + demo.stderr
        assert "12 of them pushed" in demo.stdout
        if DIST is not None:
            crypto = "import h3push._quic as native; print(native.version()['crypto'])"
            assert run(str(programs / "python"), "-c", crypto).stdout == "aws-lc-rs\n"


def test_a_wheel_says_what_it_runs_on(wheels: list[Wheel]) -> None:
    """Compiled modules are bound to one Python, the native one is not; a release names the oldest glibc or musl that will do."""
    for wheel in wheels:
        abis, python = {(tag.interpreter, tag.abi) for tag in wheel.tags}, f"cp3{sys.version_info.minor}"
        assert abis == ({(python, python)} if is_compiled(wheel) else {("cp311", "abi3")})
        assert "h3push/_quic.abi3.so" in wheel.names
        if DIST is not None:
            assert all(tag.platform.startswith(("manylinux_2", "musllinux_1")) for tag in wheel.tags)


def test_a_wheel_has_what_the_package_needs_and_no_more(wheels: list[Wheel]) -> None:
    """Sources stay beside the modules compiled from them, for tracebacks; what builds them stays out."""
    tracked = subprocess.run(
        ["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for wheel in wheels:
        names = set(wheel.names)
        assert {name.removeprefix("src/") for name in tracked} <= names
        for name in names:
            assert name.startswith(("h3push/", "h3push-")) or "__mypyc" in name, name
            assert not name.endswith((".rs", ".c", ".h", ".o"))


@pytest.mark.skipif(FORM == "compiled", reason="the source distribution is the same in both forms")
def test_the_source_distribution_builds_without_the_repository(tmp_path: Path) -> None:
    """It has every file that the package, the native module and the build need; nothing that was built is in it."""
    source = unpacked(sdist(), tmp_path)
    tracked = subprocess.run(
        ["git", "ls-files", "src", "rust", "setup.py", "pyproject.toml", "tools/build_backend.py", "LICENSE"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    there = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert set(tracked) <= there
    assert not [name for name in there if name.endswith((".so", ".pyc", ".o")) or "target/" in name]


@pytest.mark.skipif(FORM == "compiled", reason="the source distribution is the same in both forms")
@pytest.mark.parametrize("cargo", [None, "cargo 1.70.0 (old)"])
def test_without_rust_a_source_distribution_says_so_in_one_sentence(cargo: str | None, tmp_path: Path) -> None:
    """Before anything is built, and with what helps; a Rust that is too old is named."""
    source = unpacked(sdist(), tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    (programs / "cargo").write_text(f"#!/bin/sh\necho '{cargo}'\n", encoding="utf-8")
    for program in programs.iterdir():
        program.chmod(0o755)
    if cargo is None:
        (programs / "cargo").unlink()
    pip = ["-m", "pip", "install", "--no-deps", "--target", str(tmp_path / "there"), str(source)]
    done = run(str(programs / "python"), *pip)
    assert done.returncode
    sentence = f"Rust 1.88 or newer is needed to build h3push from source, and {cargo or 'no cargo'} was found"
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
