"""The pages of `docs/reference/` that are made from the code say what the code says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_what_is_made_from_the_code_is_up_to_date() -> None:
    """A new option, setting, error or push state stands in the documentation: `make reference` writes it."""
    command = [sys.executable, ROOT / "tools" / "reference.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
