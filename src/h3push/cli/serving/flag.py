"""Flags as fields: a subject is a frozen dataclass, and each field says how its value is typed on the command line.

A flag is declared once, in the class that carries its value::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Binding(Subject):
        heading = "Listening"
        port: int = flag("-p --port PORT", "Port of UDP and of TCP.", default=4433, type=click.IntRange(0, 65535))

The help has a panel for each subject, in the order of `add_flags`.
"""

from collections.abc import Callable, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import rich_click as click

FILE = click.Path(path_type=Path)
"""A path, as it was typed; whoever opens it says what is wrong with it."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_OPTION = "option"


def flag(usage: str, help_line: str, *, default: Any = None, **more: Any) -> Any:
    """Declare a field and its flag.

    Args:
        usage: as the help shows it, every spelling, the value last: `--keyfile --ssl-keyfile FILE`; without a value at the end
            it is a switch.
        help_line: one line.
        default: the value when nothing is given; for a flag that may be repeated, a tuple.
        more: the rest of what `click.option` takes.
    """
    *names, last = usage.split()
    settings: dict[str, Any]
    if last.startswith("-"):
        default = bool(default)
        names, settings = [*names, last], {"is_flag": True}
    else:
        settings = {"metavar": last}
        if more.get("multiple"):
            default = tuple(default or ())
    option = (names, {**settings, "default": default, "help": help_line, **more})
    return field(default=default, metadata={_OPTION: option})


class Subject:
    """The flags about one thing. The dataclass below it has them as fields."""

    __slots__ = ()

    heading: ClassVar[str]
    """The title of their panel in the help."""

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Self:
        """Make one of what click parsed, which loses these values."""
        return cls(**{one.name: given.pop(one.name) for one in _flags(cls)})

    def check(self) -> None:
        """Refuse values that do not go together, with `click.UsageError`."""


def add_flags(subjects: Sequence[type[Subject]]) -> Callable[[Decorated], Decorated]:
    """Give a command the flags of these subjects, a panel each."""

    def add(command: Decorated) -> Decorated:
        for subject in reversed(subjects):
            declared = [(one.name, *one.metadata[_OPTION]) for one in _flags(subject)]
            for name, names, settings in reversed(declared):
                command = click.option(name, *names, **settings)(command)
            command = click.option_panel(subject.heading, options=[names[0].split("/")[0] for _, names, _ in declared])(
                command
            )
        return command

    return add


def _flags(subject: type[Subject]) -> list[Field[Any]]:
    return [one for one in fields(subject) if _OPTION in one.metadata]  # type: ignore[arg-type]  # a dataclass each
