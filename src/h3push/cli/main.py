"""`h3push`: the group of sub-commands, and what holds for all of them."""

import importlib
import signal
import sys
from importlib import metadata

import rich_click as click

from h3push.cli.failures import INTERRUPTED, leave_stdout_quietly

COMMANDS = {
    "serve": ("h3push.cli.serve", "serve"),
    "get": ("h3push.cli.get", "get"),
    "demo": ("h3push.cli.demo", "demo"),
}
"""Sub-command -> module and attribute; imported when used, or for the list in the help."""


class LazyGroup(click.RichGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def _print_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"h3push {metadata.version('h3push')}")
        ctx.exit()


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: h3push demo",
)
@click.option("-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Print the version and exit.")  # fmt: skip
def cli() -> None:
    """HTTP/3 server push: a server, a client, and the tools that tell whether a push pays."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Failures are one sentence on stderr, never a traceback."""
    try:
        code = cli.main(arguments, prog_name="h3push", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        leave_stdout_quietly()
        sys.exit(1)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        leave_stdout_quietly()
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
