"""Flags from a file: `--config FILE`, TOML with the flags' names as keys.

A `pyproject.toml` has them in its table `[tool.h3push.serve]`; the one of the working directory is read when no file is named and
it has that table. A value counts where neither the command line nor the environment gives one.
"""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click
from click.types import BoolParamType

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.cli.serving.flag import PREFIX, SETTINGS_FILE, keys_of

PYPROJECT = "pyproject.toml"
_NOT_IN_A_FILE = frozenset({"config", "help"})
TABLE = ("tool", "h3push")
"""The commands' tables in a pyproject.toml."""


def read_settings(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """Take the flags of the settings file as defaults: click's callback of `--config`.

    Raises:
        CommandFailed: the file cannot be read, a key is no flag, or a value is of the wrong kind; the sentence names it.
    """
    if context.resilient_parsing:
        return
    found = path or Path(PYPROJECT)
    if path is None and not found.is_file():
        return
    document = _read(found)
    table: Any = document
    if found.name == PYPROJECT:
        path_to_table = (*TABLE, context.command.name or "")
        for step in path_to_table:
            table = table.get(step, {}) if isinstance(table, dict) else {}
        if not isinstance(table, dict):
            raise _mistake(found, f"{'.'.join(path_to_table)} is not a table")
    if table:
        context.meta[SETTINGS_FILE] = found
        context.default_map = _defaults(context.command, table, found)


def config_option() -> click.Option:
    """The flag that names the file."""
    return click.RichOption(
        ["-c", "--config"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        envvar=PREFIX + "CONFIG",
        callback=read_settings,
        help="Read flags from FILE, in TOML.  [default: pyproject.toml]",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise file_failure(error, "read", path, ExitCode.USAGE) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _mistake(path, str(error)) from None


def _defaults(command: click.Command, table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The values under the names of their parameters. Click converts them, as it does what is typed."""
    known = {key: one for one in command.params if one.name not in _NOT_IN_A_FILE for key in keys_of(one)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        option = known.get(key.replace("_", "-"))
        if option is None or option.name is None:
            close = difflib.get_close_matches(key, known, 1)
            hint = f", perhaps {close[0]!r}?" if close else ""
            raise _mistake(
                path, f"{key!r} is no flag of h3push {command.name}{hint or f': see h3push {command.name} --help'}"
            )
        if option.name in values:
            raise _mistake(path, f"{key!r} says again what another key says")
        values[option.name] = _checked(option, key, value, path)
    return values


def _checked(option: click.Parameter, key: str, value: Any, path: Path) -> Any:
    """A value of the kind that the flag takes: a switch is true or false, one that may be repeated takes a list."""
    is_switch = isinstance(option.type, BoolParamType)
    if is_switch != isinstance(value, bool):
        raise _mistake(path, f"{key!r} {'must be' if is_switch else 'cannot be'} true or false")
    if option.multiple:
        value = value if isinstance(value, list) else [value]
        if any(isinstance(one, (bool, list, dict)) for one in value):
            raise _mistake(path, f"{key!r} must be a string or a list of strings")
        return tuple(str(one) for one in value)
    if isinstance(value, (list, dict)):
        raise _mistake(path, f"{key!r} must be one value")
    return value if is_switch else str(value)


def _mistake(path: Path, sentence: str) -> CommandFailed:
    return CommandFailed(f"{path}: {sentence}", ExitCode.USAGE)
