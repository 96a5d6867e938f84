"""The command line: `h3push serve`, `h3push get`, `h3push demo`; one sub-command a module.

Modules that take long to import are imported where they are used, so that `h3push --help` answers at once.
"""

from h3push.cli.main import main

__all__ = ["main"]
