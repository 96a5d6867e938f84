"""Read from the source what stands under each name: the line of documentation that Python itself throws away."""

import ast
import re
from enum import Enum
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"


@cache
def _module(name: str) -> ast.Module:
    """A module's source as a tree; what is imported may be compiled and have none."""
    path = SOURCE.joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _definition(thing: type) -> ast.ClassDef:
    """The class statement of a class."""
    for node in ast.walk(_module(thing.__module__)):
        if isinstance(node, ast.ClassDef) and node.name == thing.__name__:
            return node
    raise SystemExit(f"{thing.__name__} is not in {thing.__module__}")


def under_each_name(thing: type) -> dict[str, str]:
    """Name of each field or member of a class -> the text under it, as one line of Markdown."""
    return _texts(_definition(thing).body)


def _texts(body: list[ast.stmt]) -> dict[str, str]:
    found = {}
    for node, follower in zip(body, [*body[1:], ast.Pass()], strict=True):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and isinstance(follower, ast.Expr) and isinstance(follower.value, ast.Constant):
            found[target.id] = one_line(str(follower.value.value))
    return found


def one_line(text: str) -> str:
    """Documentation as it may stand in a cell of a table: one line, code in backticks as it is."""
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def paragraphs(thing: type) -> str:
    """The docstring of a class up to its first section (`Args:`, `Attributes:`), as one paragraph."""
    text = ast.get_docstring(_definition(thing)) or ""
    return one_line(re.split(r"\n\n?(?:Args|Arguments|Attributes|Raises):", text)[0])


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table in Markdown, and an empty line."""
    lines = ["| " + " | ".join(header) + " |", "| --- " * len(header) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def members(kind: type[Enum]) -> list[str]:
    """A table of an enumeration."""
    texts = under_each_name(kind)
    return table(["`" + kind.__name__ + "`", "meaning"], [[f"`{one.name}`", texts.get(one.name, "")] for one in kind])
