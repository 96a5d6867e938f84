"""What the comparison promises."""

import importlib.util
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "examples" / "early_or_push.py"


def load() -> Any:
    import sys

    spec = importlib.util.spec_from_file_location("early_or_push", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["early_or_push"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_push_is_no_later_than_103_and_a_round_trip_earlier_than_neither() -> None:
    """A page with six known resources, 100 ms away, from an application that thinks for 200 ms."""
    script = load()
    times = script.measure_all()
    assert times["push"] <= times["103"]
    assert times["push"] <= times["neither"] - 2 * script.DELAY
    assert script.measure_all() == times
