"""Where the content of each URL goes, as `-o`, `-O` and their kin mean it: the first one is for the first URL, and so on."""

from collections.abc import Sequence
from pathlib import Path

import rich_click as click

from h3push.cli.options.arguments import Arguments
from h3push.cli.options.url import remote_file_name

STANDARD_OUTPUT = Path("-")
"""The file name that means standard output."""


def targets_of(arguments: Arguments, urls: Sequence[str]) -> list[Path | None]:
    """Give the file for each URL; `None` is standard output. Raises `click.UsageError` for more files than URLs."""
    given = _in_order(arguments)
    if len(given) > len(urls):
        raise click.UsageError(
            f"there are {len(given)} of -o and -O for {len(urls)} URLs: give one for each, or fewer."
        )
    given += [arguments.remote_name_all] * (len(urls) - len(given))
    return [_target(arguments, wish, url) for wish, url in zip(given, urls, strict=True)]


def _in_order(arguments: Arguments) -> list[Path | bool]:
    """`-o` and `-O` as they were typed: a path, or True for the name in the URL."""
    paths = iter(arguments.output)
    wishes: list[Path | bool] = [
        next(paths) if name == "output" else True for name in arguments.order if name in {"output", "remote_name"}
    ]
    return wishes or [*arguments.output, *([True] * arguments.remote_name)]


def _target(arguments: Arguments, wish: Path | bool, url: str) -> Path | None:
    if wish is False or wish == STANDARD_OUTPUT:
        return None
    path = Path(remote_file_name(url)) if isinstance(wish, bool) else wish
    return path if arguments.output_dir is None else arguments.output_dir / path
