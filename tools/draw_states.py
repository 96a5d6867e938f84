"""Draw the state tables of the code into `docs/push.md`: the tables are the truth, the page only shows them.

`python tools/draw_states.py` rewrites docs/push.md; with `--check` it exits 1 when the page is out of date.
"""

import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

from h3push.h3.message import MESSAGE, MessageInput, MessageState
from h3push.h3.push.states import (
    CLIENT_PUSH,
    SERVER_PUSH,
    ClientPushInput,
    ClientPushState,
    ServerPushInput,
    ServerPushState,
)

PAGE = Path(__file__).parent.parent / "docs" / "push.md"

HEAD = """# A push and a message, as tables

Drawn from `h3/push/states.py` and `h3/message.py` by `tools/draw_states.py`; do not edit by hand. A dash is an error: of the
peer for what was received (H3_ID_ERROR for pushes, H3_FRAME_UNEXPECTED for messages), of the caller for the rest.
"""


def words(name: str) -> str:
    return name.lower().replace("_", " ")


def picture(title: str, edges: Mapping[tuple[IntEnum, IntEnum], IntEnum]) -> list[str]:
    """A Mermaid state diagram; inputs between the same two states share an arrow, and loops are left out."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, happened), target in edges.items():
        if state is not target:
            arrows.setdefault((state.name, target.name), []).append(words(happened.name))
    lines = [f"## {title}", "", "```mermaid", "stateDiagram-v2"]
    lines += [f"    {source} --> {target}: {', '.join(inputs)}" for (source, target), inputs in arrows.items()]
    return [*lines, "```", ""]


def table(states: type[IntEnum], inputs: type[IntEnum], cells: Mapping[tuple[IntEnum, IntEnum], str]) -> list[str]:
    lines = ["| state | " + " | ".join(words(happened.name) for happened in inputs) + " |"]
    lines.append("| --- |" + " --- |" * len(inputs))
    for state in states:
        row = [cells.get((state, happened), "\N{EN DASH}") for happened in inputs]
        lines.append(f"| **{state.name}** | " + " | ".join(row) + " |")
    return [*lines, ""]


def push_cell(state: IntEnum, action: IntEnum) -> str:
    return state.name if action.name == "NOTHING" else f"{state.name}: {words(action.name)}"


def page() -> str:
    lines = [HEAD]
    for title, states, inputs, rows in (
        ("A push on the server", ServerPushState, ServerPushInput, SERVER_PUSH),
        ("A push on the client", ClientPushState, ClientPushInput, CLIENT_PUSH),
    ):
        typed = {(states(state), inputs(happened)): row for (state, happened), row in rows.items()}
        lines += picture(title, {key: target for key, (target, _) in typed.items()})
        lines += table(states, inputs, {key: push_cell(*row) for key, row in typed.items()})
    message = {(MessageState(state), MessageInput(happened)): target for (state, happened), target in MESSAGE.items()}
    lines += picture("A message, in either direction", message)
    lines += table(MessageState, MessageInput, {key: target.name for key, target in message.items()})
    return "\n".join(lines)


def main() -> int:
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
            print("docs/push.md is out of date: run python tools/draw_states.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
