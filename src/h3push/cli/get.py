"""`h3push get`: one URL over HTTP/3, with curl's letters, and every push that comes with it."""

from typing import Any

import click as plain_click
import rich_click as click

from h3push.cli.options.flags import all_flags


class DataOrderCommand(click.RichCommand):
    """Notes in which order `-d` and `--data-binary` were typed: what they say is joined in that order."""

    def make_parser(self, ctx: click.Context) -> Any:
        """Have the parser tell the order."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_note(args: list[str]) -> Any:
            parsed = parse(args=args)
            names = (parameter.name for parameter in parsed[2])
            ctx.meta[DATA_ORDER] = tuple(name for name in names if name in {"data", "data_binary"})
            return parsed

        parser.parse_args = parse_and_note  # type: ignore[method-assign]  # the order is told nowhere else
        return parser


DATA_ORDER = "h3push.data_order"
"""Where the order stands in the context."""


@click.command(
    cls=DataOrderCommand,
    context_settings={"show_default": True},
    epilog="Example: h3push get -v --cacert ~/.local/state/h3push/ca.pem https://localhost:4433/",
)
@click.argument("url", metavar="URL")
@all_flags
def get(**given: Any) -> None:
    """Fetch URL over HTTP/3 and take what the server pushes with it.

    The content goes to standard output. An HTTP error status is no failure unless --fail says so; no connection and a broken
    response are. The exit codes are curl's.
    """
    from h3push.cli.options.arguments import Arguments
    from h3push.cli.transfer import run

    order = plain_click.get_current_context().meta.get(DATA_ORDER, ())
    run(Arguments(**given, data_order=order))
