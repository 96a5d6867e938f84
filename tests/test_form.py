"""The form that is tested is the one that was asked for: h3push compiled by mypyc, or interpreted."""

import ast
import os
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import h3push

ROOT = Path(__file__).resolve().parent.parent
WANTED = os.environ.get("H3PUSH_FORM", "interpreted")
"""Set by `make test`."""


def listed() -> list[str]:
    """The modules that `[tool.h3push]` in pyproject.toml has compiled."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["h3push"]

    def matching(key: str) -> set[Path]:
        found = [set((ROOT / "src" / "h3push").glob(pattern)) for pattern in table[key]]
        assert all(found), f"a pattern of {key} names no file"
        return set().union(*found)

    paths = matching("compiled") - matching("interpreted")
    return [".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in sorted(paths)]


def test_the_form_is_the_one_that_was_asked_for() -> None:
    """A suite that runs on the sources says nothing about the compiled modules, nor the other way round."""
    assert ("compiled" if h3push.compiled else "interpreted") == WANTED


@pytest.mark.parametrize("name", listed())
def test_every_listed_module_has_that_form(name: str) -> None:
    """A module that was left out of the build would be slow in silence."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert spec.origin.endswith(".py") == (WANTED == "interpreted")
    assert import_module(name).__file__ == spec.origin


def classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes of a module, by name."""
    tree = ast.parse((ROOT / "src" / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("name", listed())
def test_no_listed_module_awaits_in_a_finally(name: str) -> None:
    """Compiled by mypyc 2.4, such a function raises again what an earlier call of it has raised, after a call that went well."""
    source = (ROOT / "src" / Path(*name.split("."))).with_suffix(".py").read_text(encoding="utf-8")
    tries = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Try | ast.TryStar)]
    inside = [inner for node in tries for step in node.finalbody for inner in ast.walk(step)]
    waits = [node.lineno for node in inside if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor)]
    assert not waits, f"{name} awaits in a finally, in line {waits}"


def test_interpreted_code_inherits_from_compiled_classes_that_allow_it_alone() -> None:
    """Mypyc refuses other subclasses when one is made: in the compiled form alone, and late."""
    compiled = set(listed())
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        if ".".join(path.relative_to(ROOT).with_suffix("").parts).removeprefix("src.") in compiled:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        homes = {
            alias.asname or alias.name: (node.module, alias.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in compiled
            for alias in node.names
        }
        bases = {
            base.id
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for base in node.bases
            if isinstance(base, ast.Name) and base.id in homes
        }
        for base in bases:
            module, name = homes[base]
            declared = classes(str(module)).get(name)
            if declared is not None and "Protocol" not in map(ast.unparse, declared.bases):
                marks = " ".join(map(ast.unparse, declared.decorator_list))
                assert "allow_interpreted_subclasses=True" in marks or "native_class=False" in marks, f"{path}: {name}"


def test_no_compiled_class_has_a_protocol_as_the_type_of_a_default() -> None:
    """Mypyc gives such an attribute no default: it is not there until it is set."""
    compiled = [(name, classes(name)) for name in listed()]
    protocols = {
        declared.name
        for _, declared_classes in compiled
        for declared in declared_classes.values()
        if "Protocol" in map(ast.unparse, declared.bases)
    }
    for name, declared_classes in compiled:
        for declared in declared_classes.values():
            for line in declared.body:
                if isinstance(line, ast.AnnAssign) and line.value is not None and ast.unparse(line.value) == "None":
                    types = {part.strip(" '\"") for part in ast.unparse(line.annotation).split("|")}
                    assert not types & protocols, f"{name}.{declared.name}: {ast.unparse(line)}"
