"""`--env-file FILE`: environment variables from a file, read before any flag is: some flags have variables.

What the environment has already counts before the file. The file is read anew with a reload, and takes back what it said before.
"""

import os
from importlib import import_module
from pathlib import Path

import rich_click as click

from h3push.cli.failures import CommandFailed, ExitCode, file_failure
from h3push.cli.serving.flag import PREFIX, FlagOption

NOT_INSTALLED = "--env-file needs python-dotenv: pip install 'h3push[dotenv]'"

_taken: dict[str, str] = {}
"""The part of this process's environment that came from the file."""


def environment_file_option() -> click.Option:
    """The flag that names the file."""
    return FlagOption(
        ["--env-file"],
        type=click.Path(path_type=Path),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        envvar=[PREFIX + "ENV_FILE"],
        callback=_load,
        help="Read environment variables from FILE; those that are set stay.",
    )


def _load(context: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    """Take the variables of the file. `CommandFailed` for one that cannot be read."""
    if path is None or context.resilient_parsing:
        return
    try:
        dotenv = import_module("dotenv")
    except ImportError:
        raise CommandFailed(NOT_INSTALLED, ExitCode.USAGE) from None
    try:
        with path.open(encoding="utf-8") as file:
            _take_back()
            found = dotenv.dotenv_values(stream=file)
    except OSError as error:
        raise file_failure(error, "read", path, ExitCode.USAGE) from None
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{path} is no text: {error}", ExitCode.USAGE) from None
    for name, value in found.items():
        if value is not None and name not in os.environ:
            os.environ[name] = _taken[name] = value


def _take_back() -> None:
    """Take back what the file said before, unless somebody has said something else since."""
    for name, value in _taken.items():
        if os.environ.get(name) == value:
            del os.environ[name]
    _taken.clear()
