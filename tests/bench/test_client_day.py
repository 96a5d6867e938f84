"""A client costs the same after a day as after an hour, and may always be pushed to."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent.parent / "bench" / "client_day.py"


def test_half_an_hour_of_the_clients_day_is_flat() -> None:
    """2,000 requests and 4,000 pushes on one connection: memory is flat, credit never runs dry, each promise is counted once."""
    command = [sys.executable, str(PROGRAM), "--rounds", "400"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2,000 requests of the program, 800 sent; 4,000 promises" in done.stdout
