"""The logs of `h3push serve`, but for the access log: what it says of itself on stderr, and what its modules log.

As under uvicorn, the root logger is the application's own: it is left as it is, so that `logging.basicConfig` in the application
works, and only what hangs below "h3push" and "uvicorn" is written by our handler. `--log-config` replaces that handler.

    h3push.lifecycle    where it serves, reloads, how it stops (from INFO on)
    h3push.server       what goes wrong with clients and certificates (from WARNING on)
    uvicorn             the same of the server for TCP: an application's traceback looks alike over every version
"""

import json
import logging
import logging.config
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import rich_click as click

from h3push.cli.failures import CommandFailed, file_failure
from h3push.cli.serving.logs import LEVELS, Logs

_OURS = logging.getLogger("h3push")
_LIFECYCLE = logging.getLogger("h3push.lifecycle")
_OVER_TCP = logging.getLogger("uvicorn")


_SET_UP = threading.Event()
"""Set when the logs are set up."""


class TimeStamped(logging.Formatter):
    """Lines that begin with the time, as those of the access log do: RFC 3339, UTC, milliseconds."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s h3push: %(message)s")


def configure_logs(logs: Logs) -> None:
    """Set the loggers up, before the application is imported. `CommandFailed` for a file that cannot be used."""
    if logs.log_config is None:
        handler = logging.StreamHandler()
        handler.setFormatter(TimeStamped())
        _OURS.handlers = [handler]
        _OURS.propagate = False
        _OURS.setLevel(logging.WARNING)
        _OVER_TCP.handlers = [handler]
        _OVER_TCP.propagate = False
        _OVER_TCP.setLevel(logging.WARNING)
        _LIFECYCLE.setLevel(logging.INFO)
    else:
        _load(logs.log_config)
    _SET_UP.set()
    if logs.log_level is not None:
        level = LEVELS[logs.log_level]
        _OURS.setLevel(level)
        _LIFECYCLE.setLevel(level)
        _OVER_TCP.setLevel(max(level, logging.WARNING))  # of its life we tell ourselves


def say(line: str) -> None:
    """Log a line about the life of the server; to stderr while no logs are set up."""
    if _SET_UP.is_set():
        _LIFECYCLE.info("%s", line)
    else:
        click.echo(f"h3push: {line}", err=True)


def _load(path: Path) -> None:
    """Load a configuration of `logging`: JSON, YAML, or else an INI file, as uvicorn does."""
    try:
        if path.suffix == ".json":
            _configure(json.loads(path.read_text(encoding="utf-8")))
        elif path.suffix in {".yaml", ".yml"}:
            _configure(_yaml(path))
        else:
            path.open(encoding="utf-8").close()  # fileConfig has no sentence for a file that is not there
            logging.config.fileConfig(path, disable_existing_loggers=False)
    except OSError as error:
        raise file_failure(error, "read", path) from None
    except CommandFailed:
        raise
    except KeyError as error:  # fileConfig looks sections and their lines up
        raise CommandFailed(f"{path} is no configuration of logs: {error} is missing") from None
    except Exception as error:  # whatever the handlers and formatters of the user's own raise
        raise CommandFailed(f"{path} is no configuration of logs: {error.__cause__ or error}") from None


def _configure(settings: Any) -> None:
    """Use a dictionary of settings. Loggers that it does not name go on, ours above all, unless it says otherwise."""
    if isinstance(settings, dict):
        settings.setdefault("disable_existing_loggers", False)
    logging.config.dictConfig(settings)


def _yaml(path: Path) -> Any:
    try:
        yaml = import_module("yaml")
    except ImportError:
        raise CommandFailed("a YAML file for --log-config needs PyYAML: pip install 'h3push[yaml]'") from None
    return yaml.safe_load(path.read_text(encoding="utf-8"))
