"""Docstrings name the thing first."""

import ast
import re
from pathlib import Path

import pytest

from .pages import ROOT

PACKAGE = ROOT / "src" / "h3push"
NO_NAME = re.compile(r"(What|Who|Whether)\b")


def strings(path: Path) -> list[tuple[int, str]]:
    """The docstrings of a file, those under its fields too, each with its line."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Expr)]
    values = [(node.lineno, node.value.value) for node in nodes if isinstance(node.value, ast.Constant)]
    return [(line, value) for line, value in values if isinstance(value, str)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_docstring_names_the_thing_first(path: Path) -> None:
    """A docstring that begins with "What", "Who" or "Whether" has not said yet what it is about."""
    for line, text in strings(path):
        assert not NO_NAME.match(text), f"{path.name}:{line} begins with {text.split()[0]}: name the thing"
