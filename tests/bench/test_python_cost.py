"""The program that measures Python alone keeps up with the server that it measures."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent.parent / "bench" / "python_cost.py"


def test_each_operation_is_measured() -> None:
    """It counts the responses itself, and fails when one is missing."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--rounds", "1"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split()[0] for line in done.stdout.splitlines()]
    assert told == ["request", "distinct", "push", "at_hand", "asgi", "static", "site"]
