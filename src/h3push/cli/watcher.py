"""The process that watches the files of an application for `h3push serve --reload`: a line to stdout for each change.

It is a process of its own, because the supervisor has to stay without threads. It ends when its standard input does, which is
when the supervisor is gone, however that came about.
"""

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

INCLUDED = ("*.py",)
"""Names of files that are always looked at."""
EXCLUDED = (".*", ".py[cod]", ".sw.*", "~*")
"""Names of files that are not looked at, unless they are included: uvicorn's list, what editors leave behind."""

LOOK = 500
"""Milliseconds until the watching counts as begun."""


class FileFilter:
    """The files whose change matters.

    Arguments:
        include: globs of names or paths, beside `INCLUDED`; they win over `EXCLUDED`.
        exclude: globs of names or paths, and directories, beside `EXCLUDED`; they win over everything.
        ignored: names of directories that nobody writes an application in, such as `.git`.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str], ignored: Sequence[str] = ()) -> None:
        self._include = include
        self._exclude = exclude
        self._directories = [Path(one).resolve() for one in exclude if Path(one).is_dir()]
        self._ignored = frozenset(ignored)

    def __call__(self, _change: object, name: str) -> bool:
        """True for a file that matters."""
        path = Path(name)
        if not self._ignored.isdisjoint(path.parts) or any(path.is_relative_to(one) for one in self._directories):
            return False
        if any(map(path.match, self._exclude)):
            return False
        by_default = any(map(path.match, INCLUDED)) and not any(map(path.match, EXCLUDED))
        return by_default or any(map(path.match, self._include))


def watch(directories: Sequence[str], include: Sequence[str], exclude: Sequence[str], delay: float) -> None:
    """Print the changed paths, as a JSON list in a line, whenever no further change came for `delay` seconds.

    An empty list comes first: from then on nothing is missed.
    """
    import watchfiles

    matters = FileFilter(include, exclude, watchfiles.DefaultFilter.ignore_dirs)
    step = max(1, round(delay * 1000))
    told = False
    for changes in watchfiles.watch(
        *directories,
        watch_filter=matters,
        step=step,
        debounce=10 * step,
        rust_timeout=LOOK,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        if changes or not told:
            told = True
            print(json.dumps(sorted({name for _, name in changes})), flush=True)


def main() -> None:
    """Watch what the arguments name (JSON), until standard input ends."""
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    arguments = json.loads(sys.argv[1])
    try:
        watch(**arguments)
    except (OSError, RuntimeError) as error:
        print(f"h3push: --reload: {error}", file=sys.stderr)
        sys.exit(1)


def _end_with_supervisor() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
