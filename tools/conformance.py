"""Which rule of the checklist is held by which test: read from the tests, written to `docs/reference/conformance.md`.

    python tools/conformance.py            rewrite docs/reference/conformance.md, print what is covered
    python tools/conformance.py --check    exit 1 when a required item has neither a test nor a reason, when a marker or a
                                           reason names an unknown item, or when the page is out of date

Tests say what they hold with `@pytest.mark.rfc("H3-7.2.7-06")`. The tool reads their source and runs nothing, so it needs no
native module. `tests/conformance/checklist.csv` is the checklist, `not_applicable.toml` beside it says why an item has no test.
"""

import ast
import csv
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"
CHECKLIST = TESTS / "conformance" / "checklist.csv"
NOT_APPLICABLE = TESTS / "conformance" / "not_applicable.toml"
PAGE = ROOT / "docs" / "reference" / "conformance.md"

GROUPS = (
    # The checklist keeps its items in the order of its groups: name, title, number of items.
    ("P1", "Push: MAX_PUSH_ID and push IDs", 23),
    ("P2", "Push: what may be pushed, authority, caching", 12),
    ("P3", "Push: PUSH_PROMISE", 31),
    ("P4", "Push: push streams", 32),
    ("P5", "Push: CANCEL_PUSH", 20),
    ("P6", "Push: shutdown, settings, 0-RTT, keep-alive", 13),
    ("P7", "Push: priorities, Early Hints, ORIGIN", 9),
    ("A", "Connection setup, discovery, reuse (RFC 9114 section 3)", 12),
    ("B", "Message framing and frame sequence (4.1)", 21),
    ("C", "Cancellation and rejection (4.1.1)", 9),
    ("D", "Malformed messages (4.1.2, 4.2, 4.3, 10.3)", 34),
    ("E", "CONNECT, Upgrade (4.4, 4.5)", 6),
    ("F", "Closing: idle, GOAWAY, immediate close (5)", 14),
    ("G", "Streams (6.1, 6.2, 6.2.1, 6.2.3)", 18),
    ("H", "Frame layout and per-frame rules (7)", 23),
    ("I", "Errors and extensions (8, 9, 10)", 9),
    ("Q1", "QPACK (RFC 9204)", 40),
    ("Q2", "Extensible priorities (RFC 9218), without push", 10),
    ("Q3", "Extended CONNECT and WebSocket (RFC 9220, RFC 8441)", 6),
    ("Q4", "HTTP datagrams and capsules (RFC 9297)", 10),
    ("Q5", "Early Hints, HTTP semantics, early data", 14),
    ("Q6", "QUIC transport (RFC 9000, RFC 9001)", 30),
    ("R", "Robustness and abuse resistance", 38),
)
REQUIRED = frozenset(name for name, _, _ in GROUPS) - {"Q3", "Q4", "Q6", "R"}
"""Groups in which every item has a test or a reason."""


@dataclass
class Item:
    """One rule of the checklist."""

    identifier: str
    """Its ID, such as `H3-7.2.7-06`."""
    group: str
    """Name of its group."""
    level: str
    """MUST, SHOULD, ... or POLICY."""
    role: str
    """Who has to obey it."""
    rule: str
    """The rule in words."""
    tests: list[tuple[str, str]] = field(default_factory=list)
    """The tests that name it: file under `tests/`, name."""
    reason: str | None = None
    """Why it has none."""

    @property
    def is_open(self) -> bool:
        """True without a test and without a reason."""
        return not self.tests and self.reason is None


def read_checklist() -> dict[str, Item]:
    """Read the items of the checklist by ID, in its order."""
    with CHECKLIST.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = [name for name, _, count in GROUPS for _ in range(count)]
    items: dict[str, Item] = {}
    for row, group in zip(rows, groups, strict=True):
        level, _, rule = row["requirement"].removeprefix("[").partition("] ")
        items[row["id"]] = Item(row["id"], group, level, row["role"], rule)
    if len(items) != len(rows):
        raise SystemExit("the checklist has an ID twice")
    return items


def is_rfc_mark(node: ast.expr) -> bool:
    """Tell whether an expression is `pytest.mark.rfc`."""
    return isinstance(node, ast.Attribute) and node.attr == "rfc" and ast.unparse(node.value).endswith("mark")


def marks(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.Call]]:
    """Every `pytest.mark.rfc(...)` below a node, with the name of the test that it stands at."""
    for node in ast.iter_child_nodes(tree):
        name = owner
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{owner}::{node.name}" if owner else node.name
        elif isinstance(node, ast.Assign) and not owner and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        if isinstance(node, ast.Call) and is_rfc_mark(node.func):
            yield name, node
        yield from marks(node, name)


def read_tests() -> list[tuple[str, str, str]]:
    """Each marker as (ID, file, test); a marker whose IDs are not spelled out ends the tool."""
    found = []
    for path in sorted(TESTS.rglob("*.py")):
        file = path.relative_to(TESTS).as_posix()
        for name, call in marks(ast.parse(path.read_text(encoding="utf-8"))):
            for argument in call.args:
                if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                    raise SystemExit(f"{file}:{call.lineno}: write the IDs of pytest.mark.rfc out")
                found.append((argument.value, file, name))
    return found


def collect() -> tuple[dict[str, Item], list[str]]:
    """Read the items with their tests and reasons, and sentences about what is wrong with those."""
    items, problems = read_checklist(), []
    for identifier, file, test in read_tests():
        if identifier not in items:
            problems.append(f"tests/{file}: {test} names {identifier}, which is not in the checklist")
        elif not test.rpartition("::")[2].lower().startswith(("test", "pytestmark")):
            problems.append(f"tests/{file}: {test} names {identifier} and is no test")
        elif (file, test) not in items[identifier].tests:
            items[identifier].tests.append((file, test))
    for identifier, reason in tomllib.loads(NOT_APPLICABLE.read_text(encoding="utf-8")).items():
        if identifier not in items:
            problems.append(f"{NOT_APPLICABLE.name} names {identifier}, which is not in the checklist")
        elif items[identifier].tests:
            problems.append(f"{NOT_APPLICABLE.name} excuses {identifier}, which has a test")
        else:
            items[identifier].reason = reason
    problems += [
        f"{item.identifier} ({item.group}, {item.level}) has neither a test nor a reason: {item.rule}"
        for item in items.values()
        if item.is_open and item.group in REQUIRED
    ]
    return items, problems


def tests_cell(item: Item) -> str:
    """The tests of an item, file by file, or why it has none."""
    if item.reason is not None:
        return f"*not applicable:* {cell(item.reason)}"
    by_file: dict[str, list[str]] = {}
    for file, test in item.tests:
        by_file.setdefault(file, []).append(test.removeprefix("test_"))
    parts = [f"`{file}`: {', '.join(f'`{test}`' for test in tests)}" for file, tests in by_file.items()]
    return "; ".join(parts) if parts else "-"


def cell(text: str) -> str:
    """Text as it may stand in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def counts(items: list[Item]) -> tuple[int, int, int]:
    """How many are covered, not applicable, open."""
    covered = sum(bool(item.tests) for item in items)
    excused = sum(item.reason is not None for item in items)
    return covered, excused, len(items) - covered - excused


def page(items: dict[str, Item]) -> str:
    """`docs/reference/conformance.md`."""
    lines = [
        "# Conformance: which rule is held by which test",
        "",
        "Written by `tools/conformance.py` from the markers in `tests/`; do not edit by hand. The rules are those of "
        "`tests/conformance/checklist.csv`, which keeps its IDs for good. Files are those of `tests/`; a dash is a rule "
        "without a test.",
        "",
        "| group | | items | tested | not applicable | open |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    by_group = {name: [item for item in items.values() if item.group == name] for name, _, _ in GROUPS}
    for name, title, _ in GROUPS:
        lines.append(
            f"| {name} | {title} | {len(by_group[name])} | " + " | ".join(map(str, counts(by_group[name]))) + " |"
        )
    lines.append(f"| | **all** | {len(items)} | " + " | ".join(map(str, counts(list(items.values())))) + " |")
    for name, title, _ in GROUPS:
        lines += ["", f"## {name}: {title}", "", "| ID | rule | level | tests |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {item.identifier} | {cell(item.rule)} ({item.role}) | {item.level} | {tests_cell(item)} |"
            for item in by_group[name]
        ]
    return "\n".join(lines) + "\n"


def report(items: dict[str, Item]) -> None:
    """Print what is covered, group by group, and what is open."""
    for name, title, _ in GROUPS:
        group = [item for item in items.values() if item.group == name]
        covered, excused, is_open = counts(group)
        print(f"{name:>2}  {covered:3} tested  {excused:3} not applicable  {is_open:3} open   {title}")
        for item in group:
            if item.reason is not None:
                print(f"        {item.identifier}: not applicable: {item.reason}")
        uncovered = [item.identifier for item in group if item.is_open]
        if uncovered:
            print("        open: " + " ".join(uncovered))


def main(arguments: list[str]) -> int:
    """Run as a command; returns the exit status."""
    items, problems = collect()
    if "--check" not in arguments:
        report(items)
        PAGE.write_text(page(items), encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(items):
        problems.append(f"{PAGE.relative_to(ROOT)} is out of date: run python tools/conformance.py")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
