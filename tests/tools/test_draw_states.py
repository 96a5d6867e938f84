"""The drawings in the documentation are those of the code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_page_of_state_tables_is_up_to_date() -> None:
    """docs/push.md shows the tables of the code."""
    result = subprocess.run([sys.executable, ROOT / "tools" / "draw_states.py", "--check"], check=False)
    assert result.returncode == 0
