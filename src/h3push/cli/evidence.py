"""The common part of `h3push learn` and `h3push report`: log files in, a table of evidence out, and what is said meanwhile."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from h3push.cli.failures import CommandFailed, ExitCode, say

if TYPE_CHECKING:
    from h3push.judge.engine import Store
    from h3push.judge.learning import Tables


@dataclass(slots=True)
class Evidence:
    """The evidence that was read."""

    store: "Store"
    """Holds the tables."""
    tables: "Tables"
    """The tables."""
    interrupted: bool
    """True when Ctrl-C ended the reading before the last file."""


@contextmanager
def read_evidence(
    paths: Sequence[Path], engine_name: str, routes: Sequence[str], announce: Callable[[str], None]
) -> Iterator[Evidence]:
    """Read log files; says on stderr what could not be read. `CommandFailed` when nothing could."""
    from h3push.control.routes import RouteError, template_pattern
    from h3push.judge.engine import Engine, EngineMissing, Store, is_interruption
    from h3push.judge.learning import tables_of
    from h3push.judge.logs import LogError, Tally
    from h3push.judge.table import read_logs

    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="h3push-learn-", ignore_cleanup_errors=True) as directory:
        try:
            for template in routes:
                template_pattern(template)
            store = Store(Engine(engine_name), Path(directory))
        except RouteError as error:
            raise CommandFailed(str(error), ExitCode.USAGE) from None
        except EngineMissing as error:
            raise CommandFailed(str(error)) from None
        try:
            table = read_logs(paths, store, tally, announce)
            _say_what_is_missing(tally.bad, tally.homeless, tally.examples)
            if table is None:
                raise CommandFailed("no row of these logs belongs to a page view, so there is nothing to learn from")
            interrupted = tally.files < len(paths)
            if interrupted:
                say(f"h3push: interrupted: this is of the first {tally.files} of {len(paths)} files")
            announce(f"sorting {tally.rows:,} rows into page views")
            yield Evidence(store, tables_of(table, store, routes), interrupted)
        except LogError as error:
            raise CommandFailed(str(error), ExitCode.READ_ERROR) from None
        except Exception as error:
            if is_interruption(error):
                raise KeyboardInterrupt from None
            raise
        finally:
            store.close()


def _say_what_is_missing(bad: int, homeless: int, examples: Sequence[str]) -> None:
    if bad:
        say(f"h3push: {bad:,} {'line' if bad == 1 else 'lines'} could not be understood and were skipped, such as")
        for example in examples:
            say(f"    {example}")
    if homeless:
        say(f"h3push: {homeless:,} rows belong to no page view that was seen and were skipped")


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Show what is done now, on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        yield status.update
