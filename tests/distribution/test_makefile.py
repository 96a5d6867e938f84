"""The Makefile makes one environment for each form and interpreter."""

import sys
from pathlib import Path

import pytest

from .wheels import make


def test_each_form_has_an_environment_of_the_name_that_was_given(tmp_path: Path) -> None:
    """What is measured on another interpreter leaves the environments of this one alone."""
    given = f"VENV={tmp_path / 'other'}"
    for form, place in (("", tmp_path / "other"), ("1", tmp_path / "other-compiled")):
        done = make("--dry-run", "install", given, f"PYTHON={sys.executable}", f"COMPILED={form}")
        assert f"{sys.executable} -m venv {place}\n" in done.stdout, done.stderr
    assert ".venv" not in make("--dry-run", "clean", given).stdout


def test_what_an_outer_make_was_given_does_not_reach_the_makefile(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make test COMPILED=1` hands its variables down to the tests, and they would build another form than they say."""
    monkeypatch.setenv("MAKEFLAGS", "-- COMPILED=1")
    monkeypatch.setenv("COMPILED", "1")
    assert "H3PUSH_COMPILED=1" not in make("--dry-run", "--always-make", "install").stdout


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
