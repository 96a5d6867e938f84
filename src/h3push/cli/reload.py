"""`h3push serve --reload`: the supervisor's side of the process that watches the application's files."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from h3push.cli.failures import CommandFailed
from h3push.cli.serve_log import say
from h3push.cli.serving.options import ServeOptions

NOT_INSTALLED = "--reload needs watchfiles: pip install 'h3push[reload]'"
GRACE = 1.0
"""Seconds that a worker with a successor has for what is under way: who writes an application wants to see the new one."""


class FileAlarm:
    """Rings when a file of the application has changed.

    Raises:
        CommandFailed: watchfiles is not installed, or a directory is none.
    """

    def __init__(self, options: ServeOptions) -> None:
        if find_spec("watchfiles") is None:
            raise CommandFailed(NOT_INSTALLED)
        flags = options.development
        self._directories = [one.resolve() for one in flags.reload_dir or (options.application.app_dir or Path.cwd(),)]
        for one in self._directories:
            if not one.is_dir():
                raise CommandFailed(f"--reload: {one} is not a directory")
        self._arguments = {
            "directories": list(map(str, self._directories)),
            "include": flags.reload_include,
            "exclude": flags.reload_exclude,
            "delay": flags.reload_delay,
        }
        self._begun = b""
        self._watches = False
        self.is_over = False
        """True when changes are not seen any more."""
        self._process: subprocess.Popen[bytes]
        self._output: int

    def start(self) -> None:
        """Begin to watch."""
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "h3push.cli.watcher", json.dumps(self._arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the supervisor's
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()

    def fileno(self) -> int:
        """Readable when it rings, or is over."""
        return self._output

    def rings(self) -> bool:
        """Read what came, and say what changed; True when something did."""
        read = os.read(self._output, 65_536)
        if not read:
            self.is_over = True
            say("files are not watched any more; SIGHUP reloads")
            return False
        if not self._watches:
            self._watches = True
            say(f"reloading when files change in {', '.join(map(str, self._directories))}")
        *lines, self._begun = (self._begun + read).split(b"\n")
        changed = [name for line in lines for name in json.loads(line)]
        if changed:
            say(f"{_listed(changed)} changed")
        return bool(changed)

    def close(self) -> None:
        """End the process that watches."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _listed(names: list[str]) -> str:
    path = Path(names[0])
    first = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    return first if len(names) == 1 else f"{first} and {len(names) - 1} more"
