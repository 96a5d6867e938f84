"""SECURITY.md says what is so: its tests exist, its settings exist with the defaults it names, and no item is missing."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import h3push

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ROB-")]
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
SETTINGS = {"H3": h3push.H3Config(), "Server": h3push.ServerSettings(), "Client": h3push.ClientSettings()}


def test_every_item_of_the_checklist_has_its_line() -> None:
    """ROB-01 to ROB-38."""
    named: set[int] = set()
    for row in ROWS:
        first, _, last = row.split("|")[1].strip().removeprefix("ROB-").partition("..")
        named.update(range(int(first), int(last or first) + 1))
    assert named == set(range(1, 39))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_the_tests_of_an_item_exist(row: str) -> None:
    """Every test file that a line names is there, and it names one (or says that it is upstream's)."""
    named = re.findall(r"`([\w/]*test_\w+\.py)`", row)
    assert named or "upstream" in row or "test_fuzz_*" in row
    for name in named:
        places = [ROOT / "tests" / name, ROOT / "tests" / "robustness" / name]
        assert any(place.exists() for place in places), name


@pytest.mark.rfc("ROB-35")
def test_the_bounds_have_the_defaults_that_the_page_names() -> None:
    """`H3.name` 64 KiB: that is the setting's value in this version."""
    checked = 0
    for group, name, value, unit in re.findall(r"`(H3|Server|Client)\.(\w+)`\)? ([\d,]+)(?: (KiB|MiB|GiB))?", PAGE):
        assert getattr(SETTINGS[group], name) == int(value.replace(",", "")) * UNITS.get(unit, 1), name
        checked += 1
    assert checked >= 20


def test_every_bound_of_the_core_is_on_the_page() -> None:
    """Each number among the settings of the protocol that bounds a peer."""
    for field in fields(h3push.H3Config):
        is_number = isinstance(field.default, int | float) and not isinstance(field.default, bool)
        if (is_number or field.default is None) and field.name not in {"grease_seed", "qpack_encoder_table_capacity"}:
            assert field.name in PAGE, field.name
