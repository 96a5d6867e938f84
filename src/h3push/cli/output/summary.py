"""Everything that `h3push get` tells when a fetch is over, whether it went well or not."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from click.exceptions import Exit

from h3push.cli.failures import CommandFailed, ExitCode, file_failure, say
from h3push.cli.options.arguments import Arguments
from h3push.cli.outcome import Fetched, FetchOutcome
from h3push.cli.output.har import har
from h3push.cli.output.report import asset_lines, push_lines, to_json
from h3push.cli.output.svg import svg
from h3push.cli.output.waterfall import print_waterfall, rows_of
from h3push.cli.output.write_out import Facts, Template


class Summary:
    """Tells what the flags ask for. A `-w` that makes no sense is refused when it is made, before anything is fetched."""

    def __init__(self, arguments: Arguments, outcome: FetchOutcome) -> None:
        self._arguments = arguments
        self._outcome = outcome
        self._template = None if arguments.write_out is None else Template.of(arguments.write_out)

    def tell(self, results: Sequence[tuple[Fetched, CommandFailed | None]]) -> None:
        """Print and write what there is about all URLs together; `results`: those that are over, and why they failed."""
        arguments, outcome = self._arguments, self._outcome
        if arguments.verbose:
            say("\n".join(push_lines(outcome)))
        if arguments.assets and not arguments.silent:
            say("\n".join(asset_lines(outcome)))
        if arguments.waterfall and sys.stderr is not None:
            with suppress(OSError):
                print_waterfall(rows_of(outcome), file=sys.stderr)
        if arguments.har is not None:
            _write(arguments.har, lambda: har(outcome))
        if arguments.svg is not None:
            _write(arguments.svg, lambda: svg(rows_of(outcome), outcome.transfers[0].url))
        if arguments.json:
            for fetched, failure in results:
                _put(to_json(fetched, failure) + "\n")

    def tell_of(self, fetched: Fetched, failure: CommandFailed | None, path: Path | None, retries: int) -> None:
        """Print what `-w` wants to know about one URL; `path` is the file of its content."""
        if self._template is not None:
            out, err = self._template.fill(Facts(fetched, failure, path, retries))
            _put(out)
            if err:
                say(err, nl=False)


def _write(path: Path, document: Callable[[], str]) -> None:
    try:
        path.write_text(document(), encoding="utf-8")
    except OSError as error:
        raise file_failure(error, "write", path, ExitCode.WRITE_ERROR) from None


def _put(text: str) -> None:
    """Print to standard output, as UTF-8 whatever the terminal: JSON is nothing else."""
    if sys.stdout is None:
        raise CommandFailed("standard output is closed", ExitCode.WRITE_ERROR)
    try:
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise Exit(ExitCode.WRITE_ERROR) from None
    except OSError as error:
        raise file_failure(error, "write", "to standard output", ExitCode.WRITE_ERROR) from None
