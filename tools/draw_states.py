"""The page of push states: the state tables of the code, drawn. The tables are the truth, the page only shows them."""

from collections.abc import Mapping
from enum import Enum, IntEnum

from documented import members, paragraphs, table

import h3push
from h3push.h3.message import MESSAGE, MessageInput, MessageState
from h3push.h3.push.states import (
    CLIENT_PUSH,
    SERVER_PUSH,
    ClientPushInput,
    ClientPushState,
    ServerPushInput,
    ServerPushState,
)

HEAD = """# Push states

Drawn from `h3/push/states.py` and `h3/message.py` by `tools/reference.py`; do not edit by hand. A dash is an error: of the
peer for what was received (H3_ID_ERROR for pushes, H3_FRAME_UNEXPECTED for messages), of the caller for the rest.
"""

WORDS = """## What a program sees

The enumerations that h3push gives to programs: how far a push has come, and why one was not made.
"""


def words(name: str) -> str:
    return name.lower().replace("_", " ").replace("|", " and ")


def picture(title: str, edges: Mapping[tuple[IntEnum, IntEnum], IntEnum]) -> list[str]:
    """A Mermaid state diagram; inputs between the same two states share an arrow, and loops are left out."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, happened), target in edges.items():
        if state is not target:
            arrows.setdefault((state.name, target.name), []).append(words(happened.name))
    lines = [f"## {title}", "", "```mermaid", "stateDiagram-v2"]
    lines += [f"    {source} --> {target}: {', '.join(inputs)}" for (source, target), inputs in arrows.items()]
    return [*lines, "```", ""]


def cells_of(states: type[IntEnum], inputs: type[IntEnum], cells: Mapping[tuple[IntEnum, IntEnum], str]) -> list[str]:
    """A table: a row for what happens, a column for each state."""
    rows = [
        [f"**{words(happened.name)}**", *(cells.get((state, happened), "\N{EN DASH}") for state in states)]
        for happened in inputs
    ]
    return table(["in state", *(state.name for state in states)], rows)


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
        lines += cells_of(states, inputs, {key: push_cell(*row) for key, row in typed.items()})
    message = {(MessageState(state), MessageInput(happened)): target for (state, happened), target in MESSAGE.items()}
    lines += picture("A message, in either direction", message)
    lines += cells_of(MessageState, MessageInput, {key: target.name for key, target in message.items()})
    lines.append(WORDS)
    for name in h3push.__all__:
        thing = getattr(h3push, name)
        if isinstance(thing, type) and issubclass(thing, Enum) and thing is not h3push.ErrorCode:
            lines += [f"### `h3push.{name}`", "", paragraphs(thing), "", *members(thing)]
    return "\n".join(lines)
