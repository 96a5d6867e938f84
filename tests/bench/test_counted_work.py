"""A slow-down of the request path, the push path or bulk data shows in the change that makes it."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent.parent / "bench" / "counted_work.py"


def test_no_operation_has_become_dearer() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
