"""Clients that stop reading cost the same after minutes as in the first one."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent.parent / "bench" / "slow_readers.py"


def test_slow_readers_hold_no_more_from_minute_to_minute() -> None:
    """The short form of the soak: memory and descriptors are flat, responses are given up, and others are served at once."""
    command = [sys.executable, str(PROGRAM), "--readers", "20", "--minutes", "6"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
