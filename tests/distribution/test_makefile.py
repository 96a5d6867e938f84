"""The Makefile makes one environment for each form and interpreter."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def make(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_each_form_has_an_environment_of_the_name_that_was_given(tmp_path: Path) -> None:
    """What is measured on another interpreter leaves the environments of this one alone."""
    given = f"VENV={tmp_path / 'other'}"
    for form, place in (("", tmp_path / "other"), ("1", tmp_path / "other-compiled")):
        done = make("--dry-run", "install", given, f"PYTHON={sys.executable}", f"COMPILED={form}")
        assert f"{sys.executable} -m venv {place}\n" in done.stdout, done.stderr
    assert ".venv" not in make("--dry-run", "clean", given).stdout


def test_an_environment_of_another_python_is_refused(tmp_path: Path) -> None:
    """Silently taking the one that is there would measure something else than what was asked for."""
    other = tmp_path / "there" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\necho 2.7.18\n", encoding="ascii")
    other.chmod(0o755)
    (other.parent / "pip").touch()
    given = f"VENV={tmp_path / 'there'}"
    refused = make("install", given, f"PYTHON={sys.executable}")
    assert refused.returncode == 2
    assert f"has another Python than {sys.executable}: name another place too" in refused.stderr
    (same := tmp_path / "same" / "bin").mkdir(parents=True)
    (same / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="ascii")
    (same / "python").chmod(0o755)
    assert make("interpreter", f"VENV={same.parent}", f"PYTHON={sys.executable}").returncode == 0
    assert make("interpreter", given).returncode == 0, "without PYTHON what is there is used"
