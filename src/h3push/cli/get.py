"""`h3push get`: URLs over HTTP/3, with curl's letters, and every push that comes with them."""

from typing import Any

import click as plain_click
import rich_click as click

from h3push.cli.options.flags import all_flags


class OrderedCommand(click.RichCommand):
    """Notes in which order flags were typed: `-d` and `--data-binary` are joined in it, `-o` and `-O` go with the URLs in it."""

    def make_parser(self, ctx: click.Context) -> Any:
        """Have the parser tell the order."""
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_note(args: list[str]) -> Any:
            parsed = parse(args=args)
            ctx.meta[ORDER] = tuple(parameter.name for parameter in parsed[2])
            return parsed

        parser.parse_args = parse_and_note  # type: ignore[method-assign]  # the order is told nowhere else
        return parser


ORDER = "h3push.order"
"""Where the order stands in the context."""


@click.command(
    cls=OrderedCommand,
    context_settings={"show_default": True},
    epilog="Example: h3push get -v --cacert ~/.local/state/h3push/ca.pem https://localhost:4433/",
)
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@all_flags
def get(**given: Any) -> None:
    """Fetch each URL over HTTP/3 and take what the server pushes with it.

    A push answers the next URL that it matches; nothing is sent for that one. The content goes to standard output. An HTTP error
    status is no failure unless --fail says so; no connection and a broken response are. The exit codes are curl's: of several
    URLs that of the last, with --parallel that of the last one that failed.
    """
    from h3push.cli.options.arguments import Arguments
    from h3push.cli.transfers import run

    order = plain_click.get_current_context().meta.get(ORDER, ())
    run(Arguments(**given, order=order))
