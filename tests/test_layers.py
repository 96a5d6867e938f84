"""The imports keep to the floors that ARCHITECTURE.md draws: every module has its own place, and there is no circle."""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "h3push"
PYTHON_FORBIDDEN_IN_CORE = {"asyncio", "socket", "time", "threading", "selectors", "ssl", "select", "datetime"}


def floors() -> list[tuple[str, int, int]]:
    """(pattern, floor, position in the map) for every name in the map, in order."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"```layers\n(.*?)```", text, re.DOTALL)
    assert block is not None
    found: list[tuple[str, int, int]] = []
    floor = -1
    for line in block.group(1).splitlines():
        words = line.split()
        if words and words[0].isdigit():
            floor = int(words.pop(0))
        found += [(word, floor, 0) for word in words]
    return [(word, floor, position) for position, (word, floor, _) in enumerate(found)]


MAP = floors()


PLACES = {name: (floor, position) for name, floor, position in MAP}


def place(module: str) -> tuple[int, int] | None:
    """(floor, position) of a module such as `h3.push.client_book`."""
    return PLACES.get(module)


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = path
    return found


MODULES = modules()
IS_DOCSTRING_ONLY = {
    name for name, path in MODULES.items() if len(ast.parse(path.read_text(encoding="utf-8")).body) <= 1
}


def imports(path: Path) -> set[str]:
    """Modules of h3push that a file imports, as dotted names without the package's own."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            if name == "h3push" or name.startswith("h3push."):
                module = name.removeprefix("h3push").lstrip(".")
                while module and module not in MODULES and module != "_quic":
                    module = module.rpartition(".")[0]
                found.add(module)
    return found


WITH_CODE = [name for name in MODULES if name and name not in IS_DOCSTRING_ONLY]
IMPORTS = {name: imports(MODULES[name]) - IS_DOCSTRING_ONLY - {"", name} for name in WITH_CODE}
"""By module, what it imports, for types alone too."""


@pytest.mark.parametrize("name", WITH_CODE)
def test_every_module_stands_on_the_map(name: str) -> None:
    below = [other for other in IMPORTS[name] if place(other) is not None]
    last = max(below, key=lambda other: place(other) or (0, 0), default="the beginning")
    assert place(name) is not None, f"{name} has no place in ARCHITECTURE.md: put it behind {last}"


@pytest.mark.parametrize("name", [name for name in WITH_CODE if place(name) is not None])
def test_a_module_imports_only_what_stands_before_it(name: str) -> None:
    own = place(name)
    assert own is not None
    for other in IMPORTS[name]:
        target = place(other)
        assert target is not None, f"{name} imports {other}, which has no place in ARCHITECTURE.md"
        assert target < own, f"{name} stands before {other} in ARCHITECTURE.md, and imports it"


def test_there_is_no_circle() -> None:
    """The order of the map says so already; this names the modules of a circle."""
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", [n for n in MODULES if (p := place(n)) is not None and p[0] <= 3])
def test_the_core_knows_no_socket_no_clock_and_no_event_loop(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not {n.split(".")[0] for n in names} & PYTHON_FORBIDDEN_IN_CORE


def rust_code(path: Path) -> str:
    """A Rust file without its comments."""
    return "\n".join(line.partition("//")[0] for line in path.read_text(encoding="utf-8").splitlines())


def test_one_rust_module_alone_names_quinn_proto() -> None:
    """Law: another QUIC library is a change of one folder and of no other."""
    source = ROOT / "rust" / "src"
    naming = {path for path in source.rglob("*.rs") if re.search(r"\bquinn_proto\b", rust_code(path))}
    assert naming
    assert {path.parent.relative_to(source).as_posix() for path in naming} == {"core/quinn"}, naming


def test_the_map_names_nothing_that_does_not_exist() -> None:
    names = [pattern for pattern, _, _ in MAP]
    assert len(names) == len(set(names)), "one place each"
    for name in names:
        assert name in MODULES or name == "_quic", name
