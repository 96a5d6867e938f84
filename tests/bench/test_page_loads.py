"""Push is never slower than no push, and stays near its bound: computed in virtual time, so the same on every machine."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent.parent / "bench" / "page_loads.py"


def test_push_pays_in_every_cell() -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), "--no-write"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "push / bound" in done.stdout
