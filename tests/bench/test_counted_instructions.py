"""A slow-down of the compiled form shows in the change that makes it, whatever else the machine does."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parent.parent.parent / "bench"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("counted_instructions")


@pytest.mark.timeout(600)
def test_no_operation_of_the_compiled_form_has_become_dearer(program: ModuleType) -> None:
    """Instructions under callgrind, of the whole process, with a tolerance of 3 per cent."""
    if reason := program.why_not():
        pytest.skip(reason)
    if program.key() not in json.loads(program.STORED.read_text(encoding="utf-8")):
        pytest.skip(f"nothing is stored for {program.key()}")
    command = [sys.executable, str(BENCH / "counted_instructions.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_grew_beyond_the_tolerance_is_told(program: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """An operation that is new, that became cheaper, or that grew within the tolerance is none of it."""
    stored = {"same": 1000.0, "cheaper": 1000.0, "within": 1000.0, "beyond": 1000.0}
    now = {"same": 1000.0, "cheaper": 900.0, "within": 1029.0, "beyond": 1031.0, "new": 1.0}
    assert program.compare(now, stored) == ["beyond: 1,031 instructions, +3.1% over the 1,000 that are stored"]
    assert len(capsys.readouterr().out.splitlines()) == len(now)


def test_each_operation_that_is_counted_exists(program: ModuleType) -> None:
    """A name that was changed in the programs it comes from would end the count in its middle."""
    assert set(program.SERVER_ALONE) <= set(program.python_cost.WHAT)
    assert set(program.BOTH_ENDS) <= set(program.counted_work.OPERATIONS)
