"""Environment variables that were meant for a flag, and are for none."""

import difflib
from collections.abc import Iterator, Mapping

import rich_click as click

from h3push.cli.serving.flag import PREFIX


def misspelt_variables(command: click.Command, environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each variable with our prefix that looks like a flag's and is not: nobody reads it, and nobody would say so.

    Others with the prefix are left alone: further commands and the build have some.
    """
    known = [name for one in command.params for name in _variables(one)]
    for name in environment:
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, 1, cutoff=0.85)
            if close:
                yield f"nobody reads the variable {name}: {close[0]} is a flag's"


def _variables(parameter: click.Parameter) -> list[str]:
    named = parameter.envvar
    return [named] if isinstance(named, str) else list(named or ())
