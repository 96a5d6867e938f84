"""File descriptors: as many as the system lets us have, and what to say when there are none left."""

import errno
import logging
import resource

logger = logging.getLogger("h3push.server")

_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


def is_out_of_descriptors(error: BaseException) -> bool:
    """True when something could not be opened because the process (EMFILE) or the system (ENFILE) has too much open.

    That is our state and passes: 503, and never 404, which a cache may keep.
    """
    return isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files (RLIMIT_NOFILE) to the hard one, as far as the system allows.

    The soft limit is 1,024 on most systems, for the sake of programs that call `select`; a server that sends files needs more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS refuses "unlimited"
        logger.debug("the limit of open files stays at %d: %s", soft, error)
