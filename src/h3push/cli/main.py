"""`h3push`: the group of sub-commands, and what holds for all of them."""

import errno
import importlib
import os
import signal
import sys
from contextlib import suppress
from importlib import metadata

import rich_click as click

import h3push
from h3push.cli.failures import ExitCode, file_failure, give_up_stream, say

COMMANDS = {
    "serve": ("h3push.cli.serve", "serve"),
    "proxy": ("h3push.cli.proxy", "proxy"),
    "get": ("h3push.cli.get", "get"),
    "learn": ("h3push.cli.learn", "learn"),
    "report": ("h3push.cli.report", "report"),
    "relay": ("h3push.cli.relay", "relay"),
    "lab": ("h3push.cli.lab", "lab"),
    "doctor": ("h3push.cli.doctor", "doctor"),
    "demo": ("h3push.cli.demo", "demo"),
}
"""Sub-command -> module and attribute; imported when used, or for the list in the help."""
UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF})
"""Errors of standard output, where no file is named: the disk is full, its reader has gone, it is closed."""


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
        click.echo(f"h3push {metadata.version('h3push')} ({'compiled' if h3push.compiled else 'interpreted'})")
        ctx.exit()


@click.command(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: h3push demo",
)
@click.option("-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Print the version and the form, compiled or interpreted, and exit.")  # fmt: skip
def cli() -> None:
    """HTTP/3 server push: a server, a client, and the tools that tell whether a push pays."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit. Failures are one sentence on stderr, never a traceback."""
    code = _run(arguments)
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError as error:
            code = _unwritable(error)
    if sys.stderr is not None:
        try:
            sys.stderr.flush()
        except OSError:
            give_up_stream("stderr")
    sys.exit(code)


def _run(arguments: list[str] | None) -> int:
    """Run the command line; the exit code."""
    try:
        code = cli.main(arguments, prog_name="h3push", standalone_mode=False)
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return ExitCode.INTERRUPTED
    except OSError as error:
        return _unwritable(error) if error.filename is None and error.errno in UNWRITABLE else _failed(error)
    except Exception as error:
        return _failed(error)
    return code if isinstance(code, int) else ExitCode.DONE


def _unwritable(error: OSError) -> int:
    """Standard output cannot be written. When its reader has gone (`h3push get ... | head`), nothing is said."""
    give_up_stream("stdout")
    if not isinstance(error, BrokenPipeError):
        file_failure(error, "write", "to standard output").show()
    return ExitCode.WRITE_ERROR


def _failed(error: Exception) -> int:
    """Say what nobody foresaw in one line; H3PUSH_TRACEBACK=1 shows where it happened."""
    if os.environ.get("H3PUSH_TRACEBACK"):
        raise error
    what = f"{type(error).__name__}: {error}"
    say(f"h3push: this is a mistake in h3push, please report it: {what} (H3PUSH_TRACEBACK=1 says where)")
    return ExitCode.FAILED
