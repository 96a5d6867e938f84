"""`h3push serve --reload`: which files count, and what is refused. How it reloads is in `test_workers.py`."""

import re

import pytest

from h3push.cli.failures import ExitCode
from h3push.cli.watcher import FileFilter


@pytest.mark.parametrize(
    ("name", "include", "exclude", "matters"),
    [
        ("app/main.py", [], [], True),
        ("app/page.html", [], [], False),
        ("app/page.html", ["*.html"], [], True),
        ("app/main.py", ["*.html"], [], True),
        ("app/test_main.py", [], ["test_*"], False),
        ("app/.main.py", [], [], False),
        ("app/.env", [".env"], [], True),
        ("app/~main.py", [], [], False),
        ("app/.venv/lib/main.py", [], [], False),
    ],
)
def test_the_files_that_count(name, include, exclude, matters):
    """Python's files do, and those that are included; what editors leave behind, and what is excluded, does not."""
    assert FileFilter(include, exclude, [".venv"])(None, f"/home/{name}") is matters


def test_a_directory_may_be_excluded(tmp_path):
    """Everything below it does not count."""
    (tmp_path / "generated").mkdir()
    matters = FileFilter([], [str(tmp_path / "generated")])
    assert not matters(None, str(tmp_path / "generated" / "deep" / "code.py"))
    assert matters(None, str(tmp_path / "code.py"))


def said(result):
    return re.sub(r"\s+", " ", result.err.replace("│", ""))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sample:app", "--reload", "--workers", "2"], "--reload and --workers exclude each other"),
        (["sample:app", "--reload-dir", "."], "go with --reload."),
        ([".", "--reload"], "--reload goes with an application"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(run, arguments, sentence):
    """In one sentence, before anything is served."""
    result = run("serve", *arguments, "--dev")
    assert result.code == ExitCode.USAGE
    assert sentence in said(result)


def test_without_the_library_a_sentence_says_what_to_install(run, monkeypatch, tmp_path):
    """An extra that is missing is named."""
    monkeypatch.setattr("h3push.cli.reload.find_spec", lambda _name: None)
    result = run("serve", "sample:app", "--reload", "--dev", "--dev-dir", tmp_path, "--port", "0")
    sentence = "h3push: --reload needs watchfiles: pip install 'h3push[reload]'\n"
    assert (result.code, result.err) == (ExitCode.FAILED, sentence)


def test_a_directory_that_is_not_there_is_refused(run, tmp_path):
    """Nothing would ever change in it."""
    arguments = ("--reload", "--reload-dir", tmp_path / "none", "--dev", "--dev-dir", tmp_path)
    result = run("serve", "sample:app", *arguments, "--port", "0")
    assert (result.code, result.err) == (ExitCode.FAILED, f"h3push: --reload: {tmp_path / 'none'} is not a directory\n")
