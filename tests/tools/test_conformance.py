"""Every item of the checklist that we hold ourselves to has a test, or a reason why not."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_no_item_of_the_checklist_has_lost_its_test() -> None:
    """The tool reads the list and the markers; docs/reference/conformance.md says what it found."""
    command = [sys.executable, ROOT / "tools" / "conformance.py", "--check"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
