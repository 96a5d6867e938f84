"""What holds for every sub-command."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

import h3push

COMMAND = [sys.executable, "-c", "from h3push.cli import main; main()"]


def test_version(run):
    """The version, and whether this is the compiled form or the interpreted one."""
    result = run("--version")
    form = "compiled" if h3push.compiled else "interpreted"
    assert (result.code, result.out) == (0, f"h3push {metadata.version('h3push')} ({form})\n".encode())


@pytest.mark.parametrize("command", [[], ["serve"], ["get"], ["demo"]])
def test_help_has_an_example(run, command):
    result = run(*command, "--help")
    assert result.code == 0
    assert b"Usage: h3push" in result.out
    assert (b"Example: h3push " if command else b"Begin with: h3push demo") in result.out


def test_an_unknown_command_exits_with_2(run):
    assert run("sevre").code == 2


def test_no_command_shows_the_help(run):
    result = run()
    assert result.code == 2
    assert "serve" in result.err + result.out.decode()


def test_help_imports_neither_the_protocol_nor_the_page_scanner():
    code = "import sys; from h3push.cli import main; main(['--help'])"
    told = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stderr
    for heavy in ("h3push.lab", "selectolax", "tinycss2", "rich.progress"):
        assert f" {heavy}\n" not in told, heavy


def test_a_terminal_without_colours_gets_none():
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": ""}
    told = subprocess.run([*COMMAND, "--help"], capture_output=True, env=environment, check=True, timeout=60)
    assert b"\x1b[" not in told.stdout


def test_every_flag_of_get_has_one_line_of_help():
    """On a terminal of 100 columns, no flag's help is longer than its line (issue 11)."""
    environment = {**os.environ, "TERMINAL_WIDTH": "100", "COLUMNS": "100", "NO_COLOR": "1"}
    command = [*COMMAND, "get", "--help"]
    told = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=60, text=True).stdout
    rows = [line for line in told.splitlines() if line.startswith("│")]
    assert len(rows) > 40
    assert [row for row in rows if not row.startswith("│ --")] == []
