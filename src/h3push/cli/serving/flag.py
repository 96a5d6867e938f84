"""Flags as fields: a subject is a frozen dataclass, and each field says how its value is typed on the command line.

A flag is declared once, in the class that carries its value::

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Binding(Subject):
        heading = "Listening"
        port: int = flag("--port PORT", "Port of UDP and of TCP.", default=4433, type=click.IntRange(0, 65535))

The help has a panel for each subject, in the order of `add_flags`, and shows the first spelling of each flag. Every long spelling
is the name of an environment variable too (`--ssl-keyfile`: `H3PUSH_SSL_KEYFILE`), and a key of the settings file
(`cli.serving.settings_file`). An error names the place where the value came from.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import rich_click as click
from click.core import ParameterSource

FILE = click.Path(path_type=Path)
"""A path as it was typed; it is checked when it is opened."""

PREFIX = "H3PUSH_"
"""Environment variables begin with it."""

SETTINGS_FILE = "h3push.settings_file"
"""Key of the settings file's name in click's context."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_OPTION = "option"


class FlagOption(click.RichOption):
    """A flag with other spellings, which the help leaves out: they are other servers' names for it."""

    def __init__(self, *arguments: Any, aliases: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.aliases = list(aliases)
        """The other spellings."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Have the parser know every spelling."""
        shown = self.opts
        self.opts = [*shown, *self.aliases]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name the place of a value that is wrong: the flag, the variable, or the key of the settings file."""
        source = None if ctx is None else ctx.get_parameter_source(self.name or "")
        if source is ParameterSource.ENVIRONMENT and not isinstance(self.envvar, str):
            return next(name for name in self.envvar or () if name in os.environ)
        if ctx is not None and source is ParameterSource.DEFAULT_MAP:
            return f"'{keys_of(self)[0]}' in {ctx.meta[SETTINGS_FILE]}"
        return super().get_error_hint(ctx)


def flag(
    usage: str,
    help_line: str,
    *,
    default: Any = None,
    also: str = "",
    envvar: str = "",
    undecided: bool = False,
    **more: Any,
) -> Any:
    """Declare a field and its flag.

    Args:
        usage: as the help shows it, the value last: `--keyfile FILE`; without a value at the end it is a switch.
        help_line: one line.
        default: the value when nothing is given; for a flag that may be repeated, a tuple.
        also: further spellings, which the help does not show.
        envvar: an environment variable that other servers read, asked after ours.
        undecided: a switch that is `None`, neither on nor off, when nothing is given.
        more: the rest of what `click.option` takes.
    """
    *names, last = usage.split()
    settings: dict[str, Any]
    if last.startswith("-"):
        default = None if undecided else bool(default)
        names, settings = [*names, last], {"is_flag": True}
    else:
        settings = {"metavar": last}
        if more.get("multiple"):
            default = tuple(default or ())
    long_names = [name.partition("/")[0] for name in (*names, *also.split()) if name.startswith("--")]
    variables = [PREFIX + name[2:].replace("-", "_").upper() for name in long_names] + envvar.split()
    settings |= {"default": default, "help": help_line, "aliases": also.split(), "envvar": variables, **more}
    return field(default=default, metadata={_OPTION: (names, settings)})


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
                command = click.option(name, *names, cls=FlagOption, **settings)(command)
            shown = [names[-1].split("/")[0] for _, names, _ in declared]
            command = click.option_panel(subject.heading, options=shown)(command)
        return command

    return add


def keys_of(option: click.Parameter) -> list[str]:
    """The keys that an option, or an argument, has in the settings file: every long spelling without its dashes."""
    spellings = [*option.opts, *getattr(option, "aliases", ())]
    return [one.removeprefix("--") for one in spellings if one.startswith("--") or not one.startswith("-")]


def _flags(subject: type[Subject]) -> list[Field[Any]]:
    return [one for one in fields(subject) if _OPTION in one.metadata]  # type: ignore[arg-type]  # a dataclass each
