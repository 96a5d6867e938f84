"""Things that a supervisor of workers calls, and is called by, outside of itself."""

from collections.abc import Callable
from dataclasses import dataclass, field

from h3push.server.processes import Alarm
from h3push.server.service_manager import ServiceManager


def _nothing() -> None:
    """Nobody waits for the start."""


def _nobody(_number: int) -> None:
    """Nobody keeps anything of a worker."""


def _always() -> bool:
    """Nothing is to be read."""
    return True


def _never() -> bool:
    """Nothing asks for a reload."""
    return False


def _no_manager() -> ServiceManager:
    return ServiceManager({})


@dataclass(slots=True, kw_only=True)
class Hooks:
    """Without any, workers are reloaded at SIGHUP, from what the supervisor has."""

    started: Callable[[], None] = _nothing
    """Called once, when all workers serve."""
    ended: Callable[[int], None] = _nobody
    """Called when a worker's process has ended, with the number of its sockets."""
    renew: Callable[[], bool] = _always
    """Called before a reload, to read what the next workers begin with; False: it cannot be, so everything stays."""
    look_after: Callable[[], bool] = _never
    """Called every `look_interval` seconds; True asks for a reload."""
    look_interval: float = 24 * 3600.0
    """Seconds; certificates live for days."""
    alarm: Alarm | None = None
    """Asks for a reload when it rings."""
    manager: ServiceManager = field(default_factory=_no_manager)
    """Is told of the life of all of them."""
