"""The command line, read once more: the settings file may say something else than it did at the start.

What is typed and what the environment holds stay as they are, and count before the file as ever.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import rich_click as click

from h3push.cli.failures import CommandFailed
from h3push.cli.serving.elsewhere import explain
from h3push.cli.serving.flag import Subject
from h3push.cli.serving.options import ServeOptions

_ARGUMENTS = "h3push.arguments"

HELD = {
    "binding": ("host", "port", "fd", "uds"),
    "over_tcp": ("tcp", "redirect_http"),
    "processes": ("workers",),
    "development": ("reload", "reload_dir", "reload_include", "reload_exclude", "reload_delay"),
    "metrics": ("metrics",),
    "limits": ("backlog",),
}
"""The things made at the start for the whole life of the server, its sockets above all: field of the options -> fields there."""


class RereadCommand(click.RichCommand):
    """A command that keeps what was typed, so that it can be read once more."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and keep."""
        ctx.meta[_ARGUMENTS] = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            explain(error)
            raise


def rereader(make: Callable[[dict[str, Any]], ServeOptions]) -> Callable[[], ServeOptions]:
    """A function that reads the options of the running command anew. It raises `CommandFailed` with one sentence.

    Arguments:
        make: makes the options of what click parsed.
    """
    context = click.get_current_context()
    assert context is not None
    return partial(_read, context, make)


def _read(context: click.Context, make: Callable[[dict[str, Any]], ServeOptions]) -> ServeOptions:
    command, typed = context.command, list(context.meta[_ARGUMENTS])
    try:
        with command.make_context(context.info_name, typed, parent=context.parent) as anew:
            return make(anew.params)
    except CommandFailed:
        raise
    except click.ClickException as error:
        raise CommandFailed(error.format_message()) from None


def renewed(before: ServeOptions, now: ServeOptions) -> tuple[ServeOptions, list[str]]:
    """The options as they are now, but for those that hold until the end; and the names of those whose change has no effect."""
    changes: dict[str, Subject] = {}
    without_effect = []
    for name, held in HELD.items():
        old, new = getattr(before, name), getattr(now, name)
        assert {one.name for one in fields(old)}.issuperset(held)
        changes[name] = replace(new, **{one: getattr(old, one) for one in held})
        without_effect += ["--" + one.replace("_", "-") for one in held if getattr(old, one) != getattr(new, one)]
    return replace(now, **changes), without_effect  # type: ignore[arg-type]  # each of its own kind
